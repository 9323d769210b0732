"""Pacing: when a moment of a recording is due on the wall clock.

The first moment asked about is due at once, so a source that resumes in mid-stream starts from
there. `speed` counts recorded seconds per second; 0 means as fast as the stadium takes it.
"""

from collections import deque
from typing import Final

_ANCHORS: Final = 512


class Pacer:
    """Maps arrival-clock ns to wall-clock ns, and back for latency."""

    def __init__(self, speed: float) -> None:
        assert speed >= 0, speed
        self.speed = speed
        self._virtual_ns = 0
        self._wall_ns = 0
        self._delivered: deque[tuple[int, int]] = deque(maxlen=_ANCHORS)

    def begin(self, virtual_ns: int, now_ns: int) -> None:
        """Moment `virtual_ns` is due at `now_ns`; only the first call counts."""
        if not self._wall_ns:
            self._virtual_ns, self._wall_ns = virtual_ns, now_ns

    def due_ns(self, virtual_ns: int) -> int:
        """Wall clock at which `virtual_ns` is due; 0 (at once) when unpaced or not yet begun."""
        if self.speed == 0 or not self._wall_ns:
            return 0
        return self._wall_ns + int((virtual_ns - self._virtual_ns) / self.speed)

    def jump(self, silence_ns: int) -> None:
        """The recording leaves out `silence_ns` from here on: nobody waits for it."""
        self._virtual_ns += silence_ns

    def delivered(self, upto_ns: int, now_ns: int) -> None:
        """All arrivals before `upto_ns` were handed over at `now_ns`."""
        self._delivered.append((upto_ns, now_ns))

    def wall_ns(self, virtual_ns: int) -> int:
        """When `virtual_ns` arrived: its due time when paced, else when it was handed over."""
        if self.speed:
            return self.due_ns(virtual_ns)
        wall = 0
        for upto_ns, handed_ns in reversed(self._delivered):
            if upto_ns <= virtual_ns and wall:
                break
            wall = handed_ns
        return wall
