"""What `touchline send` plays: a stretch of a track with its clock moved to now, slice by slice."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from actors.sources.played import SECOND_UNITS, UNIT_NS, Track
from jobs.send_ways import Blocks

SLICES_PER_S: Final = 10


@dataclass(slots=True)
class Stretch:
    """What is played: units [cursor, end) of a track, and when its first one happens.

    speed 0: at once. boot: added to the boot counters, so that a stretch that is sent again is not
    taken for a repetition. Times ns UTC.
    """

    track: Track
    cursor: int
    end: int
    speed: float
    start_ns: int
    boot: int = 0
    _origin_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self._origin_ns = self.track.start_ns + self.cursor * UNIT_NS

    def slice_end(self) -> int:
        """A slice is a tenth of a second of the wall clock; a second where nobody waits."""
        units = round(self.speed * SECOND_UNITS / SLICES_PER_S) if self.speed else SECOND_UNITS
        # A track gives a span that lies within one of its seconds.
        second = (self.cursor // SECOND_UNITS + 1) * SECOND_UNITS
        return min(self.cursor + max(units, 1), second, self.end)

    def take(self, upto: int) -> Blocks:
        """The rows of the slice with their new times and boots; the cursor moves on."""
        read = self.track.read(self.cursor, upto)
        blocks = {
            kind: replace(
                block, t_event_ns=self.moved(block.t_event_ns),
                t_ingest_ns=self.moved(block.t_ingest_ns),
                boot=block.boot + np.uint32(self.boot),
            )
            for kind, block in read.items() if len(block)
        }
        self.cursor = min(self.track.skip(upto), self.end)
        self._origin_ns += (self.cursor - upto) * UNIT_NS  # nobody waits for a long silence
        return blocks

    def moved(self, t_ns: Any) -> Any:
        """Times of the track as times of now."""
        since_ns = t_ns - self._origin_ns
        if self.speed not in (0.0, 1.0):
            since_ns = np.rint(since_ns / self.speed).astype(np.int64)
        return since_ns + self.start_ns

    def due_ns(self, upto: int) -> int:
        """When everything before unit `upto` has happened; 0 when nobody waits."""
        if not self.speed:
            return 0
        return int(self.moved(np.int64(self.track.start_ns + upto * UNIT_NS)))
