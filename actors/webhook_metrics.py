"""What the webhooks show to Prometheus: attempts by outcome, dead letters, missed events, trouble.

Fed with `Webhooks.stats()`; what has come since the last call is counted. Names are exported with
the prefix `ray_touchline_`.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from actors.pool_metrics import MetricsPort

OUTCOMES: Final = ("taken", "refused", "away")
LOST: Final = {
    "dead_letters": "webhook_dead_letters_total", "missed": "webhook_missed_events_total",
}


class WebhookMetrics:
    """`show` at a steady pace."""

    def __init__(self, metrics: MetricsPort) -> None:
        self._metrics = metrics
        self._counted: Counter[tuple[str, str]] = Counter()

    def show(self, stats: Mapping[str, Any]) -> None:
        """Gauges as they are now, counters by what has come since the last call."""
        for name, one in stats["webhooks"].items():
            tags = {"webhook": name}
            self._metrics.gauge("webhook_failing", float(one["state"] != "ok"), tags)
            for outcome in OUTCOMES:
                self._count(
                    "webhook_attempts_total", name, outcome, one, tags | {"outcome": outcome}
                )
            for key, metric in LOST.items():
                self._count(metric, name, key, one, tags)

    def _count(
        self, metric: str, name: str, key: str, one: Mapping[str, Any], tags: Mapping[str, str]
    ) -> None:
        fresh = int(one[key]) - self._counted[name, key]
        self._counted[name, key] += fresh
        self._metrics.count(metric, float(fresh), tags)
