"""Metrics by name on Ray's exporter: counters, gauges, histograms. Silent where Ray is not running.

Owns nothing but the mapping from a name to Ray's metric object. Names are exported with the prefix
`ray_touchline_`; a name keeps the tag keys of its first use. Durations are in seconds, as
Prometheus wants them.
"""

import sys
import threading
from collections.abc import Mapping
from typing import Any, Final

MAX_METRICS: Final = 256
DURATION_BOUNDS_S: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.45, 0.7, 1.0, 2.0, 5.0, 15.0,
)
_PREFIX: Final = "touchline_"
_NO_TAGS: Final[Mapping[str, str]] = {}


class Metrics:
    """One per process and component. Thread-safe; every call is a no-op without Ray."""

    def __init__(self, component: str) -> None:
        self._component = component
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Any, tuple[str, ...]]] = {}

    def count(self, name: str, value: float = 1.0, tags: Mapping[str, str] = _NO_TAGS) -> None:
        """Add `value` > 0 to a counter; 0 adds nothing."""
        if value > 0 and (metric := self._metric("Counter", name, tags)):
            metric.inc(value, self._tags(tags))

    def gauge(self, name: str, value: float, tags: Mapping[str, str] = _NO_TAGS) -> None:
        """Set a gauge."""
        if metric := self._metric("Gauge", name, tags):
            metric.set(value, self._tags(tags))

    def observe_s(self, name: str, value_s: float, tags: Mapping[str, str] = _NO_TAGS) -> None:
        """Add a duration in seconds to a histogram."""
        if metric := self._metric("Histogram", name, tags):
            metric.observe(value_s, self._tags(tags))

    def _tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        return {"component": self._component, **tags}

    def _metric(self, sort: str, name: str, tags: Mapping[str, str]) -> Any:
        ray = sys.modules.get("ray")
        if ray is None or not ray.is_initialized():
            return None
        keys = tuple(sorted({"component", *tags}))
        with self._lock:
            if name not in self._known:
                if len(self._known) >= MAX_METRICS:
                    return None
                self._known[name] = (_make(sort, name, keys), keys)
            metric, known_keys = self._known[name]
        if keys != known_keys:
            raise ValueError(f"metric {name} has the tags {known_keys}, not {keys}")
        return metric


def _make(sort: str, name: str, keys: tuple[str, ...]) -> Any:
    from ray.util import metrics

    options: dict[str, Any] = {"tag_keys": keys}
    if sort == "Histogram":
        options["boundaries"] = list(DURATION_BOUNDS_S)
    return getattr(metrics, sort)(_PREFIX + name, **options)
