"""Dense bodies: the same rows at a stadium, and none that unpacks to more than its bound."""

import numpy as np
import pyarrow as pa
import pytest

from actors.sources.arrival import ArrivalClock
from actors.sources.live import MAX_INBOX_BYTES
from actors.sources.push import MAX_PAYLOAD_BYTES, PushSource
from models.errors import SchemaError
from models.telemetry.arrow import to_arrow
from models.telemetry.decoded import MAX_PAYLOAD_BYTES as MAX_UNPACKED
from models.telemetry.dense import densified, unpacked
from models.telemetry.ingest import decode_arrow, encode_blocks
from models.telemetry.ipc_bound import unpacked_bytes
from models.telemetry.json_codec import encode_json
from models.telemetry.kinds import Kind
from models.telemetry.packet import encode_packets
from tests.unit import source_world as world

ARROW = "application/vnd.apache.arrow.stream"
NOW = world.START_NS
IDS = [device.device_id for device in world.roster().devices]


def push(queue_batches: int = 8) -> PushSource:
    clock = ArrivalClock(lambda: NOW, False)
    return PushSource("http", world.index(), clock, lambda: None, lambda: NOW, queue_batches)


def compressed_stream(rows: int, codec: str = "zstd") -> bytes:
    batch = to_arrow(world.block(rows), IDS)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def reason_of(source: PushSource, payload: bytes, content_type: str = ARROW + "+zstd") -> str:
    """Of the one refusal, which is counted and answered."""
    ticket = source.offer(payload, content_type, "gateway")
    batch = source.next_batch(NOW)
    source.settled(batch, {})
    assert batch.rows == 0
    ((label, rows),) = batch.refused.items()
    assert rows == 1
    assert ticket.result(0)[0]["reason"] == label
    return label


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, 1 << 20])
def test_what_was_packed_is_unpacked_at_every_form_of_the_size(size: int) -> None:
    payload = np.random.default_rng(size).bytes(size)
    assert unpacked(densified(payload), size) == payload


@pytest.mark.parametrize(("content_type", "payload"), [
    (ARROW, encode_blocks({Kind.LPS: world.block(8)}, IDS)),
    ("application/json", encode_json([world.packet()])),
    ("application/octet-stream", encode_packets([world.packet()])),
])
def test_a_dense_body_holds_the_rows_of_the_plain_one(content_type: str, payload: bytes) -> None:
    source = push()
    plain = source.decode(payload, content_type)
    dense = source.decode(densified(payload), f"{content_type}+zstd; charset=utf-8")
    assert plain.rows == dense.rows > 0
    for name in ("device", "boot", "seq", "t_event_ns", "values"):
        one, other = (getattr(found.blocks[Kind.LPS], name) for found in (plain, dense))
        assert np.array_equal(one, other, equal_nan=True), name


def test_a_body_that_says_it_is_over_the_bound_is_oversize_before_it_is_unpacked() -> None:
    bomb = densified(bytes(MAX_PAYLOAD_BYTES + 1))
    assert len(bomb) < 4_096
    assert reason_of(push(), bomb) == "oversize"
    assert reason_of(push(), densified(bytes(MAX_PAYLOAD_BYTES))) != "oversize"


def test_a_size_that_only_exists_in_the_header_allocates_nothing() -> None:
    frame = bytearray(densified(bytes(70_000)))
    assert frame[4] >> 6 == 2
    frame[4] = frame[4] & 0x3F | 0xC0
    lie = bytes(frame[:5]) + (2**62).to_bytes(8, "little") + bytes(frame[9:])
    with pytest.raises(SchemaError, match="oversize"):
        unpacked(lie, MAX_PAYLOAD_BYTES)


def test_a_body_that_unpacks_to_more_than_it_says_is_refused() -> None:
    frame = bytearray(densified(bytes(70_000)))
    frame[5:9] = (60_000).to_bytes(4, "little")
    assert reason_of(push(), bytes(frame)) == "wrong_format"
    two = densified(b"x" * 1_000) + densified(bytes(1 << 20))
    assert reason_of(push(), two) == "wrong_format"


@pytest.mark.parametrize(("frame", "reason"), [
    (b"\x28\xb5\x2f", "truncated"), (b"\x28\xb5\x2f\xfd\xa0\x01", "truncated"),
    (b"not a frame at all", "wrong_format"),
    (b"\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00", "wrong_format"),  # no size in it
    (densified(bytes(9_000))[:-4], "wrong_format"),
])
def test_damaged_frames_are_named_and_counted(frame: bytes, reason: str) -> None:
    assert reason_of(push(), frame) == reason


def test_random_damage_to_a_dense_body_never_raises() -> None:
    rng = np.random.default_rng(8)
    whole = densified(encode_blocks({Kind.LPS: world.block(50)}, IDS))
    source = push()
    for _ in range(300):
        broken = np.frombuffer(whole, np.uint8).copy()
        broken[rng.integers(0, len(broken), 3)] = rng.integers(0, 256, 3)
        found = source.decode(broken.tobytes(), ARROW + "+zstd")
        assert found.verdicts


def test_what_waits_in_the_inbox_counts_as_what_it_has_become() -> None:
    source = push(queue_batches=64)
    payload = densified(encode_blocks({Kind.LPS: world.block(20_000)}, IDS))
    ticket = source.offer(payload, ARROW + "+zstd", "gateway")
    assert not ticket.done()
    assert len(payload) < 20_000 * 56 == source.inbox.size_bytes < MAX_INBOX_BYTES


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_buffers_are_read_and_their_size_is_known_before(codec: str) -> None:
    payload = compressed_stream(4_000, codec)
    found = decode_arrow(payload, world.index(), NOW)
    assert found.rows == 4_000
    assert 4_000 * 56 <= unpacked_bytes(payload, 1 << 30) < 4_000 * 56 + 8_192
    plain = encode_blocks({Kind.LPS: world.block(4_000)}, IDS)
    assert unpacked_bytes(plain, 1 << 30) == 0


def test_buffers_that_would_unpack_beyond_the_bound_are_oversize() -> None:
    one = compressed_stream(900_000)
    streams = MAX_UNPACKED // (900_000 * 56) + 1
    payload = one * streams
    assert len(payload) < MAX_UNPACKED
    found = decode_arrow(payload, world.index(), NOW)
    assert found.rows == 0
    assert [refusal.reason.label for refusal in found.refusals] == ["oversize"]


def test_a_buffer_that_lies_about_its_length_is_refused_before_it_is_allocated() -> None:
    payload = bytearray(compressed_stream(4_000))
    at = payload.index((4_000 * 8).to_bytes(8, "little"))  # t_event_ns
    payload[at : at + 8] = (2**40).to_bytes(8, "little")
    found = decode_arrow(bytes(payload), world.index(), NOW)
    assert [refusal.reason.label for refusal in found.refusals] == ["oversize"]
