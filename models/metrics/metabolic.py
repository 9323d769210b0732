"""Metabolic power of running from speed and acceleration along the track, W/kg.

Two published models: Osgnach 2010 (compatibility) and di Prampero & Osgnach 2018 with the walking
polynomials of Minetti & Pavei 2018 (default). The slope polynomial of Osgnach is only valid for
|ES| <= 0.45 and goes negative beyond, so ES is clamped there; results are capped at `CAP_WKG`,
because power explodes with noise of the acceleration and published peaks are about 92 W/kg.
"""

from math import exp, sqrt
from typing import Final

import numpy as np
from numba import njit

GRAVITY_MPS2: Final = 9.80665
OSGNACH_GRAVITY_MPS2: Final = 9.81
"""Osgnach's paper rounds g; keeping it makes the compatibility mode agree with published values."""
GRASS_KT: Final = 1.29
SLOPE_LIMIT: Final = 0.45
CAP_WKG: Final = 100.0
HIGH_POWER_WKG: Final = 20.0
FLAT_COST_JKGM: Final = 3.6
_AIR_K: Final = 0.0037
_ALWAYS_RUN_MPS: Final = 2.5
_WALK: Final = np.array([
    [0.28, -1.66, 3.81, -3.96, 4.01],
    [0.03, -0.15, 0.98, -2.25, 3.14],
    [0.69, -3.21, 5.94, -5.07, 2.79],
    [1.25, -6.57, 13.14, -11.15, 5.35],
    [0.68, -4.17, 10.17, -10.31, 8.66],
    [3.80, -14.91, 22.94, -14.53, 11.24],
    [44.95, -122.88, 126.94, -57.46, 21.39],
    [94.62, -213.94, 184.43, -68.49, 25.04],
])
"""Cost of walking, J/kg/m: quartics in speed (highest power first) at slopes -0.3 to 0.4 by 0.1."""


@njit(cache=True)
def osgnach_wkg(speed_mps: float, accel_mps2: float) -> float:
    """Osgnach et al. 2010 on grass (KT 1.29): W/kg."""
    slope = min(max(accel_mps2 / OSGNACH_GRAVITY_MPS2, -SLOPE_LIMIT), SLOPE_LIMIT)
    cost = ((((155.4 * slope - 30.4) * slope - 43.3) * slope + 46.3) * slope + 19.5) * slope + 3.6
    return min(cost * sqrt(slope * slope + 1.0) * GRASS_KT * speed_mps, CAP_WKG)


@njit(cache=True)
def _walking_cost_jkgm(speed_mps: float, slope: float) -> float:
    place = min(max((slope + 0.3) * 10.0, 0.0), 7.0)
    low = min(int(place), 6)
    part = place - low
    below = 0.0
    above = 0.0
    for power in range(5):
        below = below * speed_mps + _WALK[low, power]
        above = above * speed_mps + _WALK[low + 1, power]
    return below + (above - below) * part


@njit(cache=True)
def di_prampero_wkg(speed_mps: float, accel_mps2: float) -> float:
    """di Prampero & Osgnach 2018 with air resistance, walking after Minetti & Pavei 2018: W/kg."""
    es = accel_mps2 / GRAVITY_MPS2 + _AIR_K * speed_mps * speed_mps / GRAVITY_MPS2
    em = sqrt(1.0 + es * es)
    change = ((((-107.05 * es + 113.13) * es - 1.13) * es - 15.84) * es - 1.7) * es + 2.27
    if speed_mps >= change or speed_mps > _ALWAYS_RUN_MPS:
        if es < 0.0:
            cost = -8.34 * es + FLAT_COST_JKGM * exp(13.0 * es)
        else:
            cost = 39.5 * es + FLAT_COST_JKGM * exp(-4.0 * es)
    else:
        cost = _walking_cost_jkgm(speed_mps, es)
    return min(max(cost * em * speed_mps, 0.0), CAP_WKG)


@njit(cache=True)
def power_wkg(speed_mps: float, accel_mps2: float, model: float) -> float:
    """Power by the model of `FlowConfig.metabolic_model`: 0 di Prampero & Osgnach 2018, else
    Osgnach 2010 (compatibility)."""
    if model == 0.0:
        return di_prampero_wkg(speed_mps, accel_mps2)
    return osgnach_wkg(speed_mps, accel_mps2)


@njit(cache=True)
def equivalent_distance_m(work_jkg: float) -> float:
    """The distance at constant speed on grass that costs `work_jkg`."""
    return work_jkg / (FLAT_COST_JKGM * GRASS_KT)
