"""Blocks as Arrow IPC streams, written straight from their columns.

What pyarrow writes for blocks of one kind differs only in the number of rows and in the columns
themselves. So its stream of one row is the mould: schema and dictionary messages are repeated byte
for byte, the numbers in the record batch message are set anew, and the columns follow. A record of
a tenth of a second holds some 200 rows in six streams, where making them one by one costs more
than all the work on the rows. `StreamWriter` gives what pyarrow gives, to the byte.

A dictionary names only the devices of its kind: readers go by names.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.ipc import FIXED
from models.telemetry.ipc_tables import field_at, message_at
from models.telemetry.kinds import KINDS, Kind

MOST_PLANS: Final = 512
_END: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class _Mould:
    """Streams of one kind: `prefix` before the record batch message, which is `message` with the
    body's size at `size_at`, the number of rows at `length_at`, and vectors of (rows, nulls) at
    `nodes_at` and of (offset, bytes) at `buffers_at`. `rows`: index in the dictionary by
    roster row, -1 for devices of other kinds."""

    prefix: bytes
    message: bytes
    size_at: int
    length_at: int
    nodes_at: int
    buffers_at: int
    rows: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A record batch message for a number of rows; where its columns lie in the body."""

    message: bytes
    body_bytes: int
    fixed: tuple[int, ...]
    values: int
    stride: int


class StreamWriter:
    """`device_ids[row]` names roster device `row`, `kinds[row]` is its kind.

    Remembers at most `MOST_PLANS` numbers of rows; results do not depend on it.
    """

    def __init__(self, device_ids: Sequence[str], kinds: Sequence[Kind]) -> None:
        assert len(device_ids) == len(kinds), (len(device_ids), len(kinds))
        self._all = list(device_ids)
        self._kinds = list(kinds)
        self._moulds: dict[Kind, _Mould] = {}
        self._plans: dict[tuple[Kind, int], _Plan] = {}

    def write(self, block: SampleBlock) -> bytes:
        """The stream of a block with rows."""
        mould = self._moulds.get(block.kind)
        if mould is None:
            mould = self._moulds[block.kind] = _mould(block.kind, self._all, self._kinds)
        index = mould.rows[block.device]
        if int(block.device.min()) < 0 or int(index.min()) < 0:
            # Rows of a device of another kind: nothing that a source gives, but it can be written.
            return stream_of(to_arrow(block, self._all))
        plan = self._plan(mould, block.kind, len(block))
        body = bytearray(plan.body_bytes)
        columns = (
            index, block.boot, block.seq, block.t_event_ns, block.t_ingest_ns, block.flags
        )
        for at, dtype, column in zip(plan.fixed, FIXED, columns, strict=True):
            np.ndarray((len(block),), dtype, body, at)[:] = column
        shape, strides = block.values.shape, (plan.stride, 4)
        if shape[0]:
            np.ndarray(shape, np.float32, body, plan.values, strides)[:] = block.values
        return b"".join((mould.prefix, plan.message, body, _END))

    def _plan(self, mould: _Mould, kind: Kind, count: int) -> _Plan:
        plan = self._plans.get((kind, count))
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[kind, count] = _plan(mould, kind, count)
        return plan


def stream_of(batch: pa.RecordBatch) -> bytes:
    """An IPC stream of one batch, as pyarrow writes it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _mould(kind: Kind, device_ids: list[str], kinds: list[Kind]) -> _Mould:
    ours = [row for row, one in enumerate(kinds) if one == kind] or list(range(len(kinds)))
    rows = np.full(len(device_ids), -1, np.int32)
    rows[ours] = np.arange(len(ours), dtype=np.int32)
    ids = [device_ids[row] for row in ours]
    stream = stream_of(to_arrow(_one_row(kind), ids))
    begin = message_at(stream, message_at(stream, 0).end).end
    found = message_at(stream, begin)
    message = stream[begin : found.body]
    table = struct.unpack_from("<I", message, 8)[0] + 8
    batch = found.header - begin
    return _Mould(
        stream[:begin], message, _given(message, table, 3), _given(message, batch, 0),
        _vector(message, batch, 1), _vector(message, batch, 2), rows,
    )


def _one_row(kind: Kind) -> SampleBlock:
    one = np.ones(1, np.int64)
    return SampleBlock(
        kind, np.zeros(1, np.int32), one.astype(np.uint32), one.astype(np.uint32), one, one,
        one.astype(np.uint32), np.ones((len(KINDS[kind].channels), 1), np.float32),
    )


def _given(message: bytes, table: int, number: int) -> int:
    at = field_at(message, table, number)
    assert at is not None, number
    return at


def _vector(message: bytes, table: int, number: int) -> int:
    """Where the first struct of a vector is."""
    at = _given(message, table, number)
    return int(at + struct.unpack_from("<I", message, at)[0]) + 4


def _plan(mould: _Mould, kind: Kind, count: int) -> _Plan:
    channels = len(KINDS[kind].channels)
    widths = [np.dtype(dtype).itemsize for dtype in FIXED] + [4] * channels
    places: list[int] = []
    buffers: list[int] = []
    end = 0
    for width in widths:
        # No row is null: a column's first buffer, its validity, is empty.
        buffers += [end, 0, end, width * count]
        places.append(end)
        end += -(-width * count // 8) * 8
    message = bytearray(mould.message)
    struct.pack_into("<q", message, mould.size_at, end)
    struct.pack_into("<q", message, mould.length_at, count)
    struct.pack_into(f"<{2 * len(widths)}q", message, mould.nodes_at, *[count, 0] * len(widths))
    struct.pack_into(f"<{len(buffers)}q", message, mould.buffers_at, *buffers)
    fixed = len(FIXED)
    values = places[fixed] if channels else end
    return _Plan(bytes(message), end, tuple(places[:fixed]), values, -(-4 * count // 8) * 8)
