"""Raw batches: what the edge can be re-run from survives its bytes."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock, empty_block
from models.telemetry.ipc_mould import stream_of
from models.telemetry.ipc_write import StreamWriter
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.parts import pack, unpack_header, unpack_parts
from models.telemetry.raw import MAGIC, RawBatch, RawDecoder, decode_raw, encode_raw
from models.telemetry.record import (
    FlowStates,
    TelemetryRecord,
    decode_header,
    decode_record,
    encode_record,
)

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


def test_channels_that_nobody_sent_take_no_room() -> None:
    whole = block(Kind.IMU, 500)
    bare = replace(whole, values=whole.values.copy())
    names = KINDS[Kind.IMU].names
    gone = [c for c, one in enumerate(KINDS[Kind.IMU].channels) if one.nullable]
    assert {names[c] for c in gone} >= {"mag_x_ut", "load_au"}
    bare.values[gone] = np.nan
    both = [encode_raw(RawBatch("s", 7, 99, {Kind.IMU: b}), IDS) for b in (whole, bare)]
    assert len(both[0]) - len(both[1]) > 500 * 4 * len(gone)
    writer = StreamWriter(IDS, [Kind.LPS] * 4 + [Kind.IMU] * 4)
    for payload in (both[1], encode_raw(RawBatch("s", 7, 99, {Kind.IMU: bare}), IDS, writer)):
        same(decode_raw(payload, ROWS).blocks[Kind.IMU], bare)
    # As they were written before that.
    fat = pack(MAGIC, {"source_id": "s", "cursor": 7, "now_ns": 99, "refused": {}, "end": False},
               {"raw": {Kind.IMU: bare}}, IDS)
    same(decode_raw(fat, ROWS).blocks[Kind.IMU], bare)


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


@given(st.lists(
    st.tuples(
        st.sampled_from([Kind.IMU, Kind.HEART]), st.integers(1, 9), st.sets(st.integers(0, 9))
    ),
    min_size=1, max_size=8,
))
@settings(max_examples=40, deadline=None)
def test_a_decoder_that_remembers_shapes_reads_what_any_other_reads(
    sent: list[tuple[Kind, int, set[int]]],
) -> None:
    # d3 is sent, and the reader's roster does not know it.
    known = {key: row for key, row in ROWS.items() if key[0] != "d3"}
    decoder = RawDecoder(known)
    for seed, (kind, n, gone) in enumerate(sent):
        one = block(kind, n, seed)
        nullable = [c for c, channel in enumerate(KINDS[kind].channels) if channel.nullable]
        one.values[[c for c in nullable if c in gone]] = np.nan
        payload = encode_raw(RawBatch("s", seed, 99, {kind: one}), IDS)
        header, offset = unpack_header(MAGIC, payload)
        found = decoder.decode(payload).blocks[kind]
        same(found, unpack_parts(header, payload, offset, known, ("raw",))["raw"][kind])
        same(found, replace(one, device=np.where(one.device % 4 == 3, -1, one.device)))


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


def test_a_part_of_a_lane_that_raw_batches_do_not_have_is_refused() -> None:
    whole = encode_raw(RawBatch("s", 1, 2, {Kind.HEART: block(Kind.HEART, 3)}), IDS)
    with pytest.raises(SchemaError, match="wrong_format"):
        decode_raw(whole.replace(b'"lane":"raw"', b'"lane":"wro"'), ROWS)


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


@given(st.lists(st.sampled_from(list(Kind)), unique=True), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_the_container_is_its_header_and_the_streams_of_its_blocks(
    kinds: list[Kind], n: int
) -> None:
    ids = [f"{kind}-{row}" for kind in Kind for row in range(2)]
    first = {kind: 2 * place for place, kind in enumerate(Kind)}
    lanes: dict[str, dict[Kind, SampleBlock]] = {
        lane: {
            kind: replace(one := block(kind, n), device=first[kind] + one.device % 2)
            for kind in kinds
        }
        for lane in ("live", "supplement")
    }
    writer = StreamWriter(ids, [kind for kind in Kind for _ in range(2)])
    streams = [
        (lane, kind, writer.write(one)) for lane, found in lanes.items()
        for kind, one in found.items()
    ]
    listed = [{"lane": lane, "kind": str(kind), "bytes": len(s)} for lane, kind, s in streams]
    whole = {"schema_v": 1, "name": "n", "parts": listed}
    head = json.dumps(whole, separators=(",", ":")).encode()
    expected = b"TLX1" + struct.pack("<I", len(head)) + head + b"".join(s for _, _, s in streams)
    assert pack(b"TLX1", {"name": "n"}, lanes, ids, writer) == expected
    by_pyarrow = pack(b"TLX1", {"name": "n"}, lanes, ids)
    bodies = b"".join(
        stream_of(to_arrow(one, ids)) for found in lanes.values() for one in found.values()
    )
    assert by_pyarrow.endswith(bodies)


@given(st.lists(st.floats(0, 1, width=32), max_size=60))
@settings(max_examples=200, deadline=None)
def test_scores_are_written_as_python_rounds_them(scores: list[float]) -> None:
    # Thirty-seconds lie half-way between two ten-thousandths.
    scores += [k / 32 for k in range(33)]
    score = np.array(scores, np.float32)
    flows = FlowStates(
        np.arange(len(score), dtype=np.int32), score, np.zeros(len(score), np.bool_)
    )
    payload = encode_record(TelemetryRecord("v", "m", 0, 0, 1, {}, flows=flows), IDS)
    held = decode_header(payload)[0]["flows"]["score"]
    assert repr(held) == repr([round(float(one), 4) for one in score])
