"""Stuck-at detection: how long a sensor has repeated exactly the same value.

Owns the run; how long a run is a fault depends on the sensor and on whether its wearer moves, which
is the caller's knowledge. Times ns.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Runs(NamedTuple):
    """Per row: value (rows, 3) float64 the repeated triple, since_ns (rows,) int64."""

    value: NDArray[np.float64]
    since_ns: NDArray[np.int64]


def new_runs(rows: int) -> Runs:
    """State of `rows` sensors that have reported nothing."""
    return Runs(np.full((rows, 3), np.nan), np.zeros(rows, np.int64))


@njit(cache=True, forceinline=True)
def run_ns(
    value: NDArray[np.float64], since_ns: NDArray[np.int64], row: int | np.int64,
    t_ns: int | np.int64, a: float, b: float, c: float,
) -> int | np.int64:
    """Nanoseconds for which `row` has reported exactly (a, b, c), up to this sample at `t_ns`.

    value, since_ns: the arrays of `Runs`.
    """
    if value[row, 0] == a and value[row, 1] == b and value[row, 2] == c:
        return t_ns - since_ns[row]
    value[row, 0] = a
    value[row, 1] = b
    value[row, 2] = c
    since_ns[row] = t_ns
    return 0
