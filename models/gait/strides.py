"""What strides tell: variability of stride time, balance of the two sides, ground contact.

State of one person: `STRIDE_F` float64 from column `o` of `f`, `STRIDE_I` int64 from column `q` of
`i`; zeros first. Times in seconds, impulses in m/s (an area under acceleration).
"""

from math import nan, sqrt
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

STRIDES: Final = 16
"""The last so many strides count: eight of each foot."""
LEAST_STRIDES: Final = 8
LEAST_IMPULSES: Final = 4
SHARE: Final = 0.125
"""Weight of a new impulse or contact once eight are known; before, all weigh the same."""
STRIDE_S: Final = (0.35, 2.0)
CONTACT_S: Final = (0.05, 1.2)
"""Shorter or longer ones are no gait: a pause, a turn on the spot."""

_RING: Final = 0
_MEAN: Final = STRIDES
_CONTACT: Final = STRIDES + 2
STRIDE_F: Final = STRIDES + 3
_AT, _N, _COUNT, _CONTACT_N, _SOURCE = 0, 1, 2, 4, 5
STRIDE_I: Final = 6
ALTERNATE, TRUNK, FEET = range(3)
"""Where impulses come from: the trunk with sides that only alternate, the trunk with sides told by
the feet, the feet themselves."""


@njit(cache=True)
def add_stride(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, stride_s: float
) -> None:
    """Take the time between two strikes of one foot."""
    if not STRIDE_S[0] <= stride_s <= STRIDE_S[1]:
        return
    f[o + _RING + i[q + _AT]] = stride_s
    i[q + _AT] = (i[q + _AT] + 1) % STRIDES
    i[q + _N] = min(i[q + _N] + 1, STRIDES)


@njit(cache=True)
def stride_cv_pct(f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int) -> float:
    """Standard deviation over mean of the last strides, %; NaN before there are eight."""
    count = i[q + _N]
    if count < LEAST_STRIDES:
        return nan
    mean = 0.0
    for n in range(count):
        mean += f[o + _RING + n]
    mean /= count
    spread = 0.0
    for n in range(count):
        off = f[o + _RING + n] - mean
        spread += off * off
    return 100.0 * sqrt(spread / (count - 1)) / mean


@njit(cache=True)
def add_impulse(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, side: int, source: int,
    impulse_mps: float,
) -> None:
    """Take the impulse of a step of `side` (0 left, 1 right). Sources do not mix."""
    if i[q + _SOURCE] != source:
        forget_sides(i, q)
        i[q + _SOURCE] = source
    count = i[q + _COUNT + side] + 1
    i[q + _COUNT + side] = count
    mean = f[o + _MEAN + side] if count > 1 else 0.0
    f[o + _MEAN + side] = mean + max(1.0 / count, SHARE) * (impulse_mps - mean)


@njit(cache=True)
def forget_sides(i: NDArray[np.int64], q: int) -> None:
    """Which foot comes next is not known any more: the balance starts anew."""
    i[q + _COUNT] = 0
    i[q + _COUNT + 1] = 0


@njit(cache=True)
def asymmetry_pct(f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int) -> float:
    """(L - R) / mean of both, %, of the mean impulses (DOMAIN B6); its size alone where sides only
    alternate; NaN before there are four of each side."""
    if min(i[q + _COUNT], i[q + _COUNT + 1]) < LEAST_IMPULSES:
        return nan
    left, right = f[o + _MEAN], f[o + _MEAN + 1]
    if left + right <= 0.0:
        return nan
    value = 200.0 * (left - right) / (left + right)
    return abs(value) if i[q + _SOURCE] == ALTERNATE else value


@njit(cache=True)
def add_contact(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, contact_s: float
) -> None:
    """Take the time from a strike to the toe-off of the same foot."""
    if not CONTACT_S[0] <= contact_s <= CONTACT_S[1]:
        return
    count = i[q + _CONTACT_N] + 1
    i[q + _CONTACT_N] = count
    f[o + _CONTACT] += max(1.0 / count, SHARE) * (contact_s - f[o + _CONTACT])


@njit(cache=True)
def mean_contact_s(f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int) -> float:
    """Mean ground contact of the last strides, s; NaN before the first."""
    return f[o + _CONTACT] if i[q + _CONTACT_N] > 0 else nan
