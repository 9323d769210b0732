"""What a quantity usually is at this time of day and of week: means per time bin, learnt online.

Both baselines are averaged, so that a working day is told from a Sunday once a week has been seen,
and the day alone serves until then. Bins are UTC. Any unit, one row per quantity.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

DAY_NS: Final = 86_400_000_000_000
WEEK_NS: Final = 7 * DAY_NS
DAY_BINS: Final = 96
WEEK_BINS: Final = 168
_DAY_SHARE: Final = 0.1
_WEEK_SHARE: Final = 0.2
"""Newest value's weight in the mean of its bin, once the bin has 10 and 5 of them."""
SEASON_WIDTH: Final = 2 * (DAY_BINS + WEEK_BINS)


@njit(cache=True)
def _learn(s: NDArray[np.float64], place: int | np.int64, value: float, share: float) -> None:
    """Mean at `place`, count after it."""
    s[place + 1] += 1.0
    s[place] += max(share, 1.0 / s[place + 1]) * (value - s[place])


@njit(cache=True)
def season_step(
    s: NDArray[np.float64], t_ns: int | np.int64, value: float, otherwise: float
) -> float:
    """Value less what was usual at this time; `otherwise` is usual where nothing is known yet.

    s (SEASON_WIDTH,) zeros at first.
    """
    day = 2 * ((t_ns % DAY_NS) * DAY_BINS // DAY_NS)
    week = 2 * (DAY_BINS + (t_ns % WEEK_NS) * WEEK_BINS // WEEK_NS)
    usual = s[day] if s[day + 1] > 0.0 else otherwise
    if s[week + 1] > 0.0:
        usual = 0.5 * (usual + s[week])
    _learn(s, day, value, _DAY_SHARE)
    _learn(s, week, value, _WEEK_SHARE)
    return value - usual
