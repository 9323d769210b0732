"""Exponentially forgetting linear regression: level and slope of a slow quantity, one value a step.

The origin of time moves along, and values count from the first one, so that neither grows large.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

TREND_WIDTH: Final = 6
_N, _T, _TT, _Y, _TY, _FIRST = range(TREND_WIDTH)
MIN_WEIGHT: Final = 8.0
"""Below this effective number of values the slope is not known."""


@njit(cache=True)
def trend_step(trend: NDArray[np.float64], row: int | np.int64, value: float, keep: float) -> float:
    """Take the value of this step (NaN: none); the slope per step, NaN while not known.

    trend (R, TREND_WIDTH) zeros at first; `keep` < 1 is the weight that remains after one step.
    """
    s = trend[row]
    if s[_N] == 0.0:
        if value != value:
            return np.nan
        s[_FIRST] = value
    # One step on, all earlier values lie one step further back.
    s[_TT] += -2.0 * s[_T] + s[_N]
    s[_TY] -= s[_Y]
    s[_T] -= s[_N]
    for i in range(_FIRST):
        s[i] *= keep
    if value == value:
        s[_N] += 1.0
        s[_Y] += value - s[_FIRST]
    spread = s[_N] * s[_TT] - s[_T] * s[_T]
    if s[_N] < MIN_WEIGHT or spread <= 0.0:
        return np.nan
    return (s[_N] * s[_TY] - s[_T] * s[_Y]) / spread


@njit(cache=True)
def forget_trend(trend: NDArray[np.float64], row: int | np.int64) -> None:
    """Start anew, after a step that is no trend."""
    trend[row, :] = 0.0
