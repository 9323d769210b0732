"""MatchForecast: the load that the timetable of the matches says, where a trend cannot see it.

A trend follows a rise once it has begun; a worker takes seconds to start. Kick-off, half-time and
the second half are known from `Roster.periods`. Rates are learned: what a venue in play, at rest
and off sends, as fading means, shared by all venues until a venue has shown its own. Pure; rates
are flow-records per second, times ns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.policies.fading import FadingMean

MOST_VENUES: Final = 1024


class Phase(StrEnum):
    """What a venue does. Warm-up is at most `MatchConfig.lead_s` before the first period."""

    OFF = "off"
    WARM_UP = "warm_up"
    PLAY = "play"
    BREAK = "break"


@dataclass(frozen=True, slots=True)
class MatchConfig:
    """lead_s: devices are on so long before kick-off; fading_s: memory of a phase's rate, in
    seconds of that phase; settle_s: a phase's first seconds tell nothing about its rate."""

    lead_s: float = 900.0
    fading_s: float = 60.0
    settle_s: float = 5.0

    def __post_init__(self) -> None:
        assert self.fading_s > 0, self
        assert min(self.lead_s, self.settle_s) >= 0, self


class MatchForecast:
    """`schedule` each venue, `observe` in time order, then `change`."""

    def __init__(self, config: MatchConfig | None = None) -> None:
        self.config = config or MatchConfig()
        self._periods: dict[str, list[tuple[int, int]]] = {}
        self._own: dict[tuple[str, Phase], FadingMean] = {}
        self._shared: dict[Phase, FadingMean] = {}
        self._now_ns: int | None = None

    def schedule(self, venue: str, periods: Sequence[tuple[int, int]]) -> None:
        """(start_ns, end_ns) of a venue's periods; again replaces them. Without any the venue is
        taken to be as it is."""
        if venue in self._periods or len(self._periods) < MOST_VENUES:
            self._periods[venue] = sorted(periods)

    def phase(self, venue: str, t_ns: int) -> Phase | None:
        """What the timetable says; None when there is none."""
        periods = self._periods.get(venue)
        if not periods:
            return None
        if any(start <= t_ns < end for start, end in periods):
            return Phase.PLAY
        if t_ns >= periods[-1][1] or t_ns < periods[0][0] - int(self.config.lead_s * 1e9):
            return Phase.OFF
        return Phase.WARM_UP if t_ns < periods[0][0] else Phase.BREAK

    def observe(self, now_ns: int, rates: Mapping[str, float]) -> None:
        """The rate of each venue up to now; a moment not after the last is ignored."""
        last, self._now_ns = self._now_ns, max(now_ns, self._now_ns or now_ns)
        if last is None or now_ns <= last:
            return
        step_s = (now_ns - last) / 1e9
        settled_ns = now_ns - int(self.config.settle_s * 1e9)
        for venue, rate in rates.items():
            phase = self.phase(venue, now_ns)
            if phase is None or self.phase(venue, settled_ns) != phase:
                continue
            for mean in (
                self._own.setdefault((venue, phase), FadingMean()),
                self._shared.setdefault(phase, FadingMean()),
            ):
                mean.add(rate, step_s, self.config.fading_s)

    def change(self, horizon_s: float) -> float:
        """How much the whole rate will differ, so long after the last observation, by timetable
        alone. 0 where no phase ends by then, or a rate is not known."""
        if self._now_ns is None:
            return 0.0
        return sum(self._venue_change(venue, self._now_ns, horizon_s) for venue in self._periods)

    def _venue_change(self, venue: str, now_ns: int, horizon_s: float) -> float:
        then_ns = now_ns + int(horizon_s * 1e9)
        before, after = self.phase(venue, now_ns), self.phase(venue, then_ns)
        if before is None or after is None or before == after:
            return 0.0
        now, then = self._rate(venue, before), self._rate(venue, after)
        return 0.0 if now is None or then is None else then - now

    def _rate(self, venue: str, phase: Phase) -> float | None:
        own = self._own.get((venue, phase)) or self._shared.get(phase)
        if own is None:
            return 0.0 if phase == Phase.OFF else None
        return own.value
