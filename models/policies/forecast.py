"""RateForecast: where the arrival rate will be when a worker that is started now is ready.

Holt's linear method with a damped trend (Gardner and McKenzie 1985), made for uneven time steps:
smoothing weights come from time constants. Rates are per second, whatever is counted.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForecastConfig:
    """Time constants of level and trend; the trend's effect dies off with `damping_s`."""

    level_s: float = 2.0
    trend_s: float = 6.0
    damping_s: float = 20.0

    def __post_init__(self) -> None:
        assert min(self.level_s, self.trend_s, self.damping_s) > 0, self


class RateForecast:
    """`observe` in time order, then `ahead`. Before the first observation every forecast is 0."""

    def __init__(self, config: ForecastConfig | None = None) -> None:
        self._config = config or ForecastConfig()
        self._level = 0.0
        self._trend = 0.0
        self._at_ns: int | None = None

    def observe(self, now_ns: int, rate: float) -> None:
        """Take in the rate measured up to `now_ns`; one not after the last is ignored."""
        if self._at_ns is None:
            self._level, self._at_ns = rate, now_ns
            return
        step_s = (now_ns - self._at_ns) / 1e9
        if step_s <= 0:
            return
        config = self._config
        expected = self._level + self._trend * self._damped(step_s)
        alpha = 1.0 - math.exp(-step_s / config.level_s)
        beta = 1.0 - math.exp(-step_s / config.trend_s)
        level = expected + alpha * (rate - expected)
        slope = (level - self._level) / step_s
        self._trend = self._trend * math.exp(-step_s / config.damping_s)
        self._trend += beta * (slope - self._trend)
        self._level, self._at_ns = level, now_ns

    def ahead(self, horizon_s: float) -> float:
        """The rate expected `horizon_s` after the last observation, never below 0."""
        return max(self._level + self._trend * self._damped(horizon_s), 0.0)

    def _damped(self, span_s: float) -> float:
        """Seconds for which today's trend counts over a span: the integral of its decay."""
        damping_s = self._config.damping_s
        return damping_s * (1.0 - math.exp(-span_s / damping_s))
