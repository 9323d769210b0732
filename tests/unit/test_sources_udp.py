"""UDP over loopback: signed datagrams, noise, forged signatures, and a full queue."""

import hashlib
import hmac
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from actors.sources.arrival import ArrivalClock
from actors.sources.udp import UdpSource
from models.errors import ConfigError
from models.telemetry.kinds import Kind
from models.telemetry.packet import encode_packets
from models.telemetry.raw import RawBatch
from tests.unit import source_world as world

KEY = b"k" * 32


def sign(payload: bytes, key: bytes = KEY) -> bytes:
    return payload + hmac.new(key, payload, hashlib.sha256).digest()


def verify(payload: bytes, signature: bytes) -> bool:
    return hmac.compare_digest(hmac.new(KEY, payload, hashlib.sha256).digest(), signature)


def listening(queue: int = 64) -> UdpSource:
    clock = ArrivalClock(time.time_ns, virtual=False)
    source = UdpSource("udp-0", world.index(), clock, lambda: None, verify, queue_packets=queue)
    source.start()
    return source


@pytest.fixture
def source() -> Iterator[UdpSource]:
    opened = listening()
    yield opened
    opened.close()


def send(source: UdpSource, *datagrams: bytes) -> None:
    """Send over loopback and wait until all have been received."""
    host, port = source.address.split(":")
    expected = source.datagrams + len(datagrams)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, (host, int(port)))
    until = time.monotonic() + 5.0
    while source.datagrams < expected and time.monotonic() < until:
        source._thread.join(0.005)
    assert source.datagrams == expected


def taken(source: UdpSource) -> RawBatch:
    batch = source.next_batch(time.time_ns())
    assert batch is not None
    source.settled(batch, {})
    return batch


def test_signed_datagrams_become_rows_stamped_with_their_arrival(source: UdpSource) -> None:
    before = time.time_ns()
    send(source, *(sign(encode_packets([world.packet("tag_0", 4 * i)])) for i in range(10)))
    batch = taken(source)
    block = batch.blocks[Kind.LPS]
    assert block.seq.tolist() == list(range(40))
    assert before <= block.t_ingest_ns[0] <= block.t_ingest_ns[-1] <= time.time_ns()
    assert (np.diff(block.t_ingest_ns) >= 0).all()
    assert batch.refused == {}


def test_a_forged_signature_is_refused_before_its_content_is_read(source: UdpSource) -> None:
    send(source, sign(encode_packets([world.packet()]), b"x" * 32))
    batch = taken(source)
    assert batch.rows == 0
    assert batch.refused == {"identity": 1}
    (refusal,) = source.take_refusals()
    assert refusal.payload.startswith(b"TLPK")


def test_noise_between_good_datagrams_costs_only_itself(source: UdpSource) -> None:
    noise = np.random.default_rng(5).bytes
    good = [sign(encode_packets([world.packet("tag_1", 4 * i)])) for i in range(3)]
    send(source, good[0], b"", b"x", noise(31), noise(1200), sign(noise(900)), good[1], sign(b""),
         good[2])
    batch = taken(source)
    assert batch.blocks[Kind.LPS].seq.tolist() == list(range(12))
    assert batch.refused["truncated"] >= 4
    assert batch.refused["identity"] == 1
    assert sum(batch.refused.values()) == 6


def test_datagrams_that_find_the_queue_full_are_counted_as_refused() -> None:
    source = listening(queue=4)
    try:
        good = [sign(encode_packets([world.packet("tag_0", 4 * i)])) for i in range(10)]
        send(source, *good)
        batch = taken(source)
        assert batch.rows == 16
        assert batch.refused == {"rate": 6}
        assert source.progress()["queue_refused"] == 6
    finally:
        source.close()


def test_a_port_that_is_taken_is_a_clear_error(source: UdpSource) -> None:
    port = int(source.address.split(":")[1])
    clock = ArrivalClock(time.time_ns, virtual=False)
    with pytest.raises(ConfigError, match=f"udp 127.0.0.1:{port}"):
        UdpSource("udp-1", world.index(), clock, lambda: None, verify, port=port).start()


def test_where_it_listened_is_still_told_after_it_was_closed(source: UdpSource) -> None:
    address = source.address
    source.close()
    assert source.progress()["address"] == address
