"""Cells: what one stretch of event time has to tell per tick, second, device, subject and group.

Kernels add to cells while they go through rows; later stages read whole ticks and seconds. The
first second may have begun in an earlier stretch, so its cells are carried over. `count_row` is
what all kernels do with every row: count it, and tell the gap in front of it.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.edge.tables import Whole
from models.telemetry.flags import Flag

SECOND: Final = 1_000_000_000
RX, LOST, SPIKES, STUCK_N, CLIPS, NOISE, OFFSET_NS, STEP_NS, BOOT_N = range(9)
DEVICE_CELLS: Final = 9
"""Per second and device. NOISE: lowest roughness of a stretch of ten samples (inf: none);
OFFSET_NS: lowest t_ingest - t_event as the sensor has it (inf: none); STEP_NS: change of clock
correction; BOOT_N changes of boot; the others are counts of samples."""
SPEED_N, SPEED_SUM, SPEED_SQ, MOTION_N, MOTION_SUM = range(5)
SUBJECT_CELLS: Final = 5
"""Per second and subject: speeds in mm/s, and ||acc| - g| in mm/s^2, counts and sums."""
VOLTS, CHARGE_PCT, RSSI_DBM, REBOOTS = range(4)
GROUP_CELLS: Final = 4
"""Per second and device id, as its own health rows have it; NaN when silent about it."""
SPEED, ACCEL, IMPACT, X_M, Y_M, T_S, VX, VY, IN_PLAY = range(9)
TICK_CELLS: Final = 9
"""Per tick and subject: largest speed, |acceleration| and sensed |acc|; newest position, its time
(seconds from the start of the tick), velocity and ball-in-play; NaN when there was none."""

_GAP: Final = int(Flag.GAP_BEFORE)
_LOW_BATT: Final = int(Flag.LOW_BATT)
TRACK_WIDTH: Final = 5
SEEN, T_LAST, BOOT, COUNT, ADJUST = range(TRACK_WIDTH)


class Cells(NamedTuple):
    """Cells of K ticks from tick_begin_ns and N seconds from second_begin_ns.

    device (N, D, DEVICE_CELLS), subject (N, S, SUBJECT_CELLS), group (N, G, GROUP_CELLS), tick
    (K, S, TICK_CELLS) float64; newest (K, D) int64 newest event time of a stream in a tick, 0 if it
    had no row; low (N, G) uint8 battery low at the start of the second; moving (N, S, 2) float64
    spread of speed m/s and motion m/s^2 of the seconds before (NaN: not known).
    """

    device: NDArray[np.float64]
    subject: NDArray[np.float64]
    group: NDArray[np.float64]
    tick: NDArray[np.float64]
    newest: NDArray[np.int64]
    low: NDArray[np.uint8]
    moving: NDArray[np.float64]
    tick_begin_ns: int
    tick_ns: int
    second_begin_ns: int


class OpenSecond(NamedTuple):
    """Cells of the second that has begun but not ended: one row of `Cells` each."""

    device: NDArray[np.float64]
    subject: NDArray[np.float64]
    group: NDArray[np.float64]


def open_second(device_n: int, subject_n: int, group_n: int) -> OpenSecond:
    """A second in which nothing has happened yet."""
    device = np.zeros((device_n, DEVICE_CELLS))
    device[:, (NOISE, OFFSET_NS)] = np.inf
    return OpenSecond(
        device, np.zeros((subject_n, SUBJECT_CELLS)), np.full((group_n, GROUP_CELLS), np.nan)
    )


def new_cells(
    carried: OpenSecond, begin_ns: int, end_ns: int, tick_ns: int, second_begin_ns: int
) -> Cells:
    """Empty cells of [begin_ns, end_ns), whose first second goes on from `carried`."""
    ticks = (end_ns - begin_ns) // tick_ns
    seconds = max(-(-(end_ns - second_begin_ns) // SECOND), 1)
    devices, subjects, groups = (len(part) for part in carried)
    fresh = open_second(devices, subjects, groups)
    parts = []
    for begun, untouched in zip(carried, fresh, strict=True):
        part = np.empty((seconds, *begun.shape))
        part[0], part[1:] = begun, untouched
        parts.append(part)
    return Cells(
        parts[0], parts[1], parts[2], np.full((ticks, subjects, TICK_CELLS), np.nan),
        np.zeros((ticks, devices), np.int64), np.zeros((seconds, groups), np.uint8),
        np.full((seconds, subjects, 2), np.nan), begin_ns, tick_ns, second_begin_ns,
    )


@njit(cache=True, forceinline=True)
def second_of(second_begin_ns: Whole, seconds: Whole, t_ns: Whole) -> Whole:
    """Index of the second that `t_ns` lies in, held to the stretch."""
    return min(max((t_ns - second_begin_ns) // SECOND, 0), seconds - 1)


@njit(cache=True, forceinline=True)
def count_row(
    device: NDArray[np.float64], newest: NDArray[np.int64], low: NDArray[np.uint8],
    track: NDArray[np.int64], reach_samples: Whole, rate: float, group: Whole, row: Whole,
    tick: Whole, second: Whole, boot: Whole, count: Whole, t_ns: Whole, t_ingest_ns: Whole,
    adjust_ns: Whole,
) -> int:
    """Count one row of stream `row`; the flags that it earns (GAP_BEFORE, LOW_BATT).

    device, newest, low see `Cells`; track (D, TRACK_WIDTH) int64 state; reach_samples how far a
    counter may jump at once and still be believed, beyond what `rate` explains.
    """
    flags = 0
    if track[row, SEEN] == 1:
        if boot != track[row, BOOT]:
            device[second, row, BOOT_N] += 1.0
            flags = _GAP
        else:
            missing = count - track[row, COUNT] - 1
            if missing != 0:
                flags = _GAP
                if missing > 0:
                    away_ns = max(t_ns - track[row, T_LAST], 0)
                    if missing <= reach_samples + int(2e-9 * rate * away_ns):
                        device[second, row, LOST] += missing
    if adjust_ns != track[row, ADJUST]:
        device[second, row, STEP_NS] += adjust_ns - track[row, ADJUST]
        track[row, ADJUST] = adjust_ns
    track[row, SEEN] = 1
    track[row, T_LAST] = t_ns
    track[row, BOOT] = boot
    track[row, COUNT] = count
    device[second, row, RX] += 1.0
    offset = float(t_ingest_ns - t_ns + adjust_ns)
    if offset < device[second, row, OFFSET_NS]:
        device[second, row, OFFSET_NS] = offset
    if t_ns > newest[tick, row]:
        newest[tick, row] = t_ns
    if low[second, group] == 1:
        flags |= _LOW_BATT
    return flags
