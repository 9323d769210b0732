"""What the pool's coordinator shows to Prometheus: sizes, backlog and load, decisions by reason.

Fed with `Coordinator.status()`; decisions are counted once. Names are exported with the prefix
`ray_touchline_`.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

GAUGES: Final = {
    "size": "pool_workers", "nodes": "pool_nodes", "prewarmed": "pool_prewarmed_workers",
    "arrival_per_s": "pool_arrival_flow_records_per_s",
    "service_per_s": "pool_service_flow_records_per_s", "utilisation": "pool_utilisation_ratio",
    "forecast_per_s": "pool_forecast_flow_records_per_s", "lag_records": "pool_lag_records",
    "crowded": "pool_crowded_ratio",
}


class MetricsPort(Protocol):
    """What is needed of `cluster.metrics.Metrics`."""

    def count(self, name: str, value: float = 1.0, tags: Mapping[str, str] = ...) -> None: ...

    def gauge(self, name: str, value: float, tags: Mapping[str, str] = ...) -> None: ...


class PoolMetrics:
    """`show` at a steady pace."""

    def __init__(self, metrics: MetricsPort) -> None:
        self._metrics = metrics
        self._decisions = 0

    def show(self, status: Mapping[str, Any]) -> None:
        """Gauges as they are now, counters by what has come since the last call."""
        metrics = self._metrics
        for key, name in GAUGES.items():
            metrics.gauge(name, float(status.get(key, 0.0)))
        scale = status.get("scale") or {}
        metrics.gauge("pool_target_workers", float(scale.get("target", status.get("size", 0))))
        metrics.gauge("pool_pending_workers", float(len(status.get("pending", ()))))
        levels = (status.get("thinned") or {}).values()
        metrics.gauge("pool_thinned_venues", float(len(levels)))
        metrics.gauge("pool_thin_level", float(max(levels, default=0)))
        for name in ("hot", "calm"):
            metrics.gauge(
                "pool_backlog_s", float(status.get(f"{name}_backlog_s", 0.0)), {"priority": name}
            )
        self._count_decisions(status)

    def _count_decisions(self, status: Mapping[str, Any]) -> None:
        """Decisions since the last call; of more than the ring holds, those that it still has."""
        recent = list(status.get("decisions", ()))
        fresh = int(status.get("decisions_n", 0)) - self._decisions
        self._decisions += max(fresh, 0)
        for body in recent[-fresh:] if fresh > 0 else ():
            if body["action"] == "thin":
                tags = {"reason": str(body["reason"])}
                self._metrics.count("pool_thin_orders_total", 1.0, tags)
            if body["action"] == "scale":
                detail = body["detail"]
                way = "up" if detail["to"] > detail["from"] else "down"
                tags = {"reason": str(body["reason"]), "direction": way}
                self._metrics.count("pool_scale_decisions_total", 1.0, tags)
