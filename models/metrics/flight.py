"""Flight of a football with drag and Magnus force, and where it meets a goal line.

Metres, seconds, z up. Drag coefficient 0.5 below 12 m/s, 0.2 above 20 m/s, linear between (drag
crisis). Integration is RK4; drag at 30 m/s is as large as gravity, so a parabola would be wrong.
"""

from math import sqrt
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

GRAVITY_MPS2: Final = 9.80665
AIR_KGM3: Final = 1.2
MASS_KG: Final = 0.43
RADIUS_M: Final = 0.11
AREA_M2: Final = 3.141592653589793 * RADIUS_M * RADIUS_M
MAX_LIFT: Final = 0.35


@njit(cache=True)
def drag_coefficient(speed_mps: float) -> float:
    """Smooth across the drag crisis between 12 and 20 m/s."""
    return 0.5 - 0.3 * min(max((speed_mps - 12.0) / 8.0, 0.0), 1.0)


@njit(cache=True)
def _slope(
    s: NDArray[np.float64], spin: NDArray[np.float64], cd: float, out: NDArray[np.float64]
) -> None:
    vx, vy, vz = s[3], s[4], s[5]
    speed = sqrt(vx * vx + vy * vy + vz * vz)
    k = 0.5 * AIR_KGM3 * AREA_M2 / MASS_KG
    drag = k * (cd if cd >= 0.0 else drag_coefficient(speed)) * speed
    out[0], out[1], out[2] = vx, vy, vz
    out[3], out[4], out[5] = -drag * vx, -drag * vy, -drag * vz - GRAVITY_MPS2
    turn = sqrt(spin[0] * spin[0] + spin[1] * spin[1] + spin[2] * spin[2])
    if turn <= 0.0 or speed <= 0.0:
        return
    cx = spin[1] * vz - spin[2] * vy
    cy = spin[2] * vx - spin[0] * vz
    cz = spin[0] * vy - spin[1] * vx
    size = sqrt(cx * cx + cy * cy + cz * cz)
    if size > 0.0:
        lift = k * min(RADIUS_M * turn / speed, MAX_LIFT) * speed * speed / size
        out[3] += lift * cx
        out[4] += lift * cy
        out[5] += lift * cz


@njit(cache=True)
def flight_step(
    s: NDArray[np.float64], spin: NDArray[np.float64], cd: float, dt_s: float,
    work: NDArray[np.float64],
) -> None:
    """One RK4 step in place. s (6,) position m and velocity m/s; spin (3,) rad/s; cd < 0 takes
    `drag_coefficient` of the speed; work (5, 6) scratch."""
    _slope(s, spin, cd, work[0])
    for i in range(6):
        work[4, i] = s[i] + 0.5 * dt_s * work[0, i]
    _slope(work[4], spin, cd, work[1])
    for i in range(6):
        work[4, i] = s[i] + 0.5 * dt_s * work[1, i]
    _slope(work[4], spin, cd, work[2])
    for i in range(6):
        work[4, i] = s[i] + dt_s * work[2, i]
    _slope(work[4], spin, cd, work[3])
    for i in range(6):
        s[i] += dt_s / 6.0 * (work[0, i] + 2.0 * work[1, i] + 2.0 * work[2, i] + work[3, i])


@njit(cache=True)
def crossing(
    x_m: float, y_m: float, z_m: float, vx: float, vy: float, vz: float, plane_x_m: float,
    within_s: float,
) -> tuple[float, float, float]:
    """Where the ball, kicked from here without spin, meets the plane x = `plane_x_m`: as
    `spun_crossing` with a spin of 0."""
    return spun_crossing(x_m, y_m, z_m, vx, vy, vz, plane_x_m, within_s, 0.0)


@njit(cache=True)
def spun_crossing(
    x_m: float, y_m: float, z_m: float, vx: float, vy: float, vz: float, plane_x_m: float,
    within_s: float, spin_z_radps: float,
) -> tuple[float, float, float]:
    """Where the ball, kicked from here with side spin about z, meets the plane x = `plane_x_m`.

    Returns (seconds, y m, z m); seconds is -1 when it does not arrive `within_s`. The ground holds
    the ball up (it rolls on at z = radius), bounces are left out.
    """
    s = np.array([x_m, y_m, max(z_m, RADIUS_M), vx, vy, vz])
    spin = np.array([0.0, 0.0, spin_z_radps])
    work = np.empty((5, 6))
    dt_s = 0.01
    way = 1.0 if plane_x_m > x_m else -1.0
    for step in range(int(within_s / dt_s)):
        x0, y0, z0 = s[0], s[1], s[2]
        flight_step(s, spin, -1.0, dt_s, work)
        if s[2] < RADIUS_M:
            s[2] = RADIUS_M
            s[5] = max(s[5], 0.0)
        if (s[0] - plane_x_m) * way >= 0.0:
            part = (plane_x_m - x0) / (s[0] - x0) if s[0] != x0 else 1.0
            return (step + part) * dt_s, y0 + (s[1] - y0) * part, z0 + (s[2] - z0) * part
    return -1.0, 0.0, 0.0
