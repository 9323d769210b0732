"""Columns straight out of an Arrow IPC stream, for readers that meet the same schema all the time.

A record of a tenth of a second holds some 200 rows in seven streams; opening each with a general
reader costs more than all the work on the rows. Here the schema and dictionary messages, which a
writer repeats byte for byte, are looked up, and only the record batch message is parsed: Arrow
columnar format, "Encapsulated message format" and Message.fbs (FlatBuffers, little-endian).
Whatever is not the plain case (nulls, compression, another schema) is left to pyarrow. Lean streams
(`models.telemetry.ipc_write`) are plain, too.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import SchemaError
from models.telemetry.arrow import first_block, kind_of, schema_of
from models.telemetry.block import SampleBlock
from models.telemetry.ipc_tables import DICTIONARY, RECORDS, batch_at, field_at, message_at
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.wire_block import FIXED, Plan, WireBlock, whole_block

MOST_LAYOUTS: Final = 64
MOST_PLANS: Final = 8192


@dataclass(frozen=True, slots=True)
class _Layout:
    """What schema and dictionary messages say: kind, roster row by dictionary index, and which
    channels of the kind there are, None for all of them."""

    kind: Kind
    rows: NDArray[np.int32]
    channels: tuple[int, ...] | None


class StreamReader:
    """Blocks of IPC streams of one sender; `rows_of` maps device ids of each kind to rows.

    Remembers at most `MOST_LAYOUTS` pairs of schema and dictionary, and all readers together
    `MOST_PLANS` batch layouts (one for each number of rows); results do not depend on it.
    """

    def __init__(self, rows_of: dict[Kind, dict[str, int]]) -> None:
        self._rows_of = rows_of
        self._layouts: dict[bytes, _Layout | None] = {}
        self._last: dict[Kind, bytes] = {}

    def read(
        self, data: bytes, kind: Kind, begin: int = 0, end: int | None = None
    ) -> SampleBlock:
        """The first batch of the stream in data[begin:end]. Raises what `first_block` raises."""
        end = len(data) if end is None else end
        block = self._plain(data, kind, begin, end)
        if block is not None:
            return block
        return first_block(data[begin:end], self._rows_of.get(kind, {}))

    def _plain(self, data: bytes, kind: Kind, begin: int, end: int) -> SampleBlock | None:
        """The block, or None where this is not the plain case (or not a stream at all)."""
        try:
            prefix = self._last.get(kind, b"")
            if not prefix or not data.startswith(prefix, begin, end):
                stream = data[begin:end]
                names = message_at(stream, message_at(stream, 0).end)
                if names.header_type != DICTIONARY:
                    return None
                prefix = self._last[kind] = stream[: names.end]
            layout = self._layout(prefix)
            if layout is None:
                return None
            at = begin + len(prefix)
            (size,) = struct.unpack_from("<i", data, at + 4)
            some = layout.channels
            channels = len(KINDS[layout.kind].channels if some is None else some)
            plan = _plan(data[at : min(at + 8 + size, end)], channels)
            if plan is None:
                return None
            at += 8 + size
            if at + plan.body_bytes > end:
                return None
            body = data[at : at + plan.body_bytes]
            if some is not None:
                return whole_block(layout.kind, body, plan, layout.rows, some)
            return WireBlock(layout.kind, body, plan, layout.rows)
        except (struct.error, IndexError, ValueError):
            return None

    def _layout(self, prefix: bytes) -> _Layout | None:
        if prefix not in self._layouts:
            if len(self._layouts) >= MOST_LAYOUTS:
                self._layouts.clear()
            self._layouts[prefix] = self._learn(prefix)
        return self._layouts[prefix]

    def _learn(self, prefix: bytes) -> _Layout | None:
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(prefix))
            kind = kind_of(schema)
            channels = _channels_of(schema, kind)
            names = _dictionary_of(prefix, schema)
        except (pa.ArrowException, SchemaError, OSError, LookupError, ValueError, struct.error):
            return None
        rows = self._rows_of.get(kind, {})
        return _Layout(kind, np.array([rows.get(name, -1) for name in names], np.int32), channels)


def _channels_of(schema: pa.Schema, kind: Kind) -> tuple[int, ...] | None:
    """The channels of a kind that a stream has, None for all. Raises ValueError where it is not as
    we write it."""
    whole, channels = schema_of(kind), KINDS[kind].channels
    if schema.equals(whole):
        return None
    found = set(schema.names)
    here = tuple(
        c for c, channel in enumerate(channels) if channel.name in found or not channel.nullable
    )
    fields = [whole.field(at) for at in (*range(len(FIXED)), *(len(FIXED) + c for c in here))]
    if not here or not schema.equals(pa.schema(fields)):
        raise ValueError("an unusual schema")
    return here


def _dictionary_of(prefix: bytes, schema: pa.Schema) -> list[str]:
    """The device ids in the dictionary message that ends `prefix`."""
    message = message_at(prefix, message_at(prefix, 0).end)
    table = field_at(prefix, message.header, 1)
    if table is None:
        raise ValueError("a dictionary without data")
    batch = table + struct.unpack_from("<I", prefix, table)[0]
    count, nulls, buffers = batch_at(prefix, batch)
    if nulls or len(buffers) != 3:
        raise ValueError("an unusual dictionary")
    body = prefix[message.body : message.end]
    columns = [pa.py_buffer(body[at : at + size]) if size else None for at, size in buffers]
    texts = pa.Array.from_buffers(schema.field("device_id").type.value_type, count, columns)
    # Offsets that lead nowhere would be followed.
    texts.validate(full=True)
    found: list[str] = texts.to_pylist()
    return found


@lru_cache(MOST_PLANS)
def _plan(metadata: bytes, channels: int) -> Plan | None:
    """The layout that the metadata of a record batch message tells, None if it is not plain."""
    mark, size, at = struct.unpack_from("<IiI", metadata, 0)
    if mark != 0xFFFFFFFF or size != len(metadata) - 8:
        return None
    sort, header, length = (field_at(metadata, 8 + at, n) for n in (1, 2, 3))
    if sort is None or header is None or length is None or metadata[sort] != RECORDS:
        return None
    (body_bytes,) = struct.unpack_from("<q", metadata, length)
    table = header + struct.unpack_from("<I", metadata, header)[0]
    count, nulls, buffers = batch_at(metadata, table)
    if nulls or count <= 0 or len(buffers) != 2 * (len(FIXED) + channels) or body_bytes % 8:
        return None
    data = buffers[1::2]
    sizes = [np.dtype(d).itemsize for d in FIXED.values()] + [4] * channels
    if any(
        at < 0 or at % width or length < count * width or at + length > body_bytes
        for (at, length), width in zip(data, sizes, strict=True)
    ):
        return None
    places = [at for at, _ in data[len(FIXED) :]]
    steps = {b - a for a, b in pairwise(places)} or {4 * count}
    if len(steps) != 1:
        return None
    fixed = tuple(at for at, _ in data[: len(FIXED)])
    return Plan(count, body_bytes, fixed, places[0], steps.pop())
