"""A recomputation in a few numbers: how many metrics and events have changed their word, how far.

Pure: made from the rows that the recomputation wrote.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

import pyarrow as pa

SHOWN: Final = ("distance_m", "hsr_m", "acc_n", "dec_n", "max_speed_mps")
"""Metrics of which the median change over the persons is told."""


def summary(corrections: Sequence[pa.Table], finals: pa.Table) -> dict[str, Any]:
    """{persons, metrics, metrics_late, events {status: n, "new": n}, median_change {metric: x},
    median_change_pct}: changes are new - old over all persons, 0 where nothing changed."""
    rows = [row for table in corrections for row in table.to_pylist()]
    metrics = [row for row in rows if row["what"] == "metric"]
    events: Counter[str] = Counter(
        row["status"] if row["supersedes"] else "new" for row in rows if row["what"] == "event"
    )
    persons = finals.num_rows
    change: dict[str, float] = {}
    share: dict[str, float] = {}
    for name in SHOWN:
        pairs = [(row["old"], row["new"]) for row in metrics if row["name"] == name]
        known = [(old, new) for old, new in pairs if old == old and new == new]
        still = [0.0] * (persons - len(pairs))
        change[name] = _median([*still, *(new - old for old, new in known)])
        share[name] = _median([*still, *(100.0 * (new / old - 1.0) for old, new in known if old)])
    return {
        "persons": persons, "metrics": len(metrics),
        "metrics_late": sum(row["reason"] == "late_data" for row in metrics),
        "events": dict(sorted(events.items())),
        "median_change": change, "median_change_pct": share,
    }


def _median(values: Sequence[float]) -> float:
    return round(median(values), 4) if values else 0.0
