"""How large Arrow IPC streams become when their compressed buffers are unpacked, before they are.

A reader allocates what each buffer says of itself, and a few kilobytes may say gigabytes. Arrow
columnar format, "Compression": a compressed buffer begins with its unpacked length, int64
little-endian, -1 where the rest is not compressed.
"""

import struct

import pyarrow as pa

from models.errors import SchemaError
from models.telemetry.ipc_tables import DICTIONARY, RECORDS, field_at, pairs_at


def unpacked_bytes(payload: bytes, bound: int) -> int:
    """Bytes of all compressed buffers in `payload` once unpacked; counting ends beyond `bound`.

    What a reader could not read any further is not counted. Raises SchemaError where a message
    can be read and its buffers cannot be told.
    """
    source, total = pa.BufferReader(payload), 0
    while source.tell() < len(payload) and total <= bound:
        at = source.tell()
        reader = pa.ipc.MessageReader.open_stream(source)
        while total <= bound:
            try:
                message = reader.read_next_message()
            except StopIteration:
                break
            except (pa.ArrowException, OSError):
                return total  # the reader proper says what is wrong here
            total += _message_bytes(message)
        if source.tell() <= at:
            break
    return total


def _message_bytes(message: pa.Message) -> int:
    try:
        spans = _packed(message.metadata.to_pybytes())
    except (struct.error, IndexError, ValueError) as error:
        raise SchemaError("wrong_format", f"a message that cannot be told: {error}") from error
    if not spans:
        return 0
    body, total = message.body, 0
    for at, size in spans:
        if size == 0:
            continue
        if at < 0 or size < 8 or at + size > body.size:
            raise SchemaError("wrong_format", "a buffer outside its message")
        (length,) = struct.unpack("<q", body.slice(at, 8).to_pybytes())
        # An absurd length is as good as any other that is over the bound.
        total += size if length == -1 else length if length >= 0 else 2**63 - 1
    return total


def _packed(metadata: bytes) -> list[tuple[int, int]]:
    """(offset, bytes) of the buffers of a compressed batch; nothing where it is not compressed."""
    (table,) = struct.unpack_from("<I", metadata, 0)
    sort, header = (field_at(metadata, table, n) for n in (1, 2))
    if sort is None or header is None or metadata[sort] not in (DICTIONARY, RECORDS):
        return []
    batch = header + struct.unpack_from("<I", metadata, header)[0]
    if metadata[sort] == DICTIONARY:
        data = field_at(metadata, batch, 1)
        if data is None:
            return []
        batch = data + struct.unpack_from("<I", metadata, data)[0]
    buffers, packed = (field_at(metadata, batch, n) for n in (2, 3))
    if packed is None or buffers is None:
        return []
    flat = pairs_at(metadata, buffers)
    return list(zip(flat[::2], flat[1::2], strict=True))
