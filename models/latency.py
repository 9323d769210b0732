"""Latency histogram with logarithmic buckets: cheap to record, exact to merge, bounded in error.

Bucket k >= 1 holds [LOWEST_NS * GROWTH^(k-1), LOWEST_NS * GROWTH^k) ns, bucket 0 all that is
shorter (negative values, from clocks that disagree, are counted there too), the last bucket all
that is longer. A percentile is the geometric middle of its bucket, kept within the exact minimum
and maximum: its relative error is at most sqrt(GROWTH) - 1 = 2.5 % from LOWEST_NS to HIGHEST_NS.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

GROWTH: Final = 1.05
LOWEST_NS: Final = 1_000.0
HIGHEST_NS: Final = 3.6e12
BUCKETS: Final = 2 + math.ceil(math.log(HIGHEST_NS / LOWEST_NS) / math.log(GROWTH))
_MAX_NS: Final = 2**63 - 1
_LOG_GROWTH: Final = math.log(GROWTH)
_FEW: Final = 8
"""So many durations are recorded sooner one by one than as an array."""


class LatencyHistogram:
    """Counts of durations in ns. Recording in any order and cut gives the same counts."""

    __slots__ = ("_counts", "max_ns", "min_ns", "negative")

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(BUCKETS, np.int64)
        self.min_ns = _MAX_NS
        self.max_ns = -_MAX_NS
        self.negative = 0

    @property
    def count(self) -> int:
        """How many durations were recorded."""
        return int(self._counts.sum())

    def record(self, durations_ns: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Add durations, ns, (n,) or one; `weights` (n,) int says how often each counts."""
        few = [durations_ns] if isinstance(durations_ns, int) else durations_ns
        if weights is None and isinstance(few, list) and len(few) <= _FEW:
            for one in few:
                self._record_one(int(one))
            return
        ns = np.atleast_1d(np.asarray(durations_ns, dtype=np.int64))
        if ns.size == 0:
            return
        times = np.ones(ns.shape, np.int64)
        if weights is not None:
            times = np.broadcast_to(np.asarray(weights, np.int64), ns.shape)
            ns, times = ns[times > 0], times[times > 0]
            if ns.size == 0:
                return
        np.add.at(self._counts, _bucket(ns), times)
        self.min_ns = min(self.min_ns, int(ns.min()))
        self.max_ns = max(self.max_ns, int(ns.max()))
        self.negative += int(times[ns < 0].sum())

    def _record_one(self, ns: int) -> None:
        # numpy's logarithm here as well: another one might round to the bucket beside.
        place = math.floor(np.log(max(ns, 1) / LOWEST_NS) / _LOG_GROWTH) + 1
        self._counts[min(max(place, 0), BUCKETS - 1)] += 1
        self.min_ns = min(self.min_ns, ns)
        self.max_ns = max(self.max_ns, ns)
        self.negative += ns < 0

    def merge(self, other: "LatencyHistogram") -> None:
        """Add what `other` has recorded."""
        self._counts += other._counts
        self.min_ns = min(self.min_ns, other.min_ns)
        self.max_ns = max(self.max_ns, other.max_ns)
        self.negative += other.negative

    def percentile_ns(self, percent: float) -> float:
        """The duration that `percent` % of all do not exceed (nearest rank); NaN if empty."""
        count = self.count
        if count == 0:
            return math.nan
        rank = min(count, max(1, math.ceil(count * percent / 100.0)))
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        middle = LOWEST_NS * GROWTH ** (bucket - 0.5) if bucket else min(self.min_ns, LOWEST_NS)
        if bucket == BUCKETS - 1:
            middle = self.max_ns
        return float(min(max(middle, self.min_ns), self.max_ns))

    def summary_ms(self) -> dict[str, float]:
        """p50, p95, p99 and max in ms, and the count; empty when nothing was recorded."""
        if self.count == 0:
            return {}
        percentiles = {f"p{p}": self.percentile_ns(p) / 1e6 for p in (50, 95, 99)}
        return {**percentiles, "max": self.max_ns / 1e6, "count": float(self.count)}

    def to_dict(self) -> dict[str, Any]:
        """JSON values: only the buckets in use."""
        used = np.flatnonzero(self._counts)
        return {
            "buckets": used.tolist(), "counts": self._counts[used].tolist(),
            "min_ns": self.min_ns, "max_ns": self.max_ns, "negative": self.negative,
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "LatencyHistogram":
        """What `to_dict` gave. Raises KeyError, ValueError, IndexError on anything else."""
        histogram = LatencyHistogram()
        buckets = np.asarray(values["buckets"], np.int64)
        if buckets.size and (buckets.min() < 0 or buckets.max() >= BUCKETS):
            raise ValueError("a bucket is out of range")
        histogram._counts[buckets] = np.asarray(values["counts"], np.int64)
        histogram.min_ns, histogram.max_ns = int(values["min_ns"]), int(values["max_ns"])
        histogram.negative = int(values["negative"])
        return histogram


def _bucket(ns: NDArray[np.int64]) -> NDArray[np.int64]:
    ratio = np.maximum(ns, 1).astype(np.float64) / LOWEST_NS
    index = np.floor(np.log(ratio) / _LOG_GROWTH).astype(np.int64) + 1
    return np.clip(index, 0, BUCKETS - 1)
