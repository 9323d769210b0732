"""How unusual a quantity is by its own past: a tail probability from a fading histogram.

Bins are logarithmic in the distance from 0, to both sides, in units of the first distance that was
not 0: no scale has to be known, and both a quantity that hardly moves and one with a heavy tail are
judged by rank. Beyond everything seen, each doubling of the largest distance adds `FAR_WEIGHT`.
The result is -log10 of a probability: 0 as usual, 2 once in a hundred values. Any unit, one row per
quantity. (Rank against own history as in conformal detectors, Laxhammar & Falkman 2014.)
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

PER_OCTAVE: Final = 4
OCTAVES: Final = 40
SIDE: Final = PER_OCTAVE * OCTAVES
BINS: Final = 2 * SIDE
_WEIGHT, _TOTAL, _UNIT, _HIGH, _LOW = range(BINS, BINS + 5)
SURPRISE_WIDTH: Final = BINS + 5
FAR_WEIGHT: Final = 1.0
FAR_OCTAVES: Final = 6.0
_MIDDLE: Final = SIDE // 2
_CENTRE: Final = 2.0 ** (-0.5 / PER_OCTAVE)
"""Puts the first distance into the middle of its bin: values that repeat, or double, do not sit on
the edge of one."""
_RENORM: Final = 1e12


@njit(cache=True)
def _bin_of(value: float, unit: float) -> int:
    """0 far below ... BINS - 1 far above; distances within 2^-20 units of 0 are one bin a side."""
    size = abs(value)
    place = 0.0
    if size > 0.0:
        place = _MIDDLE + PER_OCTAVE * np.log2(size / unit)
        place = min(max(place, 0.0), SIDE - 1.0)
    return SIDE + int(place) if value >= 0.0 else SIDE - 1 - int(place)


@njit(cache=True)
def _fade(s: NDArray[np.float64], keep: float) -> None:
    """Older values weigh less by `keep`: newer ones are given more, and all is scaled back before
    it grows too large."""
    s[_WEIGHT] /= keep
    if s[_WEIGHT] > _RENORM:
        for i in range(BINS):
            s[i] /= s[_WEIGHT]
        s[_TOTAL] /= s[_WEIGHT]
        s[_WEIGHT] = 1.0
    s[_HIGH] *= keep
    s[_LOW] *= keep


@njit(cache=True)
def surprise_step(s: NDArray[np.float64], value: float, keep: float, two_sided: bool) -> float:
    """Judge `value` (finite) by the values before it, then take it in; 0 for the first one.

    s (SURPRISE_WIDTH,) zeros at first; `keep` < 1 is the weight that remains after one step.
    Two-sided, both unusually low and high values surprise; else only high ones.
    """
    if s[_WEIGHT] == 0.0:
        s[_WEIGHT] = 1.0
    if s[_UNIT] == 0.0 and value != 0.0:
        s[_UNIT] = abs(value) * _CENTRE
    place = _bin_of(value, s[_UNIT])
    above, below = 0.0, 0.0
    for i in range(place + 1, BINS):
        above += s[i]
    if two_sided:
        for i in range(place):
            below += s[i]
    one = s[_WEIGHT]
    tied = 0.5 * s[place]
    if two_sided:
        p = 2.0 * (min(above, below) + tied + 0.25 * one) / (s[_TOTAL] + one)
    else:
        p = (above + tied + 0.5 * one) / (s[_TOTAL] + one)
    most = s[_HIGH] if value >= 0.0 else s[_LOW]
    beyond = 0.0
    if most > 0.0 and abs(value) > most:
        beyond = FAR_WEIGHT * min(np.log2(abs(value) / most), FAR_OCTAVES)
    score = -np.log10(min(p, 1.0)) + beyond if s[_TOTAL] > 0.0 else 0.0
    s[place] += one
    s[_TOTAL] += one
    _fade(s, keep)
    if value >= 0.0:
        s[_HIGH] = max(s[_HIGH], value)
    else:
        s[_LOW] = max(s[_LOW], -value)
    return score


@njit(cache=True)
def quantile(s: NDArray[np.float64], share: float) -> float:
    """The value below which `share` of the weight lies, to the width of a bin; NaN without any."""
    total = 0.0
    for i in range(BINS):
        total += s[i]
        if total > share * s[_TOTAL]:
            step = i - SIDE if i >= SIDE else SIDE - 1 - i
            size = s[_UNIT] * 2.0 ** ((step + 0.5 - _MIDDLE) / PER_OCTAVE)
            if step == 0:
                size = 0.0
            return size if i >= SIDE else -size
    return np.nan
