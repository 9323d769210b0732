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
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.ipc_mould import ALIGN, END, Mould, cast, mould_of, stream_of
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.wire_block import FIXED

MOST_PLANS: Final = 512


@dataclass(frozen=True, slots=True)
class _Kind:
    """The mould of one kind's streams; `rows`: index in the dictionary by roster row, -1 for
    devices of other kinds."""

    mould: Mould
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
        self._moulds: dict[Kind, _Kind] = {}
        self._plans: dict[tuple[Kind, int], _Plan] = {}

    def write(self, block: SampleBlock) -> bytes:
        """The stream of a block with rows."""
        known = self._moulds.get(block.kind)
        if known is None:
            known = self._moulds[block.kind] = _kind(block.kind, self._all, self._kinds)
        index = known.rows[block.device]
        if int(block.device.min()) < 0 or int(index.min()) < 0:
            # Rows of a device of another kind: nothing that a source gives, but it can be written.
            return stream_of(to_arrow(block, self._all))
        plan = self._plan(known.mould, block.kind, len(block))
        body = bytearray(plan.body_bytes)
        columns = (
            index, block.boot, block.seq, block.t_event_ns, block.t_ingest_ns, block.flags
        )
        for at, dtype, column in zip(plan.fixed, FIXED.values(), columns, strict=True):
            np.ndarray((len(block),), dtype, body, at)[:] = column
        shape, strides = block.values.shape, (plan.stride, 4)
        if shape[0]:
            np.ndarray(shape, np.float32, body, plan.values, strides)[:] = block.values
        return b"".join((known.mould.prefix, plan.message, body, END))

    def _plan(self, mould: Mould, kind: Kind, count: int) -> _Plan:
        plan = self._plans.get((kind, count))
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[kind, count] = _plan(mould, kind, count)
        return plan


def _kind(kind: Kind, device_ids: list[str], kinds: list[Kind]) -> _Kind:
    ours = [row for row, one in enumerate(kinds) if one == kind] or list(range(len(kinds)))
    rows = np.full(len(device_ids), -1, np.int32)
    rows[ours] = np.arange(len(ours), dtype=np.int32)
    ids = [device_ids[row] for row in ours]
    return _Kind(mould_of(stream_of(to_arrow(_one_row(kind), ids))), rows)


def _one_row(kind: Kind) -> SampleBlock:
    one = np.ones(1, np.int64)
    return SampleBlock(
        kind, np.zeros(1, np.int32), one.astype(np.uint32), one.astype(np.uint32), one, one,
        one.astype(np.uint32), np.ones((len(KINDS[kind].channels), 1), np.float32),
    )


def _plan(mould: Mould, kind: Kind, count: int) -> _Plan:
    channels = len(KINDS[kind].channels)
    widths = [np.dtype(dtype).itemsize for dtype in FIXED.values()] + [4] * channels
    # No row is null: a column's first buffer, its validity, is empty.
    made = cast(mould, count, [size for width in widths for size in (0, width * count)])
    places, fixed = made.places[1::2], len(FIXED)
    values = places[fixed] if channels else made.body_bytes
    stride = -(-4 * count // ALIGN) * ALIGN
    return _Plan(made.message, made.body_bytes, places[:fixed], values, stride)
