"""TelemetryRecord: what one record of the topic `telemetry/<venue>` holds, and its bytes.

A record is **complete in event time**: it holds every live row of every kind of the venue with
`t_from_ns <= t_event < t_to_ns`, and records follow each other without overlap. Consumers rely on it:
a look-up across kinds or subjects that only looks to the past gives the same answer wherever the
stream is cut. Rows that came too late for their record, and the full-rate pre-roll of a flow that has
turned hot, travel in `supplements`, which never feed incremental metrics.

Bytes: b"TLR1", u32 little-endian header length, JSON header, then one Arrow IPC stream per part.
"""

import json
import struct
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import SchemaError
from models.telemetry.arrow import SCHEMA_VERSION, from_arrow, to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import Kind

MAGIC = b"TLR1"


@dataclass(frozen=True, slots=True)
class FlowStates:
    """Intensity of the subjects that have data, as of `t_to_ns` of the record.

    subject (m,) int32 row of `Roster.subjects`; score (m,) float32 in [0, 1]; hot (m,) bool.
    """

    subject: NDArray[np.int32]
    score: NDArray[np.float32]
    hot: NDArray[np.bool_]


NO_FLOWS = FlowStates(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.bool_))


@dataclass(frozen=True, slots=True)
class TelemetryRecord:
    """`blocks` are in (device, boot, seq) order. `seq` counts the records of the venue from 0.

    `marks` are wall-clock ns for latency only (never for results): "source" the oldest sample's
    arrival, "edge" when the record was sealed. `final` says that the stream ends with this record.
    """

    venue_id: str
    match_id: str
    seq: int
    t_from_ns: int
    t_to_ns: int
    blocks: dict[Kind, SampleBlock]
    supplements: dict[Kind, SampleBlock] = field(default_factory=dict)
    flows: FlowStates = NO_FLOWS
    marks: dict[str, int] = field(default_factory=dict)
    final: bool = False

    @property
    def rows(self) -> int:
        return sum(len(b) for b in self.blocks.values())


def encode_record(record: TelemetryRecord, device_ids: list[str]) -> bytes:
    """The bytes of `record`; `device_ids[row]` names roster device `row`."""
    parts: list[bytes] = []
    listed: list[dict[str, object]] = []
    for lane, blocks in (("live", record.blocks), ("supplement", record.supplements)):
        for kind, block in blocks.items():
            if len(block):
                body = _ipc(to_arrow(block, device_ids))
                listed.append({"lane": lane, "kind": str(kind), "bytes": len(body)})
                parts.append(body)
    header = {
        "schema_v": SCHEMA_VERSION, "venue_id": record.venue_id, "match_id": record.match_id,
        "seq": record.seq, "t_from_ns": record.t_from_ns, "t_to_ns": record.t_to_ns,
        "marks": record.marks, "final": record.final, "parts": listed,
        "flows": {
            "subject": record.flows.subject.tolist(),
            "score": [round(float(s), 4) for s in record.flows.score],
            "hot": record.flows.hot.astype(int).tolist(),
        },
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((MAGIC, struct.pack("<I", len(head)), head, *parts))


def decode_header(payload: bytes) -> tuple[dict[str, object], int]:
    """The JSON header of a record and the offset of its first part. Raises SchemaError."""
    if payload[:4] != MAGIC or len(payload) < 8:
        raise SchemaError("wrong_format", "not a telemetry record")
    (length,) = struct.unpack_from("<I", payload, 4)
    if 8 + length > len(payload):
        raise SchemaError("truncated", f"header of {length} bytes in {len(payload)}")
    try:
        header = json.loads(payload[8 : 8 + length])
    except ValueError as error:
        raise SchemaError("wrong_format", "header is not JSON") from error
    if not isinstance(header, dict) or header.get("schema_v", 0) > SCHEMA_VERSION:
        raise SchemaError("unknown_version", str(header)[:80])
    return header, 8 + length


def decode_record(payload: bytes, rows_of: dict[tuple[str, Kind], int]) -> TelemetryRecord:
    """The record in `payload`; `rows_of` maps (device_id, kind) to roster rows. Raises SchemaError."""
    header, offset = decode_header(payload)
    view = memoryview(payload)
    lanes: dict[str, dict[Kind, SampleBlock]] = {"live": {}, "supplement": {}}
    try:
        for part in header["parts"]:  # type: ignore[attr-defined]
            body = view[offset : offset + part["bytes"]]
            if len(body) != part["bytes"]:
                raise SchemaError("truncated", f"part of {part['bytes']} bytes")
            offset += part["bytes"]
            kind = Kind(part["kind"])
            devices = {name: row for (name, its_kind), row in rows_of.items() if its_kind == kind}
            with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
                lanes[part["lane"]][kind] = from_arrow(reader.read_next_batch(), devices)
        flows: dict[str, list[float]] = header["flows"]  # type: ignore[assignment]
        return TelemetryRecord(
            header["venue_id"], header["match_id"], header["seq"],  # type: ignore[arg-type]
            header["t_from_ns"], header["t_to_ns"],  # type: ignore[arg-type]
            lanes["live"], lanes["supplement"],
            FlowStates(
                np.array(flows["subject"], np.int32), np.array(flows["score"], np.float32),
                np.array(flows["hot"], np.bool_),
            ),
            header["marks"], header["final"],  # type: ignore[arg-type]
        )
    except (KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error


def _ipc(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
