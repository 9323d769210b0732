"""Arrow IPC messages and their FlatBuffers tables, read without a general reader.

Arrow columnar format, "Encapsulated message format" and Message.fbs; little-endian. Every function
raises struct.error, IndexError or ValueError on bytes that are not what it reads.
"""

import struct
from dataclasses import dataclass
from typing import Final

DICTIONARY: Final = 2
RECORDS: Final = 3
"""Kinds of message (`Message.header_type`)."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message at `begin`: its kind of header, where its table is, its body, and its end."""

    header_type: int
    header: int
    body: int
    end: int


def message_at(data: bytes, begin: int) -> Message:
    """Raises struct.error, ValueError on bytes that are no message."""
    mark, size = struct.unpack_from("<Ii", data, begin)
    if mark != 0xFFFFFFFF or size <= 0:
        raise ValueError("no message here")
    table = begin + 8 + struct.unpack_from("<I", data, begin + 8)[0]
    sort, header, length = (field_at(data, table, n) for n in (1, 2, 3))
    if sort is None or header is None:
        raise ValueError("a message without a header")
    body = begin + 8 + size
    span = struct.unpack_from("<q", data, length)[0] if length is not None else 0
    if span < 0 or body + span > len(data):
        raise ValueError("the body is cut short")
    return Message(
        data[sort], header + struct.unpack_from("<I", data, header)[0], body, body + span
    )


def field_at(data: bytes, table: int, number: int) -> int | None:
    """Where field `number` of a FlatBuffers table is, None when it has its default."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0:
        raise ValueError("a table outside")
    slot = 4 + 2 * number
    if slot >= struct.unpack_from("<H", data, vtable)[0]:
        return None
    offset = struct.unpack_from("<H", data, vtable + slot)[0]
    return table + offset if offset else None


def batch_at(data: bytes, table: int) -> tuple[int, int, list[tuple[int, int]]]:
    """Rows, nulls in all columns, and (offset, bytes) of every buffer of a RecordBatch table.
    Raises ValueError for compressed ones."""
    length, nodes, buffers, packed = (field_at(data, table, n) for n in range(4))
    if nodes is None or buffers is None or packed is not None:
        raise ValueError("not plain")
    count = struct.unpack_from("<q", data, length)[0] if length is not None else 0
    nulls = sum(pairs_at(data, nodes)[1::2])
    flat = pairs_at(data, buffers)
    return count, nulls, list(zip(flat[::2], flat[1::2], strict=True))


def pairs_at(data: bytes, at: int) -> tuple[int, ...]:
    """A vector of structs of two int64."""
    vector = at + struct.unpack_from("<I", data, at)[0]
    (count,) = struct.unpack_from("<I", data, vector)
    if not 0 <= 16 * count <= len(data):
        raise ValueError("a vector outside")
    return struct.unpack_from(f"<{2 * count}q", data, vector + 4)
