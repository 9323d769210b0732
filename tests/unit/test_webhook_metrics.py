"""What the webhooks show to Prometheus."""

from collections import Counter

from actors.webhook_metrics import WebhookMetrics
from models.policies.delivery import Outcome
from tests.unit.fakes_webhook import Hooks, subscription


class Noted:
    """Keeps what it is told."""

    def __init__(self):
        self.counts, self.gauges = Counter(), {}

    def count(self, name, value=1.0, tags=()):
        self.counts[name, *dict(tags).values()] += value

    def gauge(self, name, value, tags=()):
        self.gauges[name, *dict(tags).values()] = value


def test_attempts_and_losses_are_counted_once_and_trouble_is_a_gauge():
    hooks, noted = Hooks([subscription("a"), subscription("b")]), Noted()
    metrics = WebhookMetrics(noted)
    ids = hooks.put("sprint", 3)
    hooks.receivers.refuses = {ids[1]}
    hooks.receivers.says["b"] = Outcome.AWAY
    for _ in range(12):
        hooks.run(1)
        metrics.show(hooks.webhooks.stats())
    assert noted.counts["webhook_attempts_total", "a", "taken"] == 2
    assert noted.counts["webhook_attempts_total", "a", "refused"] == 3
    assert noted.counts["webhook_dead_letters_total", "a"] == 1
    assert noted.counts["webhook_attempts_total", "b", "away"] == 4
    assert noted.counts["webhook_missed_events_total", "b"] == 0
    assert noted.gauges == {("webhook_failing", "a"): 0.0, ("webhook_failing", "b"): 1.0}
