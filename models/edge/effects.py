"""EdgeEffects: what one call of the edge kernel asks to be done, and the bytes of health rows."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.edge.standing import OrderAnswer
from models.edge.tables import KIND_LIST
from models.edge.vitals import HEALTH_FEATURES
from models.errors import SchemaError
from models.events.envelope import Event
from models.telemetry.block import SampleBlock
from models.telemetry.ipc_columns import ColumnWriter
from models.telemetry.ipc_mould import stream_of
from models.telemetry.kinds import Kind
from models.telemetry.record import TelemetryRecord

__all__ = [
    "HEALTH_FEATURES", "DeviceHealthRows", "EdgeEffects", "HealthWriter", "RejectedRows",
    "decode_health", "encode_health",
]

HEALTH_SCHEMA: Final = pa.schema(
    [
        pa.field("device_id", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("kind", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("t_ns", pa.int64(), nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in HEALTH_FEATURES),
    ],
    metadata={"touchline.schema": "device-health", "touchline.schema_v": "1"},
)

HEALTH_DTYPES: Final = tuple(
    (one.index_type if pa.types.is_dictionary(one) else one).to_pandas_dtype()
    for one in HEALTH_SCHEMA.types
)
"""What lies in the columns; of dictionaries, the numbers."""


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """Rows of one kind that were refused, as they were when refused; reason (n,) uint8."""

    kind: Kind
    block: SampleBlock
    reason: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DeviceHealthRows:
    """Health of n devices over one second of event time.

    device (n,) int32 roster row; kind (n,) int32 code in `KIND_LIST`; t_ns (n,) int64 the second's
    end; values (F, n) float32 in the order of `HEALTH_FEATURES`.
    """

    device: NDArray[np.int32]
    kind: NDArray[np.int32]
    t_ns: NDArray[np.int64]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.device.shape[0])


@dataclass(frozen=True, slots=True)
class EdgeEffects:
    """records 0 or 1 telemetry records; verdicts per kind (n,) uint8 aligned with the batch's rows:
    the ingest stage's `Reason`, 0 = accepted; orders what became of orders."""

    records: list[TelemetryRecord] = field(default_factory=list)
    rejected: list[RejectedRows] = field(default_factory=list)
    health: list[DeviceHealthRows] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    verdicts: dict[Kind, NDArray[np.uint8]] = field(default_factory=dict)
    orders: list[OrderAnswer] = field(default_factory=list)


def encode_health(rows: DeviceHealthRows, device_ids: list[str]) -> bytes:
    """`rows` as one Arrow IPC stream; `device_ids[row]` names roster device `row`."""
    kinds = pa.array([str(kind) for kind in KIND_LIST], pa.string())
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(rows.device, pa.int32()), pa.array(device_ids)),
        pa.DictionaryArray.from_arrays(pa.array(rows.kind, pa.int32()), kinds),
        pa.array(rows.t_ns, pa.int64()),
        *(pa.array(column, pa.float32()) for column in rows.values),
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=HEALTH_SCHEMA)
    return stream_of(batch)


class HealthWriter:
    """`encode_health` for one roster, the same bytes: the first rows' stream is the mould of the
    others."""

    def __init__(self, device_ids: list[str]) -> None:
        self._ids = device_ids
        self._writer: ColumnWriter | None = None

    def write(self, rows: DeviceHealthRows) -> bytes:
        if self._writer is not None and len(rows):
            return self._writer.write((rows.device, rows.kind, rows.t_ns, *rows.values))
        body = encode_health(rows, self._ids)
        if len(rows):
            self._writer = ColumnWriter(body, HEALTH_DTYPES)
        return body


def decode_health(payload: bytes) -> pa.Table:
    """The table written by `encode_health`: device_id, kind, t_ns, features. Raises SchemaError."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            table = reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error
    if table.schema.names != HEALTH_SCHEMA.names:
        raise SchemaError("wrong_format", "not device health")
    return table
