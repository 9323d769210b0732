"""Rolling windows of a person on the grid of seconds: sums of 60, 180 and 300 s and their peaks,
and the drift of efficiency over 20 minutes.

A second holds what was added to running sums since the second before; windows end on every second.
A second is float32, so that sums of a window forget exactly what they once added.
"""

from math import nan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.tables import Twins
from models.metrics.drift import decoupling_pct

SECOND_NS = 1_000_000_000
MARK_S = 30
HALF = 20
"""Marks of half of the 20 minutes."""
LEAST_S = 300.0
"""Each half must have at least so much time with work, and with heart rate."""


@njit(cache=True, forceinline=True)
def roll_second(twins: Twins, s: int, t_ns: int) -> None:
    """A second of flow `s` ends at `t_ns`. Seconds in which the flow was silent are empty."""
    f, i, ring = twins.f[s], twins.i[s], twins.seconds[s]
    now = t_ns // SECOND_NS
    passed = now - i[L.SECOND] if i[L.SECOND] != L.NONE_NS else 1
    i[L.SECOND] = now
    for _ in range(min(passed - 1, L.SECONDS)):
        _push(f, i, ring, 0.0, 0.0, 0.0, 0.0, 0.0)
    if passed > L.SECONDS:
        i[L.SECOND_N] += passed - 1 - L.SECONDS
    fast = f[L.Z4] + f[L.Z5]
    efforts = float(i[L.ACC_N] + i[L.DEC_N])
    _push(
        f, i, ring, f[L.DIST] - f[L.SEEN], fast - f[L.SEEN + 1], f[L.LOAD] - f[L.SEEN + 2],
        f[L.WORK] - f[L.SEEN + 3], efforts - f[L.SEEN + 4],
    )
    f[L.SEEN], f[L.SEEN + 1], f[L.SEEN + 2] = f[L.DIST], fast, f[L.LOAD]
    f[L.SEEN + 3], f[L.SEEN + 4] = f[L.WORK], efforts
    marks = now // MARK_S - (now - passed) // MARK_S
    if marks > 0:
        _mark(f, i, twins.bins[s, L.BINS - 1], twins.marks[s], marks)


@njit(cache=True)
def _push(
    f: NDArray[np.float64], i: NDArray[np.int64], ring: NDArray[np.float32], a: float, b: float,
    c: float, d: float, e: float,
) -> None:
    n = i[L.SECOND_N]
    new = (np.float32(a), np.float32(b), np.float32(c), np.float32(d), np.float32(e))
    for w in range(3):
        width = L.WINDOWS_S[w]
        old = ring[(n - width) % L.SECONDS]
        for q in range(L.QUANTITIES):
            at = L.WINDOW_SUM + w * L.QUANTITIES + q
            f[at] += np.float64(new[q]) - np.float64(old[q])
            if n + 1 >= width:
                peak = L.WINDOW_PEAK + w * L.QUANTITIES + q
                f[peak] = max(f[peak], f[at])
    row = ring[n % L.SECONDS]
    for q in range(L.QUANTITIES):
        row[q] = new[q]
    i[L.SECOND_N] = n + 1


@njit(cache=True)
def _mark(
    f: NDArray[np.float64], i: NDArray[np.int64], all_: NDArray[np.float64],
    marks: NDArray[np.float64], passed: int,
) -> None:
    """Keep the sums of the match so far, once for every half minute that has passed."""
    for _ in range(min(passed, L.MARKS)):
        row = marks[i[L.MARK_N] % L.MARKS]
        row[0], row[1] = all_[L.B_WORK], all_[L.B_TIME]
        row[2], row[3] = f[L.HR_SUM], f[L.HR_TIME]
        i[L.MARK_N] += 1
    f[L.DRIFT] = _drift(marks, i[L.MARK_N]) if i[L.MARK_N] >= L.MARKS else nan


@njit(cache=True)
def _drift(marks: NDArray[np.float64], n: int) -> float:
    """Decoupling of the last 20 minutes, heart rate taken 30 s later than the work."""
    first, middle, last = n - 2 * HALF - 2, n - HALF - 2, n - 2
    w1, t1 = _grown(marks, first, middle, 0)
    w2, t2 = _grown(marks, middle, last, 0)
    h1, u1 = _grown(marks, first + 1, middle + 1, 2)
    h2, u2 = _grown(marks, middle + 1, last + 1, 2)
    if min(min(t1, t2), min(u1, u2)) < LEAST_S:
        return nan
    return decoupling_pct((w1 / t1) / (h1 / u1), (w2 / t2) / (h2 / u2))


@njit(cache=True)
def _grown(marks: NDArray[np.float64], begin: int, end: int, at: int) -> tuple[float, float]:
    a, b = marks[begin % L.MARKS], marks[end % L.MARKS]
    return b[at] - a[at], b[at + 1] - a[at + 1]
