"""LinkMeter: what a link carries, from the bodies that were sent over it one after the other.

A body's time is its overhead (the way there and back, and what the venue does) and its bytes; the
overhead is the shortest time that any of the last bodies took. Bytes are spread evenly over their
body's time and counted by steps of the clock; a step's rate is its bytes by its busy time. Steps in
which nothing was sent say nothing. A link that is used little is known only as far as it was used.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

MOST_STEPS: Final = 600
"""A body that took longer than so many steps counts for the last of them only."""
MOST_BODIES: Final = 600
LEAST_NS: Final = 1_000_000
"""A body takes at least so long beyond its overhead: what is quicker cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A body of `size_bytes` that was under way in [begin_ns, end_ns), by a clock that never jumps;
    0 bytes: it did not arrive."""

    begin_ns: int
    end_ns: int
    size_bytes: int


class LinkMeter:
    """`add` in time order. The clock's steps are `step_ns` long, on a grid from 0."""

    def __init__(self, step_ns: int = 1_000_000_000) -> None:
        assert step_ns > 0, step_ns
        self._step_ns = step_ns
        self._spans: deque[int] = deque(maxlen=MOST_BODIES)
        self._step = 0
        self._bytes = 0.0
        self._busy_ns = 0.0

    def add(self, body: Carried) -> list[float]:
        """Rates, bytes per second, of the steps that are over now, oldest first."""
        span_ns = max(body.end_ns - body.begin_ns, LEAST_NS)
        busy_ns = span_ns
        if body.size_bytes:
            self._spans.append(span_ns)
            busy_ns = max(span_ns - min(self._spans), LEAST_NS)
        end_ns = body.begin_ns + span_ns
        first, last = body.begin_ns // self._step_ns, end_ns // self._step_ns
        found: list[float] = []
        for step in range(max(first, last - MOST_STEPS), last + 1):
            low, high = step * self._step_ns, (step + 1) * self._step_ns
            share = (min(end_ns, high) - max(body.begin_ns, low)) / span_ns
            if step > self._step:
                found += self._closed()
                self._step = step
            self._bytes += share * body.size_bytes
            self._busy_ns += share * busy_ns
        return found

    def _closed(self) -> list[float]:
        rate = self._bytes * 1e9 / self._busy_ns if self._busy_ns > 0 else None
        self._bytes = self._busy_ns = 0.0
        return [] if rate is None else [rate]
