"""PoolPolicy: how many workers the flow pool should have, and why.

Pure: time comes with the signals. A need must last before it is followed (hysteresis), two steps
are apart (cooldown), the answer stays within bounds. A pool that did not get faster by its last
step up is not made larger, nor is one whose workers wait for the cores that a further one would
share with them: that would only split the records among more hands, each of which decodes them all.
Backlog is the age in seconds of the oldest record that waits; work is counted in flow-records (one
record handled for one flow), so that rates do not depend on the pool's size.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_LEAST_RATE: Final = 1e-3


class ScaleReason(StrEnum):
    """Why the pool is to have `Scale.target` workers."""

    FIXED = "fixed"
    BELOW_MIN = "below_min"
    ABOVE_MAX = "above_max"
    AT_MAX = "at_max"
    PENDING = "workers_pending"
    HOT_BACKLOG = "hot_backlog"
    CALM_BACKLOG = "calm_backlog"
    UTILISATION = "utilisation"
    FORECAST = "forecast"
    IDLE = "idle"
    COOLDOWN = "cooldown"
    NO_GAIN = "no_gain"
    CROWDED = "crowded"
    STEADY = "steady"


HELD: Final = frozenset({
    ScaleReason.AT_MAX, ScaleReason.PENDING, ScaleReason.COOLDOWN, ScaleReason.NO_GAIN,
    ScaleReason.CROWDED,
})
"""There was a need, and it was not followed."""


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Bounds, thresholds and times. `fixed` > 0 pins the size and switches all else off."""

    min_workers: int = 1
    max_workers: int = 4
    fixed: int = 0
    hot_backlog_s: float = 0.5
    calm_backlog_s: float = 2.0
    busy_high: float = 0.85
    busy_low: float = 0.50
    headroom: float = 1.25
    up_after_s: float = 1.0
    down_after_s: float = 30.0
    up_cooldown_s: float = 5.0
    down_cooldown_s: float = 20.0
    min_gain: float = 0.10
    no_gain_s: float = 60.0
    crowded_high: float = 0.3

    def __post_init__(self) -> None:
        assert 1 <= self.min_workers <= self.max_workers, self
        assert self.fixed >= 0, self
        assert 0 < self.busy_low < self.busy_high <= 1, self
        assert self.headroom >= 1, self


@dataclass(frozen=True, slots=True)
class PoolSignals:
    """What the coordinator sees.

    ready, pending     workers that have registered, and those asked for that have not
    hot_backlog_s, calm_backlog_s   age of the oldest waiting record of the class
    arrival_per_s, forecast_per_s   flow-records per second now, and when a new one would be ready
    service_per_s      flow-records per second that the pool got through
    utilisation        mean share of time that workers were busy, in [0, 1], less waiting for a core
    crowded            share that workers waited of the time in which they wanted a core, where
                       there is no other machine for one more; 0 where there is
    """

    now_ns: int
    ready: int
    pending: int
    hot_backlog_s: float = 0.0
    calm_backlog_s: float = 0.0
    arrival_per_s: float = 0.0
    forecast_per_s: float = 0.0
    service_per_s: float = 0.0
    utilisation: float = 0.0
    crowded: float = 0.0

    @property
    def capacity_per_s(self) -> float:
        """What the ready workers could get through if they were always busy; 0 when not known."""
        if self.utilisation < 0.05 or self.service_per_s <= 0:
            return 0.0
        return self.service_per_s / self.utilisation


@dataclass(frozen=True, slots=True)
class Scale:
    """How many workers there should be; equal to what there is when nothing is to change."""

    target: int
    reason: ScaleReason


class PoolPolicy:
    """Call `decide` at a steady pace; it remembers since when a need lasts and its last steps."""

    def __init__(self, config: PoolConfig | None = None) -> None:
        self.config = config or PoolConfig()
        self._need_since_ns: int | None = None
        self._idle_since_ns: int | None = None
        self._stepped_ns: int | None = None
        self._before_growth: tuple[int, float] | None = None
        self._no_gain_until_ns = 0

    def decide(self, signals: PoolSignals) -> Scale:
        """The size that the pool should have, with the reason."""
        bounded = self._bounds(signals)
        if bounded is not None:
            return bounded
        have = signals.ready + signals.pending
        need = self._need(signals)
        self._note(signals, need)
        if need is not None:
            return self._grow(signals, have, need)
        return self._shrink(signals, have)

    def _bounds(self, signals: PoolSignals) -> Scale | None:
        config, have = self.config, signals.ready + signals.pending
        if config.fixed:
            return Scale(config.fixed, ScaleReason.FIXED)
        if have < config.min_workers:
            return Scale(config.min_workers, ScaleReason.BELOW_MIN)
        if have > config.max_workers:
            return Scale(config.max_workers, ScaleReason.ABOVE_MAX)
        return None

    def _need(self, signals: PoolSignals) -> ScaleReason | None:
        config, capacity = self.config, signals.capacity_per_s
        if signals.hot_backlog_s > config.hot_backlog_s:
            return ScaleReason.HOT_BACKLOG
        if signals.calm_backlog_s > config.calm_backlog_s:
            return ScaleReason.CALM_BACKLOG
        if signals.utilisation > config.busy_high:
            return ScaleReason.UTILISATION
        if capacity and signals.forecast_per_s > config.busy_high * capacity:
            return ScaleReason.FORECAST
        return None

    def _note(self, signals: PoolSignals, need: ScaleReason | None) -> None:
        now_ns = signals.now_ns
        if need is None:
            self._need_since_ns = None
        elif self._need_since_ns is None:
            self._need_since_ns = now_ns
        if not self._is_idle(signals):
            self._idle_since_ns = None
        elif self._idle_since_ns is None:
            self._idle_since_ns = now_ns

    def _grow(self, signals: PoolSignals, have: int, need: ScaleReason) -> Scale:
        config, now_ns = self.config, signals.now_ns
        if have >= config.max_workers:
            return Scale(have, ScaleReason.AT_MAX)
        if signals.pending:
            return Scale(have, ScaleReason.PENDING)
        assert self._need_since_ns is not None
        if now_ns - self._need_since_ns < config.up_after_s * 1e9:
            return Scale(have, ScaleReason.STEADY)
        if not self._cooled(now_ns, config.up_cooldown_s):
            return Scale(have, ScaleReason.COOLDOWN)
        if signals.crowded > config.crowded_high:
            return Scale(have, ScaleReason.CROWDED)
        if self._gained_nothing(signals):
            return Scale(have, ScaleReason.NO_GAIN)
        target = min(max(self._wanted(signals, need), have + 1), 2 * have, config.max_workers)
        self._before_growth = (have, signals.service_per_s)
        self._step(now_ns)
        return Scale(target, need)

    def _wanted(self, signals: PoolSignals, need: ScaleReason) -> int:
        """Workers that the rate asks for, with headroom; 0 when capacity is not known."""
        if not signals.capacity_per_s or not signals.ready:
            return 0
        rate = signals.forecast_per_s if need == ScaleReason.FORECAST else signals.arrival_per_s
        each = each_per_s(signals.capacity_per_s, signals.ready)
        config = self.config
        return workers_for(rate, each, config.headroom, config.busy_high, config.max_workers)

    def _gained_nothing(self, signals: PoolSignals) -> bool:
        """Whether the last growth brought no more throughput: then the machine is the bound."""
        if signals.now_ns < self._no_gain_until_ns:
            return True
        before, self._before_growth = self._before_growth, None
        if before is None or signals.ready <= before[0] or before[1] <= 0:
            return False
        if signals.service_per_s >= before[1] * (1.0 + self.config.min_gain):
            return False
        if signals.arrival_per_s <= before[1] * (1.0 + self.config.min_gain):
            return False
        self._no_gain_until_ns = signals.now_ns + int(self.config.no_gain_s * 1e9)
        return True

    def _shrink(self, signals: PoolSignals, have: int) -> Scale:
        config, now_ns = self.config, signals.now_ns
        if have <= config.min_workers or self._idle_since_ns is None:
            return Scale(have, ScaleReason.STEADY)
        if now_ns - self._idle_since_ns < config.down_after_s * 1e9:
            return Scale(have, ScaleReason.STEADY)
        if not self._cooled(now_ns, config.down_cooldown_s):
            return Scale(have, ScaleReason.COOLDOWN)
        self._step(now_ns)
        return Scale(have - 1, ScaleReason.IDLE)

    def _is_idle(self, signals: PoolSignals) -> bool:
        """Whether one worker less would still be at ease, now and at the forecast.

        One that is still awaited goes first, and takes nothing away from those that work: a node
        that never comes must not keep the pool, nor the wish for it, as large as it is."""
        config, ready = self.config, signals.ready
        left = ready if signals.pending else ready - 1
        if left < 1:
            return False
        fewer = left / ready
        calm = (
            signals.utilisation / fewer < config.busy_low
            and signals.hot_backlog_s < config.hot_backlog_s / 2
            and signals.calm_backlog_s < config.calm_backlog_s / 2
        )
        capacity = signals.capacity_per_s * fewer
        return calm and (not capacity or signals.forecast_per_s < config.busy_high * capacity)

    def _cooled(self, now_ns: int, cooldown_s: float) -> bool:
        return self._stepped_ns is None or now_ns - self._stepped_ns >= cooldown_s * 1e9

    def _step(self, now_ns: int) -> None:
        self._stepped_ns = now_ns
        self._need_since_ns = self._idle_since_ns = None


def each_per_s(capacity_per_s: float, ready: int) -> float:
    """What one of `ready` workers gets through, never 0."""
    return max(capacity_per_s / ready, _LEAST_RATE)


def workers_for(
    rate_per_s: float, each_per_s: float, headroom: float, busy_high: float, most: int
) -> int:
    """Workers that a rate asks for, if each is to be busy for `busy_high` of its time at the most
    and some room is left."""
    return math.ceil(min(rate_per_s * headroom / (each_per_s * busy_high), most))
