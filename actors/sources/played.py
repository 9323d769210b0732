"""A recorded or simulated match as a source, paced by its own arrival times or at full speed.

The cursor counts units of 50 ms of arrival time, whatever the speed, so a restart with another
speed resumes at the same sample, and the cuts do not depend on where a restart happened. Slow
matches come in slices as small as a unit, because rows that wait for their slice are latency.
With `merge_late` a stadium gets all slices that are due as one, up to a second, as it finds them in
the queue of a live feed: then the cuts depend on when it asks.
"""

from typing import Any, Final, Protocol

from actors.sources.pacing import Pacer
from actors.sources.port import NEVER_NS, Verdicts
from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Refusal, count_refused
from models.telemetry.kinds import Kind
from models.telemetry.raw import RawBatch

UNIT_NS: Final = 50_000_000
SECOND_UNITS: Final = 1_000_000_000 // UNIT_NS
SLICED_UP_TO: Final = 5.0
"""Above this speed a slice is a whole second or more: wall-clock latency is below a slice's."""


class Track(Protocol):
    """What is played.

    type_name  for people; start_ns arrival time of unit 0; units how many there are (at least 1)
    full_units units of a batch at full speed, a multiple of a second
    refusals   what could not be read, told with the first batch
    """

    type_name: str
    start_ns: int
    units: int
    full_units: int
    refusals: tuple[Refusal, ...]

    def read(self, cursor: int, upto: int) -> dict[Kind, SampleBlock]:
        """Rows that arrive in units [cursor, upto), in arrival order."""
        ...

    def skip(self, cursor: int) -> int:
        """`cursor`, or a later unit when nothing at all arrives for very long."""
        ...


class PlayedSource:
    """See the module docstring; `cursor` is the number of units delivered before."""

    endless = False
    virtual = True

    def __init__(
        self, source_id: str, track: Track, speed: float, cursor: int = 0, merge_late: bool = False
    ) -> None:
        self.source_id = source_id
        self.merges = merge_late and 0 < speed <= SLICED_UP_TO
        self._track = track
        self._pacer = Pacer(speed)
        self._cursor = cursor
        self._refusals = list(track.refusals) if cursor == 0 else []

    @property
    def done(self) -> bool:
        return self._cursor >= self._track.units

    @property
    def position_ns(self) -> int:
        return self._time_ns(self._cursor)

    def start(self) -> None:
        """Nothing to open."""

    def next_batch(self, now_ns: int) -> RawBatch | None:
        if self.done:
            return None
        self._pacer.begin(self.position_ns, now_ns)
        upto = self._next_cursor()
        if self._pacer.due_ns(self._time_ns(upto)) > now_ns:
            return None
        upto = self._all_due(upto, now_ns)
        blocks = self._track.read(self._cursor, upto)
        refused = count_refused(self._track.refusals) if self._cursor == 0 else {}
        newest = max((int(b.t_ingest_ns[-1]) for b in blocks.values() if len(b)), default=0)
        end_ns = max(self._time_ns(upto), newest)
        self._pacer.delivered(end_ns, now_ns)
        self._cursor = self._track.skip(upto)
        if self._cursor > upto:
            self._pacer.jump(self._time_ns(self._cursor) - self._time_ns(upto))
        return RawBatch(self.source_id, self._cursor, end_ns, blocks, refused)

    def next_awake_ns(self) -> int:
        return NEVER_NS if self.done else self._pacer.due_ns(self._time_ns(self._next_cursor()))

    def take_refusals(self) -> list[Refusal]:
        taken, self._refusals = self._refusals, []
        return taken

    def settled(self, batch: RawBatch, verdicts: Verdicts) -> None:
        """Nobody waits for a verdict here."""

    def wall_ns(self, t_ingest_ns: int) -> int:
        return self._pacer.wall_ns(t_ingest_ns)

    def progress(self) -> dict[str, Any]:
        return {
            "type": self._track.type_name, "cursor": self._cursor, "total": self._track.units,
            "done": self.done, "speed": self._pacer.speed,
        }

    def close(self) -> None:
        """Nothing is open."""

    def _time_ns(self, cursor: int) -> int:
        return self._track.start_ns + cursor * UNIT_NS

    def _all_due(self, upto: int, now_ns: int) -> int:
        """End of the last slice that is due, where they come as one; within a second."""
        if not self.merges:
            return upto
        end = min((self._cursor // SECOND_UNITS + 1) * SECOND_UNITS, self._track.units)
        while upto < end and self._pacer.due_ns(self._time_ns(self._slice_end(upto))) <= now_ns:
            upto = self._slice_end(upto)
        return upto

    def _next_cursor(self) -> int:
        return self._slice_end(self._cursor)

    def _slice_end(self, cursor: int) -> int:
        """End of the slice from `cursor`, on the grid of its size: a restart moves no cuts."""
        speed = self._pacer.speed
        units = self._track.full_units if speed == 0 else SECOND_UNITS
        if 0 < speed <= SLICED_UP_TO:
            units = 1 if speed <= 1 else 2
        return min((cursor // units + 1) * units, self._track.units)
