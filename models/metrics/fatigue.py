"""The rule index of fatigue (DOMAIN B9): a weighted deviation from the athlete's own level.

An indicator, not a medical device. Inputs are z scores that grow with fatigue; missing ones (NaN)
are left out, the rest renormalised, and the band widens. The weights are a prior, not a fit.
"""

from math import exp, isnan
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

WEIGHTS: Final = (0.25, 0.20, 0.20, 0.20, 0.15)
"""Of: high-speed decline, PlayerLoad per metre, D' balance, heart drift, acceleration decline."""
Z_LIMIT: Final = 3.0
DECLINE_SD: Final = 0.25
LOAD_SD: Final = 0.10
DRIFT_SD: Final = 0.05
BALANCE_MIDDLE: Final = 0.5
BALANCE_SD: Final = 0.25
LEARNING_MIN: Final = 20.0


@njit(cache=True)
def fatigue_index(
    z: NDArray[np.float64], minutes: float, coverage: float
) -> tuple[float, float, float]:
    """(index, low, high) in [0, 1] from z (5,) in the order of `WEIGHTS`; NaN with no input.

    The band is 0.10 either side, plus 0.15 times the missing weight, plus up to 0.15 while the own
    level is being learned (first 20 minutes), plus 0.2 times the missing coverage.
    """
    total = 0.0
    weight = 0.0
    for i in range(5):
        if not isnan(z[i]):
            total += WEIGHTS[i] * min(max(z[i], -Z_LIMIT), Z_LIMIT)
            weight += WEIGHTS[i]
    if weight <= 0.0:
        return np.nan, np.nan, np.nan
    index = 1.0 / (1.0 + exp(-total / weight))
    half = 0.10 + 0.15 * (1.0 - weight) + 0.2 * min(max(1.0 - coverage, 0.0), 1.0)
    half += 0.15 * max(1.0 - minutes / LEARNING_MIN, 0.0)
    return index, max(index - half, 0.0), min(index + half, 1.0)
