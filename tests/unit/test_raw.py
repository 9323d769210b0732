"""Raw batches: what the edge can be re-run from survives its bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.telemetry.block import SampleBlock, empty_block
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.raw import MAGIC, RawBatch, decode_raw, encode_raw
from models.telemetry.record import TelemetryRecord, decode_record, encode_record

IDS = [f"d{i}" for i in range(4)] * 2
ROWS = {(f"d{i}", kind): i + 4 * (kind != Kind.LPS) for kind in Kind for i in range(4)}


def block(kind: Kind, n: int, seed: int = 0) -> SampleBlock:
    rng = np.random.default_rng(seed)
    base = 4 * (kind != Kind.LPS)
    return SampleBlock(
        kind, (base + rng.integers(0, 4, n)).astype(np.int32),
        rng.integers(0, 3, n).astype(np.uint32), rng.integers(0, 2**32, n).astype(np.uint32),
        rng.integers(0, 2**60, n), rng.integers(0, 2**60, n),
        rng.integers(0, 2**32, n).astype(np.uint32),
        rng.normal(size=(len(KINDS[kind].channels), n)).astype(np.float32),
    )


def same(one: SampleBlock, other: SampleBlock) -> None:
    for name in ("device", "boot", "seq", "t_event_ns", "t_ingest_ns", "flags", "values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(st.lists(st.sampled_from(list(Kind)), unique=True), st.integers(1, 50), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_batch_survives_its_bytes(kinds: list[Kind], n: int, end: bool) -> None:
    batch = RawBatch("s", 7, 99, {k: block(k, n) for k in kinds}, {"crc": 3}, end)
    back = decode_raw(encode_raw(batch, IDS), ROWS)
    assert (back.source_id, back.cursor, back.now_ns) == ("s", 7, 99)
    assert (back.refused, back.end, back.rows) == ({"crc": 3}, end, n * len(kinds))
    assert list(back.blocks) == kinds
    for kind in kinds:
        same(batch.blocks[kind], back.blocks[kind])


def test_blocks_without_rows_are_not_written() -> None:
    batch = RawBatch("s", 0, 1, {Kind.LPS: empty_block(Kind.LPS)})
    assert decode_raw(encode_raw(batch, IDS), ROWS).blocks == {}


def test_a_batch_cut_at_any_offset_raises_a_schema_error() -> None:
    whole = encode_raw(RawBatch("s", 1, 2, {Kind.HEART: block(Kind.HEART, 3)}), IDS)
    for end in range(len(whole)):
        with pytest.raises(SchemaError):
            decode_raw(whole[:end], ROWS)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_foreign_bytes_raise_a_schema_error(tail: bytes) -> None:
    with pytest.raises(SchemaError):
        decode_raw(MAGIC + tail, ROWS)


def test_a_record_of_a_newer_version_is_refused() -> None:
    whole = encode_raw(RawBatch("s", 1, 2, {}), IDS).replace(b'"schema_v":1', b'"schema_v":9')
    with pytest.raises(SchemaError, match="unknown_version"):
        decode_raw(whole, ROWS)


def test_telemetry_records_keep_their_lanes_apart() -> None:
    live, late = block(Kind.LPS, 5), block(Kind.LPS, 2, seed=1)
    record = TelemetryRecord("v", "m", 3, 0, 100, {Kind.LPS: live}, {Kind.LPS: late}, final=True)
    back = decode_record(encode_record(record, IDS), ROWS)
    same(back.blocks[Kind.LPS], live)
    same(back.supplements[Kind.LPS], late)
    assert back.final
    with pytest.raises(SchemaError, match="wrong_format"):
        decode_raw(encode_record(record, IDS), ROWS)
