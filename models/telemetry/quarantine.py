"""Quarantine: what a record of the topic `quarantine/<venue>` holds, and its bytes.

Two forms, told apart by content type. *Rejected rows* are rows that the edge refused: the Arrow
table of their kind with one more column, `reason` (string). *Refusals* are payloads that never
became rows: reason, device as far as it is known, how many rows it claimed, what was wrong, and the
first 4 KiB as they arrived.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import SchemaError
from models.telemetry.arrow import from_arrow, to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Refusal
from models.telemetry.reasons import Reason

REJECTED_TYPE: Final = "application/vnd.touchline.rejected"
REFUSALS_TYPE: Final = "application/vnd.touchline.refusals"
HEAD_BYTES: Final = 4096

_REFUSALS: Final = pa.schema(
    [
        pa.field("reason", pa.string(), nullable=False),
        pa.field("device_id", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)


def encode_rejected(
    block: SampleBlock, reasons: NDArray[np.uint8], device_ids: list[str]
) -> bytes:
    """`block` with the `Reason` code (n,) u8 of each of its rows; unknown devices become ""."""
    assert reasons.shape == (len(block),)
    # Few rows of few devices: naming only those keeps the record small.
    rows, place = np.unique(block.device, return_inverse=True)
    named = replace(block, device=place.astype(np.int32))
    batch = to_arrow(named, [device_ids[row] if row >= 0 else "" for row in rows.tolist()])
    codes = pa.array(np.minimum(reasons, len(Reason) - 1), pa.int32())
    field = pa.field("reason", pa.dictionary(pa.int32(), pa.string()), nullable=False)
    schema = batch.schema.append(field)
    labels = pa.DictionaryArray.from_arrays(codes, _labels())
    return _ipc(pa.RecordBatch.from_arrays([*batch.columns, labels], schema=schema))


def decode_rejected(
    payload: bytes, rows_of: dict[str, int]
) -> tuple[SampleBlock, NDArray[np.uint8]]:
    """Rows and their reason codes; `rows_of` maps device ids of the block's kind to roster rows.

    Raises SchemaError when the payload is not what `encode_rejected` writes.
    """
    batch = _read(payload)
    if "reason" not in batch.schema.names:
        raise SchemaError("wrong_format", "no reason column")
    codes = {reason.label: int(reason) for reason in Reason}
    try:
        reasons = np.array([codes[label] for label in batch["reason"].to_pylist()], np.uint8)
    except KeyError as error:
        raise SchemaError("wrong_format", f"unknown reason {error}") from error
    return from_arrow(batch.drop_columns(["reason"]), rows_of), reasons


def encode_refusals(refusals: Sequence[Refusal]) -> bytes:
    """Refused payloads with their heads, as one Arrow IPC stream."""
    columns = [
        [refusal.reason.label for refusal in refusals],
        [refusal.device_id for refusal in refusals],
        [refusal.rows for refusal in refusals],
        [refusal.detail for refusal in refusals],
        [bytes(refusal.payload[:HEAD_BYTES]) for refusal in refusals],
    ]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, _REFUSALS, strict=True)]
    return _ipc(pa.RecordBatch.from_arrays(arrays, schema=_REFUSALS))


def decode_refusals(payload: bytes) -> list[Refusal]:
    """The refusals in `payload`; SchemaError when it holds none."""
    batch = _read(payload)
    codes = {reason.label: reason for reason in Reason}
    try:
        return [
            Refusal(codes[r["reason"]], r["device_id"], r["rows"], r["detail"], r["payload"])
            for r in batch.to_pylist()
        ]
    except KeyError as error:
        raise SchemaError("wrong_format", f"not refusals: {error}") from error


def _ipc(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _read(payload: bytes) -> pa.RecordBatch:
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            return reader.read_next_batch()
    except (pa.ArrowInvalid, StopIteration, OSError) as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error


@cache
def _labels() -> pa.StringArray:
    """What each `Reason` is called, by its code."""
    return pa.array([reason.label for reason in Reason], pa.string())
