"""What Prometheus is told of the pool: sizes, backlog by class, decisions by reason."""

from collections import defaultdict
from collections.abc import Mapping

from actors.pool_metrics import PoolMetrics


class FakeMetrics:
    def __init__(self) -> None:
        self.gauges: dict[tuple[str, ...], float] = {}
        self.counts: dict[tuple[str, ...], float] = defaultdict(float)

    def count(self, name: str, value: float = 1.0, tags: Mapping[str, str] = {}) -> None:
        self.counts[name, *sorted(tags.values())] += value

    def gauge(self, name: str, value: float, tags: Mapping[str, str] = {}) -> None:
        self.gauges[name, *sorted(tags.values())] = value


def decision(reason: str, before: int, after: int) -> dict:
    return {"action": "scale", "reason": reason, "detail": {"from": before, "to": after}}


def status(decisions: list[dict], count: int, **more: object) -> dict:
    return {
        "size": 2, "nodes": 2, "prewarmed": 4, "pending": [3],
        "scale": {"target": 3, "reason": "hot_backlog"},
        "hot_backlog_s": 0.7, "calm_backlog_s": 4.0, "decisions": decisions,
        "decisions_n": count, "counters": {}, **more,
    }


def test_sizes_and_backlog_by_class_are_gauges() -> None:
    metrics = FakeMetrics()
    PoolMetrics(metrics).show(status([], 0))
    assert metrics.gauges["pool_workers",] == 2
    assert metrics.gauges["pool_nodes",] == 2
    assert metrics.gauges["pool_prewarmed_workers",] == 4
    assert metrics.gauges["pool_target_workers",] == 3
    assert metrics.gauges["pool_pending_workers",] == 1
    assert metrics.gauges["pool_backlog_s", "hot"] == 0.7
    assert metrics.gauges["pool_backlog_s", "calm"] == 4.0
    assert metrics.gauges["pool_thin_level",] == 0


def test_how_far_calm_flows_are_thinned_is_seen_and_why() -> None:
    metrics = FakeMetrics()
    order = {"action": "thin", "reason": "calm_waits", "detail": {"venue": "a", "level": 2}}
    PoolMetrics(metrics).show(status([order], 1, thinned={"a": 2, "b": 1}))
    assert metrics.gauges["pool_thinned_venues",] == 2
    assert metrics.gauges["pool_thin_level",] == 2
    assert metrics.counts["pool_thin_orders_total", "calm_waits"] == 1


def test_each_decision_is_counted_once_under_its_reason() -> None:
    metrics = FakeMetrics()
    pool = PoolMetrics(metrics)
    first = [decision("hot_backlog", 1, 2)]
    pool.show(status(first, 1))
    pool.show(status(first, 1))
    pool.show(status([*first, decision("forecast", 2, 4), decision("idle", 4, 3)], 3))
    assert metrics.counts["pool_scale_decisions_total", "hot_backlog", "up"] == 1
    assert metrics.counts["pool_scale_decisions_total", "forecast", "up"] == 1
    assert metrics.counts["pool_scale_decisions_total", "down", "idle"] == 1
