"""Arrow Flight over loopback with mutual TLS: who may send, and what is answered when."""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from actors.sources.arrival import ArrivalClock
from actors.sources.flight import FlightSource, FlightTls
from cluster.certificates import (
    Certificate,
    CertificateAuthority,
    gateway_uri,
    may_send,
    service_uri,
)
from models.telemetry.arrow import to_arrow
from models.telemetry.kinds import Kind
from models.telemetry.raw import RawBatch
from tests.unit import source_world as world

VENUE = "test-park"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def source(authority: CertificateAuthority) -> Iterator[FlightSource]:
    own = authority.issue_certificate(service_uri("stadium"), ips=["127.0.0.1"])
    clock = ArrivalClock(time.time_ns, virtual=False)
    opened = FlightSource(
        "flight-0", world.index(), clock, lambda: None,
        FlightTls(own.certificate, own.key, authority.root_pem()),
        partial(may_send, venue_id=VENUE), queue_batches=4,
    )
    opened.start()
    yield opened
    opened.close()


def connect(source: FlightSource, leaf: Certificate | None, ca: bytes) -> flight.FlightClient:
    host, port = source.address.split(":")
    own = {"cert_chain": leaf.certificate, "private_key": leaf.key} if leaf else {}
    return flight.connect(
        flight.Location.for_grpc_tls(host, int(port)), tls_root_certs=ca, **own
    )


def put(client: flight.FlightClient, batches: list[pa.RecordBatch]) -> list[dict]:
    options = flight.FlightCallOptions(timeout=20.0)
    descriptor = flight.FlightDescriptor.for_path(VENUE)
    writer, reader = client.do_put(descriptor, batches[0].schema, options)
    answers = []
    with writer:
        for batch in batches:
            writer.write_batch(batch)
            answers.append(json.loads(reader.read().to_pybytes()))
        writer.done_writing()
    return answers


def in_thread(call: Callable[[], list[dict]], source: FlightSource) -> list[dict]:
    """Run `call` beside a loop that makes durable and judges all that arrives as good."""
    result: list[list[dict]] = []
    thread = Thread(target=lambda: result.append(call()), daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while thread.is_alive() and time.monotonic() < until:
        batch = source.next_batch(time.time_ns())
        if batch is not None:
            source.settled(
                batch, {kind: np.zeros(len(b), np.uint8) for kind, b in batch.blocks.items()}
            )
        thread.join(0.002)
    assert result, "no answer"
    return result[0]


def test_each_batch_is_answered_after_it_was_settled(
    source: FlightSource, authority: CertificateAuthority
) -> None:
    leaf = authority.issue_certificate(gateway_uri(VENUE, "north"))
    ids = world.index().device_ids
    batches = [to_arrow(world.block(50, seq=50 * i), ids) for i in range(3)]
    with connect(source, leaf, authority.root_pem()) as client:
        answers = in_thread(lambda: put(client, batches), source)
    assert [answer["batch"] for answer in answers] == [0, 1, 2]
    assert [a["verdicts"][0]["accepted_rows"] for a in answers] == [50, 50, 50]
    assert source.progress()["peers"] == {gateway_uri(VENUE, "north"): 1}


def test_a_table_that_is_no_telemetry_is_answered_with_its_reason(
    source: FlightSource, authority: CertificateAuthority
) -> None:
    leaf = authority.issue_certificate(gateway_uri(VENUE, "north"))
    strange = pa.record_batch({"x": [1, 2, 3]})
    with connect(source, leaf, authority.root_pem()) as client:
        (answer,) = in_thread(lambda: put(client, [strange]), source)
    assert answer["verdicts"][0]["reason"] == "unknown_kind"


@pytest.mark.parametrize("who", ["nobody", "foreign", "neighbour"])
def test_who_may_not_send_is_refused(
    source: FlightSource, authority: CertificateAuthority, tmp_path: Path, who: str
) -> None:
    leaf = {
        "nobody": lambda: None,
        "foreign": lambda: CertificateAuthority(tmp_path).issue_certificate(
            gateway_uri(VENUE, "north")
        ),
        "neighbour": lambda: authority.issue_certificate(gateway_uri("other-park", "north")),
    }[who]()
    batch = to_arrow(world.block(5), world.index().device_ids)
    with (
        connect(source, leaf, authority.root_pem()) as client,
        pytest.raises((flight.FlightError, pa.ArrowException, OSError)) as refusal,
    ):
        put(client, [batch])
    if who == "neighbour":
        assert "may not send" in str(refusal.value)
        assert source.progress()["denied"] == 1
    assert source.inbox.depth == 0
    assert source.progress()["peers"] == {}


def test_kinds_survive_the_wire(source: FlightSource, authority: CertificateAuthority) -> None:
    leaf = authority.issue_certificate(service_uri("replayer"))
    block = world.block(20)
    seen: list[np.ndarray] = []
    original = source.next_batch

    def watched(now_ns: int) -> RawBatch | None:
        batch = original(now_ns)
        if batch is not None:
            seen.append(batch.blocks[Kind.LPS].values)
        return batch

    source.next_batch = watched  # type: ignore[method-assign]
    with connect(source, leaf, authority.root_pem()) as client:
        in_thread(lambda: put(client, [to_arrow(block, world.index().device_ids)]), source)
    assert np.array_equal(seen[0], block.values)


def test_a_client_that_keeps_its_stream_open_does_not_keep_the_source_from_closing(
    source: FlightSource, authority: CertificateAuthority
) -> None:
    leaf = authority.issue_certificate(gateway_uri(VENUE, "north"))
    batch = to_arrow(world.block(5), world.index().device_ids)
    with connect(source, leaf, authority.root_pem()) as client:
        writer, reader = client.do_put(flight.FlightDescriptor.for_path(VENUE), batch.schema)
        writer.write_batch(batch)
        until = time.monotonic() + 10
        while not source.inbox.depth and time.monotonic() < until:
            source._thread.join(0.005)
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 5.0
        answer = json.loads(reader.read().to_pybytes())
        assert answer["verdicts"][0]["reason"] == "retry"
        writer.close()
