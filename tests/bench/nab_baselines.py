"""Detectors to compare with on the Numenta Anomaly Benchmark: robust z and what is trivial.

Causal, univariate, one value at a time; rows of a score in the order of the values.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
MAD_SCALE: Final = 1.4826


@njit(cache=True)
def robust_z(value: Array, window: int) -> Array:
    """|x - median| / spread of the `window` values before it; 0 until there are 10.

    The spread is 1.4826 MAD, but at least the mean absolute deviation of all earlier values from
    their medians: without that bound a series that mostly stands still has no z.
    """
    score = np.zeros(len(value))
    typical = 0.0
    for i in range(10, len(value)):
        past = value[max(0, i - window) : i]
        middle = np.median(past)
        spread = max(MAD_SCALE * np.median(np.abs(past - middle)), typical)
        off = abs(value[i] - middle)
        if off > 0.0:
            score[i] = off / spread if spread > 0.0 else 1e6
        typical += (off - typical) / (i - 9)
    return score


@njit(cache=True)
def rested(score: Array, rest: int, rise: float) -> Array:
    """The score where it begins or grows by the factor `rise`, else 0, as the detector's onset: so
    that a comparison is not about repeating oneself."""
    out = np.zeros(len(score))
    held, left = 0.0, 0
    for i in range(len(score)):
        if left > 0:
            left -= 1
        else:
            held = 0.0
        if score[i] > held:
            out[i], held, left = score[i], score[i] * rise, rest
    return out
