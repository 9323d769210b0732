"""What a load step's counters mean: windows of histograms, and whether a load is sustained."""

from collections.abc import Mapping
from typing import Any

from models.latency import LatencyHistogram

STAGES = ("edge", "log", "worker", "delivery", "total")
NAMED = {
    "edge": "source to log", "log": "log to worker", "worker": "worker", "delivery": "twin store",
    "total": "sensor to event",
}
P99_LIMIT_MS = 1000.0
GROWTH_MS = 250.0
BEHIND_S = 1.0
LEAST_EVENTS = 20

Histograms = Mapping[str, LatencyHistogram]


def since(now: Histograms, before: Histograms) -> dict[str, LatencyHistogram]:
    """What was recorded between two looks at histograms that only grow."""
    found = {}
    for stage, histogram in now.items():
        late, early = histogram.to_dict(), before.get(stage, LatencyHistogram()).to_dict()
        counts = dict(zip(late["buckets"], late["counts"], strict=True))
        for bucket, count in zip(early["buckets"], early["counts"], strict=True):
            counts[bucket] = counts.get(bucket, 0) - count
        left = {bucket: count for bucket, count in counts.items() if count > 0}
        found[stage] = LatencyHistogram.from_dict({
            **late, "buckets": list(left), "counts": list(left.values()), "negative": 0,
        })
    return found


def percentiles(histograms: Histograms) -> dict[str, dict[str, float]]:
    """stage -> p50, p95, p99 in ms, and count; stages that saw nothing are left out."""
    return {
        stage: {
            **{f"p{q}": round(held.percentile_ns(q) / 1e6, 1) for q in (50, 95, 99)},
            "count": held.count,
        }
        for stage, held in histograms.items() if held.count
    }


def path_ms(latency: Mapping[str, Mapping[str, float]], name: str = "p99") -> float:
    """A percentile of the whole path from every record's stages: their sum, an upper bound."""
    parts = [latency.get(stage, {}).get(name) for stage in ("edge", "log", "worker")]
    delivery = latency.get("delivery", {}).get(name, 0.0)
    known = [part for part in parts if part is not None]
    return sum(known) + delivery if len(known) == len(parts) else float("inf")


def verdict(step: Mapping[str, Any]) -> dict[str, Any]:
    """`sustained`, and every reason against it.

    Below LEAST_EVENTS events their p99 says little: the sum of the stages' p99, which every record
    has, stands for it.
    """
    why = []
    total, whole = step["latency_ms"].get("total", {}), path_ms(step["latency_ms"])
    if total.get("count", 0) >= LEAST_EVENTS:
        if total["p99"] >= P99_LIMIT_MS:
            why.append(f"sensor to event p99 {total['p99']:.0f} ms")
    elif whole >= P99_LIMIT_MS:
        why.append(f"sum of the stages' p99 {whole:.0f} ms")
    first, second = (path_ms(half, "p50") for half in step["halves_ms"])
    if second > first + GROWTH_MS:
        why.append(f"latency grows: {first:.0f} ms, then {second:.0f} ms")
    if step["behind_s"] > BEHIND_S:
        why.append(f"a venue fell {step['behind_s']:.1f} s behind")
    if step["states"] != ["running"]:
        why.append(f"venues are {', '.join(step['states'])}")
    return {"path_p99_ms": whole, "sustained": not why, "why_not": why}
