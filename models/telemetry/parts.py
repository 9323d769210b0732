"""Bytes of a set of sample blocks: magic, header length, JSON header, one Arrow stream per block.

Owns the container that raw batches and telemetry records share; what the header says is theirs.
The header lists its parts as `{"lane", "kind", "bytes"}` in the order in which they follow it.
"""

import json
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from models.errors import SchemaError
from models.plain_fields import read_json
from models.telemetry.arrow import SCHEMA_VERSION, first_block, to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.ipc import StreamReader
from models.telemetry.ipc_mould import stream_of
from models.telemetry.ipc_write import Piece, StreamWriter, spoken, with_channels
from models.telemetry.kinds import Kind

# `json.dumps` makes an encoder a call, unless all is as usual.
_AS_JSON: Final = json.JSONEncoder(separators=(",", ":")).encode

# `Kind(name)` takes longer than to look a name up.
_KINDS: Final = {str(kind): kind for kind in Kind}

Lanes = dict[str, dict[Kind, SampleBlock]]


def pack(
    magic: bytes, header: Mapping[str, Any], lanes: Mapping[str, Mapping[Kind, SampleBlock]],
    device_ids: list[str], writer: StreamWriter | None = None, lean: bool = False,
) -> bytes:
    """The bytes of `header` and all blocks that have rows; `device_ids[row]` names a device.

    writer: one for these devices, for callers that write many. lean: without the channels that no
    row has (`models.telemetry.ipc_write`).
    """
    parts: list[Piece] = []
    listed: list[dict[str, object]] = []
    for lane, blocks in lanes.items():
        for kind, block in blocks.items():
            if len(block):
                if writer is not None:
                    pieces, size = writer.pieces(block, lean)
                    parts += pieces
                else:
                    batch = to_arrow(block, device_ids)
                    batch = with_channels(batch, spoken(block)) if lean else batch
                    parts.append(body := stream_of(batch))
                    size = len(body)
                listed.append({"lane": lane, "kind": kind, "bytes": size})
    whole = {"schema_v": SCHEMA_VERSION, **header, "parts": listed}
    head = _AS_JSON(whole).encode()
    return b"".join((magic, struct.pack("<I", len(head)), head, *parts))


def unpack_header(magic: bytes, payload: bytes) -> tuple[dict[str, Any], int]:
    """The JSON header and the offset of the first part. Raises SchemaError."""
    if payload[: len(magic)] != magic or len(payload) < len(magic) + 4:
        raise SchemaError("wrong_format", f"does not start with {magic.decode()}")
    start = len(magic) + 4
    (length,) = struct.unpack_from("<I", payload, len(magic))
    if start + length > len(payload):
        raise SchemaError("truncated", f"header of {length} bytes in {len(payload)}")
    try:
        header = read_json(str(payload[start : start + length], "utf-8"))
    except ValueError as error:
        raise SchemaError("wrong_format", "header is not JSON") from error
    version = header.get("schema_v") if isinstance(header, dict) else None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise SchemaError("unknown_version", str(header)[:80])
    return header, start + length


def by_kind(rows_of: Mapping[tuple[str, Kind], int]) -> dict[Kind, dict[str, int]]:
    """device_id -> row, kind by kind."""
    found: dict[Kind, dict[str, int]] = {}
    for (name, kind), row in rows_of.items():
        found.setdefault(kind, {})[name] = row
    return found


def unpack_parts(
    header: Mapping[str, Any], payload: bytes, offset: int, rows_of: Mapping[tuple[str, Kind], int],
    lanes: Iterable[str],
) -> Lanes:
    """The blocks that follow the header, by lane and kind. Raises SchemaError."""
    found: Lanes = {lane: {} for lane in lanes}
    names = by_kind(rows_of)
    view = memoryview(payload)
    try:
        for lane, kind, begin, end in _places(header, payload, offset):
            block = first_block(view[begin:end], names.get(kind, {}))
            found[lane][kind] = _of_kind(block, kind)
    except (LookupError, TypeError, ValueError, StopIteration, pa.ArrowException, OSError) as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error
    return found


def read_lane(
    header: Mapping[str, Any], payload: bytes, offset: int, reader: StreamReader, lane: str,
    kinds: Collection[Kind] | None = None,
) -> dict[Kind, SampleBlock]:
    """The blocks of one lane, by a reader that remembers the shapes of a sender. kinds: only those;
    None: all, and there may be no other lane. Raises SchemaError."""
    blocks: dict[Kind, SampleBlock] = {}
    try:
        for said, kind, begin, end in _places(header, payload, offset):
            if kinds is None and said != lane:
                raise SchemaError("wrong_format", f"part of lane {said}")
            if said == lane and (kinds is None or kind in kinds):
                blocks[kind] = _of_kind(reader.read(payload, kind, begin, end), kind)
    except (LookupError, TypeError, ValueError, StopIteration, pa.ArrowException, OSError) as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error
    return blocks


def _places(
    header: Mapping[str, Any], payload: bytes, offset: int
) -> Iterator[tuple[str, Kind, int, int]]:
    """Lane, kind, begin and end of each part. Raises SchemaError; LookupError, TypeError for a
    header of another shape."""
    for part in header["parts"]:
        end = offset + part["bytes"]
        if part["bytes"] < 0 or end > len(payload):
            raise SchemaError("truncated", f"part of {part['bytes']} bytes")
        yield part["lane"], _KINDS[part["kind"]], offset, end
        offset = end


def _of_kind(block: SampleBlock, kind: Kind) -> SampleBlock:
    """`block`, if it is what its part is said to be. Raises SchemaError."""
    if block.kind != kind:
        raise SchemaError("wrong_format", f"part of {kind} holds {block.kind}")
    return block
