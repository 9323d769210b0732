"""Intervals between heart beats (RR, ms): what is an artefact, live and after the fact.

Live: outside 300-1300 ms, or further than 25 % from the median of the five before. After the fact:
the algorithm of Lipponen & Tarvainen 2019, which tells ectopic, missed, extra and misplaced beats
by thresholds that follow the person's own variability, and corrects them.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

RR_LOW_MS: Final = 300.0
RR_HIGH_MS: Final = 1300.0
RR_JUMP: Final = 0.25
ALPHA: Final = 5.2
C1: Final = 0.13
C2: Final = 0.17
WINDOW: Final = 91
MEDIAN: Final = 11
GOOD, ECTOPIC, MISSED, EXTRA, MISPLACED = range(5)
"""Kinds of interval. Of an extra beat the first of its two short intervals is marked."""


class Corrected(NamedTuple):
    """rr_ms corrected intervals; kind (n,) int64 of each interval that was given."""

    rr_ms: NDArray[np.float64]
    kind: NDArray[np.int64]


@njit(cache=True)
def median_of_five(values: NDArray[np.float64]) -> float:
    """The median of values (5,), which are left as they are."""
    for n in range(5):
        below = 0
        level = 0
        for m in range(5):
            if values[m] < values[n]:
                below += 1
            elif values[m] == values[n]:
                level += 1
        if below <= 2 < below + level:
            return values[n]
    return values[2]


def _rolling(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """(n, width) neighbourhoods, NaN beyond the ends."""
    half = width // 2
    padded = np.pad(values, half, constant_values=np.nan)
    return np.lib.stride_tricks.sliding_window_view(padded, width)


def _threshold(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """5.2 quartile deviations of |values| in the 91 beats around; never 0."""
    low, high = np.nanpercentile(_rolling(np.abs(values), WINDOW), (25.0, 75.0), axis=1)
    return np.maximum(ALPHA * (high - low) / 2.0, 1e-6)


def classify_rr(rr_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Kind of each interval: (n,) of GOOD, ECTOPIC, MISSED, EXTRA, MISPLACED. `rr_ms` (n,) ms.
    Fewer than 12 intervals say nothing about the person: all GOOD."""
    n = rr_ms.shape[0]
    kind = np.zeros(n, np.int64)
    if n <= MEDIAN:
        return kind
    change = np.diff(rr_ms, prepend=rr_ms[0])
    d = change / _threshold(change)
    middle = np.nanmedian(_rolling(rr_ms, MEDIAN), axis=1)
    off = rr_ms - middle
    off = np.where(off < 0.0, 2.0 * off, off)
    limit = _threshold(off)
    m = off / limit
    at = 0
    while at < n:
        kind[at] = _kind(at, rr_ms, d, m, middle, limit)
        at += 2 if kind[at] == EXTRA else 1
    return kind


def _kind(
    at: int, rr_ms: NDArray[np.float64], d: NDArray[np.float64], m: NDArray[np.float64],
    middle: NDArray[np.float64], limit: NDArray[np.float64],
) -> int:
    here = float(d[at])
    before = float(d[at - 1]) if at > 0 else 0.0
    after = d[at + 1 : at + 3]
    if abs(here) <= 1.0 and abs(m[at]) <= 3.0:
        return GOOD
    side = (before, *(float(x) for x in after[:1]))
    if here > 1.0 and max(side) < -C1 * here - C2 and len(after):
        return ECTOPIC
    if here < -1.0 and min(side) > -C1 * here + C2 and len(after):
        return ECTOPIC
    long = here > 1.0 and len(after) > 0 and float(after.min()) < -1.0
    short = here < -1.0 and len(after) > 0 and float(after.max()) > 1.0
    if not (long or short or abs(m[at]) > 3.0):
        return GOOD
    if abs(rr_ms[at] / 2.0 - middle[at]) < limit[at] and rr_ms[at] > middle[at]:
        return MISSED
    both = rr_ms[at] + rr_ms[at + 1] if at + 1 < rr_ms.shape[0] else 0.0
    if rr_ms[at] < middle[at] and abs(both - middle[at]) < limit[at]:
        return EXTRA
    return MISPLACED


def correct_rr(rr_ms: NDArray[np.float64]) -> Corrected:
    """`rr_ms` (n,) with its artefacts corrected: a missed beat becomes two intervals, an extra beat
    one, ectopic and misplaced beats are interpolated between their good neighbours."""
    kind = classify_rr(rr_ms)
    values: list[float] = []
    bad: list[bool] = []
    at = 0
    while at < rr_ms.shape[0]:
        if kind[at] == MISSED:
            values += [float(rr_ms[at]) / 2.0] * 2
            bad += [False, False]
        elif kind[at] == EXTRA:
            values.append(float(rr_ms[at] + rr_ms[at + 1]))
            bad.append(False)
            at += 1
        else:
            values.append(float(rr_ms[at]))
            bad.append(kind[at] != GOOD)
        at += 1
    fixed, wrong = np.array(values), np.array(bad, np.bool_)
    if wrong.any() and not wrong.all():
        places = np.arange(fixed.shape[0])
        fixed[wrong] = np.interp(places[wrong], places[~wrong], fixed[~wrong])
    return Corrected(fixed, kind)
