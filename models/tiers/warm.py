"""The warm tier's rows: what the log's records become, one table per record. Pure arrangement.

Every table of a kind has the same schema, so that rows of many records lie in one file. Times are
UTC nanoseconds, channels as in `models.telemetry.kinds`. Nested values (metrics, scores) are JSON
texts with sorted keys.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from models.errors import SchemaError
from models.telemetry.arrow import kind_of, schema_of, to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Refusal
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Roster

_NAMES: Final = pa.dictionary(pa.int32(), pa.string())
_TEXT: Final = (
    "event_id", "type", "venue_id", "match_id", "stream", "subject_id", "team", "sub_type",
    "status", "supersedes", "priority", "algo_version", "policy_class", "metrics", "context",
)
EVENT_SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in _TEXT),
        *(pa.field(name, pa.int64()) for name in ("seq", "t_event_ns", "t_detected_ns")),
        *(
            pa.field(name, pa.float64())
            for name in ("x_m", "y_m", "x_end_m", "y_end_m", "confidence")
        ),
    ]
)
PREDICTION_SCHEMA: Final = pa.schema(
    [
        pa.field("net", pa.string()), pa.field("subject_id", pa.string()),
        pa.field("device_id", pa.string()), pa.field("sample_kind", pa.string()),
        pa.field("t_ns", pa.int64()), pa.field("event_id", pa.string()),
        pa.field("source", pa.string()), pa.field("model", pa.string()),
        pa.field("scores", pa.string()), pa.field("health_scores", pa.string()),
    ]
)
_CHANNELS: Final = tuple(
    dict.fromkeys(channel.name for spec in KINDS.values() for channel in spec.channels)
)
QUARANTINE_SCHEMA: Final = pa.schema(
    [
        pa.field("reason", pa.string()), pa.field("device_id", pa.string()),
        pa.field("subject_id", pa.string()), pa.field("sample_kind", pa.string()),
        pa.field("boot", pa.uint32()), pa.field("seq", pa.uint32()),
        pa.field("t_event_ns", pa.int64()), pa.field("t_ingest_ns", pa.int64()),
        pa.field("flags", pa.uint32()), pa.field("rows", pa.int64()),
        pa.field("detail", pa.string()), pa.field("payload", pa.binary()),
        *(pa.field(name, pa.float32()) for name in _CHANNELS),
    ]
)
HEALTH_NETS: Final = frozenset({"fatigue"})


class SampleTables:
    """Sample rows with the names of their devices and of who wears them."""

    def __init__(self, roster: Roster) -> None:
        self._ids = [device.device_id for device in roster.devices]
        self._subjects = pa.array([device.subject for device in roster.devices], pa.string())
        self.subject_of = {device.device_id: device.subject for device in roster.devices}

    def of(self, block: SampleBlock) -> pa.Table:
        """`block` as a table, rows by (device, boot, seq): like values side by side pack best."""
        ordered = block.take(np.lexsort((block.seq, block.boot, block.device)))
        table = pa.Table.from_batches([to_arrow(ordered, self._ids)])
        wearers = pa.DictionaryArray.from_arrays(pa.array(ordered.device), self._subjects)
        return table.add_column(1, pa.field("subject_id", _NAMES, nullable=False), wearers)

    def schema(self, kind: Kind) -> pa.Schema:
        """The schema of `of(block)` for blocks of `kind`."""
        return schema_of(kind).insert(1, pa.field("subject_id", _NAMES, nullable=False))


def event_table(data: Mapping[str, Any]) -> pa.Table:
    """One row of `EVENT_SCHEMA` from the `data` of a CloudEvents body. Raises SchemaError."""
    try:
        flat = {name: data[name] for name in EVENT_SCHEMA.names}
        flat["metrics"] = json.dumps(data["metrics"], sort_keys=True)
        flat["context"] = ",".join(data["context"])
        return pa.Table.from_pylist([flat], schema=EVENT_SCHEMA)
    except (KeyError, TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise SchemaError("wrong_format", f"event: {error}"[:200]) from error


def state_kind(table: pa.Table) -> str:
    """The kind of a table of states: persons and balls have columns of their own."""
    return "ball_states" if "poss_team" in table.schema.names else "states"


def prediction_table(body: Mapping[str, Any]) -> pa.Table:
    """One row of `PREDICTION_SCHEMA` from the body of a prediction. Raises SchemaError."""
    try:
        scores = json.dumps(body["scores"], sort_keys=True)
        private = body["kind"] in HEALTH_NETS
        row = {
            "net": body["kind"], "subject_id": body.get("subject_id"),
            "device_id": body.get("device_id"), "sample_kind": body.get("device_kind"),
            "t_ns": body["t_ns"], "event_id": body.get("event_id", ""),
            "source": body["source"], "model": body["model"],
            "scores": None if private else scores, "health_scores": scores if private else None,
        }
        return pa.Table.from_pylist([row], schema=PREDICTION_SCHEMA)
    except (KeyError, TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise SchemaError("wrong_format", f"prediction: {error}"[:200]) from error


def device_health_table(table: pa.Table, subject_of: Mapping[str, str]) -> pa.Table:
    """Rows of device health with the wearer; `kind` is called `sample_kind` beside partitions."""
    devices = table.column("device_id").cast(pa.string())
    wearers = [subject_of.get(name, "") for name in devices.to_pylist()]
    columns = {
        "device_id": devices, "subject_id": pa.array(wearers, pa.string()),
        "sample_kind": table.column("kind").cast(pa.string()),
    }
    columns |= {
        name: table.column(name) for name in table.schema.names if name not in ("device_id", "kind")
    }
    return pa.table(columns)


def rejected_table(payload: bytes, subject_of: Mapping[str, str]) -> pa.Table:
    """Rows of `QUARANTINE_SCHEMA` from rejected sample rows in Arrow IPC. Raises SchemaError."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            table = reader.read_all()
        kind = kind_of(table.schema)
        columns = {name: table.column(name) for name in table.schema.names}
        devices = columns["device_id"].cast(pa.string())
        wearers = [subject_of.get(name, "") for name in devices.to_pylist()]
        columns |= {
            "device_id": devices, "subject_id": pa.array(wearers, pa.string()),
            "sample_kind": pa.repeat(str(kind), table.num_rows),
            "rows": pa.repeat(1, table.num_rows),
            "reason": columns["reason"].cast(pa.string()),
        }
        return _quarantined(columns, table.num_rows)
    except (KeyError, pa.ArrowException, OSError) as error:
        raise SchemaError("wrong_format", f"rejected rows: {error}"[:200]) from error


def refusal_table(
    refusals: list[Refusal], t_ingest_ns: int, subject_of: Mapping[str, str]
) -> pa.Table:
    """Rows of `QUARANTINE_SCHEMA` from payloads that never became rows."""
    columns = {
        "reason": pa.array([one.reason.label for one in refusals]),
        "device_id": pa.array([one.device_id for one in refusals]),
        "subject_id": pa.array([subject_of.get(one.device_id, "") for one in refusals]),
        "t_ingest_ns": pa.repeat(t_ingest_ns, len(refusals)),
        "rows": pa.array([one.rows for one in refusals], pa.int64()),
        "detail": pa.array([one.detail for one in refusals]),
        "payload": pa.array([one.payload for one in refusals], pa.binary()),
    }
    return _quarantined(columns, len(refusals))


def _quarantined(columns: Mapping[str, Any], rows: int) -> pa.Table:
    """The columns in the order of the schema; those that are not given are null."""
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns
        else pa.nulls(rows, field.type)
        for field in QUARANTINE_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=QUARANTINE_SCHEMA)
