"""Inertial rows (athlete, ball, boot): stuck, saturation, spikes, roughness, PlayerLoad, peaks.

One pass over rows in order of work. Repairs acceleration spikes of athletes in place (the raw log
keeps what came); ball and boot are left alone, because a kick is a spike there. Clipping is flagged
everywhere, but counts as a fault only where it is not the signature of a kick.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow
from models.edge import cells as grid
from models.edge.cells import Cells, count_row, second_of
from models.edge.config import EdgeConfig
from models.edge.rows import Rows, columns_of
from models.edge.tables import Streams, Tables, Whole
from models.signal.hampel import forget_window, hampel_step, new_windows
from models.signal.player_load import FLAT, GRAVITY_MPS2, load_step, low_passes, new_load
from models.signal.stuck import new_runs, run_ns
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason

_CLIPPED: Final = int(Flag.CLIPPED)
_STUCK: Final = int(Flag.STUCK)
_REPAIRED: Final = int(Flag.SPIKE_REPAIRED)
_REASON_STUCK: Final = int(Reason.STUCK)
_AT_SCALE: Final = 0.995
_LONG_GAP_NS: Final = 250_000_000
STRETCH: Final = 10
"""Samples over which roughness is averaged; the calmest stretch of a second is its noise."""

MEMORY_WIDTH: Final = 6
_MAG, _MAG_OLD, _ROUGH, _ROUGH_N, _SPIKED, _AT_SCALE_N = range(MEMORY_WIDTH)


class InertialState(NamedTuple):
    """Per device row: memory (D, MEMORY_WIDTH), Hampel windows, stuck runs, PlayerLoad and its
    filter (see `models.signal`)."""

    memory: NDArray[np.float64]
    windows: NDArray[np.float64]
    held: NDArray[np.float64]
    held_since_ns: NDArray[np.int64]
    load: NDArray[np.float64]
    load_z: NDArray[np.float64]


class InertialRule(NamedTuple):
    """spike_mps2 floor of a jump, 0 = never repair; kick 1 where clipping is no fault; merged
    first of the four channels that the edge fills, -1 = none; stuck_ns, k see `EdgeConfig`."""

    spike_mps2: float
    k: float
    stuck_ns: int
    kick: int
    merged: int


def new_inertial(device_n: int) -> InertialState:
    """State of devices that have sent nothing."""
    load, load_z = new_load(device_n)
    return InertialState(
        np.zeros((device_n, MEMORY_WIDTH)), new_windows(device_n, 3), *new_runs(device_n), load,
        load_z,
    )


def load_sections(tables: Tables) -> NDArray[np.float64]:
    """(D, SECTIONS, 5) low-pass of each device before PlayerLoad; nothing at 100 Hz and below."""
    return low_passes(tables.streams.rate, tables.streams.load_merge)


def rule_of(kind: Kind, config: EdgeConfig) -> InertialRule:
    """How rows of `kind` are judged."""
    names = KINDS[kind].names
    return InertialRule(
        config.spike_acc_mps2 if kind == Kind.IMU else 0.0, config.hampel_k,
        config.stuck_motion_ns, int(kind != Kind.IMU),
        names.index("load_au") if "load_au" in names else -1,
    )


def pass_inertial(
    rows: Rows, rule: InertialRule, streams: Streams, sections: NDArray[np.float64], cells: Cells,
    track: NDArray[np.int64], state: InertialState,
) -> None:
    """Work through `rows`: writes their values, flags and reasons, and the cells."""
    _pass(
        rows.longs, rows.words, rows.values, rule, streams, sections, cells, track, state,
    )


@njit(cache=True, forceinline=True)
def _repair(
    values: NDArray[np.float32], i: Whole, row: Whole, floor: float, k: float,
    windows: NDArray[np.float64], memory: NDArray[np.float64],
) -> bool:
    """Replace an isolated jump by the window's median, axis by axis; whether that was done."""
    spiked = False
    held = memory[row, _SPIKED] == 1.0
    for axis in range(3):
        outside, middle = hampel_step(windows, row, axis, float(values[axis, i]), floor, k)
        if outside:
            spiked = True
            if not held:
                values[axis, i] = middle
    memory[row, _SPIKED] = 1.0 if spiked else 0.0
    return spiked and not held


@njit(cache=True, forceinline=True)
def _roughness(memory: NDArray[np.float64], row: Whole, magnitude: float) -> float:
    """Mean |second difference| of a stretch when it ends here, else inf."""
    memory[row, _ROUGH] += abs(magnitude - 2.0 * memory[row, _MAG] + memory[row, _MAG_OLD])
    memory[row, _MAG_OLD] = memory[row, _MAG]
    memory[row, _MAG] = magnitude
    memory[row, _ROUGH_N] += 1.0
    if memory[row, _ROUGH_N] < STRETCH:
        return np.inf
    mean = memory[row, _ROUGH] / STRETCH
    memory[row, _ROUGH] = 0.0
    memory[row, _ROUGH_N] = 0.0
    return mean


@njit(cache=True)
def _restart(
    memory: NDArray[np.float64], windows: NDArray[np.float64], row: Whole,
    values: NDArray[np.float32], i: Whole,
) -> None:
    """After a gap nothing that came before says what is normal now."""
    for axis in range(3):
        forget_window(windows, row, axis)
    x, y, z = float(values[0, i]), float(values[1, i]), float(values[2, i])
    memory[row, _MAG] = np.sqrt(x * x + y * y + z * z)
    memory[row, _MAG_OLD] = memory[row, _MAG]
    memory[row, _ROUGH] = 0.0
    memory[row, _ROUGH_N] = 0.0
    memory[row, _SPIKED] = 0.0


@njit(cache=True, forceinline=True)
def _saturated(
    memory: NDArray[np.float64], row: Whole, limit: float, ax: float, ay: float, az: float
) -> bool:
    """Whether an axis is at full scale; counts how long on end."""
    if limit <= 0.0 or max(abs(ax), abs(ay), abs(az)) < limit:
        memory[row, _AT_SCALE_N] = 0.0
        return False
    memory[row, _AT_SCALE_N] += 1.0
    return True


@njit(cache=True)
def _pass(
    longs: NDArray[np.int64], words: NDArray[np.uint32], values: NDArray[np.float32],
    rule: InertialRule, streams: Streams, sections: NDArray[np.float64], cells: Cells,
    track: NDArray[np.int64], state: InertialState,
) -> None:
    longs, words, values, streams, sections, cells, track, state = borrow(
        (longs, words, values, streams, sections, cells, track, state)
    )
    floor, k, stuck_ns, kick, merged = rule
    t_ns, t_ingest_ns, count, adjust_ns, device, boot, flags, reason = columns_of(longs, words)
    first, subjects, reach, rate = streams.first, streams.subject, streams.words, streams.rate
    group, scale, load_merge = streams.group, streams.full_scale, streams.load_merge
    cell, newest, low = cells.device, cells.newest, cells.low
    ticks, movements = cells.tick, cells.subject
    memory, windows, held, held_since_ns, load, load_z = state
    tick_ns, begin_ns, second_begin_ns = cells.tick_ns, cells.tick_begin_ns, cells.second_begin_ns
    tick: Whole = 0
    second: Whole = 0
    tick_end: Whole = -1
    second_end: Whole = -1
    for i in range(device.size):
        t, row, subject = t_ns[i], first[device[i]], subjects[device[i]]
        if t >= tick_end or t < tick_end - tick_ns:
            tick = (t - begin_ns) // tick_ns
            tick_end = begin_ns + (tick + 1) * tick_ns
        if t >= second_end or t < second_end - grid.SECOND:
            second = second_of(second_begin_ns, cell.shape[0], t)
            second_end = second_begin_ns + (second + 1) * grid.SECOND
        gap_ns = t - track[row, grid.T_LAST]
        earned = count_row(
            cell, newest, low, track, reach[row] << 6, rate[row], group[row], row, tick, second,
            int(boot[i]), count[i], t, t_ingest_ns[i], adjust_ns[i],
        )
        if gap_ns > _LONG_GAP_NS or gap_ns < 0:
            _restart(memory, windows, row, values, i)
        ax, ay, az = float(values[0, i]), float(values[1, i]), float(values[2, i])
        if run_ns(held, held_since_ns, row, t, ax, ay, az) >= stuck_ns:
            cell[second, row, grid.STUCK_N] += 1.0
            flags[i] |= earned | _STUCK
            reason[i] = _REASON_STUCK
            continue
        if _saturated(memory, row, scale[row] * _AT_SCALE, ax, ay, az):
            earned |= _CLIPPED
            if memory[row, _AT_SCALE_N] >= 2.0 and kick == 0:
                cell[second, row, grid.CLIPS] += 1.0
        if floor > 0.0 and _repair(values, i, row, floor, k, windows, memory):
            earned |= _REPAIRED
            cell[second, row, grid.SPIKES] += 1.0
        flags[i] |= earned
        x, y, z = float(values[0, i]), float(values[1, i]), float(values[2, i])
        magnitude = np.sqrt(x * x + y * y + z * z)
        rough = _roughness(memory, row, magnitude)
        if rough < cell[second, row, grid.NOISE]:
            cell[second, row, grid.NOISE] = rough
        if merged >= 0:
            added = load_step(
                load, load_z, sections, row, load_merge[row], gap_ns, x, y, z, rate[row]
            )
            values[merged, i] = added
            values[merged + 1, i] = magnitude
            values[merged + 2, i] = 1.0
            values[merged + 3, i] = load[row, FLAT]
        if subject >= 0 and kick == 0:
            if not ticks[tick, subject, grid.IMPACT] >= magnitude:
                ticks[tick, subject, grid.IMPACT] = magnitude
            movements[second, subject, grid.MOTION_N] += 1.0
            # Whole mm/s^2: sums are exact, so the order of a subject's devices does not matter.
            movements[second, subject, grid.MOTION_SUM] += np.rint(
                1000.0 * abs(magnitude - GRAVITY_MPS2)
            )
