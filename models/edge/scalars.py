"""Scalar rows (heart, health, anchors, goal line, ...) and what a device says of itself.

Owns the stuck heart rate (a strap that repeats its value while its wearer changes speed), heart
spikes, and the health cells of a device id. Low battery: below `LOW_CHARGE_PCT`.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow
from models.columns import frozen
from models.edge import cells as grid
from models.edge.cells import Cells, count_row, second_of
from models.edge.config import EdgeConfig
from models.edge.rows import DEVICE, T_NS, Rows, columns_of
from models.edge.tables import Streams
from models.signal.hampel import forget_window, hampel_step, new_windows
from models.signal.stuck import new_runs, run_ns
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason

LOW_CHARGE_PCT: Final = 20.0
MOVING_SPREAD_MPS: Final = 1.0
"""Standard deviation of speed from which the heart rate must change (DOMAIN B7)."""
HEART_GAP_NS: Final = 10_000_000_000
_STUCK: Final = int(Flag.STUCK)
_REPAIRED: Final = int(Flag.SPIKE_REPAIRED)
_REASON_STUCK: Final = int(Reason.STUCK)


class ScalarState(NamedTuple):
    """Per device row: Hampel windows (D, 1, ...), stuck runs, spiked (D,), stuck (D,): once found
    stuck a sensor stays so until its value changes, even while its wearer rests."""

    windows: NDArray[np.float64]
    held: NDArray[np.float64]
    held_since_ns: NDArray[np.int64]
    spiked: NDArray[np.uint8]
    stuck: NDArray[np.uint8]


def new_scalars(device_n: int) -> ScalarState:
    """State of devices that have sent nothing."""
    return ScalarState(
        new_windows(device_n, 1), *new_runs(device_n), np.zeros(device_n, np.uint8),
        np.zeros(device_n, np.uint8),
    )


def note_health(rows: Rows, streams: Streams, cells: Cells) -> None:
    """Put what health and anchor rows say into the cells of their device ids."""
    names = KINDS[rows.kind].names
    wanted = ("batt_v", "batt_pct", "rssi_dbm", "reboot_n")
    columns = np.array([names.index(n) if n in names else -1 for n in wanted], np.int64)
    _note_health(
        rows.longs, rows.words, rows.values, frozen(columns), streams, cells,
    )


@njit(cache=True)
def _note_health(
    longs: NDArray[np.int64], words: NDArray[np.uint32], values: NDArray[np.float32],
    columns: NDArray[np.int64], streams: Streams, cells: Cells,
) -> None:
    longs, words, values, columns, streams, cells = borrow(
        (longs, words, values, columns, streams, cells)
    )
    t_ns, device = longs[T_NS], words[DEVICE]
    for i in range(device.size):
        second = second_of(cells.second_begin_ns, cells.group.shape[0], t_ns[i])
        group = streams.group[device[i]]
        for k in range(grid.GROUP_CELLS):
            if columns[k] >= 0 and values[columns[k], i] == values[columns[k], i]:
                cells.group[second, group, k] = values[columns[k], i]


@njit(cache=True)
def roll_batteries(cells: Cells, health: NDArray[np.float64]) -> None:
    """Whether each battery is low at the start of each second; `health` is as of the first."""
    for g in range(health.shape[0]):
        charge = health[g, grid.CHARGE_PCT]
        for second in range(cells.low.shape[0]):
            cells.low[second, g] = 1 if charge < LOW_CHARGE_PCT else 0
            newer = cells.group[second, g, grid.CHARGE_PCT]
            if newer == newer:
                charge = newer


def pass_scalars(
    rows: Rows, config: EdgeConfig, streams: Streams, cells: Cells, track: NDArray[np.int64],
    state: ScalarState,
) -> None:
    """Work through `rows`: writes their values, flags and reasons, and the device cells."""
    heart = rows.kind == Kind.HEART
    _pass(
        rows.longs, rows.words, rows.values, config.spike_heart_bpm if heart else 0.0,
        config.hampel_k, config.stuck_heart_ns if heart else 2**62, streams, cells, track, state,
    )


@njit(cache=True)
def _pass(
    longs: NDArray[np.int64], words: NDArray[np.uint32], values: NDArray[np.float32],
    spike: float, k: float, stuck_ns: int, streams: Streams, cells: Cells,
    track: NDArray[np.int64], state: ScalarState,
) -> None:
    longs, words, values, streams, cells, track, state = borrow(
        (longs, words, values, streams, cells, track, state)
    )
    t_ns, t_ingest_ns, count, adjust_ns, device, boot, flags, reason = columns_of(longs, words)
    first, subjects, reach, rate = streams.first, streams.subject, streams.words, streams.rate
    group, cell, newest, low = streams.group, cells.device, cells.newest, cells.low
    windows, held, held_since_ns, spiked, stuck = state
    for i in range(device.size):
        t, row, subject = t_ns[i], first[device[i]], subjects[device[i]]
        tick = (t - cells.tick_begin_ns) // cells.tick_ns
        second = second_of(cells.second_begin_ns, cell.shape[0], t)
        gap_ns = t - track[row, grid.T_LAST]
        flags[i] |= count_row(
            cell, newest, low, track, reach[row] << 6, rate[row], group[row], row, tick, second,
            int(boot[i]), count[i], t, t_ingest_ns[i], adjust_ns[i],
        )
        if spike == 0.0:
            continue
        value = float(values[0, i])
        held_ns = run_ns(held, held_since_ns, row, t, value, 0.0, 0.0)
        moving = subject >= 0 and cells.moving[second, subject, 0] > MOVING_SPREAD_MPS
        if held_ns < stuck_ns:
            stuck[row] = 0
        elif moving:
            stuck[row] = 1
        if stuck[row] == 1:
            cell[second, row, grid.STUCK_N] += 1.0
            flags[i] |= _STUCK
            reason[i] = _REASON_STUCK
            continue
        if gap_ns > HEART_GAP_NS or gap_ns < 0:
            forget_window(windows, row, 0)
            spiked[row] = 0
        outside, middle = hampel_step(windows, row, 0, value, spike, k)
        if outside and spiked[row] == 0:
            values[0, i] = middle
            flags[i] |= _REPAIRED
            cell[second, row, grid.SPIKES] += 1.0
        spiked[row] = 1 if outside else 0
