"""LoadMeter: what comes, as a multiple of what the workers could get through.

Pure, and quicker than queues: a load that has jumped to several times what is carried shows in the
ends of the topics within two looks, while records still have to wait for their wait to be seen.
Work is counted in flow-records, what one costs is judged by the last `LOOKS` looks: a worker with
little to do takes fewer at once and pays more for each, up to twice as much.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

LOOKS: Final = 5
BURST: Final = 2
"""Looks over which the rate is taken: records come in bursts."""
LEAST_BUSY: Final = 0.05
"""Share of the time below which what a record costs is not known."""


@dataclass(frozen=True, slots=True)
class _Look:
    now_ns: int
    arrived: Mapping[str, int]
    work_n: int
    busy_ns: int


class LoadMeter:
    """`note` at a steady pace, then `load`."""

    def __init__(self) -> None:
        self._looks: deque[_Look] = deque(maxlen=LOOKS + 1)

    def note(self, now_ns: int, arrived: Mapping[str, int], work_n: int, busy_ns: int) -> None:
        """arrived: venue -> flow-records that have come so far; work_n: those that workers have
        done, and busy_ns the time it took them. A moment not after the last is ignored."""
        if not self._looks or now_ns > self._looks[-1].now_ns:
            self._looks.append(_Look(now_ns, arrived, work_n, busy_ns))

    def load(self, venues: Iterable[str], workers: int) -> float:
        """Of what comes from `venues`, for `workers`; 0 as long as it is not known."""
        looks = self._looks
        if len(looks) <= LOOKS:
            return 0.0
        first, before, last = looks[0], looks[-1 - BURST], looks[-1]
        busy_ns, work_n = last.busy_ns - first.busy_ns, last.work_n - first.work_n
        if work_n <= 0 or busy_ns < LEAST_BUSY * workers * (last.now_ns - first.now_ns):
            return 0.0
        came = sum(
            last.arrived.get(venue, 0) - before.arrived.get(venue, last.arrived.get(venue, 0))
            for venue in venues
        )
        return came / (last.now_ns - before.now_ns) * busy_ns / (work_n * max(workers, 1))
