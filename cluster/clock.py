"""A wall clock that never jumps: for leases, retries and other spans that a process measures.

The wall clock of a machine is set now and then, by minutes when it was wrong at boot. A span
measured with it would then be minutes too long or negative: a retry that never comes, a worker that
counts as dead. Owns how the two clocks of a machine become one; the unit is ns UTC.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

FOLLOW: Final = 20


class SteadyClock:
    """The wall clock at the start, then as fast as the monotonic clock.

    A wall clock that was set is followed by at most a `FOLLOW`-th of the time that passes, as a
    time daemon slews: spans are off by 5 % at most, and the answer never goes back. Thread-safe.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        self._lock = threading.Lock()
        self._at_ns, self._now_ns = monotonic_ns(), wall_ns()

    def __call__(self) -> int:
        """ns UTC, never less than before."""
        with self._lock:
            at_ns = self._monotonic_ns()
            passed_ns = max(at_ns - self._at_ns, 0)
            self._at_ns = at_ns
            self._now_ns += passed_ns
            most_ns = passed_ns // FOLLOW
            off_ns = self._wall_ns() - self._now_ns
            self._now_ns += max(-most_ns, min(off_ns, most_ns))
            return self._now_ns
