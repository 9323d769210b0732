"""Bouts: stretches of time above a threshold, with hysteresis, minimum gap and a time to leave.

One state machine serves sprints, high-speed bouts, accelerations and decelerations. Its state is
`BOUT_WIDTH` float64 from column `o` of `f` and four int64 from column `q` of `i`
(`models.flows.layout`).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

PEAK, HELD, DIST, RUN, X0, Y0, V0, X1, Y1, V1 = range(10)
ON, T_START, T_OK, T_PREV = range(4)


@njit(cache=True)
def bout_step(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, t_ns: int, dt_s: float,
    value: float, enter: float, leave: float, stop: float, leave_ns: int, gap_ns: int,
    x_m: float, y_m: float, speed_mps: float,
) -> bool:
    """Take one sample; True when a bout has just ended (it ends at its last sample above `leave`).

    A bout starts at value >= `enter`, ends when value stays under `leave` for `leave_ns`, or at
    once at value <= `stop`; the next may start `gap_ns` after the last one's end. HELD is the time
    at or above `enter`; the caller compares it with the minimum duration.
    """
    if i[q + ON] == 0:
        if value >= enter and t_ns - i[q + T_PREV] >= gap_ns:
            i[q + ON] = 1
            i[q + T_START] = t_ns
            i[q + T_OK] = t_ns
            f[o + PEAK] = value
            f[o + HELD] = 0.0
            f[o + DIST] = 0.0
            f[o + RUN] = 0.0
            f[o + X0] = x_m
            f[o + Y0] = y_m
            f[o + V0] = speed_mps
            f[o + X1] = x_m
            f[o + Y1] = y_m
            f[o + V1] = speed_mps
        return False
    f[o + RUN] += speed_mps * dt_s
    if value >= leave:
        i[q + T_OK] = t_ns
        f[o + DIST] = f[o + RUN]
        f[o + X1] = x_m
        f[o + Y1] = y_m
        f[o + V1] = speed_mps
        if value >= enter:
            f[o + HELD] += dt_s
        f[o + PEAK] = max(f[o + PEAK], value)
        return False
    if value <= stop or t_ns - i[q + T_OK] >= leave_ns:
        return bout_close(i, q)
    return False


@njit(cache=True)
def bout_close(i: NDArray[np.int64], q: int) -> bool:
    """End a running bout at its last sample above the threshold; False when none is running."""
    if i[q + ON] == 0:
        return False
    i[q + ON] = 0
    i[q + T_PREV] = i[q + T_OK]
    return True
