"""Quarantine records: rows with their reasons, and payloads that never became rows."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Refusal
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.quarantine import (
    HEAD_BYTES,
    decode_refusals,
    decode_rejected,
    encode_refusals,
    encode_rejected,
)
from models.telemetry.reasons import Reason
from tests.unit import source_world as world


def test_rejected_rows_come_back_with_their_reasons_and_values() -> None:
    index = world.index()
    block = world.block(6, device=2)
    block.values[2] = np.nan
    reasons = np.array([11, 13, 9, 13, 10, 20], np.uint8)
    payload = encode_rejected(block, reasons, index.device_ids)
    back, codes = decode_rejected(payload, index.kind_rows[Kind.LPS])
    assert codes.tolist() == reasons.tolist()
    assert back.device.tolist() == [2] * 6
    assert np.array_equal(back.values, block.values, equal_nan=True)


def by_pyarrow(block: SampleBlock, reasons: np.ndarray, device_ids: list[str]) -> bytes:
    """Rejected rows as they were written once."""
    rows, place = np.unique(block.device, return_inverse=True)
    named = replace(block, device=place.astype(np.int32))
    batch = to_arrow(named, [device_ids[row] if row >= 0 else "" for row in rows.tolist()])
    codes = pa.array(np.minimum(reasons, len(Reason) - 1), pa.int32())
    field = pa.field("reason", pa.dictionary(pa.int32(), pa.string()), nullable=False)
    labels = pa.DictionaryArray.from_arrays(codes, pa.array([one.label for one in Reason]))
    schema = batch.schema.append(field)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, labels], schema=schema))
    return sink.getvalue().to_pybytes()


NAMES = ["a", "", "tag_0123", "Größe-7", "x" * 300, "device-9", "七", "d"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(list(Kind)), st.integers(0, 130), st.integers(0, 1000),
    st.lists(st.integers(-1, len(NAMES) - 1), min_size=1, max_size=9),
)
def test_rejected_rows_are_what_pyarrow_writes(
    kind: Kind, count: int, seed: int, devices: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(KINDS[kind].channels), count)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    small = rng.integers(0, 1 << 32, (3, count)).astype(np.uint32)
    times = rng.integers(0, 1 << 62, (2, count))
    device = rng.choice(devices, count).astype(np.int32)
    block = SampleBlock(kind, device, small[0], small[1], times[0], times[1], small[2], values)
    reasons = rng.integers(0, 256, count).astype(np.uint8)
    assert encode_rejected(block, reasons, NAMES) == by_pyarrow(block, reasons, NAMES)


def test_rejected_rows_may_be_cut_from_larger_ones() -> None:
    index = world.index()
    whole = world.block(12, device=2)
    cut = replace(
        whole.take(slice(0, 6)), values=whole.values[:, ::2], seq=whole.seq[::2],
    )
    reasons = np.full(12, 9, np.uint8)[::2]
    payload = encode_rejected(cut, reasons, index.device_ids)
    assert payload == by_pyarrow(cut, reasons, index.device_ids)


def test_rows_of_no_known_device_keep_no_device() -> None:
    index = world.index()
    block = world.block(2, device=-1)
    payload = encode_rejected(block, np.full(2, 5, np.uint8), index.device_ids)
    back, _ = decode_rejected(payload, index.kind_rows[Kind.LPS])
    assert back.device.tolist() == [-1, -1]


def test_refusals_keep_reason_device_count_and_the_head_of_the_payload() -> None:
    refusals = [
        Refusal(Reason.CRC, "tag_0", 12, "bad sum", b"\x00\xff" * 4000),
        Refusal(Reason.DECODER, "", 1, "", b""),
    ]
    back = decode_refusals(encode_refusals(refusals))
    assert back[0].payload == refusals[0].payload[:HEAD_BYTES]
    assert (back[0].reason, back[0].device_id, back[0].rows) == (Reason.CRC, "tag_0", 12)
    assert back[1] == refusals[1]


@pytest.mark.parametrize("payload", [b"", b"noise", encode_refusals([])])
def test_what_is_not_rejected_rows_is_a_clear_error(payload: bytes) -> None:
    with pytest.raises(SchemaError):
        decode_rejected(payload, {})
    if not payload.startswith(b"\xff"):
        with pytest.raises(SchemaError):
            decode_refusals(payload)
