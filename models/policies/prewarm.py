"""PrewarmPolicy: for how many workers the cluster should have room before they are started.

A node takes minutes to start where a worker takes seconds. What the timetable says of the moment at
which a node that is asked for now would be there, and a growth by forecast, are told ahead. A wish
is withdrawn once the workers are there, for they keep their nodes themselves, or when nothing has
called for it for a while: it holds nodes that are idle. Pure; rates are flow-records per second.
"""

from dataclasses import dataclass
from enum import StrEnum

from models.policies.pool import each_per_s, workers_for


class PrewarmReason(StrEnum):
    """Why there should be room for `Prewarm.workers` workers."""

    FORECAST = "forecast"
    TIMETABLE = "timetable"
    HELD = "held"
    TAKEN = "taken"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class PrewarmConfig:
    """node_start_s: how long a new node takes, 0 asks for none; hold_s: a wish outlives its cause
    so long, in which workers come to where it made room."""

    max_workers: int = 4
    node_start_s: float = 0.0
    hold_s: float = 60.0
    busy_high: float = 0.85
    headroom: float = 1.25

    def __post_init__(self) -> None:
        assert self.max_workers >= 1, self
        assert min(self.node_start_s, self.hold_s) >= 0, self


@dataclass(frozen=True, slots=True)
class PrewarmSignals:
    """What the coordinator sees.

    ready            workers that have registered
    capacity_per_s   what they could get through if they were always busy; 0 when not known
    arrival_per_s    the rate now
    rise_per_s       how much more the timetable says for `node_start_s` from now
    grown_to         the pool's new size, if it grows by forecast just now; else 0
    """

    now_ns: int
    ready: int
    capacity_per_s: float = 0.0
    arrival_per_s: float = 0.0
    rise_per_s: float = 0.0
    grown_to: int = 0


@dataclass(frozen=True, slots=True)
class Prewarm:
    """Room for so many workers, those that are there included; 0: as it comes."""

    workers: int
    reason: PrewarmReason


class PrewarmPolicy:
    """Call `decide` at a steady pace; it remembers its wish, and what one worker last carried."""

    def __init__(self, config: PrewarmConfig | None = None) -> None:
        self.config = config or PrewarmConfig()
        self._each_per_s = 0.0
        self._wish = 0
        self._until_ns = 0

    def decide(self, signals: PrewarmSignals) -> Prewarm:
        """The wish that holds from now on, with the reason."""
        if signals.capacity_per_s > 0 and signals.ready:
            self._each_per_s = each_per_s(signals.capacity_per_s, signals.ready)
        if not self.config.node_start_s:
            return Prewarm(0, PrewarmReason.OVER)
        workers, reason = self._cause(signals)
        if workers > signals.ready:
            held = self._wish if signals.now_ns < self._until_ns else 0
            self._until_ns = signals.now_ns + int(self.config.hold_s * 1e9)
            self._wish = max(workers, held)
            return Prewarm(self._wish, reason)
        if self._wish and signals.ready >= self._wish:
            self._wish = 0
            return Prewarm(0, PrewarmReason.TAKEN)
        if self._wish and signals.now_ns < self._until_ns:
            return Prewarm(self._wish, PrewarmReason.HELD)
        self._wish = 0
        return Prewarm(0, PrewarmReason.OVER)

    def _cause(self, signals: PrewarmSignals) -> tuple[int, PrewarmReason]:
        """The larger of what the timetable and the pool's growth call for."""
        config, by_timetable = self.config, 0
        # A load that is here already is the pool's to follow, with workers.
        if self._each_per_s and signals.rise_per_s > 0:
            by_timetable = workers_for(
                signals.arrival_per_s + signals.rise_per_s, self._each_per_s, config.headroom,
                config.busy_high, config.max_workers,
            )
        if signals.grown_to >= by_timetable:
            return min(signals.grown_to, config.max_workers), PrewarmReason.FORECAST
        return by_timetable, PrewarmReason.TIMETABLE
