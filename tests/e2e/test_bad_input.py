"""Bad input on every source of a live venue: a clear error or a counted rejection, and it goes on.

One live system for the module. Every test sends what is bad, finds it under its reason in the
account and in the quarantine, and then sends a good packet the same way. The last one adds it up.
"""

import json
import os
import signal
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from cluster.certificates import Certificate, CertificateAuthority, gateway_uri
from cluster.datagram_keys import DatagramKey, open_datagram_key
from cluster.identity import Issuer
from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import Kind
from models.telemetry.packet import Packet, encode_packet
from models.telemetry.json_codec import encode_json
from models.telemetry.quarantine import REFUSALS_TYPE, decode_refusals, decode_rejected
from tests.e2e.live_world import ARROW, BINARY, JSON, WAIT_S, LiveVenue, live_venue, until
from tests.unit import source_world as world

pytestmark = pytest.mark.timeout(240)
HOUR_NS = 3_600_000_000_000
RANDOM = np.random.default_rng(3)
expected: Counter[str] = Counter()
good_rows: Counter[str] = Counter()
_counters: Counter[str] = Counter()


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveVenue]:
    folder = tmp_path_factory.mktemp("bad")
    yield from live_venue(folder, world.roster(), lateness_ms=500, late_bound_ms=120_000)


@pytest.fixture(scope="module")
def foreign_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of another installation."""
    return tmp_path_factory.mktemp("foreign")


# -- what is sent -----------------------------------------------------------------------------------


def packet(device: str = "tag_0", n: int = 4, ahead_ns: int = 0) -> Packet:
    """A healthy packet of now; each one goes on where the device's last one ended."""
    seq = _counters[device]
    _counters[device] += n
    return world.packet(device, seq, n, time.time_ns() + ahead_ns)


def with_nan(device: str = "tag_1") -> Packet:
    bad = packet(device)
    bad.values[0, 1] = np.nan
    return bad


def block(device: int, n: int = 4, ahead_ns: int = 0) -> SampleBlock:
    """The same as columns; `device` is the roster's row of a position tag (0 or 2)."""
    name = f"tag_{device // 2}"
    seq = _counters[name]
    _counters[name] += n
    start_ns = time.time_ns() + ahead_ns - n * 50_000_000
    return world.block(n, start_ns, device=device, seq=seq)


def table(ahead_ns: int = 0, device: int = 0) -> pa.RecordBatch:
    return to_arrow(block(device, ahead_ns=ahead_ns), world.index().device_ids)


def stranger() -> pa.RecordBatch:
    return to_arrow(block(0), ["nobody", *world.index().device_ids[1:]])


def nan_table() -> pa.RecordBatch:
    bad = block(2)
    bad.values[0, 1] = np.nan
    return to_arrow(bad, world.index().device_ids)


def noise_table(size: int) -> pa.RecordBatch:
    return pa.record_batch({"noise": pa.array([RANDOM.bytes(size)], pa.binary())})


def stream_of(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


# -- how it is sent ---------------------------------------------------------------------------------


def datagram(venue: LiveVenue, payload: bytes, key: DatagramKey | None = None) -> None:
    """One signed datagram to the venue."""
    key = key or venue.gateway.datagram_key()
    raw(venue, payload + key.sign(payload))


def raw(venue: LiveVenue, payload: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(payload, ("127.0.0.1", venue.udp_port))


def put(
    venue: LiveVenue, batch: pa.RecordBatch, leaf: Certificate | None = None, ca: bytes = b""
) -> list[dict[str, Any]]:
    """One record batch over Flight; the verdicts. Without a leaf as the venue's gateway."""
    own = leaf or venue.gateway.certificate()
    client = flight.connect(
        flight.Location.for_grpc_tls("127.0.0.1", venue.flight_port),
        tls_root_certs=ca or own.ca, cert_chain=own.certificate, private_key=own.key,
    )
    with client:
        return verdicts_of(client, venue, batch)


def verdicts_of(
    client: flight.FlightClient, venue: LiveVenue, batch: pa.RecordBatch
) -> list[dict[str, Any]]:
    options = flight.FlightCallOptions(timeout=20.0)
    descriptor = flight.FlightDescriptor.for_path(venue.venue_id)
    writer, reader = client.do_put(descriptor, batch.schema, options)
    with writer:
        writer.write_batch(batch)
        answer = json.loads(reader.read().to_pybytes())
        writer.done_writing()
    return list(answer["verdicts"])


def good_http(venue: LiveVenue) -> None:
    status, found = venue.post(encode_packet(packet()))
    assert status == 202
    assert [v["accepted"] for v in found["verdicts"]] == [True], found
    good_rows["http"] += 4


def good_udp(venue: LiveVenue) -> None:
    before = accepted(venue)
    datagram(venue, encode_packet(packet()))
    until(lambda: accepted(venue) == before + 4, "the rows of a good datagram")
    good_rows["udp"] += 4


def good_flight(venue: LiveVenue) -> None:
    verdicts = put(venue, table())
    assert [v["accepted_rows"] for v in verdicts] == [4], verdicts
    good_rows["flight"] += 4


# -- what must be seen ------------------------------------------------------------------------------


def accepted(venue: LiveVenue) -> int:
    account = venue.account()
    return int(account["in"] - sum(account["rejected"].values()))


def reasons_in(venue: LiveVenue, since: int) -> Counter[str]:
    """Rows by reason in the quarantine from an offset on."""
    found: Counter[str] = Counter()
    for stored in venue.quarantined(since):
        if stored.record.content_type == REFUSALS_TYPE:
            for one in decode_refusals(stored.record.payload):
                assert one.detail or one.device_id
                found[one.reason.label] += one.rows
        else:
            rows_of = {d: row for row, d in enumerate(world.index().device_ids)}
            _, reasons = decode_rejected(stored.record.payload, rows_of)
            found.update(REASON_LABELS[code] for code in reasons.tolist())
    return found


def refused_after(
    venue: LiveVenue, act: Callable[[], Any], reason: str, rows: int = 1
) -> Any:
    """Do it; then `rows` more rows are rejected for the reason, in the account and quarantine."""
    before, offset = venue.account()["rejected"], venue.quarantine_end()
    answer = act()

    def counted() -> bool:
        return venue.account()["rejected"].get(reason, 0) >= before.get(reason, 0) + rows

    until(counted, f"{rows} rows rejected as {reason}")
    after = venue.account()["rejected"]
    assert {r: n - before.get(r, 0) for r, n in after.items() if n != before.get(r, 0)} == {
        reason: rows
    }
    until(lambda: reasons_in(venue, offset) == {reason: rows}, f"{reason} in the quarantine")
    expected[reason] += rows
    return answer


from models.telemetry.reasons import Reason  # noqa: E402

REASON_LABELS = {int(reason): reason.label for reason in Reason}
