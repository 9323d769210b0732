"""Blocks as Arrow IPC streams, written straight from their columns.

What pyarrow writes for blocks of one kind differs only in the number of rows and in the columns
themselves. So its stream of one row is the mould: schema and dictionary messages are repeated byte
for byte, the numbers in the record batch message are set anew, and the columns follow. A record of
a tenth of a second holds some 200 rows in six streams, where making them one by one costs more
than all the work on the rows. `StreamWriter` gives what pyarrow gives, to the byte.

A dictionary names only the devices of its kind: readers go by names. *Lean* streams leave out the
channels that no row has, if rows may do without them: a sensor without a magnetometer sends a third
less. Readers take a missing channel for one that nobody has sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.ipc_mould import ALIGN, END, Mould, cast, mould_of, stream_of
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.wire_block import FIXED

MOST_PLANS: Final = 512
MOST_MOULDS: Final = 128
Piece = bytes | memoryview
_VALUE_BYTES: Final = 4
# What `column.min()` comes to, without the two calls in between.
_lowest: Final = np.minimum.reduce


Channels = tuple[int, ...]
"""The channels that a stream has, by their places in their kind."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What all streams of a kind have: `ids` of its dictionary, and `rows` the index in it by
    roster row, -1 for devices of other kinds."""

    ids: list[str]
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

    Remembers at most `MOST_PLANS` numbers of rows and `MOST_MOULDS` sets of channels; results do
    not depend on it.
    """

    def __init__(self, device_ids: Sequence[str], kinds: Sequence[Kind]) -> None:
        assert len(device_ids) == len(kinds), (len(device_ids), len(kinds))
        self._all = list(device_ids)
        self._kinds = list(kinds)
        self._known: dict[Kind, _Kind] = {}
        self._moulds: dict[tuple[Kind, Channels], Mould] = {}
        self._plans: dict[tuple[Kind, Channels, int], BatchPlan] = {}

    def write(self, block: SampleBlock, lean: bool = False) -> bytes:
        """The stream of a block with rows."""
        return b"".join(self.pieces(block, lean)[0])

    def pieces(self, block: SampleBlock, lean: bool = False) -> tuple[list[Piece], int]:
        """The stream of a block with rows in pieces that follow each other, some of them the
        block's own memory, and its bytes: whoever joins many streams copies columns once only."""
        known = self._known.get(block.kind)
        if known is None:
            known = self._known[block.kind] = _kind(block.kind, self._all, self._kinds)
        index = known.rows.take(block.device)
        channels = spoken(block) if lean else every_channel(block.kind)
        if _lowest(index) < 0:
            # Rows of a device of another kind: nothing that a source gives, but it can be written.
            stream = stream_of(with_channels(to_arrow(block, self._all), channels))
            return [stream], len(stream)
        mould = self._mould(block.kind, channels)
        key = (block.kind, channels, len(index))
        plan = self._plans.get(key) or self._plan(mould, *key)
        values = block.values
        if len(channels) < len(values):
            values = values.take(channels, axis=0)
        size = len(mould.prefix) + plan.batch_bytes + len(END)
        return [mould.prefix, *batch_pieces(block, index, values, plan), END], size

    def _mould(self, kind: Kind, channels: Channels) -> Mould:
        mould = self._moulds.get((kind, channels))
        if mould is None:
            if len(self._moulds) >= MOST_MOULDS:
                self._moulds.clear()
            one = with_channels(to_arrow(one_row(kind), self._known[kind].ids), channels)
            mould = self._moulds[kind, channels] = mould_of(stream_of(one))
        return mould

    def _plan(self, mould: Mould, kind: Kind, channels: Channels, count: int) -> BatchPlan:
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        plan = self._plans[kind, channels, count] = plan_batch(mould, len(channels), count)
        return plan


@cache
def every_channel(kind: Kind) -> Channels:
    """All channels of a kind."""
    return tuple(range(len(KINDS[kind].channels)))


def spoken(block: SampleBlock) -> Channels:
    """The channels that some row of `block` has, and those that no row can do without."""
    values = block.values
    # Few channels begin with a NaN that have any value: only those are looked through.
    empty = [c for c in np.flatnonzero(np.isnan(values[:, 0])) if np.isnan(values[c]).all()]
    if not empty:
        return every_channel(block.kind)
    channels = KINDS[block.kind].channels
    missing = {c for c in empty if channels[c].nullable}
    return tuple(c for c in range(len(channels)) if c not in missing)


def with_channels(batch: pa.RecordBatch, channels: Channels) -> pa.RecordBatch:
    """`batch` without its other channels."""
    names = batch.schema.names
    first = len(FIXED)
    if len(channels) == len(names) - first:
        return batch
    return batch.select([*names[:first], *(names[first + c] for c in channels)])


def _kind(kind: Kind, device_ids: list[str], kinds: list[Kind]) -> _Kind:
    ours = [row for row, one in enumerate(kinds) if one == kind] or list(range(len(kinds)))
    # One more than there are devices: row -1, no device at all, is none of this kind either.
    rows = np.full(len(device_ids) + 1, -1, np.int32)
    rows[ours] = np.arange(len(ours), dtype=np.int32)
    return _Kind([device_ids[row] for row in ours], rows)


def one_row(kind: Kind) -> SampleBlock:
    """A row of device 0 to make a mould of; nothing in it is null or nought."""
    one = np.ones(1, np.int64)
    return SampleBlock(
        kind, np.zeros(1, np.int32), one.astype(np.uint32), one.astype(np.uint32), one, one,
        one.astype(np.uint32), np.ones((len(KINDS[kind].channels), 1), np.float32),
    )


def plan_batch(mould: Mould, channels: int, count: int, codes: int = 0) -> BatchPlan:
    """The plan for `count` rows of so many channels; `codes` columns of int32 follow them."""
    widths = [np.dtype(dtype).itemsize for dtype in FIXED.values()]
    widths += [_VALUE_BYTES] * (channels + codes)
    # No row is null: a column's first buffer, its validity, is empty.
    made = cast(mould, count, [size for width in widths for size in (0, width * count)])
    fixed = tuple(
        (np.dtype(dtype), bytes(-np.dtype(dtype).itemsize * count % ALIGN))
        for dtype in FIXED.values()
    )
    gap = -count % (ALIGN // _VALUE_BYTES)
    return BatchPlan(made.message, len(made.message) + made.body_bytes, fixed, gap)


def batch_pieces(
    block: SampleBlock, index: NDArray[np.int32], values: NDArray[np.float32], plan: BatchPlan
) -> list[Piece]:
    """The record batch message of `block`, whose devices are numbered by `index`, and its body, in
    which `values` are the channels."""
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
        padded = np.zeros((len(values), len(index) + plan.gap), np.float32)
        padded[:, : len(index)] = values
        pieces.append(padded.data)
    else:
        pieces.append(np.ascontiguousarray(values, np.float32).data)
    return pieces
