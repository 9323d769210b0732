"""LinkForecast: quantiles of what a link will carry over the next seconds, from its past alone.

The middle is a fading mean of the rate. Around it lie the empirical quantiles of how far the link's
own past came out from that mean, as log ratios, once each forecast's seconds were over (split
conformal prediction on a moving window, Vovk 2005). Statistical, not learned: nothing is fitted but
`LinkConfig`. Rates in bytes per second, one per step; the horizon is in steps.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """horizon: steps that a forecast is the mean of; fading: weight of the newest step; memory:
    how many errors are remembered; floor_bytes_s: a lower rate counts as this much in ratios;
    spread: log ratio that is assumed either way until a link has shown its own errors."""

    horizon: int = 5
    fading: float = 0.3
    memory: int = 300
    floor_bytes_s: float = 2_000.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        assert min(self.horizon, self.memory) >= 1, self
        assert 0 < self.fading <= 1, self
        assert min(self.floor_bytes_s, self.spread) > 0, self


class LinkForecast:
    """`observe` once a step, then `quantile`. Holds `memory` numbers, however long it lives."""

    def __init__(self, config: LinkConfig | None = None) -> None:
        self.config = config or LinkConfig()
        self._level: float | None = None
        self._recent: deque[float] = deque(maxlen=self.config.horizon)
        self._levels: deque[float] = deque(maxlen=self.config.horizon)
        spread = self.config.spread
        prior = np.linspace(-spread, spread, 8).tolist()
        self._errors: deque[float] = deque(prior, maxlen=self.config.memory)

    @property
    def known(self) -> bool:
        """Whether anything was observed."""
        return self._level is not None

    def observe(self, rate_bytes_s: float) -> None:
        """The rate of the step that has just ended, not negative."""
        config = self.config
        self._recent.append(rate_bytes_s)
        if len(self._levels) == config.horizon:
            came = sum(self._recent) / len(self._recent)
            self._errors.append(self._log(came) - self._log(self._levels[0]))
        level = rate_bytes_s if self._level is None else self._level
        self._level = level + config.fading * (rate_bytes_s - level)
        self._levels.append(self._level)

    def quantile(self, share: float) -> float:
        """What the mean rate of the next `horizon` steps stays below with probability `share`;
        0 before the first observation."""
        if self._level is None:
            return 0.0
        error = float(np.quantile(np.array(self._errors), share))
        found = math.exp(self._log(self._level) + error)
        # Below the floor nothing is told apart: what may be nothing is nothing.
        return found if found > self.config.floor_bytes_s else 0.0

    def _log(self, rate_bytes_s: float) -> float:
        return math.log(max(rate_bytes_s, self.config.floor_bytes_s))
