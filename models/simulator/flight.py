"""Flight of the ball: drag, gravity, bounces and rolling on a 100 Hz path (DOMAIN B10).

m dv/dt = -m g z - 0.5 rho A Cd |v| v, Cd 0.5 below 12 m/s, 0.2 above 20 m/s, linear between; bounce
factor 0.6; rolling -0.6 m/s^2 and grass drag. Metres, m/s, seconds.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

RADIUS_M: Final = 0.11
PATH_S: Final = 0.01
_DRAG: Final = 0.5 * 1.2 * 0.038 / 0.43
_G: Final = 9.80665
_ROLL: Final = 0.9
_BOUNCE: Final = 0.6


def drag_coefficient(speed_mps: float) -> float:
    """Cd of a football by speed (smooth stand-in for the drag crisis)."""
    return 0.5 - 0.3 * min(max((speed_mps - 12.0) / 8.0, 0.0), 1.0)


def fly(
    start: tuple[float, float, float], velocity: tuple[float, float, float], seconds: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[tuple[int, float]]]:
    """Path (m, 3) and velocities (m, 3) each `PATH_S`, and bounces as (index, dv in m/s)."""
    steps = max(2, int(seconds / PATH_S) + 1)
    path, speeds = np.empty((steps, 3)), np.empty((steps, 3))
    x, y, z = start
    vx, vy, vz = velocity
    bounces: list[tuple[int, float]] = []
    for i in range(steps):
        path[i, 0], path[i, 1], path[i, 2] = x, y, z
        speeds[i, 0], speeds[i, 1], speeds[i, 2] = vx, vy, vz
        speed = math.sqrt(vx * vx + vy * vy + vz * vz)
        drag = _DRAG * drag_coefficient(speed) * speed * PATH_S
        rolling = z <= RADIUS_M + 0.01 and abs(vz) < 0.8
        if rolling:
            flat = math.hypot(vx, vy)
            drag += min(_ROLL * PATH_S / flat, 1.0) if flat > 1e-6 else 1.0
            vz, z = 0.0, RADIUS_M
        else:
            vz -= _G * PATH_S
        keep = max(1.0 - drag, 0.0)
        vx, vy, vz = vx * keep, vy * keep, vz * keep
        x, y, z = x + vx * PATH_S, y + vy * PATH_S, z + vz * PATH_S
        if z < RADIUS_M and vz < 0:
            bounces.append((i, -vz * (1 + _BOUNCE)))
            z, vz, vx, vy = RADIUS_M, -vz * _BOUNCE, vx * 0.8, vy * 0.8
    return path, speeds, bounces


def ground_speed_for(distance_m: float, arrive_mps: float) -> float:
    """Exit speed of a rolling pass that reaches `distance_m` with about `arrive_mps`."""
    drag = _DRAG * 0.38
    grown = math.exp(2 * drag * distance_m)
    return math.sqrt(arrive_mps**2 * grown + _ROLL * (grown - 1) / drag)


def loft_for(distance_m: float, angle_rad: float) -> float:
    """Exit speed of a lofted pass that first lands near `distance_m` (two drag corrections)."""
    speed = math.sqrt(_G * distance_m / math.sin(2 * angle_rad))
    for _ in range(3):
        reach = _carry(speed, angle_rad)
        speed *= min(max(math.sqrt(distance_m / max(reach, 1.0)), 0.7), 1.4)
    return min(speed, 34.0)


def _carry(speed: float, angle_rad: float) -> float:
    x, z = 0.0, RADIUS_M
    vx, vz = speed * math.cos(angle_rad), speed * math.sin(angle_rad)
    for _ in range(200):
        v = math.hypot(vx, vz)
        drag = _DRAG * drag_coefficient(v) * v * 0.03
        vx, vz = vx * (1 - drag), vz * (1 - drag) - _G * 0.03
        x, z = x + vx * 0.03, z + vz * 0.03
        if z <= RADIUS_M and vz < 0:
            break
    return x
