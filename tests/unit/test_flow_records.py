"""The workers' reader of records says what the general one says, whatever the bytes are."""

import json
import struct
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.flow_records import RecordDecoder
from models.telemetry.ipc import StreamReader
from models.telemetry.kinds import FLOW_KINDS, KINDS, Kind
from models.telemetry.record import (
    FlowStates,
    TelemetryRecord,
    decode_header,
    decode_record,
    encode_record,
)

IDS = [f"device-{k}" for k in range(7)]
ROWS = {(name, kind): row for kind in Kind for row, name in enumerate(IDS[:5])}
COLUMNS = ("device", "boot", "seq", "t_event_ns", "t_ingest_ns", "flags", "values")


def block_of(kind: Kind, rows: int, seed: int) -> SampleBlock:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(KINDS[kind].channels), rows)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    whole = rng.integers(0, 1 << 40, (2, rows))
    small = rng.integers(0, 1 << 20, (3, rows)).astype(np.uint32)
    device = rng.integers(0, len(IDS), rows).astype(np.int32)
    return SampleBlock(kind, device, small[0], small[1], whole[0], whole[1], small[2], values)


def record_of(sizes: dict[Kind, int], seed: int = 0) -> TelemetryRecord:
    blocks = {kind: block_of(kind, rows, seed + rows) for kind, rows in sizes.items()}
    states = FlowStates(
        np.arange(3, dtype=np.int32), np.zeros(3, np.float32), np.array([True, False, True]),
        np.arange(seed % 3, dtype=np.int32),
    )
    return TelemetryRecord(
        "v", "m", 4, 10, 20, blocks, {Kind.IMU: block_of(Kind.IMU, 3, 9)}, states, {"source": 7}
    )


def same(one: SampleBlock, other: SampleBlock) -> bool:
    return one.kind == other.kind and all(
        np.array_equal(getattr(one, c), getattr(other, c), equal_nan=c == "values")
        and getattr(one, c).dtype == getattr(other, c).dtype for c in COLUMNS
    )


def stream_of(batch: pa.RecordBatch, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(list(Kind)), st.integers(1, 40)), st.integers(0, 1000))
def test_it_reads_what_the_general_decoder_reads_of_the_kinds_of_flows(
    sizes: dict[Kind, int], seed: int
) -> None:
    payload = encode_record(record_of(sizes, seed), IDS)
    decoder, whole = RecordDecoder(ROWS), decode_record(payload, ROWS)
    for _ in range(2):
        found = decoder.decode(payload)
        assert found.blocks.keys() == whole.blocks.keys() & FLOW_KINDS
        assert all(same(block, whole.blocks[kind]) for kind, block in found.blocks.items())
        assert replace(found, blocks={}, flows=None) == replace(
            whole, blocks={}, supplements={}, flows=None
        )
        assert found.flows.hot.tolist() == whole.flows.hot.tolist()
        assert found.flows.rest.tolist() == whole.flows.rest.tolist() == list(range(seed % 3))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_records_are_refused_or_read_as_the_general_decoder_reads_them(data) -> None:
    payload = bytearray(encode_record(record_of({Kind.LPS: 6, Kind.IMU: 9}), IDS))
    decoder = RecordDecoder(ROWS)
    decoder.decode(bytes(payload))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(payload[: data.draw(st.integers(len(payload) // 2, len(payload)))])
    try:
        found = decoder.decode(cut)
    except SchemaError:
        return
    for block in found.blocks.values():
        assert len(block) == block.values.shape[1]
        assert int(block.device.max()) < len(IDS)
    try:
        whole = decode_record(cut, ROWS)
    except SchemaError:
        return
    assert all(same(block, whole.blocks[kind]) for kind, block in found.blocks.items())


def test_no_single_damaged_byte_is_followed_to_where_it_leads() -> None:
    payload = encode_record(record_of({Kind.LPS: 6}), IDS)
    for at in range(len(payload)):
        cut = payload[:at] + b"\0" + payload[at + 1 :]
        for decode in (RecordDecoder(ROWS).decode, lambda p: decode_record(p, ROWS)):
            with suppress(SchemaError):
                decode(cut)


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_stream_that_is_not_plain_is_left_to_the_general_reader(compression: str | None) -> None:
    block = block_of(Kind.LPS, 12, 3)
    batch = to_arrow(block, IDS)
    no_height = pa.array([None] * 12, pa.float32())
    nulls = batch.set_column(8, pa.field("pos_z_m", pa.float32()), no_height)
    reader = StreamReader({Kind.LPS: {name: row for row, name in enumerate(IDS)}})
    assert same(reader.read(stream_of(batch, compression), Kind.LPS), block)
    assert np.isnan(reader.read(stream_of(nulls, compression), Kind.LPS).values[2]).all()


def test_it_remembers_a_bounded_number_of_shapes() -> None:
    reader = StreamReader({Kind.HEART: {}})
    for k in range(200):
        reader.read(stream_of(to_arrow(block_of(Kind.HEART, 2, k), [f"{k}-{i}" for i in range(7)])),
                    Kind.HEART)
    assert len(reader._layouts) <= 64


def test_every_kind_that_a_flow_reads_is_decoded() -> None:
    assert {
        Kind.GNSS, Kind.LPS, Kind.IMU, Kind.HEART, Kind.BOOT, Kind.BALL_POS, Kind.BALL_IMU,
    } == FLOW_KINDS


@pytest.mark.parametrize("bad", [[2**40], [[1], [2]], "x", None, [1.0], {"a": 1}, 7])
@pytest.mark.parametrize("key", ["subject", "score", "hot", "rest"])
def test_flow_states_that_are_none_are_refused_by_both_decoders(key: str, bad: object) -> None:
    payload = encode_record(record_of({Kind.LPS: 3}, 1), IDS)
    header, offset = decode_header(payload)
    header["flows"][key] = bad
    head = json.dumps(header).encode()
    damaged = payload[:4] + struct.pack("<I", len(head)) + head + payload[offset:]
    if key == "rest" and bad == [1.0]:
        # Of any length, and a whole number whichever way it is written.
        assert RecordDecoder(ROWS).decode(damaged).flows.rest.tolist() == [1]
        return
    with pytest.raises(SchemaError):
        RecordDecoder(ROWS).decode(damaged)
    with pytest.raises(SchemaError):
        decode_record(damaged, ROWS)
