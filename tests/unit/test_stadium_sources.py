"""A stadium built from settings, with the sources that the settings name."""

import json
import socket
import time
from pathlib import Path
from threading import Thread

import pyarrow.flight as flight
import pytest

from actors.stadium import Stadium
from cluster.certificates import CertificateAuthority, gateway_uri
from cluster.datagram_keys import open_datagram_key
from cluster.edge_settings import edge_config
from cluster.settings import EdgeSettings
from models.errors import ConfigError
from models.telemetry.arrow import to_arrow
from models.telemetry.packet import encode_packets
from tests.unit import source_world as world
from tests.unit.stadium_world import VENUE, live, opened, play, simulated


def wait_until(made: Stadium, rows: int) -> dict:
    """Run the stadium until `rows` rows have come in; its stats then."""
    until = time.monotonic() + 10.0
    while made.stats()["raw_rows"] < rows and time.monotonic() < until:
        made.run_step()
    return made.stats()


def test_udp_flight_and_http_feed_one_venue_each_with_its_own_identity(tmp_path: Path) -> None:
    venue = live(tmp_path)
    venue["sources"] += [{"type": "udp", "port": 0}, {"type": "flight", "port": 0}]
    made, _ = opened(tmp_path, venue, wall=time.time_ns)
    try:
        address = made.addresses()
        packets = encode_packets([world.packet("tag_0", 0, t_ns=time.time_ns())])
        key = open_datagram_key(tmp_path / "keys", VENUE, "gateway")
        host, port = address["udp-1"].split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(packets + key.sign(packets), (host, int(port)))
            sender.sendto(packets + b"\0" * 32, (host, int(port)))
        stats = wait_until(made, 4)
        answers: list[dict] = []
        sender_thread = Thread(target=send_flight, args=(tmp_path, address["flight-2"], answers))
        sender_thread.start()
        stats = wait_until(made, 14)
        sender_thread.join(10.0)
        assert answers[0]["verdicts"][0]["accepted_rows"] == 10
        assert stats["refused"] == {"identity": 1}
        assert {s["type"]: s["packets"] for s in stats["sources"]} == {
            "udp": 2, "flight": 1, "http": 0,
        }
        made.finish()
        play(made)
        assert made.stats()["account"]["in"] == 15
        assert made.stats()["account"]["forwarded"] == 14
    finally:
        made.stop()


def send_flight(root: Path, address: str, answers: list[dict]) -> None:
    authority = CertificateAuthority(root / "keys")
    leaf = authority.issue_certificate(gateway_uri(VENUE, "south"))
    client = flight.connect(
        f"grpc+tls://{address}", tls_root_certs=authority.root_pem(),
        cert_chain=leaf.certificate, private_key=leaf.key,
    )
    batch = to_arrow(
        world.block(10, time.time_ns() - 10**9, device=2), world.index().device_ids
    )
    with client:
        writer, reader = client.do_put(flight.FlightDescriptor.for_path(VENUE), batch.schema)
        with writer:
            writer.write_batch(batch)
            answers.append(json.loads(reader.read().to_pybytes()))


def test_a_recording_of_real_players_plays_to_its_end(tmp_path: Path, recordings: Path) -> None:
    source = {"type": "file", "path": str(recordings / "vendor_samples/kloppy/tracab_raw.dat")}
    venue = {"id": VENUE, "match_id": "rec", "sources": [source]}
    made, _ = opened(tmp_path, venue)
    play(made)
    stats = made.stats()
    assert stats["done"]
    assert stats["account"]["in"] >= stats["raw_rows"] > 0
    assert stats["sources"][0]["cursor"] >= stats["sources"][0]["total"]


def test_a_venue_plays_one_recording_at_most(tmp_path: Path) -> None:
    venue = simulated(2)
    venue["sources"] = venue["sources"] * 2
    with pytest.raises(ConfigError, match="one recording or simulation"):
        opened(tmp_path, venue)


def test_a_recording_and_a_roster_file_exclude_each_other(tmp_path: Path) -> None:
    venue = {**simulated(2), "roster": live(tmp_path)["roster"]}
    with pytest.raises(ConfigError, match="brings its own roster"):
        opened(tmp_path, venue)


def test_packets_pushed_while_a_match_is_played_fall_in_with_it(tmp_path: Path) -> None:
    made, _ = opened(tmp_path, simulated(3))
    made.run_step()
    before = made.stats()["account"]["in"]
    answer = made.ingest(encode_packets([world.packet("nobody")]), "application/octet-stream")
    assert answer[0]["reason"] == "unknown_device"
    play(made)
    account = made.stats()["account"]
    assert account["rejected"]["unknown_device"] == 4
    assert account["in"] >= before + 4


def test_settings_in_milliseconds_become_the_kernels_nanoseconds() -> None:
    config = edge_config(EdgeSettings(lateness_ms=400, tick_ms=50, thin=False))
    assert (config.lateness_ns, config.tick_ns, config.thin) == (400_000_000, 50_000_000, False)
    with pytest.raises(ConfigError, match=r"edge\.tick_ms"):
        edge_config(EdgeSettings(tick_ms=30))
