"""Columns of a person that are made of others when a state is written: rates, ratios, ages.

Rates per minute are over the time with data (positions or motion), rates of the last 5 minutes over
at most 300 s on the grid of seconds, from the first full minute on. NaN: not known.
"""

from math import nan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.metrics.drift import efficiency_factor
from models.metrics.metabolic import equivalent_distance_m

_AT = L.PERSON_COLUMNS.index
EQUIVALENT_AT, MINUTE_AT = _AT("equivalent_m"), _AT("distance_mpmin")
FIVE_AT = _AT("distance_5min_mpmin")
PEAK_AT, LOAD_AT = _AT("peak_60s_distance_mpmin"), _AT("player_load_aupm")
RECOVERY_AGE_AT, RMSSD_AGE_AT = _AT("hr_recovery_age_ms"), _AT("rmssd_age_ms")
FLAG_AT, EFFICIENCY_AT = _AT("hr_flag"), _AT("efficiency_wkgpbpm")
LAST = 2
"""The window of 300 s."""
LEAST_DIST_M = 50.0
JUMP_NS = 5_000_000_000
FLAG_JUMP, FLAG_LOCK = 1.0, 2.0


@njit(cache=True)
def age_ms(t_ns: int, then_ns: int) -> float:
    """Age of a value; NaN when it never came."""
    return nan if then_ns == L.NONE_NS else (t_ns - then_ns) * 1e-6


@njit(cache=True)
def _ratio(above: float, below: float) -> float:
    return above / below if below > 0.0 else nan


@njit(cache=True)
def write_rates(
    f: NDArray[np.float64], i: NDArray[np.int64], all_: NDArray[np.float64],
    r: NDArray[np.float64], t_ns: int,
) -> None:
    """Fill the derived columns of state row `r`; all_ is the match row of the bins."""
    placed = i[L.T_POS] != L.NONE_NS
    felt = i[L.T_IMU] != L.NONE_NS
    metres = f[L.DIST]
    r[EQUIVALENT_AT] = equivalent_distance_m(f[L.WORK]) if placed else nan
    r[EQUIVALENT_AT + 1] = _ratio(r[EQUIVALENT_AT], metres)
    minutes = f[L.POS_COVER] / 60.0
    r[MINUTE_AT] = _ratio(metres, minutes)
    r[MINUTE_AT + 1] = _ratio(f[L.Z4] + f[L.Z5], minutes)
    recent = L.WINDOW_SUM + LAST * L.QUANTITIES
    whole = min(i[L.SECOND_N], L.SECONDS) / 60.0 if i[L.SECOND_N] >= 60 and placed else 0.0
    r[FIVE_AT] = _ratio(f[recent], whole)
    r[FIVE_AT + 1] = _ratio(f[recent + 1], whole)
    r[FIVE_AT + 2] = _ratio(f[recent + 4], whole)
    for q in range(4):
        for w in range(3):
            width = L.WINDOWS_S[w]
            known = i[L.SECOND_N] >= width and (felt if q == 2 else placed)
            peak = f[L.WINDOW_PEAK + w * L.QUANTITIES + q] * 60.0 / width
            r[PEAK_AT + 3 * q + w] = peak if known else nan
    r[LOAD_AT] = _ratio(f[L.LOAD], metres) if felt and metres >= LEAST_DIST_M else nan
    r[LOAD_AT + 1] = _ratio(f[L.LOAD], f[L.IMU_COVER] / 60.0) if felt else nan
    near = felt and f[recent] >= LEAST_DIST_M
    r[LOAD_AT + 2] = _ratio(f[recent + 2], f[recent]) if near else nan
    r[RECOVERY_AGE_AT] = age_ms(t_ns, i[L.T_RECOVERED])
    r[RMSSD_AGE_AT] = age_ms(t_ns, i[L.T_RMSSD])
    jumped = i[L.T_JUMP] != L.NONE_NS and t_ns - i[L.T_JUMP] <= JUMP_NS
    r[FLAG_AT] = FLAG_LOCK if i[L.LOCK_SAID] == 1 else (FLAG_JUMP if jumped else 0.0)
    power = _ratio(all_[L.B_WORK], all_[L.B_TIME])
    r[EFFICIENCY_AT] = efficiency_factor(power, _ratio(f[L.HR_SUM], f[L.HR_TIME]))
