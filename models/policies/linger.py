"""LingerPolicy: how long a live venue collects before its next round.

A round costs about the same whether it brings fifty rows or five thousand. While there is time
enough, every packet is worked on as it comes; a stadium that is busy for most of the time collects
for a while instead, which makes each row cheaper and later by no more than that while. Busy time is
wall time, so that waiting for a core or for the disk counts. Where many stadiums share a machine
none of them is busy for long, and yet all of them wait: so one that had to wait for a core, for too
much of the time that it wanted one, collects as well, and leaves the cores to those who work on
what it has made. The span doubles while it is busier or more crowded than `*_high` and halves while
it is neither more than `*_low`; halving it at most doubles what rounds cost, so it does not swing
as long as `busy_low` is under half of `busy_high`. Pure but for the core time that it asks for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class LingerConfig:
    """least_ns, most_ns: bounds of the span, where there is one; look_ns: busy time is looked at
    over so long. busy_high, busy_low: shares of that time; crowded_high, crowded_low: shares of the
    time in which it ran or waited for a core to run on."""

    least_ns: int = 50_000_000
    most_ns: int = 200_000_000
    look_ns: int = 500_000_000
    busy_high: float = 0.5
    busy_low: float = 0.2
    crowded_high: float = 0.3
    crowded_low: float = 0.1

    def __post_init__(self) -> None:
        assert 0 < self.least_ns <= self.most_ns, self
        assert self.look_ns > self.most_ns, self
        assert 0 < self.busy_low < self.busy_high / 2 < 0.5, self
        assert 0 < self.crowded_low < self.crowded_high / 2 < 0.5, self


class CoreTime(NamedTuple):
    """How long a thread has run on a core, and waited for one, since it began, ns."""

    ran_ns: int = 0
    waited_ns: int = 0

    @property
    def crowded(self) -> float:
        """The share that it waited of the time in which it wanted a core."""
        wanted_ns = self.waited_ns + self.ran_ns
        return self.waited_ns / wanted_ns if wanted_ns > 0 else 0.0


class LingerPolicy:
    """One per stadium. `span_ns` is the least time from one round to the next; 0 at first.
    core_time: of the thread that makes the rounds and calls `note`; asked once a look."""

    def __init__(
        self, config: LingerConfig | None = None, core_time: Callable[[], CoreTime] = CoreTime
    ) -> None:
        self._config = config or LingerConfig()
        self._core_time = core_time
        self.span_ns = 0
        self._since_ns: int | None = None
        self._busy_ns = 0
        self._core = CoreTime()

    def note(self, begin_ns: int, end_ns: int) -> int:
        """A round that found something to do has taken so long; how long to wait after it, ns. A
        clock that goes back starts the look anew."""
        if self._since_ns is None or begin_ns < self._since_ns or end_ns < begin_ns:
            self._since_ns, self._busy_ns, self._core = begin_ns, 0, self._core_time()
        self._busy_ns += max(0, end_ns - begin_ns)
        passed_ns = end_ns - self._since_ns
        if passed_ns >= self._config.look_ns:
            before, self._core = self._core, self._core_time()
            self._look(self._busy_ns / passed_ns, since(before, self._core).crowded)
            self._since_ns, self._busy_ns = end_ns, 0
        return max(0, begin_ns + self.span_ns - end_ns)

    def _look(self, busy: float, crowded: float) -> None:
        config = self._config
        if busy > config.busy_high or crowded > config.crowded_high:
            self.span_ns = min(max(2 * self.span_ns, config.least_ns), config.most_ns)
        elif busy < config.busy_low and crowded < config.crowded_low:
            half_ns = self.span_ns // 2
            self.span_ns = half_ns if half_ns >= config.least_ns else 0


def since(before: CoreTime, now: CoreTime) -> CoreTime:
    """What has come to it."""
    return CoreTime(now.ran_ns - before.ran_ns, now.waited_ns - before.waited_ns)
