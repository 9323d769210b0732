"""RecordDecoder: telemetry records of one venue as the flows need them, one after the other.

The same records as `decode_record`, less what no flow reads: kinds outside `FLOW_KINDS` and the
supplements. It remembers the shapes that the venue's edge writes (`models.telemetry.ipc`).
"""

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from models.errors import SchemaError
from models.telemetry.block import SampleBlock
from models.telemetry.ipc import StreamReader
from models.telemetry.kinds import FLOW_KINDS, Kind
from models.telemetry.parts import by_kind
from models.telemetry.record import LIVE, TelemetryRecord, decode_header, record_of

# `Kind(name)` takes longer than to look a name up.
_KINDS: Final = {str(kind): kind for kind in Kind}


class RecordDecoder:
    """`rows_of` maps (device_id, kind) to roster rows."""

    def __init__(self, rows_of: Mapping[tuple[str, Kind], int]) -> None:
        self._reader = StreamReader(by_kind(rows_of))

    def decode(self, payload: bytes) -> TelemetryRecord:
        """The record in `payload`. Raises SchemaError."""
        header, offset = decode_header(payload)
        try:
            blocks = self._blocks(header, payload, offset)
            return record_of(header, blocks, {})
        except (
            LookupError, TypeError, ValueError, StopIteration, pa.ArrowException, OSError,
        ) as error:
            raise SchemaError("wrong_format", str(error)[:200]) from error

    def _blocks(
        self, header: Mapping[str, Any], payload: bytes, offset: int
    ) -> dict[Kind, SampleBlock]:
        blocks: dict[Kind, SampleBlock] = {}
        for part in header["parts"]:
            end = offset + part["bytes"]
            if part["bytes"] < 0 or end > len(payload):
                raise SchemaError("truncated", f"part of {part['bytes']} bytes")
            kind = _KINDS[part["kind"]]
            if part["lane"] == LIVE and kind in FLOW_KINDS:
                block = self._reader.read(payload, kind, offset, end)
                if block.kind != kind:
                    raise SchemaError("wrong_format", f"part of {kind} holds {block.kind}")
                blocks[kind] = block
            offset = end
        return blocks
