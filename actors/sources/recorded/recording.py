"""Recording: the rows of a recorded match in arrival order, cut into chunks of arrival time.

Owns lanes (one per kind: where its rows come from) and the cutting. A chunk's cursor is its
number: chunk k holds the rows with t_ingest in `[t_start_ns + k * chunk_ns, ... + chunk_ns)`, so
any chunk is found again by its number. Recordings without arrival times have t_ingest = t_event.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Refusal
from models.telemetry.kinds import Kind
from models.telemetry.roster import Roster

MAX_SILENCE_NS: Final = 600_000_000_000
"""Silence up to this long is given as empty chunks, so that time passes; longer ones are jumped."""
_NEVER: Final = 2**63 - 1


class Lane(Protocol):
    """The rows of one kind in arrival order."""

    kind: Kind
    rows: int
    t_min_ns: int
    t_max_ns: int

    def read(self, from_ns: int, to_ns: int) -> SampleBlock:
        """Rows with from_ns <= t_ingest < to_ns."""
        ...

    def next_ns(self, from_ns: int) -> int:
        """A lower bound of the next arrival at or after `from_ns`; int64 max without one."""
        ...


class MemoryLane:
    """A lane whose rows are all in memory, sorted by arrival."""

    def __init__(self, block: SampleBlock) -> None:
        assert len(block), "a lane has rows"
        t_ns = block.t_ingest_ns
        if len(block) > 1 and not (t_ns[1:] >= t_ns[:-1]).all():
            block = block.take(np.argsort(t_ns, kind="stable"))
        self.kind, self.rows, self.block = block.kind, len(block), block
        self.t_min_ns = int(block.t_ingest_ns[0])
        self.t_max_ns = int(block.t_ingest_ns[-1])

    def read(self, from_ns: int, to_ns: int) -> SampleBlock:
        low, high = np.searchsorted(self.block.t_ingest_ns, (from_ns, to_ns))
        return self.block.take(slice(int(low), int(high)))

    def next_ns(self, from_ns: int) -> int:
        place = int(np.searchsorted(self.block.t_ingest_ns, from_ns))
        return int(self.block.t_ingest_ns[place]) if place < self.rows else _NEVER


@dataclass(frozen=True)
class Recording:
    """What a file or folder holds.

    format      the name under which it was recognised
    roster      who and what is in it; periods carry the playing directions
    lanes       at least one unless everything was refused
    refusals    what could not be read, each with its reason
    notes       what was left out on purpose, in words
    """

    format: str
    roster: Roster
    lanes: tuple[Lane, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def rows(self) -> dict[Kind, int]:
        return {lane.kind: lane.rows for lane in self.lanes}

    @property
    def t_start_ns(self) -> int:
        """Arrival of the first row; 0 when there are none."""
        return min((lane.t_min_ns for lane in self.lanes), default=0)

    @property
    def t_end_ns(self) -> int:
        """One more than the arrival of the last row; 0 when there are none."""
        return max((lane.t_max_ns + 1 for lane in self.lanes), default=0)

    def chunk_count(self, chunk_ns: int) -> int:
        """The number of chunks, empty and jumped ones included."""
        return -(-(self.t_end_ns - self.t_start_ns) // chunk_ns)

    def chunk_start_ns(self, cursor: int, chunk_ns: int) -> int:
        return self.t_start_ns + cursor * chunk_ns

    def chunk(self, cursor: int, chunk_ns: int) -> dict[Kind, SampleBlock]:
        """The rows of chunk `cursor` in arrival order; kinds without rows are left out."""
        start = self.chunk_start_ns(cursor, chunk_ns)
        blocks = (lane.read(start, start + chunk_ns) for lane in self.lanes)
        return {block.kind: block for block in blocks if len(block)}

    def chunks(
        self, start_cursor: int, chunk_ns: int
    ) -> Iterator[tuple[int, dict[Kind, SampleBlock]]]:
        """(cursor, blocks) from chunk `start_cursor` on; cursors rise, and may skip long silences.

        To go on after the chunk with cursor c, start at c + 1.
        """
        assert chunk_ns > 0, chunk_ns
        assert start_cursor >= 0, start_cursor
        cursor, end = start_cursor, self.chunk_count(chunk_ns)
        while cursor < end:
            yield cursor, self.chunk(cursor, chunk_ns)
            cursor += 1
            after_ns = self.chunk_start_ns(cursor, chunk_ns)
            upcoming = min((lane.next_ns(after_ns) for lane in self.lanes), default=_NEVER)
            if upcoming != _NEVER and upcoming - after_ns > MAX_SILENCE_NS:
                cursor = (upcoming - self.t_start_ns) // chunk_ns
