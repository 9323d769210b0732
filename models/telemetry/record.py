"""TelemetryRecord: what one record of the topic `telemetry/<venue>` holds, and its bytes.

A record is **complete in event time**: it holds every live row of every kind of the venue with
`t_from_ns <= t_event < t_to_ns`, and records follow each other without overlap. Consumers rely on
it: a look-up across kinds or subjects that only looks to the past gives the same answer wherever
the stream is cut. Rows that came too late for their record, and the full-rate pre-roll of a flow
that has turned hot, travel in `supplements`, which never feed incremental metrics.

Bytes: b"TLR1", u32 little-endian header length, JSON header, then one Arrow IPC stream per part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.columns import frozen
from models.errors import SchemaError
from models.telemetry.block import SampleBlock
from models.telemetry.ipc_write import StreamWriter
from models.telemetry.kinds import Kind
from models.telemetry.parts import pack, unpack_header, unpack_parts

MAGIC = b"TLR1"
LIVE, _LATE = "live", "supplement"
NOBODY: NDArray[np.int32] = frozen(np.empty(0, np.int32))


@dataclass(frozen=True, slots=True)
class FlowStates:
    """Intensity of the subjects that have data, as of `t_to_ns` of the record.

    subject (m,) int32 row of `Roster.subjects`; score (m,) float32 in [0, 1]; hot (m,) bool. rest
    (k,) int32: subjects at rest, of whom a state row a second is wanted while the record lasts.
    """

    subject: NDArray[np.int32]
    score: NDArray[np.float32]
    hot: NDArray[np.bool_]
    rest: NDArray[np.int32] = field(default_factory=lambda: NOBODY)


NO_FLOWS = FlowStates(NOBODY, np.empty(0, np.float32), np.empty(0, np.bool_))


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


def encode_record(
    record: TelemetryRecord, device_ids: list[str], writer: StreamWriter | None = None
) -> bytes:
    """The bytes of `record`; `device_ids[row]` names roster device `row`; see `pack`."""
    flows: dict[str, object] = {
        "subject": record.flows.subject.tolist(),
        "score": _rounded(record.flows.score),
        "hot": record.flows.hot.astype(int).tolist(),
    }
    if len(record.flows.rest):
        flows["rest"] = record.flows.rest.tolist()
    header = {
        "venue_id": record.venue_id, "match_id": record.match_id,
        "seq": record.seq, "t_from_ns": record.t_from_ns, "t_to_ns": record.t_to_ns,
        "marks": record.marks, "final": record.final, "flows": flows,
    }
    lanes = {LIVE: record.blocks, _LATE: record.supplements}
    return pack(MAGIC, header, lanes, device_ids, writer)


def _rounded(scores: NDArray[np.float32]) -> list[float]:
    """What Python's `round` makes of each at four places, many at once: ten thousand times a
    float32 is exact in float64, and so is the place between two ten-thousandths."""
    made: list[float] = (np.rint(scores.astype(np.float64) * 1e4) / 1e4).tolist()
    return made


def decode_header(payload: bytes) -> tuple[dict[str, Any], int]:
    """The JSON header of a record and the offset of its first part. Raises SchemaError."""
    return unpack_header(MAGIC, payload)


def record_of(
    header: Mapping[str, Any], blocks: dict[Kind, SampleBlock],
    supplements: dict[Kind, SampleBlock],
) -> TelemetryRecord:
    """What `header` says, with its blocks. Raises SchemaError."""
    try:
        return TelemetryRecord(
            header["venue_id"], header["match_id"], header["seq"], header["t_from_ns"],
            header["t_to_ns"], blocks, supplements,
            _flows_of(header["flows"]), header["marks"], header["final"],
        )
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error


def _flows_of(said: Mapping[str, Any]) -> FlowStates:
    """Raises LookupError, TypeError, ValueError, OverflowError for what are no flow states."""
    flows = FlowStates(
        np.array(said["subject"], np.int32), np.array(said["score"], np.float32),
        np.array(said["hot"], np.bool_),
        np.array(said["rest"], np.int32) if "rest" in said else NOBODY,
    )
    count = flows.subject.shape
    if not (len(count) == flows.rest.ndim == 1 and count == flows.score.shape == flows.hot.shape):
        raise ValueError("flow states that do not fit together")
    return flows


def decode_record(payload: bytes, rows_of: dict[tuple[str, Kind], int]) -> TelemetryRecord:
    """The record in `payload`; `rows_of` maps (device_id, kind) to rows. Raises SchemaError."""
    header, offset = decode_header(payload)
    lanes = unpack_parts(header, payload, offset, rows_of, (LIVE, _LATE))
    return record_of(header, lanes[LIVE], lanes[_LATE])
