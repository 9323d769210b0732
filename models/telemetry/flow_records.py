"""RecordDecoder: telemetry records of one venue as the flows need them, one after the other.

The same records as `decode_record`, less what no flow reads: kinds outside `FLOW_KINDS` and the
supplements. It remembers the shapes that the venue's edge writes (`models.telemetry.ipc`).
"""

from collections.abc import Mapping

from models.telemetry.ipc import StreamReader
from models.telemetry.kinds import FLOW_KINDS, Kind
from models.telemetry.parts import by_kind, read_lane
from models.telemetry.record import LIVE, TelemetryRecord, decode_header, record_of


class RecordDecoder:
    """`rows_of` maps (device_id, kind) to roster rows."""

    def __init__(self, rows_of: Mapping[tuple[str, Kind], int]) -> None:
        self._reader = StreamReader(by_kind(rows_of))

    def decode(self, payload: bytes) -> TelemetryRecord:
        """The record in `payload`. Raises SchemaError."""
        header, offset = decode_header(payload)
        blocks = read_lane(header, payload, offset, self._reader, LIVE, FLOW_KINDS)
        return record_of(header, blocks, {})
