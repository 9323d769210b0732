"""Quarantine: what a record of the topic `quarantine/<venue>` holds, and its bytes.

Two forms, told apart by content type. *Rejected rows* are rows that the edge refused: the Arrow
table of their kind with one more column, `reason` (string). *Refusals* are payloads that never
became rows: reason, device as far as it is known, how many rows it claimed, what was wrong, and the
first 4 KiB as they arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import accumulate
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import SchemaError
from models.telemetry.arrow import from_arrow, to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Refusal
from models.telemetry.ipc_mould import END, Mould, cast, dictionary_mould, mould_of, stream_of
from models.telemetry.ipc_write import MOST_PLANS, BatchPlan, batch_pieces, one_row, plan_batch
from models.telemetry.kinds import KINDS, Kind
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
    rows = np.unique(block.device)
    place = rows.searchsorted(block.device).astype(np.int32)
    names = [device_ids[row] if row >= 0 else "" for row in rows.tolist()]
    codes = np.minimum(reasons, len(Reason) - 1).astype(np.int32)
    if not len(block):
        return stream_of(_labelled(block, place, names, codes))
    form = _form(block.kind)
    plan = _plan(block.kind, len(block))
    return b"".join((
        form.names.prefix, *_texts(form.names, names), form.labels,
        *batch_pieces(block, place, block.values, plan), codes.data, plan.code_pad, END,
    ))


@dataclass(frozen=True, slots=True)
class _Form:
    """How rejected rows of a kind are written: the moulds of the message that names devices and of
    that with the rows, and the message with the labels of reasons, which is between them."""

    names: Mould
    rows: Mould
    labels: bytes


@cache
def _form(kind: Kind) -> _Form:
    one = one_row(kind)
    stream = stream_of(_labelled(one, one.device, ["a device"], one.device))
    names, end = dictionary_mould(stream)
    rows = mould_of(stream)
    return _Form(names, rows, stream[end : len(rows.prefix)])


@lru_cache(MOST_PLANS)
def _plan(kind: Kind, count: int) -> BatchPlan:
    return plan_batch(_form(kind).rows, len(KINDS[kind].channels), count, codes=1)


def _texts(mould: Mould, names: list[str]) -> tuple[bytes, bytes]:
    """A dictionary message and its body."""
    texts = [name.encode() for name in names]
    ends = np.array([0, *accumulate(map(len, texts))], np.int32).tobytes()
    text = b"".join(texts)
    made = cast(mould, len(names), (0, len(ends), len(text)))
    body = ends.ljust(made.places[2], b"\0") + text
    return made.message, body.ljust(made.body_bytes, b"\0")


def _labelled(
    block: SampleBlock, place: NDArray[np.int32], names: list[str], codes: NDArray[np.int32]
) -> pa.RecordBatch:
    """The table of rejected rows, as pyarrow makes it."""
    batch = to_arrow(replace(block, device=place), names)
    field = pa.field("reason", pa.dictionary(pa.int32(), pa.string()), nullable=False)
    labels = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), _labels())
    schema = batch.schema.append(field)
    return pa.RecordBatch.from_arrays([*batch.columns, labels], schema=schema)


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
    return stream_of(pa.RecordBatch.from_arrays(arrays, schema=_REFUSALS))


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
