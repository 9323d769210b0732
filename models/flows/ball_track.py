"""The ball's track: a constant-velocity filter that opens up when it is kicked, and its past.

Owns the ball's position, speed and velocity before and after a moment. Metres, seconds, z up.
"""

from math import hypot, isnan, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812

ACCEL_PSD = 200.0
"""White acceleration of an untouched ball (drag, bounce, roll), m^2/s^3."""
OPEN_VAR = 15.0 * 15.0
"""Velocity variance after a kick, m^2/s^2."""
OPEN_NIS = 11.3
"""Squared innovation, 3 degrees of freedom, 0.99: beyond it the ball was touched."""
MAX_MPS = 50.0
LOST_NS = 1_000_000_000
REFUSE_NS = 200_000_000
TRACK_STEP_NS = 18_000_000

START, TAKEN, REFUSED = range(3)


@njit(cache=True)
def track_step(
    f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int, x: float, y: float, z: float,
    r_m: float,
) -> int:
    """Take a position: START (new or after a silence of a second), TAKEN, or REFUSED as impossible
    (faster than 50 m/s from the last one, for at most 0.2 s)."""
    dt = (t_ns - i[L.KT_POS]) * 1e-9
    if i[L.KT_POS] == L.NONE_NS or t_ns - i[L.KT_POS] > LOST_NS:
        return _start(f, i, t_ns, x, y, z, r_m)
    dx, dy, dz = x - f[L.K_OLD_X], y - f[L.K_OLD_Y], z - f[L.K_OLD_Z]
    if sqrt(dx * dx + dy * dy + dz * dz) > MAX_MPS * dt + 4.0 * r_m:
        i[L.K_REFUSED_N] += 1
        if t_ns - i[L.KT_POS] > REFUSE_NS:
            return _start(f, i, t_ns, x, y, z, r_m)
        return REFUSED
    pp = f[L.KPP] + 2.0 * dt * f[L.KPV] + dt * dt * f[L.KVV] + ACCEL_PSD * dt**3 / 3.0
    pv = f[L.KPV] + dt * f[L.KVV] + ACCEL_PSD * dt * dt / 2.0
    vv = f[L.KVV] + ACCEL_PSD * dt
    ex = x - f[L.KX] - dt * f[L.KVX]
    ey = y - f[L.KY] - dt * f[L.KVY]
    ez = z - f[L.KZ] - dt * f[L.KVZ]
    if (ex * ex + ey * ey + ez * ez) / (pp + r_m * r_m) > OPEN_NIS:
        pp += dt * dt * OPEN_VAR
        pv += dt * OPEN_VAR
        vv += OPEN_VAR
    gp, gv = pp / (pp + r_m * r_m), pv / (pp + r_m * r_m)
    f[L.KX] += dt * f[L.KVX] + gp * ex
    f[L.KY] += dt * f[L.KVY] + gp * ey
    f[L.KZ] += dt * f[L.KVZ] + gp * ez
    f[L.KVX] += gv * ex
    f[L.KVY] += gv * ey
    f[L.KVZ] += gv * ez
    f[L.KPP], f[L.KPV], f[L.KVV] = pp - gp * pp, pv - gp * pv, vv - gv * pv
    _remember(f, i, t_ns, x, y, z)
    return TAKEN


@njit(cache=True)
def _start(
    f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int, x: float, y: float, z: float,
    r_m: float,
) -> int:
    f[L.KX], f[L.KY], f[L.KZ] = x, y, z
    f[L.KVX], f[L.KVY], f[L.KVZ] = 0.0, 0.0, 0.0
    f[L.KPP], f[L.KPV], f[L.KVV] = r_m * r_m, 0.0, OPEN_VAR
    i[L.TRACK_N] = 0
    _remember(f, i, t_ns, x, y, z)
    return START


@njit(cache=True)
def _remember(
    f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int, x: float, y: float, z: float
) -> None:
    f[L.K_OLD_X], f[L.K_OLD_Y], f[L.K_OLD_Z] = x, y, z
    i[L.KT_POS] = t_ns
    at = i[L.TRACK_AT]
    if i[L.TRACK_N] > 0 and t_ns - i[L.TRACK_T + at] < TRACK_STEP_NS:
        return
    at = (at + 1) % L.TRACK
    i[L.TRACK_AT] = at
    i[L.TRACK_N] = min(i[L.TRACK_N] + 1, L.TRACK)
    i[L.TRACK_T + at] = t_ns
    o = L.TRACK_X + 3 * at
    f[o], f[o + 1], f[o + 2] = x, y, z


@njit(cache=True)
def open_up(f: NDArray[np.float64]) -> None:
    """The ball was hit: forget how fast it was."""
    f[L.KVV] += OPEN_VAR


@njit(cache=True)
def _slot_before(i: NDArray[np.int64], t_ns: int) -> int:
    for back in range(i[L.TRACK_N]):
        slot = (i[L.TRACK_AT] - back) % L.TRACK
        if i[L.TRACK_T + slot] <= t_ns:
            return slot
    return -1


@njit(cache=True)
def touch_change(f: NDArray[np.float64], i: NDArray[np.int64], span_ns: int) -> float:
    """How much the horizontal velocity of the last `span_ns` differs from that of the span before,
    m/s; -1 when the track is too short. Means over spans need no filter that a touch would
    upset."""
    newest = i[L.TRACK_AT]
    t_ns = i[L.TRACK_T + newest]
    middle = _slot_before(i, t_ns - span_ns)
    if i[L.TRACK_N] < 3 or middle < 0:
        return -1.0
    tm = i[L.TRACK_T + middle]
    oldest = _slot_before(i, tm - span_ns)
    if oldest < 0 or tm - i[L.TRACK_T + oldest] > 3 * span_ns:
        return -1.0
    d1 = (t_ns - tm) * 1e-9
    d0 = (tm - i[L.TRACK_T + oldest]) * 1e-9
    n, m, o = L.TRACK_X + 3 * newest, L.TRACK_X + 3 * middle, L.TRACK_X + 3 * oldest
    vx = (f[n] - f[m]) / d1 - (f[m] - f[o]) / d0
    vy = (f[n + 1] - f[m + 1]) / d1 - (f[m + 1] - f[o + 1]) / d0
    return hypot(vx, vy)


@njit(cache=True)
def known_z(z: float, radius_m: float) -> float:
    """A height, or a ball's radius where the source has none."""
    return radius_m if isnan(z) else z
