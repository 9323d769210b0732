"""Bad input on every source of a live venue: a clear error or a counted rejection, and it goes on.

One live system for the module. Every test sends what is bad, finds it under its reason in the
account and in the quarantine, and then sends a good packet the same way. The last one adds it up.
"""

import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from cluster.certificates import Certificate, CertificateAuthority, gateway_uri
from cluster.datagram_keys import open_datagram_key
from cluster.identity import Issuer
from models.telemetry.ingest import encode_blocks
from models.telemetry.json_codec import encode_json
from models.telemetry.packet import encode_packet
from tests.e2e.live_senders import N, Senders
from tests.e2e.live_world import ARROW, BINARY, JSON, WAIT_S, live_venue
from tests.e2e.live_world import until as wait_until
from tests.unit import source_world as world

pytestmark = pytest.mark.timeout(240)
HOUR_NS = 3_600_000_000_000
IDS = world.index().device_ids
STRANGERS = ["nobody"] * len(IDS)
Payload = Callable[[Senders], bytes]
Table = Callable[[Senders], pa.RecordBatch]


@pytest.fixture(scope="module")
def to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Senders]:
    folder = tmp_path_factory.mktemp("bad")
    for venue in live_venue(folder, world.roster(), lateness_ms=500, late_bound_ms=120_000):
        yield Senders(venue)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys of another installation."""
    return tmp_path_factory.mktemp("foreign")


# -- HTTP -----------------------------------------------------------------------------------------

POSTED: dict[str, tuple[str, Payload, str, int]] = {
    "a truncated packet": (BINARY, lambda s: encode_packet(s.packet())[:-7], "truncated", 1),
    "a damaged packet": (
        BINARY, lambda s: encode_packet(s.packet())[:-1] + b"\xa5", "crc", 1
    ),
    "a truncated table": (
        ARROW, lambda s: encode_blocks({s.block().kind: s.block()}, IDS)[:-400], "truncated", 1
    ),
    "truncated text": (JSON, lambda s: encode_json([s.packet()])[:-9], "wrong_format", 1),
    "text where packets are due": (BINARY, lambda s: b"hello, world" * 9, "wrong_format", 1),
    "a table of something else": (
        ARROW, lambda s: ipc(pa.record_batch({"x": [1, 2, 3]})), "unknown_kind", 3
    ),
    "an unknown device": (
        BINARY, lambda s: encode_packet(s.packet("nobody")), "unknown_device", N
    ),
    "an unknown device in a table": (
        ARROW, lambda s: ipc(s.table(device_ids=STRANGERS)), "unknown_device", N
    ),
    "a packet for another venue": (
        BINARY, lambda s: encode_packet(replace(s.packet(), venue_id="other-park")), "identity", N
    ),
    "a packet from the future": (
        BINARY, lambda s: encode_packet(s.packet(ahead_ns=HOUR_NS)), "future", N
    ),
    "a packet without packets": (JSON, lambda s: b'{"packets": []}', "empty", 1),
    "10 MB of noise as packets": (BINARY, lambda s: s.noise(10 << 20), "wrong_format", 1),
    "10 MB of noise as text": (JSON, lambda s: s.noise(10 << 20), "wrong_format", 1),
    "10 MB of noise as a table": (ARROW, lambda s: s.noise(10 << 20), "truncated", 1),
}


def ipc(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("what", POSTED)
def test_what_is_posted_and_bad_is_answered_with_its_reason(to: Senders, what: str) -> None:
    kind, make, reason, rows = POSTED[what]
    before, since = to.rejections(), to.venue.quarantine_end()
    status, found = to.venue.post(make(to), kind)
    assert status == 202, found
    assert [(v["accepted"], v["reason"]) for v in found["verdicts"]] == [(False, reason)]
    to.expect(before, since, **{reason: rows})
    to.good_http()


def test_good_packets_around_bad_ones_are_taken_each_with_its_verdict(to: Senders) -> None:
    before, since = to.rejections(), to.venue.quarantine_end()
    packets = [to.packet(), to.nan_packet(), to.packet("nobody"), to.packet()]
    status, found = to.venue.post(encode_json(packets), JSON)
    assert status == 202, found
    assert [(v["device_id"], v["seq"], v["accepted_rows"], v["reason"])
            for v in found["verdicts"]] == [
        ("tag_0", packets[0].seq, N, "none"), ("tag_0", packets[1].seq, N - 1, "not_finite"),
        ("nobody", packets[2].seq, 0, "unknown_device"), ("tag_0", packets[3].seq, N, "none"),
    ]
    to.good["http"] += 3 * N - 1
    to.expect(before, since, not_finite=1, unknown_device=N)


@pytest.mark.parametrize(
    ("what", "status"),
    [("nothing", 401), ("garbage", 401), ("foreign", 401), ("expired", 401), ("coach", 403),
     ("neighbour", 403)],
)
def test_who_may_not_post_is_told_so_and_nothing_is_read(
    to: Senders, foreign: Path, what: str, status: int
) -> None:
    venue, keys = to.venue, to.venue.settings.identity.key_dir
    own = {"venues": [venue.venue_id]}
    token = {
        "nothing": lambda: "", "garbage": lambda: "x.y.z",
        "foreign": lambda: Issuer(foreign).mint("gateway", "device-gateway", claims=own),
        "expired": lambda: Issuer(keys, clock=lambda: time.time() - 7_200).mint(
            "gateway", "device-gateway", claims=own
        ),
        "coach": lambda: venue.token("coach", team="home"),
        "neighbour": lambda: venue.token("device-gateway", venues=["other-park"]),
    }[what]()
    before = venue.account()["in"]
    answered, found = venue.post(encode_packet(to.packet()), token=token)
    assert answered == status, found
    assert found["detail"]
    assert venue.account()["in"] == before
    to.good_http()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"", BINARY, 400), (b"x", "text/csv", 415), (bytes((16 << 20) + 1), BINARY, 413)],
    ids=["empty", "unknown content type", "oversize"],
)
def test_a_request_that_cannot_be_ingested_is_a_clear_error(
    to: Senders, body: bytes, kind: str, status: int
) -> None:
    before = to.venue.account()["in"]
    answered, found = to.venue.post(body, kind)
    assert answered == status, found
    assert found["detail"]
    assert to.venue.account()["in"] == before
    to.good_http()


# -- UDP ------------------------------------------------------------------------------------------

SIGNED: dict[str, tuple[Payload, str, int]] = {
    "nothing": (lambda s: b"", "truncated", 1),
    "a truncated packet": (lambda s: encode_packet(s.packet())[:-7], "truncated", 1),
    "something else": (lambda s: s.noise(900), "wrong_format", 1),
    "an unknown device": (lambda s: encode_packet(s.packet("nobody")), "unknown_device", N),
    "a packet from the future": (
        lambda s: encode_packet(s.packet(ahead_ns=HOUR_NS)), "future", N
    ),
}


@pytest.mark.parametrize("what", SIGNED)
def test_a_bad_datagram_is_counted_with_its_reason(to: Senders, what: str) -> None:
    make, reason, rows = SIGNED[what]
    before, since = to.rejections(), to.venue.quarantine_end()
    to.datagram(make(to))
    to.expect(before, since, **{reason: rows})
    to.good_udp()


def test_a_row_that_is_not_finite_does_not_take_its_datagram_along(to: Senders) -> None:
    before, since = to.rejections(), to.venue.quarantine_end()
    to.datagram(encode_packet(to.nan_packet()))
    to.expect(before, since, not_finite=1)
    to.good["udp"] += N - 1
    to.good_udp()


@pytest.mark.parametrize("who", ["nobody", "foreign", "neighbour"])
def test_a_datagram_without_the_gateways_signature_is_not_read(
    to: Senders, foreign: Path, who: str
) -> None:
    keys, venue_id = to.venue.settings.identity.key_dir, to.venue.venue_id
    before, since = to.rejections(), to.venue.quarantine_end()
    payload = encode_packet(to.packet())
    if who == "nobody":
        to.raw(payload)
    else:
        key = open_datagram_key(foreign, venue_id, "gateway") if who == "foreign" else (
            open_datagram_key(keys, "other-park", "gateway")
        )
        to.datagram(payload, key)
    to.expect(before, since, identity=1)
    to.good_udp()


def test_an_empty_datagram_is_counted(to: Senders) -> None:
    before, since = to.rejections(), to.venue.quarantine_end()
    to.raw(b"")
    to.expect(before, since, truncated=1)
    to.good_udp()


def test_ten_megabytes_of_random_datagrams_are_refused_or_counted_as_dropped(to: Senders) -> None:
    before, before_rows, sent = udp(to), to.accepted(), 0
    since = to.venue.quarantine_end()
    for _ in range(160):
        to.raw(to.noise(65_000))
        sent += 1

    def all_told() -> bool:
        """Datagrams that the kernel dropped are known with the next one that comes through."""
        nonlocal sent
        now = udp(to)
        told = sum(now[key] - before[key] for key in ("datagrams", "kernel_drops"))
        if told == sent and now["queued"] == 0:
            return True
        to.datagram(encode_packet(to.packet()))
        sent += 1
        return False

    wait_until(all_told, "every datagram received or dropped")
    good = to.accepted() - before_rows
    refused = udp(to)["datagrams"] - before["datagrams"] - good // N
    assert refused > 0
    to.good["udp"] += good
    to.rejected["identity"] += refused
    assert to.rejections() == to.rejected
    assert to.quarantined(since)["identity"] > 0
    to.good_udp()


def udp(to: Senders) -> dict[str, int]:
    return next(one for one in to.venue.stadium()["sources"] if one["type"] == "udp")


# -- Flight ---------------------------------------------------------------------------------------

PUT: dict[str, tuple[Table, str, int]] = {
    "no rows": (lambda s: s.table().slice(0, 0), "empty", 1),
    "something else": (lambda s: pa.record_batch({"x": [1, 2, 3]}), "unknown_kind", 3),
    "a table that lacks a column": (
        lambda s: s.table().drop_columns(["pos_y_m"]), "wrong_format", N
    ),
    "an unknown device": (lambda s: s.table(device_ids=STRANGERS), "unknown_device", N),
    "rows from the future": (lambda s: s.table(ahead_ns=HOUR_NS), "future", N),
    "10 MB of noise": (lambda s: s.noise_table(10 << 20), "unknown_kind", 1),
    "more than fits": (lambda s: s.noise_table((16 << 20) + 1), "oversize", 1),
}


@pytest.mark.parametrize("what", PUT)
def test_a_bad_table_is_answered_with_its_reason(to: Senders, what: str) -> None:
    make, reason, rows = PUT[what]
    before, since = to.rejections(), to.venue.quarantine_end()
    verdicts = to.put(make(to))
    assert [(v["accepted"], v["reason"]) for v in verdicts] == [(False, reason)]
    to.expect(before, since, **{reason: rows})
    to.good_flight()


def test_a_row_that_is_not_finite_does_not_take_its_table_along(to: Senders) -> None:
    before, since = to.rejections(), to.venue.quarantine_end()
    verdicts = to.put(to.nan_table())
    assert [(v["accepted_rows"], v["reason"]) for v in verdicts] == [(N - 1, "not_finite")]
    to.expect(before, since, not_finite=1)
    to.good["flight"] += N - 1
    to.good_flight()


@pytest.mark.parametrize("who", ["nobody", "foreign", "neighbour"])
def test_a_flight_client_without_a_good_certificate_is_refused(
    to: Senders, foreign: Path, who: str
) -> None:
    keys, venue_id = to.venue.settings.identity.key_dir, to.venue.venue_id
    leaf: Certificate | None = None
    if who == "foreign":
        leaf = CertificateAuthority(foreign).issue_certificate(gateway_uri(venue_id, "gateway"))
    elif who == "neighbour":
        leaf = CertificateAuthority(keys).issue_certificate(gateway_uri("other-park", "gateway"))
    before = to.venue.account()["in"]
    with (
        to.flight_client(leaf) as client,
        pytest.raises((flight.FlightError, pa.ArrowException, OSError)) as refusal,
    ):
        to.put_with(client, to.table())
    if who == "neighbour":
        assert "may not send" in str(refusal.value)
    assert to.venue.account()["in"] == before
    to.good_flight()


def test_noise_and_broken_off_streams_do_not_disturb_the_flight_port(to: Senders) -> None:
    before = to.venue.account()["in"]
    address = ("127.0.0.1", to.venue.flight_port)
    with socket.create_connection(address, timeout=10) as plain, suppress(OSError):
        plain.sendall(to.noise(10 << 20))
    context = ssl.create_default_context(cadata=to.venue.gateway.certificate().ca.decode())
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    with suppress(OSError), socket.create_connection(address, timeout=10) as plain:  # noqa: SIM117
        with context.wrap_socket(plain) as secure:
            secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\x40\1\4")
    with to.flight_client(to.venue.gateway.certificate()) as client:
        descriptor = flight.FlightDescriptor.for_path(to.venue.venue_id)
        client.do_put(descriptor, to.table().schema)  # and nothing more: the client goes away
    to.good_flight()
    assert to.venue.account()["in"] == before + N


# -- all together ---------------------------------------------------------------------------------


def test_all_three_sources_still_flow_and_the_report_counts_everything(to: Senders) -> None:
    for good in (to.good_http, to.good_udp, to.good_flight):
        good()
    command = to.venue.command
    os.killpg(command.process.pid, signal.SIGINT)
    ended = command.wait(2 * WAIT_S)
    assert ended.code == 0, ended.output[-3000:]
    assert "Traceback" not in ended.output
    samples = ended.report["samples"]
    assert samples["rejected"] == to.rejected
    assert samples["in"] == to.good.total() + to.rejected.total()
    assert samples["forwarded"] + samples["thinned"] == to.good.total()
    assert ended.report["conservation"]["holds"]
