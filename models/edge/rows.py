"""Rows: the edge's working set of one kind.

What a row has beside its channels lies in two tables, so that choosing and joining rows are two
operations, however many columns there are, and compiled code takes two arrays: `longs` (4, n) int64
with the rows T_NS, T_INGEST_NS, COUNT and ADJUST_NS; `words` (4 + C, n) uint32 with the rows
DEVICE, BOOT, FLAGS and REASON and, from FIRST_VALUE on, the bits of the C channels (float32). COUNT
is the unwrapped counter, ADJUST_NS what clock correction has added to T_NS, REASON 0 for a good
row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind

T_NS, T_INGEST_NS, COUNT, ADJUST_NS = range(4)
DEVICE, BOOT, FLAGS, REASON = range(4)
LONGS: Final = 4
FIRST_VALUE: Final = 4
SEQ_MASK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Rows:
    """n rows of `kind`. Both tables are C-contiguous, belong to the edge and may be written."""

    kind: Kind
    longs: NDArray[np.int64]
    words: NDArray[np.uint32]

    def __len__(self) -> int:
        return self.longs.shape[1]

    @property
    def device(self) -> NDArray[np.int32]:
        """Roster rows; a view, as are all columns but `seq`."""
        return self.words[DEVICE].view(np.int32)

    @property
    def flags(self) -> NDArray[np.uint32]:
        return self.words[FLAGS]

    @property
    def reason(self) -> NDArray[np.uint32]:
        return self.words[REASON]

    @property
    def t_ns(self) -> NDArray[np.int64]:
        return self.longs[T_NS]

    @property
    def count(self) -> NDArray[np.int64]:
        return self.longs[COUNT]

    @property
    def seq(self) -> NDArray[np.uint32]:
        """The counter as it was sent, wrapped."""
        return (self.longs[COUNT] & SEQ_MASK).astype(np.uint32)

    @property
    def values(self) -> NDArray[np.float32]:
        """(C, n), written through to the rows."""
        return self.words[FIRST_VALUE:].view(np.float32)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Rows":
        """Copies of the rows selected, in that order."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return Rows(self.kind, self.longs.take(index, axis=1), self.words.take(index, axis=1))

    def block(self) -> SampleBlock:
        """These rows as a sample block, sharing memory."""
        words, longs = self.words, self.longs
        return SampleBlock(
            self.kind, self.device, words[BOOT], self.seq, longs[T_NS], longs[T_INGEST_NS],
            words[FLAGS], self.values,
        )


def no_rows(kind: Kind, count: int = 0) -> Rows:
    """`count` rows of `kind` that hold nothing yet."""
    words = FIRST_VALUE + len(KINDS[kind].channels)
    return Rows(kind, np.empty((LONGS, count), np.int64), np.empty((words, count), np.uint32))


@njit(cache=True)
def columns_of(longs: NDArray[np.int64], words: NDArray[np.uint32]) -> tuple[NDArray[Any], ...]:
    """t_ns, t_ingest_ns, count, adjust_ns, device, boot, flags, reason: each (n,), for loops, in
    which a look into a table would cost more."""
    return (
        longs[T_NS], longs[T_INGEST_NS], longs[COUNT], longs[ADJUST_NS],
        words[DEVICE], words[BOOT], words[FLAGS], words[REASON],
    )


def join_rows(parts: Sequence[Rows]) -> Rows:
    """All rows of `parts`, which are of one kind, one part after the other, in fresh tables."""
    return Rows(
        parts[0].kind, np.concatenate([part.longs for part in parts], axis=1),
        np.concatenate([part.words for part in parts], axis=1),
    )


@njit(cache=True)
def in_record_order(longs: NDArray[np.int64], words: NDArray[np.uint32]) -> bool:
    """Whether rows are in the order that a record promises: (device, boot, seq)."""
    device, boot, count = words[DEVICE], words[BOOT], longs[COUNT]
    for i in range(1, device.size):
        if device[i] != device[i - 1]:
            if device[i] < device[i - 1]:
                return False
        elif boot[i] != boot[i - 1]:
            if boot[i] < boot[i - 1]:
                return False
        elif count[i] & SEQ_MASK < count[i - 1] & SEQ_MASK:
            return False
    return True


def in_order(parts: Sequence[Rows]) -> SampleBlock:
    """Stretches of rows as one block in the order that a record promises."""
    rows = parts[0] if len(parts) == 1 else join_rows(parts)
    if not in_record_order(rows.longs, rows.words):
        rows = rows.take(np.argsort(rows.device, kind="stable"))
        if not in_record_order(rows.longs, rows.words):
            rows = rows.take(np.lexsort((rows.seq, rows.words[BOOT], rows.device)))
    return rows.block()


def named_rows(prefix: str, rows: Rows) -> dict[str, NDArray[Any]]:
    """The columns of `rows` under names, for a snapshot."""
    longs, words = rows.longs, rows.words
    columns = {
        "device": rows.device, "boot": words[BOOT], "seq": rows.seq, "count": longs[COUNT],
        "t_ns": longs[T_NS], "t_ingest_ns": longs[T_INGEST_NS], "adjust_ns": longs[ADJUST_NS],
        "flags": words[FLAGS], "reason": rows.reason.astype(np.uint8), "values": rows.values,
    }
    return {f"{prefix}/{name}": column for name, column in columns.items()}


def rows_named(prefix: str, kind: Kind, arrays: Mapping[str, NDArray[Any]]) -> Rows:
    """The rows that `named_rows` took apart. Raises KeyError; ValueError if they do not fit."""
    found = {
        name: arrays[f"{prefix}/{name}"]
        for name in ("device", "boot", "count", "t_ns", "t_ingest_ns", "adjust_ns", "flags",
                     "reason", "values")
    }
    rows = no_rows(kind, len(found["device"]))
    for place, name in enumerate(("t_ns", "t_ingest_ns", "count", "adjust_ns")):
        rows.longs[place] = found[name]
    rows.device[:] = found["device"]
    for place, name in ((BOOT, "boot"), (FLAGS, "flags"), (REASON, "reason")):
        rows.words[place] = found[name]
    rows.values[:] = found["values"]
    return rows
