"""Rows: the edge's working set of one kind, and the order in which it is worked through.

A `SampleBlock` with three columns more: `count` the unwrapped counter, `adjust_ns` what clock
correction has added to `t_ns`, and `reason` (u8, 0 = good). Order of work: by stream, then tick,
boot and counter: the tick comes before the counter, so that rows that a clock puts into another
tick are worked through in that tick, however the stream was cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.columns import frozen
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind

COLUMNS: Final = (
    ("device", np.int32), ("boot", np.uint32), ("seq", np.uint32), ("count", np.int64),
    ("t_ns", np.int64), ("t_ingest_ns", np.int64), ("adjust_ns", np.int64), ("flags", np.uint32),
    ("reason", np.uint8),
)
_MOVES_PER_ROW: Final = 16


@dataclass(frozen=True, slots=True)
class Rows:
    """n rows of `kind`; `values` (C, n) float32. Arrays belong to the edge and may be written."""

    kind: Kind
    device: NDArray[np.int32]
    boot: NDArray[np.uint32]
    seq: NDArray[np.uint32]
    count: NDArray[np.int64]
    t_ns: NDArray[np.int64]
    t_ingest_ns: NDArray[np.int64]
    adjust_ns: NDArray[np.int64]
    flags: NDArray[np.uint32]
    reason: NDArray[np.uint8]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.device.shape[0])

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "Rows":
        """Copies of the rows selected, in that order (views for a slice)."""
        if isinstance(rows, slice):
            views: list[Any] = [getattr(self, name)[rows] for name, _ in COLUMNS]
            return _rows(self.kind, views, self.values[:, rows])
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        columns: list[Any] = [getattr(self, name).take(index) for name, _ in COLUMNS]
        return _rows(self.kind, columns, self.values.take(index, axis=1))

    def block(self) -> SampleBlock:
        """These rows as a sample block, sharing memory."""
        return SampleBlock(
            self.kind, self.device, self.boot, self.seq, self.t_ns, self.t_ingest_ns, self.flags,
            self.values,
        )


def no_rows(kind: Kind) -> Rows:
    """Rows of `kind` without any row."""
    columns: list[Any] = [np.empty(0, dtype) for _, dtype in COLUMNS]
    return _rows(kind, columns, np.empty((len(KINDS[kind].channels), 0), np.float32))


def join_rows(parts: Sequence[Rows]) -> Rows:
    """All rows of `parts`, which are of one kind, one part after the other, in fresh arrays."""
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name, _ in COLUMNS]
    values = np.concatenate([part.values for part in parts], axis=1)
    return _rows(parts[0].kind, columns, values)


def _rows(kind: Kind, columns: list[Any], values: NDArray[np.float32]) -> Rows:
    device, boot, seq, count, t_ns, t_ingest_ns, adjust_ns, flags, reason = columns
    return Rows(
        kind, device, boot, seq, count, t_ns, t_ingest_ns, adjust_ns, flags, reason, values
    )


def split_rows(
    rows: Rows, first: NDArray[np.int64], upto_ns: int, tick_ns: int
) -> tuple[Rows, Rows]:
    """(rows before `upto_ns` in order of work, the others as they were).

    first (D,) names the stream of a device row.
    """
    ready, in_order = _ready_rows(
        first, frozen(rows.device), frozen(rows.boot), frozen(rows.count), frozen(rows.t_ns),
        upto_ns, tick_ns,
    )
    if not in_order:
        order = np.lexsort((
            rows.count[ready], rows.boot[ready], rows.t_ns[ready] // tick_ns,
            first[rows.device[ready]],
        ))
        ready = ready[order]
    if len(ready) == len(rows):
        return rows.take(ready), no_rows(rows.kind)
    return rows.take(ready), rows.take(rows.t_ns >= upto_ns)


@njit(cache=True)
def _goes_before(
    boot: NDArray[np.uint32], count: NDArray[np.int64], t_ns: NDArray[np.int64], tick_ns: int,
    i: int, j: int,
) -> bool:
    if t_ns[i] != t_ns[j]:
        tick_i, tick_j = t_ns[i] // tick_ns, t_ns[j] // tick_ns
        if tick_i != tick_j:
            return tick_i < tick_j
    if boot[i] != boot[j]:
        return boot[i] < boot[j]
    return count[i] < count[j]


@njit(cache=True)
def _ready_rows(
    first: NDArray[np.int64], device: NDArray[np.int32], boot: NDArray[np.uint32],
    count: NDArray[np.int64], t_ns: NDArray[np.int64], upto_ns: int, tick_ns: int,
) -> tuple[NDArray[np.int64], bool]:
    """Rows before `upto_ns`, by stream; and whether each stream could be put in order cheaply.

    A counting sort by stream, then insertion: arrival order is nearly order of work. Hostile input
    would make insertion quadratic, so it gives up beyond a budget of moves.
    """
    place = np.zeros(first.size + 1, np.int64)
    for i in range(device.size):
        if t_ns[i] < upto_ns:
            place[first[device[i]] + 1] += 1
    for row in range(first.size):
        place[row + 1] += place[row]
    begin = place.copy()
    ready = np.empty(place[first.size], np.int64)
    for i in range(device.size):
        if t_ns[i] < upto_ns:
            row = first[device[i]]
            ready[place[row]] = i
            place[row] += 1
    budget = _MOVES_PER_ROW * ready.size + 1024
    for row in range(first.size):
        for at in range(begin[row] + 1, begin[row + 1]):
            i, j = ready[at], ready[at - 1]
            if boot[i] == boot[j] and count[i] > count[j] and t_ns[i] >= t_ns[j]:
                continue
            hole = at
            while hole > begin[row] and _goes_before(
                boot, count, t_ns, tick_ns, i, ready[hole - 1]
            ):
                ready[hole] = ready[hole - 1]
                hole -= 1
                budget -= 1
                if budget < 0:
                    # The row in hand must go back, or it would be lost.
                    ready[hole] = i
                    return ready, False
            ready[hole] = i
    return ready, True


@njit(cache=True)
def in_record_order(
    device: NDArray[np.int32], boot: NDArray[np.uint32], seq: NDArray[np.uint32]
) -> bool:
    """Whether rows are in the order that a record promises: (device, boot, seq)."""
    for i in range(1, device.size):
        if device[i] != device[i - 1]:
            if device[i] < device[i - 1]:
                return False
        elif boot[i] != boot[i - 1]:
            if boot[i] < boot[i - 1]:
                return False
        elif seq[i] < seq[i - 1]:
            return False
    return True


def in_order(parts: Sequence[Rows]) -> SampleBlock:
    """Stretches of rows as one block in the order that a record promises."""
    rows = parts[0] if len(parts) == 1 else join_rows(parts)
    if not in_record_order(frozen(rows.device), frozen(rows.boot), frozen(rows.seq)):
        rows = rows.take(np.argsort(rows.device, kind="stable"))
        if not in_record_order(frozen(rows.device), frozen(rows.boot), frozen(rows.seq)):
            rows = rows.take(np.lexsort((rows.seq, rows.boot, rows.device)))
    return rows.block()


def named_rows(prefix: str, rows: Rows) -> dict[str, NDArray[Any]]:
    """The arrays of `rows` under names, for a snapshot."""
    named = {f"{prefix}/{name}": getattr(rows, name) for name, _ in COLUMNS}
    return {**named, f"{prefix}/values": rows.values}


def rows_named(prefix: str, kind: Kind, arrays: Mapping[str, NDArray[Any]]) -> Rows:
    """The rows that `named_rows` took apart. Raises KeyError."""
    columns = [arrays[f"{prefix}/{name}"] for name, _ in COLUMNS]
    return _rows(kind, columns, arrays[f"{prefix}/values"])
