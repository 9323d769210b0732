"""ThinPolicy: how far the calm flows of a venue are to be thinned, and why.

Pure; one per venue, called at a steady pace. Calm flows first wait; once the oldest of them has
waited for longer than `enter_s` the venue's edge is told to thin them one level further, and again
for as long as the wait does not get shorter, two levels at once when it is twice too long, and all
of them when it grows steadily: at `grow_rate` seconds a second the load is 1 / (1 - `grow_rate`)
times what is carried. Nor is a wait left to grow where the load has jumped to `jump` times of what
workers could do. The way back is by trial, one level after `relax_s` without a wait and with
workers at ease: what the pool could carry is not known before it is tried, since a busy worker does
more at once and so gets cheaper. A trial that fails doubles the time until the next one, up to
`relax_most_s`; one that has held for that long again is forgotten.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MOST_LOOKS: Final = 64


class ThinReason(StrEnum):
    """Why calm flows are to be thinned to `Thinning.level`."""

    CALM_WAITS = "calm_waits"
    WAIT_GROWS = "wait_grows"
    HOT_WAITS = "hot_waits"
    AHEAD = "forecast"
    LOAD_JUMPED = "load_jumped"
    TRIAL = "wait_is_over"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class ThinConfig:
    """Levels, seconds. most: the highest level, 0 switches thinning off; enter_s, hot_s: the age
    of the oldest calm or hot record from which on it is too much; leave_s: below it nothing
    waits; grow_rate: seconds per second by which the wait may not grow for `grow_s`; jump: load, as
    a multiple of what workers could get through, from which on a wait of `leave_s` is too much;
    relax_busy: share of time that workers may be busy for a trial, which doubles what a venue costs
    at the most."""

    most: int = 3
    enter_s: float = 0.5
    hot_s: float = 0.4
    leave_s: float = 0.25
    grow_rate: float = 0.3
    grow_s: float = 0.6
    jump: float = 2.0
    step_s: float = 0.5
    relax_busy: float = 0.5
    relax_s: float = 5.0
    relax_most_s: float = 60.0

    def __post_init__(self) -> None:
        assert self.most >= 0, self
        assert self.jump > 1.0, self
        assert 0 < self.leave_s <= self.enter_s, self
        assert 0 < self.relax_busy <= 1, self
        assert 0 < self.step_s <= self.relax_s <= self.relax_most_s, self


class _Growth:
    """How fast a wait grows: over the last `grow_s`, and over each half of it, whichever is the
    least. One stall is over in one half."""

    def __init__(self, grow_s: float) -> None:
        self._half_ns = int(grow_s * 0.5e9)
        self._looks: deque[tuple[int, float]] = deque(maxlen=MOST_LOOKS)

    def note(self, now_ns: int, wait_s: float) -> float:
        """Seconds per second, 0 before there has been time to tell."""
        looks = self._looks
        looks.append((now_ns, wait_s))
        while len(looks) > 1 and looks[1][0] <= now_ns - 2 * self._half_ns:
            looks.popleft()
        if now_ns - looks[0][0] < 2 * self._half_ns:
            return 0.0
        middle = max(one for one in looks if one[0] <= now_ns - self._half_ns)
        if not looks[0][0] < middle[0] < now_ns:
            return 0.0
        return min(_rate(looks[0], middle), _rate(middle, looks[-1]))


def _rate(before: tuple[int, float], after: tuple[int, float]) -> float:
    return (after[1] - before[1]) / ((after[0] - before[0]) / 1e9)


@dataclass(frozen=True, slots=True)
class Thinning:
    """The level that calm flows are to have; equal to the present one when nothing changes."""

    level: int
    reason: ThinReason


class ThinPolicy:
    """`level` is what was decided last; a successor begins with what its predecessor ordered."""

    def __init__(self, config: ThinConfig | None = None, level: int = 0) -> None:
        self.config = config or ThinConfig()
        self.level = min(level, self.config.most)
        self._stepped_ns: int | None = None
        self._calm_since_ns: int | None = None
        self._trial_ns: int | None = None
        self._patience_s = self.config.relax_s
        self._before_s = 0.0
        self._growth = _Growth(self.config.grow_s)

    def decide(
        self, now_ns: int, calm_s: float, hot_s: float, busy: float = 0.0, ahead: bool = False,
        load: float = 0.0,
    ) -> Thinning:
        """calm_s, hot_s: age of the oldest record that waits for a flow of the class; busy: share
        of time of the busiest worker concerned; ahead: a forecast says that the load will not be
        carried; load: what comes as a multiple of what workers could get through."""
        grows = self._growth.note(now_ns, max(calm_s, hot_s)) >= self.config.grow_rate
        reason = self._pressure(calm_s, hot_s, ahead, load)
        shorter = calm_s < self._before_s
        self._before_s = calm_s
        if reason is not None:
            self._calm_since_ns = None
            config = self.config
            if self.level >= config.most or shorter:
                return Thinning(self.level, ThinReason.STEADY)
            if reason == ThinReason.LOAD_JUMPED:
                return self._up(now_ns, reason, config.most)
            if grows:
                return self._up(now_ns, ThinReason.WAIT_GROWS, config.most)
            if self._may_step(now_ns):
                twice = calm_s >= 2.0 * config.enter_s or hot_s >= 2.0 * config.hot_s
                return self._up(now_ns, reason, 2 if twice else 1)
            return Thinning(self.level, ThinReason.STEADY)
        if calm_s > self.config.leave_s or busy > self.config.relax_busy:
            self._calm_since_ns = None
        elif self._calm_since_ns is None:
            self._calm_since_ns = now_ns
        return self._relax(now_ns)

    def _pressure(
        self, calm_s: float, hot_s: float, ahead: bool, load: float
    ) -> ThinReason | None:
        if load >= self.config.jump and max(calm_s, hot_s) > self.config.leave_s:
            return ThinReason.LOAD_JUMPED
        if hot_s > self.config.hot_s:
            return ThinReason.HOT_WAITS
        if calm_s > self.config.enter_s:
            return ThinReason.CALM_WAITS
        return ThinReason.AHEAD if ahead and self.level == 0 else None

    def _may_step(self, now_ns: int) -> bool:
        since_ns = self._stepped_ns
        return since_ns is None or now_ns - since_ns >= self.config.step_s * 1e9

    def _up(self, now_ns: int, reason: ThinReason, levels: int) -> Thinning:
        if self._trial_ns is not None and now_ns - self._trial_ns < self._patience_s * 1e9:
            self._patience_s = min(2.0 * self._patience_s, self.config.relax_most_s)
        self._trial_ns = None
        self.level = min(self.level + levels, self.config.most)
        self._stepped_ns = now_ns
        return Thinning(self.level, reason)

    def _relax(self, now_ns: int) -> Thinning:
        held_ns = self._patience_s * 1e9
        if self._trial_ns is not None and now_ns - self._trial_ns >= held_ns:
            self._trial_ns, self._patience_s = None, self.config.relax_s
        calm_ns = self._calm_since_ns
        if self.level == 0 or calm_ns is None or now_ns - calm_ns < self._patience_s * 1e9:
            return Thinning(self.level, ThinReason.STEADY)
        self.level -= 1
        self._stepped_ns = self._trial_ns = self._calm_since_ns = now_ns
        return Thinning(self.level, ThinReason.TRIAL)
