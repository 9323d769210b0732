"""The spool of a sending gateway: slices that were not taken yet, oldest first, bounded by bytes.

What waits goes together: a pack is the oldest slices joined kind by kind, so rows of a device keep
their order, and a backlog has fewer bytes a row than the live stream.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from actors.sources.simulator import joined
from jobs.send_ways import Blocks

SPOOL_BYTES: Final = 256 << 20
PACK_SLICES: Final = 10
PACK_BYTES: Final = 4 << 20
"""Of rows in memory: well below what a venue takes at once."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that were complete at `due_ns`, UTC."""

    blocks: Blocks
    due_ns: int

    @property
    def rows(self) -> int:
        return sum(len(block) for block in self.blocks.values())

    @property
    def size_bytes(self) -> int:
        """In memory."""
        return sum(block.size_bytes for block in self.blocks.values())


class Spool:
    """`add` what came, `pack` the oldest, `drop` them once they are taken."""

    def __init__(self, max_bytes: int = SPOOL_BYTES, pack_slices: int = PACK_SLICES) -> None:
        assert min(max_bytes, pack_slices) > 0, (max_bytes, pack_slices)
        self._max_bytes, self._pack_slices = max_bytes, pack_slices
        self._slices: deque[tuple[Slice, int]] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._slices)

    @property
    def full(self) -> bool:
        """Nothing more is to be added: whoever brings it waits."""
        return self.size_bytes >= self._max_bytes

    def add(self, piece: Slice) -> None:
        size = piece.size_bytes
        self._slices.append((piece, size))
        self.size_bytes += size

    def backlog_s(self, now_ns: int) -> float:
        """Age of the oldest slice."""
        return max(now_ns - self._slices[0][0].due_ns, 0) / 1e9 if self._slices else 0.0

    def pack(self) -> tuple[int, Blocks]:
        """The oldest slices, one at least, and how many they are."""
        chosen: list[Blocks] = []
        size = 0
        for piece, piece_bytes in self._slices:
            if chosen and (len(chosen) == self._pack_slices or size + piece_bytes > PACK_BYTES):
                break
            chosen.append(piece.blocks)
            size += piece_bytes
        return len(chosen), chosen[0] if len(chosen) == 1 else joined(chosen)

    def drop(self, slices: int) -> None:
        for _ in range(slices):
            _, size = self._slices.popleft()
            self.size_bytes -= size
