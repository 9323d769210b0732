"""Anomalies of the pipeline's own figures (lag, backlog, arrival rate): decides purely.

Each figure of each target that the supervisor probes is a series for `signal.anomaly`, one value a
probe. A high score is said if the value also leaves what 98 % of the series lay in by an amount
that matters, not again for `quiet_s`, and at most `most` in a minute over all. What has a fixed
limit (a pool that is behind at its largest) is reported elsewhere; this is for what is merely
unlike itself. Times are ns of the supervisor's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from models.policies.anomaly_watch import Side
from models.signal.anomaly import AnomalyConfig, AnomalyDetector

FIGURES: Final[dict[str, tuple[float, float]]] = {
    "lag_records": (20.0, 0.5), "hot_backlog_s": (0.25, 0.5), "calm_backlog_s": (0.5, 0.5),
    "arrival_per_s": (5.0, 0.3), "service_per_s": (5.0, 0.3), "utilisation": (0.2, 0.3),
}
"""Watched figures: by how much in their unit, and by which share of the bound that they leave (the
larger counts), they must be out of the expected range."""
SERIES: Final = 64
"""Most series that are watched; further ones are left out."""


def probe_detector() -> AnomalyConfig:
    """In probes of a second: two minutes of warm-up and of rest."""
    return AnomalyConfig(
        half_life=1800.0, slow=600.0, long=600.0, short=20.0, warm_up=120, rest=120, past=256,
        seasonal=False,
    )


@dataclass(frozen=True, slots=True)
class PipelineWatchConfig:
    """`enter`: score from which it is said."""

    enter: float = 3.5
    quiet_s: float = 120.0
    most: int = 4
    most_s: float = 60.0
    detector: AnomalyConfig = field(default_factory=probe_detector)


@dataclass(frozen=True, slots=True)
class PipelineAnomaly:
    """`value` of the target's `figure` left `low`..`high` on `side`."""

    target: str
    figure: str
    side: Side
    value: float
    low: float
    high: float
    score: float

    @property
    def reason(self) -> str:
        """Such as "lag_records_high"."""
        return f"{self.figure}_{self.side}"

    def detail(self) -> dict[str, Any]:
        """For the topic `actions`."""
        return {
            "target": self.target, "figure": self.figure, "value": round(self.value, 4),
            "expected": [round(self.low, 4), round(self.high, 4)], "score": round(self.score, 2),
        }


class PipelineWatch:
    """`held_back`: anomalies that were not said, for quiet or for the rate."""

    def __init__(self, config: PipelineWatchConfig | None = None) -> None:
        self.config = config or PipelineWatchConfig()
        self._detector = AnomalyDetector(SERIES, self.config.detector)
        self._row_of: dict[tuple[str, str], int] = {}
        self._quiet_until_ns = np.zeros(SERIES, np.int64)
        self._said_ns = [-(1 << 62)] * self.config.most
        self.held_back = 0

    def handle(
        self, target: str, facts: Mapping[str, Any], now_ns: int
    ) -> list[PipelineAnomaly]:
        """Take what one probe of `target` found; what is worth saying about it."""
        names = [name for name in FIGURES if isinstance(facts.get(name), int | float)]
        keys = [(target, name) for name in names]
        for key in keys:
            if key not in self._row_of and len(self._row_of) < SERIES:
                self._row_of[key] = len(self._row_of)
        keys = [key for key in keys if key in self._row_of]
        if not keys:
            return []
        row = np.array([self._row_of[key] for key in keys], np.int32)
        value = np.array([float(facts[name]) for _, name in keys])
        low, high = self._detector.expected(row)
        when = np.full(len(row), now_ns)
        score = self._detector.handle(row, when, value)[0]
        found = []
        for k in np.flatnonzero(score >= self.config.enter).tolist():
            side = Side.HIGH if value[k] > high[k] else Side.LOW
            bound = high[k] if side == Side.HIGH else low[k]
            least, share = FIGURES[keys[k][1]]
            beyond = value[k] - bound if side == Side.HIGH else bound - value[k]
            if beyond >= max(least, share * abs(bound)) and self._may_say(row[k], now_ns):
                found.append(PipelineAnomaly(
                    *keys[k], side, float(value[k]), float(low[k]), float(high[k]), float(score[k])
                ))
        return found

    def _may_say(self, row: int, now_ns: int) -> bool:
        quiet = now_ns < self._quiet_until_ns[row]
        if quiet or now_ns - self._said_ns[0] < self.config.most_s * 1e9:
            self.held_back += 1
            return False
        self._quiet_until_ns[row] = now_ns + int(self.config.quiet_s * 1e9)
        self._said_ns = [*self._said_ns[1:], now_ns]
        return True
