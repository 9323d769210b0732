"""WaitMeter: how long records had waited for flows of each class when they were done, lately.

A worker that is late does all that it has read in one long turn: at the end of it nothing waits,
and what waits in the log meanwhile it has not seen. How old its work was tells.
"""

from typing import Final

from models.flows.lanes import Priority

WINDOW_NS: Final = 500_000_000


class WaitMeter:
    """The longest wait within the last one to two windows. Times are ns of one clock."""

    def __init__(self, window_ns: int = WINDOW_NS) -> None:
        self._window_ns = window_ns
        self._window = -1
        self._now = dict.fromkeys(Priority, 0)
        self._before = dict.fromkeys(Priority, 0)

    def note(self, now_ns: int, priority: Priority, wait_ns: int) -> None:
        """Something was done for flows of a class that had waited for so long."""
        self._turn(now_ns)
        self._now[priority] = max(self._now[priority], wait_ns)

    def worst_ns(self, now_ns: int) -> dict[Priority, int]:
        """The longest wait of each class, 0 where nothing was done."""
        self._turn(now_ns)
        return {p: max(self._now[p], self._before[p]) for p in Priority}

    def _turn(self, now_ns: int) -> None:
        window = now_ns // self._window_ns
        if window > self._window:
            fresh = dict.fromkeys(Priority, 0)
            self._before = self._now if window == self._window + 1 else dict(fresh)
            self._now, self._window = fresh, window
