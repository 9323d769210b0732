"""What kernels are handed: sample tables in (subject, time) order, state arrays, output buffers.

`begin` (S + 1,) int64 tells the rows of each roster subject. What Python hands to compiled code is
read-only (`models.columns.frozen`), sample tables are not, since compiled code makes them: so each
kernel is compiled once.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Rows(NamedTuple):
    """All rows of a call. longs, words, floats: the same bytes, seen as int64, int32 and float32;
    parts (P, PART_WIDTH) int64, one per block; maps int32: roster rows by
    device number, one table after the other."""

    longs: NDArray[np.int64]
    words: NDArray[np.int32]
    floats: NDArray[np.float32]
    parts: NDArray[np.int64]
    maps: NDArray[np.int32]


PART_WIDTH = 9
P_KIND, P_COUNT, P_TIME, P_DEVICE, P_FLAGS, P_VALUES, P_STRIDE, P_MAP, P_MAP_N = range(PART_WIDTH)
"""Columns of `Rows.parts`: code of the kind, rows, where times (in longs), devices, flags and
values (in words) begin, words between channels, and where the map of device numbers begins (-1:
they are roster rows) and how many it has."""


class Places(NamedTuple):
    """What the roster says, read-only: subject (D,) int32 of each device, -1 for those that no flow
    reads; rank (D,) int64, 0 for the best position source of its subject; side (D,) int64 of boots,
    0 left, 1 right; channels (kinds, most) int64 as `models.flows.inputs.channel_table` says."""

    subject: NDArray[np.int32]
    rank: NDArray[np.int64]
    side: NDArray[np.int64]
    channels: NDArray[np.int64]


class Positions(NamedTuple):
    """Positions of persons: metres, r_m standard deviation, doppler NaN where there is none, rank 0
    for the best source of the subject. given (GIVEN_WIDTH, n) float32: what a recomputation knows
    of each row already, so that the filter need not; (GIVEN_WIDTH, 0) on the live path."""

    t_ns: NDArray[np.int64]
    x_m: NDArray[np.float32]
    y_m: NDArray[np.float32]
    r_m: NDArray[np.float32]
    doppler_mps: NDArray[np.float32]
    rank: NDArray[np.int64]
    begin: NDArray[np.int64]
    given: NDArray[np.float32]


class Motions(NamedTuple):
    """`values` (9, n) float32: acc xyz m/s^2, gyr xyz rad/s, PlayerLoad au, peak |acc| m/s^2,
    PlayerLoad without the vertical au."""

    t_ns: NDArray[np.int64]
    values: NDArray[np.float32]
    begin: NDArray[np.int64]


class Hearts(NamedTuple):
    """Heart rate, bpm; rr_ms the newest interval between beats, NaN where it is not known."""

    t_ns: NDArray[np.int64]
    hr_bpm: NDArray[np.float32]
    begin: NDArray[np.int64]
    rr_ms: NDArray[np.float32]


class Boots(NamedTuple):
    """Foot sensors: `values` (6, n) float32 acc xyz m/s^2, gyr xyz rad/s; side 0 left, 1 right."""

    t_ns: NDArray[np.int64]
    values: NDArray[np.float32]
    side: NDArray[np.int64]
    begin: NDArray[np.int64]


class Fixes(NamedTuple):
    """Ball positions: metres, z NaN where unknown, in_play NaN where the source does not say, spin
    rad/s (a size without an axis), NaN where it is not measured."""

    t_ns: NDArray[np.int64]
    x_m: NDArray[np.float32]
    y_m: NDArray[np.float32]
    z_m: NDArray[np.float32]
    in_play: NDArray[np.float32]
    begin: NDArray[np.int64]
    spin_radps: NDArray[np.float32]


class Knocks(NamedTuple):
    """The ball's own sensor: largest |acc| m/s^2 of the row, and its clip flag (NaN = unknown)."""

    t_ns: NDArray[np.int64]
    peak_mps2: NDArray[np.float32]
    clip: NDArray[np.float32]
    begin: NDArray[np.int64]


class Rest(NamedTuple):
    """Whose state rows are a second apart when: to_ns (R,) where each record of a call ends;
    mine (R, S) uint8 whether a subject is at rest in it. R = 0: nobody's are."""

    to_ns: NDArray[np.int64]
    mine: NDArray[np.uint8]


class Twins(NamedTuple):
    """State of all flows, one row per roster subject (`models.flows.layout` names the columns).

    f (S, FLOATS), i (S, INTS), kalman (S, KALMAN_WIDTH), bins (S, BINS, BIN_WIDTH), ring
    (S, RING, 9) float32: the last 2.56 s on the 100 Hz grid; near_xy (S, S, 2) and near_t (S, S):
    where the flow last saw every other subject; seconds (S, SECONDS, QUANTITIES) float32: what was
    added in each of the last 300 s; marks (S, MARKS, 4): sums every 30 s.
    """

    f: NDArray[np.float64]
    i: NDArray[np.int64]
    kalman: NDArray[np.float64]
    bins: NDArray[np.float64]
    ring: NDArray[np.float32]
    near_xy: NDArray[np.float64]
    near_t: NDArray[np.int64]
    seconds: NDArray[np.float32]
    marks: NDArray[np.float64]


class Outputs(NamedTuple):
    """Buffers that kernels append to. n (5,) rows in use of: events, states, finals, windows,
    fatigue.

    event_i (E, EVENT_INTS), event_f (E, EVENT_FLOATS); state_i (N, 2) time and subject, state_f
    (N, STATE_WIDTH); final_i, final_f alike; window_i (W, 3) subject, time, event seq or -1,
    window_f (W, 9, RING); fatigue_i (Q, 2), fatigue_f (Q, 8).
    """

    n: NDArray[np.int64]
    event_i: NDArray[np.int64]
    event_f: NDArray[np.float64]
    state_i: NDArray[np.int64]
    state_f: NDArray[np.float64]
    final_i: NDArray[np.int64]
    final_f: NDArray[np.float64]
    window_i: NDArray[np.int64]
    window_f: NDArray[np.float32]
    fatigue_i: NDArray[np.int64]
    fatigue_f: NDArray[np.float32]


N_EVENTS, N_STATES, N_FINALS, N_WINDOWS, N_FATIGUE = range(5)

G_VX, G_VY, G_SPEED, G_LAGGED, G_ACCEL, G_CODE = range(6)
"""Rows of `Positions.given`: velocity and speed m/s, speed behind the poles of acceleration,
acceleration along the track m/s^2, and what became of the position: `K.STEP_*` or IGNORED."""
GIVEN_WIDTH = 6


@njit(cache=True)
def first_row(
    t_ns: NDArray[np.int64], begin: NDArray[np.int64], s: int, since_ns: int
) -> tuple[int, int]:
    """The first row of subject `s` at or after `since_ns`, and the end of its rows."""
    row, end = begin[s], begin[s + 1]
    while row < end and t_ns[row] < since_ns:
        row += 1
    return row, end
