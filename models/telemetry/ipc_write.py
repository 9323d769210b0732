"""Blocks as Arrow IPC streams, written straight from their columns.

What pyarrow writes for blocks of one kind differs only in the number of rows and in the columns
themselves. So its stream of one row is the mould: schema and dictionary messages are repeated byte
for byte, the numbers in the record batch message are set anew, and the columns follow. A record of
a tenth of a second holds some 200 rows in six streams, where making them one by one costs more
than all the work on the rows. `StreamWriter` gives what pyarrow gives, to the byte.

A dictionary names only the devices of its kind: readers go by names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.ipc_mould import ALIGN, END, Mould, cast, mould_of, stream_of
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.wire_block import FIXED

MOST_PLANS: Final = 512
Piece = bytes | memoryview
_VALUE_BYTES: Final = 4
# What `column.min()` comes to, without the two calls in between.
_lowest: Final = np.minimum.reduce


@dataclass(frozen=True, slots=True)
class _Kind:
    """The mould of one kind's streams; `rows`: index in the dictionary by roster row, -1 for
    devices of other kinds."""

    mould: Mould
    rows: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """A record batch message for a number of rows, and what it takes with its body; of each fixed
    column its type and the zeros after it; how many zero values follow each channel."""

    message: bytes
    batch_bytes: int
    fixed: tuple[tuple[np.dtype[Any], bytes], ...]
    gap: int

    @property
    def code_pad(self) -> bytes:
        """The zeros after a column of int32."""
        return self.fixed[0][1]


class StreamWriter:
    """`device_ids[row]` names roster device `row`, `kinds[row]` is its kind.

    Remembers at most `MOST_PLANS` numbers of rows; results do not depend on it.
    """

    def __init__(self, device_ids: Sequence[str], kinds: Sequence[Kind]) -> None:
        assert len(device_ids) == len(kinds), (len(device_ids), len(kinds))
        self._all = list(device_ids)
        self._kinds = list(kinds)
        self._moulds: dict[Kind, _Kind] = {}
        self._plans: dict[tuple[Kind, int], BatchPlan] = {}

    def write(self, block: SampleBlock) -> bytes:
        """The stream of a block with rows."""
        return b"".join(self.pieces(block)[0])

    def pieces(self, block: SampleBlock) -> tuple[list[Piece], int]:
        """The stream of a block with rows in pieces that follow each other, some of them the
        block's own memory, and its bytes: whoever joins many streams copies columns once only."""
        known = self._moulds.get(block.kind)
        if known is None:
            known = self._moulds[block.kind] = _kind(block.kind, self._all, self._kinds)
        index = known.rows.take(block.device)
        if _lowest(index) < 0:
            # Rows of a device of another kind: nothing that a source gives, but it can be written.
            stream = stream_of(to_arrow(block, self._all))
            return [stream], len(stream)
        key = (block.kind, len(index))
        plan = self._plans.get(key) or self._plan(known.mould, *key)
        prefix = known.mould.prefix
        size = len(prefix) + plan.batch_bytes + len(END)
        return [prefix, *batch_pieces(block, index, plan), END], size

    def _plan(self, mould: Mould, kind: Kind, count: int) -> BatchPlan:
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        plan = self._plans[kind, count] = plan_batch(mould, kind, count)
        return plan


def _kind(kind: Kind, device_ids: list[str], kinds: list[Kind]) -> _Kind:
    ours = [row for row, one in enumerate(kinds) if one == kind] or list(range(len(kinds)))
    # One more than there are devices: row -1, no device at all, is none of this kind either.
    rows = np.full(len(device_ids) + 1, -1, np.int32)
    rows[ours] = np.arange(len(ours), dtype=np.int32)
    ids = [device_ids[row] for row in ours]
    return _Kind(mould_of(stream_of(to_arrow(one_row(kind), ids))), rows)


def one_row(kind: Kind) -> SampleBlock:
    """A row of device 0 to make a mould of; nothing in it is null or nought."""
    one = np.ones(1, np.int64)
    return SampleBlock(
        kind, np.zeros(1, np.int32), one.astype(np.uint32), one.astype(np.uint32), one, one,
        one.astype(np.uint32), np.ones((len(KINDS[kind].channels), 1), np.float32),
    )


def plan_batch(mould: Mould, kind: Kind, count: int, codes: int = 0) -> BatchPlan:
    """The plan for `count` rows of a kind; so many columns of int32 follow the channels."""
    widths = [np.dtype(dtype).itemsize for dtype in FIXED.values()]
    widths += [_VALUE_BYTES] * (len(KINDS[kind].channels) + codes)
    # No row is null: a column's first buffer, its validity, is empty.
    made = cast(mould, count, [size for width in widths for size in (0, width * count)])
    fixed = tuple(
        (np.dtype(dtype), bytes(-np.dtype(dtype).itemsize * count % ALIGN))
        for dtype in FIXED.values()
    )
    gap = -count % (ALIGN // _VALUE_BYTES)
    return BatchPlan(made.message, len(made.message) + made.body_bytes, fixed, gap)


def batch_pieces(block: SampleBlock, index: NDArray[np.int32], plan: BatchPlan) -> list[Piece]:
    """The record batch message of `block`, whose devices are numbered by `index`, and its body."""
    columns = (
        index.view(np.uint32), block.boot, block.seq, block.t_event_ns, block.t_ingest_ns,
        block.flags,
    )
    pieces: list[Piece] = [plan.message]
    for column, (dtype, pad) in zip(columns, plan.fixed, strict=True):
        pieces.append(np.ascontiguousarray(column, dtype).data)
        if pad:
            pieces.append(pad)
    if plan.gap:
        padded = np.zeros((len(block.values), len(index) + plan.gap), np.float32)
        padded[:, : len(index)] = block.values
        pieces.append(padded.data)
    else:
        pieces.append(np.ascontiguousarray(block.values, np.float32).data)
    return pieces
