"""Small senders for one live venue, good and bad, one per way in; they count what they send.

The venue's roster is that of `tests.unit.source_world`: two athletes with a position tag each.
"""

import json
import socket
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight

from cluster.certificates import Certificate
from cluster.datagram_keys import DatagramKey
from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.packet import Packet, encode_packet
from models.telemetry.quarantine import REFUSALS_TYPE, decode_refusals, decode_rejected
from models.telemetry.reasons import Reason
from tests.e2e.live_world import LiveVenue, until
from tests.unit import source_world as world

N = 2
"""Rows of every packet and table."""
STEP_M = 0.1


class Senders:
    """Each device's counter and position go on from packet to packet, whatever becomes of it."""

    def __init__(self, venue: LiveVenue) -> None:
        self.venue = venue
        self.good, self.rejected = Counter[str](), Counter[str]()
        self._counters = Counter[str]()
        self._random = np.random.default_rng(3)

    # -- payloads ---------------------------------------------------------------------------------

    def packet(self, device: str = "tag_0", ahead_ns: int = 0) -> Packet:
        """A packet of now, or of later."""
        seq = self._count(device)
        return world.packet(device, seq, N, time.time_ns() + ahead_ns)

    def nan_packet(self) -> Packet:
        """One of its rows has no position."""
        bad = self.packet()
        bad.values[0, 1] = np.nan
        return bad

    def block(self, ahead_ns: int = 0) -> SampleBlock:
        """The same of the other tag, as columns."""
        seq = self._count("tag_1")
        start_ns = time.time_ns() + ahead_ns - N * 50_000_000
        rows = world.block(N, start_ns, device=2, seq=seq)
        values = rows.values.copy()
        values[0] = rows.seq * STEP_M
        return replace(rows, values=values)

    def table(self, ahead_ns: int = 0, device_ids: list[str] | None = None) -> pa.RecordBatch:
        return to_arrow(self.block(ahead_ns), device_ids or world.index().device_ids)

    def nan_table(self) -> pa.RecordBatch:
        bad = self.block()
        bad.values[0, 1] = np.nan
        return to_arrow(bad, world.index().device_ids)

    def noise(self, size: int) -> bytes:
        return self._random.bytes(size)

    def noise_table(self, size: int) -> pa.RecordBatch:
        return pa.record_batch({"noise": pa.array([self.noise(size)], pa.binary())})

    def _count(self, device: str) -> int:
        seq = self._counters[device]
        self._counters[device] += N
        return seq

    # -- ways -------------------------------------------------------------------------------------

    def datagram(self, payload: bytes, key: DatagramKey | None = None) -> None:
        """Signed, with the gateway's key unless another one is given."""
        key = key or self.venue.gateway.datagram_key()
        self.raw(payload + key.sign(payload))

    def raw(self, payload: bytes) -> None:
        """One datagram as it is."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(payload, ("127.0.0.1", self.venue.udp_port))

    def put(self, batch: pa.RecordBatch, leaf: Certificate | None = None) -> list[dict[str, Any]]:
        """One table over Flight, as the venue's gateway unless a leaf is given; the verdicts."""
        with self.flight_client(leaf or self.venue.gateway.certificate()) as client:
            return self.put_with(client, batch)

    def flight_client(self, leaf: Certificate | None) -> flight.FlightClient:
        own = {"cert_chain": leaf.certificate, "private_key": leaf.key} if leaf else {}
        location = flight.Location.for_grpc_tls("127.0.0.1", self.venue.flight_port)
        # The server is the right one in every case: only what the client shows may be wrong.
        ca = self.venue.gateway.certificate().ca
        return flight.connect(location, tls_root_certs=ca, **own)

    def put_with(self, client: flight.FlightClient, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        options = flight.FlightCallOptions(timeout=20.0)
        descriptor = flight.FlightDescriptor.for_path(self.venue.venue_id)
        writer, reader = client.do_put(descriptor, batch.schema, options)
        with writer:
            writer.write_batch(batch)
            answer = json.loads(reader.read().to_pybytes())
            writer.done_writing()
        return list(answer["verdicts"])

    # -- the stream goes on -----------------------------------------------------------------------

    def good_http(self) -> None:
        status, found = self.venue.post(encode_packet(self.packet()))
        assert (status, [v["accepted_rows"] for v in found["verdicts"]]) == (202, [N]), found
        self.good["http"] += N

    def good_udp(self) -> None:
        before = self.accepted()
        self.datagram(encode_packet(self.packet()))
        until(lambda: self.accepted() == before + N, "the rows of a good datagram")
        self.good["udp"] += N

    def good_flight(self) -> None:
        verdicts = self.put(self.table())
        assert [v["accepted_rows"] for v in verdicts] == [N], verdicts
        self.good["flight"] += N

    # -- what has become of it ------------------------------------------------------------------

    def accepted(self) -> int:
        """Rows that have come in and were not rejected."""
        account = self.venue.account()
        return int(account["in"] - sum(account["rejected"].values()))

    def quarantined(self, since: int) -> Counter[str]:
        """Rows by reason in the quarantine from an offset on."""
        found: Counter[str] = Counter()
        rows_of = {name: row for (name, _), row in world.index().rows_of.items()}
        for stored in self.venue.quarantined(since):
            if stored.record.content_type == REFUSALS_TYPE:
                for one in decode_refusals(stored.record.payload):
                    assert one.detail
                    found[one.reason.label] += one.rows
            else:
                _, reasons = decode_rejected(stored.record.payload, rows_of)
                found.update(Reason(code).label for code in reasons.tolist())
        return found

    def expect(self, before: Counter[str], since: int, **rows: int) -> None:
        """Exactly `rows` (reason=n) more are rejected, and they are in the quarantine."""
        more = Counter(rows)
        self.rejected += more
        until(lambda: self.rejections().total() >= before.total() + more.total(), f"all of {more}")
        assert self.rejections() - before == more
        until(lambda: self.quarantined(since).total() >= more.total(), f"quarantine of {more}")
        assert self.quarantined(since) == more

    def rejections(self) -> Counter[str]:
        """Rows by reason in the account."""
        return Counter(self.venue.account()["rejected"])
