"""The 100 Hz grid of a person, from which event windows are cut: motion, speed, distance to the
ball.

A slot of the grid holds the last values at or before its time, whatever the sensors' own rates.
"""

from math import sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.config import GRID_NS
from models.flows.person_motion import find_next_window
from models.flows.tables import N_WINDOWS, Fixes, Outputs, Twins
from models.signal import kalman as K  # noqa: N812

HOLD_NS = 300_000_000
"""Motion is held so long, then it reads zero."""
GRID_RUN_NS = 3_000_000_000
"""The grid stops so long after the last motion row: longer than any window, so nothing is lost."""
BALL_SEEN_NS = 1_000_000_000
BALL_CAP_M = 60.0


@njit(cache=True, inline="always")
def fill_slots(
    f: NDArray[np.float64], i: NDArray[np.int64], ring: NDArray[np.float32], x_m: float, y_m: float,
    ball: Fixes, at: int, at_end: int, t_ns: int,
) -> int:
    """Fill the slots before `t_ns`, not past one that completes a window (then NEXT_GRID >
    PEND_NEXT). `x_m`, `y_m` is where the person is; returns the ball row reached."""
    slot = i[L.NEXT_GRID]
    if slot < 0:
        return at
    last = min(-(-min(t_ns, i[L.T_IMU] + GRID_RUN_NS) // GRID_NS), i[L.PEND_NEXT] + 1)
    while slot < last:
        now = slot * GRID_NS
        while at < at_end and ball.t_ns[at] <= now:
            i[L.T_BALL] = ball.t_ns[at]
            f[L.BALL_X] = ball.x_m[at]
            f[L.BALL_Y] = ball.y_m[at]
            at += 1
        row = slot % L.RING
        live = 1.0 if now - i[L.T_IMU] <= HOLD_NS else 0.0
        for axis in range(6):
            ring[row, axis] = f[L.HELD0 + axis] * live
        ring[row, 6] = f[L.SPEED]
        ring[row, 7] = f[L.ACCEL]
        ring[row, 8] = BALL_CAP_M
        if i[L.T_BALL] != L.NONE_NS and now - i[L.T_BALL] <= BALL_SEEN_NS:
            dx, dy = f[L.BALL_X] - x_m, f[L.BALL_Y] - y_m
            ring[row, 8] = min(sqrt(dx * dx + dy * dy), BALL_CAP_M)
        slot += 1
    if slot <= i[L.PEND_NEXT] and slot * GRID_NS < t_ns:
        slot = -(-t_ns // GRID_NS)
    i[L.NEXT_GRID] = slot
    return at


@njit(cache=True, forceinline=True)
def fill_grid(
    twins: Twins, s: int, out: Outputs, ball: Fixes, at: int, at_end: int, t_ns: int
) -> int:
    """Fill all slots before `t_ns` and give every window that is complete."""
    f, i, k, ring = twins.f[s], twins.i[s], twins.kalman[s], twins.ring[s]
    while True:
        at = fill_slots(f, i, ring, k[K.X], k[K.Y], ball, at, at_end, t_ns)
        if i[L.NEXT_GRID] <= i[L.PEND_NEXT]:
            return at
        for mark in range(L.PENDING):
            if i[L.PEND_GRID + mark] >= 0 and i[L.NEXT_GRID] > i[L.PEND_NEXT]:
                _give_window(twins, s, out, mark, i[L.NEXT_GRID] - 1)
        find_next_window(i)


@njit(cache=True)
def _give_window(twins: Twins, s: int, out: Outputs, mark: int, newest: int) -> None:
    """Copy the ring, oldest first, as one event window, if `mark` is the one that is complete."""
    i, ring = twins.i[s], twins.ring[s]
    if i[L.PEND_GRID + mark] + L.RING // 2 - 1 > newest:
        return
    row = out.n[N_WINDOWS]
    out.n[N_WINDOWS] = row + 1
    out.window_i[row, 0] = s
    out.window_i[row, 1] = i[L.PEND_T + mark]
    out.window_i[row, 2] = i[L.PEND_SEQ + mark]
    window = out.window_f[row]
    first = (newest + 1) % L.RING
    for n in range(L.RING):
        slot = ring[(first + n) % L.RING]
        for channel in range(9):
            window[channel, n] = slot[channel]
    i[L.PEND_GRID + mark] = -1
