"""The mould of Arrow IPC streams of one batch each that differ in rows and buffers only.

What pyarrow writes for two batches of one schema and dictionaries differs in numbers of the record
batch message (rows, nulls, where each buffer lies) and in the body: the buffers one after the
other, each padded to 8 bytes (Arrow columnar format, "Encapsulated message format"; Message.fbs).
So one stream is the mould of the others: all before the record batch message is repeated byte for
byte, and the numbers are set anew.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from models.telemetry.ipc_tables import DICTIONARY, RECORDS, Message, field_at, message_at

ALIGN: Final = 8
END: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class Mould:
    """`prefix` before a message with a record batch, which is `message` with the body's size at
    `size_at`, rows at `length_at`, vectors of (rows, nulls) of `columns` at `nodes_at` and of
    (offset, bytes) of buffers at `buffers_at`."""

    prefix: bytes
    message: bytes
    size_at: int
    length_at: int
    nodes_at: int
    buffers_at: int
    columns: int


@dataclass(frozen=True, slots=True)
class Cast:
    """A record batch message; `places` where its buffers lie in a body of `body_bytes`."""

    message: bytes
    places: tuple[int, ...]
    body_bytes: int


def stream_of(batch: pa.RecordBatch) -> bytes:
    """An IPC stream of one batch, as pyarrow writes it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def mould_of(stream: bytes) -> Mould:
    """The mould that a stream of one batch with rows is. Raises struct.error, IndexError,
    ValueError where it is none."""
    found = message_at(stream, begin := 0)
    while found.header_type != RECORDS:
        found = message_at(stream, begin := found.end)
    return _mould(stream, begin, found, found.header)


def dictionary_mould(stream: bytes) -> tuple[Mould, int]:
    """The mould that the first dictionary message of a stream is, and where the message ends.
    Raises what `mould_of` raises."""
    begin = message_at(stream, 0).end
    found = message_at(stream, begin)
    if found.header_type != DICTIONARY:
        raise ValueError("no dictionary after the schema")
    table = _given(stream, found.header, 1)
    batch = table + struct.unpack_from("<I", stream, table)[0]
    return _mould(stream, begin, found, batch), found.end


def _mould(stream: bytes, begin: int, found: Message, batch: int) -> Mould:
    message = stream[begin : found.body]
    batch -= begin
    table = 8 + struct.unpack_from("<I", message, 8)[0]
    nodes = _vector(message, batch, 1)
    (columns,) = struct.unpack_from("<I", message, nodes - 4)
    return Mould(
        stream[:begin], message, _given(message, table, 3), _given(message, batch, 0), nodes,
        _vector(message, batch, 2), columns,
    )


def cast(mould: Mould, rows: int, sizes: Sequence[int], nulls: int = 0) -> Cast:
    """The message for so many rows, with `nulls` in the last column and none elsewhere, whose
    buffers have `sizes` bytes, those of validity included (0 where nothing is null)."""
    buffers: list[int] = []
    end = 0
    for size in sizes:
        buffers += [end, size]
        end += -(-size // ALIGN) * ALIGN
    nodes = [rows, 0] * mould.columns
    nodes[-1] = nulls
    message = bytearray(mould.message)
    struct.pack_into("<q", message, mould.size_at, end)
    struct.pack_into("<q", message, mould.length_at, rows)
    struct.pack_into(f"<{len(nodes)}q", message, mould.nodes_at, *nodes)
    struct.pack_into(f"<{len(buffers)}q", message, mould.buffers_at, *buffers)
    return Cast(bytes(message), tuple(buffers[::2]), end)


def _given(message: bytes, table: int, number: int) -> int:
    at = field_at(message, table, number)
    if at is None:
        raise ValueError(f"no field {number}")
    return at


def _vector(message: bytes, table: int, number: int) -> int:
    """Where the first struct of a vector is."""
    at = _given(message, table, number)
    return int(at + struct.unpack_from("<I", message, at)[0]) + 4
