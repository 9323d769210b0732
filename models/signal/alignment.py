"""How far the clock of one list of events is off another's, from the events alone.

Annotators' clocks and tracking clocks start by hand: seconds apart, and unknown. Every pair of like
events, one of each list, votes for its difference in time; the true offset is where votes pile up
(cross-correlation of two point processes). Times int64 ns, places metres.
"""

from dataclasses import dataclass
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

VOTE_STEP_NS: Final = 20_000_000
MAX_EVENTS: Final = 20_000
MAX_SEARCH_NS: Final = 600_000_000_000


@dataclass(frozen=True, slots=True)
class Marks:
    """n events: t_ns (n,) int64; group (n,) int64, only like groups match (a team, a type);
    xy_m (n, 2) float64, NaN where not known: then the place says nothing."""

    t_ns: NDArray[np.int64]
    group: NDArray[np.int64]
    xy_m: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = self.t_ns.shape[0]
        assert self.group.shape == (n,), self.group.shape
        assert self.xy_m.shape == (n, 2), self.xy_m.shape

    def __len__(self) -> int:
        return int(self.t_ns.shape[0])


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """offset_ns     add it to the other list's times to get ours
    confidence     votes here less those at the best rival more than 3 spreads away, per event of
                   the shorter list, in [0, 1]: 1 is every event at its place and no rival
    matched        one-to-one matches at this offset within the tolerance
    spread_ns      median absolute residual of the matches: how well annotators keep their clock
    """

    offset_ns: int
    confidence: float
    matched: int
    spread_ns: int


def estimate_offset(
    ours: Marks, theirs: Marks, search_ns: int = 10_000_000_000, spread_ns: int = 500_000_000,
    tolerance_ns: int = 1_500_000_000, place_m: float = 15.0,
) -> ClockOffset:
    """The offset within +-`search_ns` that brings `theirs` onto `ours`.

    Votes are smoothed with a Gaussian of `spread_ns`; where both places are known a pair counts
    exp(-(distance / place_m)^2 / 2); the peak is refined by the median residual of its one-to-one
    matches. Raises ValueError when there are more than MAX_EVENTS or the search is wider than
    MAX_SEARCH_NS.
    """
    if max(len(ours), len(theirs)) > MAX_EVENTS or not 0 < search_ns <= MAX_SEARCH_NS:
        raise ValueError(f"{len(ours)} and {len(theirs)} events over {search_ns} ns")
    votes = _votes(ours, theirs, search_ns, place_m)
    heap = np.convolve(votes, _bell(spread_ns), mode="same")
    best = int(heap.argmax())
    if heap[best] <= 0.0:
        return ClockOffset(0, 0.0, 0, 0)
    apart = np.abs(np.arange(len(heap)) - best) * VOTE_STEP_NS > 3 * spread_ns
    rival = float(heap[apart].max(initial=0.0))
    offset = best * VOTE_STEP_NS - search_ns
    _, _, residual = match_marks(ours, theirs, offset, tolerance_ns)
    if len(residual):
        offset += int(np.median(residual))
    mine, _, residual = match_marks(ours, theirs, offset, tolerance_ns)
    spread = int(np.median(np.abs(residual))) if len(residual) else 0
    lead = (float(heap[best]) - rival) / min(len(ours), len(theirs))
    return ClockOffset(offset, min(max(lead, 0.0), 1.0), len(mine), spread)


def match_marks(
    ours: Marks, theirs: Marks, offset_ns: int, tolerance_ns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """One-to-one matches of like group within `tolerance_ns`: rows of ours, rows of theirs, and
    ours - (theirs + offset) in ns. As many as there can be (earliest first along both lists)."""
    mine: list[int] = []
    other: list[int] = []
    for group in np.intersect1d(ours.group, theirs.group).tolist():
        a = np.flatnonzero(ours.group == group)
        b = np.flatnonzero(theirs.group == group)
        a = a[np.argsort(ours.t_ns[a], kind="stable")]
        b = b[np.argsort(theirs.t_ns[b], kind="stable")]
        i = j = 0
        while i < len(a) and j < len(b):
            gap = int(ours.t_ns[a[i]]) - int(theirs.t_ns[b[j]]) - offset_ns
            if abs(gap) <= tolerance_ns:
                mine.append(int(a[i]))
                other.append(int(b[j]))
                i, j = i + 1, j + 1
            elif gap < 0:
                i += 1
            else:
                j += 1
    rows, others = np.array(mine, np.int64), np.array(other, np.int64)
    return rows, others, ours.t_ns[rows] - theirs.t_ns[others] - offset_ns


def _votes(
    ours: Marks, theirs: Marks, search_ns: int, place_m: float
) -> NDArray[np.float64]:
    """(2 * search / step + 1,) weight of the pairs whose difference falls in each step."""
    votes = np.zeros(2 * (search_ns // VOTE_STEP_NS) + 1)
    order = np.argsort(ours.t_ns, kind="stable")
    t_ns = ours.t_ns[order]
    for row in range(len(theirs)):
        t = int(theirs.t_ns[row])
        low, high = np.searchsorted(t_ns, (t - search_ns, t + search_ns + 1))
        near = order[low:high]
        near = near[ours.group[near] == theirs.group[row]]
        if not len(near):
            continue
        off = np.hypot(*(ours.xy_m[near] - theirs.xy_m[row]).T)
        weight = np.where(np.isnan(off), 1.0, np.exp(-0.5 * (np.nan_to_num(off) / place_m) ** 2))
        step = np.rint((ours.t_ns[near] - t) / VOTE_STEP_NS).astype(np.int64)
        at = np.clip(step + search_ns // VOTE_STEP_NS, 0, len(votes) - 1)
        np.add.at(votes, at, weight)
    return votes


def _bell(spread_ns: int) -> NDArray[np.float64]:
    """A Gaussian of that standard deviation, in steps, cut at three of them."""
    sigma = max(spread_ns / VOTE_STEP_NS, 1e-3)
    reach = max(int(3 * sigma), 1)
    return np.array([exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)])
