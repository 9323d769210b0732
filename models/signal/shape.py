"""How far the newest few values, as a shape, are from the nearest earlier one of the same row.

A ring of the latest values is kept; every stretch of it is a shape. The distance is Euclidean, as
in KNN-CAD (Burnaev & Ishimtsev 2016) with one neighbour. Any unit, one row per quantity.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

LENGTH: Final = 6
SHAPE_HEAD: Final = 3
_HEAD, _COUNT, _RUN = range(SHAPE_HEAD)


@njit(cache=True)
def shape_step(s: NDArray[np.float64], value: float) -> float:
    """Take `value`; the distance of the newest shape, 0 while there is nothing to compare with.

    s (SHAPE_HEAD + past,) zeros at first: place of the next value, how many there are, how many
    since the last gap; then the ring. Shapes within two lengths
    of the newest one are left out: they are the same event.
    """
    past, ring = len(s) - SHAPE_HEAD, s[SHAPE_HEAD:]
    head, count = int(s[_HEAD]), int(s[_COUNT])
    ring[head] = value
    s[_HEAD] = head + 1 if head + 1 < past else 0
    count = min(count + 1, past)
    s[_COUNT] = count
    s[_RUN] = min(s[_RUN] + 1.0, past)
    if s[_RUN] < LENGTH or count < 3 * LENGTH:
        return 0.0
    nearest = np.inf
    for back in range(2 * LENGTH, count - LENGTH + 1):
        total = 0.0
        for j in range(LENGTH):
            new, old = head - j, head - back - j
            if new < 0:
                new += past
            if old < 0:
                old += past
            apart = ring[new] - ring[old]
            total += apart * apart
            if total >= nearest:
                break
        nearest = min(nearest, total)
        if nearest == 0.0:
            break
    return np.sqrt(nearest)


@njit(cache=True)
def forget_run(s: NDArray[np.float64]) -> None:
    """A gap: no shape reaches over it."""
    s[_RUN] = 0.0
