"""The arrival clock of a venue: one non-decreasing time for all rows, whoever brings them.

On a live venue it is the wall clock; on a venue that plays a recording it is the recording's own
arrival time, so that a packet pushed during a replay falls in with the rows around it. Only the
stadium's loop moves it. Unit: ns UTC.
"""

from collections.abc import Callable


class ArrivalClock:
    """`floor_ns` is the newest arrival time given out; nothing is ever stamped before it."""

    def __init__(self, wall_ns: Callable[[], int], virtual: bool) -> None:
        self._wall_ns = wall_ns
        self.virtual = virtual
        self.floor_ns = 0

    def now_ns(self) -> int:
        """The arrival time of something that arrives now."""
        return self.floor_ns if self.virtual else max(self.floor_ns, self._wall_ns())

    def stamp(self, arrived_ns: int) -> int:
        """Arrival time for a row that arrived at wall clock `arrived_ns`; moves the floor."""
        if not self.virtual:
            self.floor_ns = max(self.floor_ns, arrived_ns)
        return self.floor_ns

    def advance(self, to_ns: int) -> None:
        """Time has passed without rows, or a recording has delivered up to `to_ns`."""
        self.floor_ns = max(self.floor_ns, to_ns)
