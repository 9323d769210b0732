"""Goal geometry: how likely it is that the whole ball was over the line inside the frame.

Law: the ball's centre must be a radius beyond the outer edge of the line and a radius inside posts
and bar. A position good to 15 cm cannot award a goal; it gives a probability.
"""

from math import erf, sqrt
from typing import Final

from numba import njit

BALL_RADIUS_M: Final = 0.11
GOAL_HALF_WIDTH_M: Final = 3.66
GOAL_HEIGHT_M: Final = 2.44


@njit(cache=True)
def normal_cdf(z: float) -> float:
    """Standard normal distribution function."""
    return 0.5 * (1.0 + erf(z / sqrt(2.0)))


@njit(cache=True)
def goal_probability(
    beyond_x_m: float, y_m: float, z_m: float, half_length_m: float, sigma_m: float
) -> float:
    """Probability of a goal: `beyond_x_m` is |x| of the ball's centre at its furthest, `y_m` and
    `z_m` where it crossed; `sigma_m` the standard deviation of each coordinate."""
    over = normal_cdf((beyond_x_m - half_length_m - BALL_RADIUS_M) / sigma_m)
    side = GOAL_HALF_WIDTH_M - BALL_RADIUS_M
    wide = normal_cdf((side - y_m) / sigma_m) - normal_cdf((-side - y_m) / sigma_m)
    return over * wide * normal_cdf((GOAL_HEIGHT_M - BALL_RADIUS_M - z_m) / sigma_m)
