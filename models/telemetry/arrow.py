"""Arrow form of sample blocks: one table schema per kind, zero-copy where the layout allows it.

Columns: `device_id` dictionary<int32, string>, `boot` u32, `seq` u32, `t_event_ns` i64,
`t_ingest_ns` i64, `flags` u32, then one float32 column per channel. The schema carries
`touchline.kind` and `touchline.schema_v` as metadata; `models.telemetry.versions` reads old ones.
"""

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import SchemaError
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind

SCHEMA_VERSION = 1
_FIXED = (
    ("device_id", pa.dictionary(pa.int32(), pa.string())),
    ("boot", pa.uint32()),
    ("seq", pa.uint32()),
    ("t_event_ns", pa.int64()),
    ("t_ingest_ns", pa.int64()),
    ("flags", pa.uint32()),
)


@cache
def schema_of(kind: Kind) -> pa.Schema:
    """The current Arrow schema of `kind`."""
    fields = [pa.field(name, kind_type, nullable=False) for name, kind_type in _FIXED]
    fields += [
        pa.field(channel.name, pa.float32(), nullable=channel.nullable)
        for channel in KINDS[kind].channels
    ]
    metadata = {"touchline.kind": str(kind), "touchline.schema_v": str(SCHEMA_VERSION)}
    return pa.schema(fields, metadata=metadata)


def to_arrow(block: SampleBlock, device_ids: list[str]) -> pa.RecordBatch:
    """`block` as a record batch; `device_ids[row]` names the device of `block.device == row`."""
    devices = pa.DictionaryArray.from_arrays(
        pa.array(block.device, pa.int32()), pa.array(device_ids, pa.string())
    )
    columns = [devices, block.boot, block.seq, block.t_event_ns, block.t_ingest_ns, block.flags]
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
    arrays += [pa.array(row, pa.float32()) for row in block.values]
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(block.kind))


def kind_of(schema: pa.Schema) -> Kind:
    """The kind that a schema says it is; SchemaError("unknown_kind") when it does not say."""
    name = (schema.metadata or {}).get(b"touchline.kind", b"").decode(errors="replace")
    try:
        return Kind(name)
    except ValueError as error:
        raise SchemaError("unknown_kind", repr(name[:40])) from error


def from_arrow(batch: pa.RecordBatch, rows_of: dict[str, int]) -> SampleBlock:
    """The block in `batch`; device ids that `rows_of` lacks become row -1.

    Missing nullable channels read as NaN (a file of an older version), nulls read as NaN.
    Raises SchemaError when a required column is missing or has an unusable type.
    """
    kind = kind_of(batch.schema)
    try:
        return SampleBlock(
            kind, _device_rows(batch.column("device_id"), rows_of),
            _column(batch, "boot", np.uint32), _column(batch, "seq", np.uint32),
            _column(batch, "t_event_ns", np.int64), _column(batch, "t_ingest_ns", np.int64),
            _column(batch, "flags", np.uint32), _values(batch, kind),
        )
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error


def _device_rows(column: pa.Array, rows_of: dict[str, int]) -> NDArray[np.int32]:
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    names = column.dictionary.to_pylist()
    rows = np.array([rows_of.get(name, -1) for name in names] or [-1], np.int32)
    indices = column.indices
    if indices.null_count:
        return np.where(
            indices.is_null().to_numpy(zero_copy_only=False), -1,
            rows[indices.fill_null(0).to_numpy(zero_copy_only=False)],
        ).astype(np.int32)
    taken: NDArray[np.int32] = rows[indices.to_numpy(zero_copy_only=False)]
    return taken


def _column(batch: pa.RecordBatch, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    column = batch.column(name)
    wanted = pa.from_numpy_dtype(dtype)
    if column.type != wanted:
        column = column.cast(wanted)
    if column.null_count:
        raise SchemaError("wrong_format", f"nulls in {name}")
    return column.to_numpy(zero_copy_only=False)


def _values(batch: pa.RecordBatch, kind: Kind) -> NDArray[np.float32]:
    channels = KINDS[kind].channels
    values = np.empty((len(channels), batch.num_rows), np.float32)
    present = set(batch.schema.names)
    for row, channel in enumerate(channels):
        if channel.name in present:
            column = batch.column(channel.name)
            if column.type != pa.float32():
                column = column.cast(pa.float32())
            values[row] = column.to_numpy(zero_copy_only=False)
        elif channel.nullable:
            values[row] = np.nan
        else:
            raise SchemaError("wrong_format", f"{kind} lacks {channel.name}")
    return values


def first_block(stream: bytes | memoryview, rows_of: dict[str, int]) -> SampleBlock:
    """The first batch of an IPC stream, checked through: offsets and indices that lead nowhere
    would be followed. Raises SchemaError, ArrowException, OSError, StopIteration."""
    with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
        batch = reader.read_next_batch()
    batch.validate(full=True)
    return from_arrow(batch, rows_of)
