"""The sending client: packets that hold the same rows, times moved to now, ways in, credentials."""

import argparse
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from actors.sources.simulator import SimulatedTrack
from cluster.settings import Settings, load_settings
from jobs.gateway import gateway_in, local_gateway, write_credentials
from jobs.send import fixed_body, open_track, roster_text, stretch_of
from jobs.send_loop import Clocks, send
from jobs.send_packets import DATAGRAM_BYTES, datagrams_of, packets_of
from jobs.send_stretch import Stretch
from jobs.send_ways import HttpWay, SendError
from models.errors import AccessError, ConfigError
from models.policies.link_policy import Body
from models.simulator.config import Faults, MatchConfig
from models.simulator.match import MatchSimulator
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.dense import unpacked
from models.telemetry.kinds import Kind
from models.telemetry.packet import decode_packets
from models.telemetry.roster import Roster
from tests.unit import source_world as world

ROOT = Path(__file__).resolve().parents[2]
NOW_NS = 1_800_000_000_000_000_000


@pytest.fixture(scope="module")
def match() -> MatchSimulator:
    return MatchSimulator(MatchConfig(3, 6, venue_id="park", faults=Faults(spike_ratio=0.0)))


def stretch(match: MatchSimulator, speed: float = 1.0, boot: int = 0) -> Stretch:
    track = SimulatedTrack(match)
    return Stretch(track, 20, 100, speed, NOW_NS, boot)


def still(waits: list[float]) -> Clocks:
    """Clocks that do not move."""
    return Clocks(lambda: NOW_NS, lambda: 0, waits.append)


def sorted_rows(block: SampleBlock) -> SampleBlock:
    return block.take(np.lexsort((block.t_ingest_ns, block.seq, block.boot, block.device)))


class Kept:
    """A way that keeps what it is given."""

    retries = sent_bytes = plain_bytes = 0

    def __init__(self) -> None:
        self.blocks: list[dict[Kind, SampleBlock]] = []
        self.closed = False

    def send(self, blocks: dict[Kind, SampleBlock], body: Body = Body.PLAIN) -> list[dict]:
        self.blocks.append(blocks)
        return [{"accepted_rows": len(b), "reason": "none"} for b in blocks.values()]

    def close(self) -> None:
        self.closed = True


def test_datagrams_hold_every_row_that_they_were_made_of(match: MatchSimulator) -> None:
    for second in range(match.chunks):
        for kind, block in match.chunk(second).items():
            rows = sorted_rows(block)
            datagrams = list(datagrams_of(packets_of(block, match.roster)))
            assert max(map(len, datagrams)) <= DATAGRAM_BYTES
            found = [decode_packets(one, match.roster, 0) for one in datagrams]
            assert not any(one.refusals for one in found)
            got = sorted_rows(concat_blocks([one.blocks[kind] for one in found]))
            assert len(got) == len(rows)
            for name in ("device", "boot", "seq", "flags"):
                assert np.array_equal(getattr(got, name), getattr(rows, name)), name
            assert np.array_equal(got.values, rows.values, equal_nan=True)
            assert np.abs(got.t_event_ns - rows.t_event_ns).max() < 1_000


def test_a_gap_a_new_boot_and_an_irregular_time_begin_a_new_packet() -> None:
    block = world.block(12)
    block.seq[4:] += 3
    block.boot[7:] += 1
    block.t_event_ns[9:] += 40_000_000
    packets = packets_of(block, world.roster())
    assert [p.values.shape[1] for p in packets] == [4, 3, 2, 3]
    assert [p.t_event_ns for p in packets] == block.t_event_ns[[3, 6, 8, 11]].tolist()


def test_a_stretch_gives_each_row_once_with_its_time_moved_to_now(match: MatchSimulator) -> None:
    way, waits = Kept(), []
    done = send(way, stretch(match, boot=7), still(waits))
    whole = [match.chunk(second) for second in range(1, 5)]
    for kind in (Kind.LPS, Kind.IMU, Kind.BALL_IMU):
        given = concat_blocks([blocks[kind] for blocks in way.blocks if kind in blocks])
        track = concat_blocks([blocks[kind] for blocks in whole])
        assert np.array_equal(given.seq, track.seq)
        assert np.array_equal(given.boot, track.boot + 7)
        shift = given.t_event_ns - track.t_event_ns
        assert (shift == NOW_NS - match.config.start_ns - 1_000_000_000).all()
    assert done.rows == sum(len(b) for blocks in whole for b in blocks.values())
    assert done.accepted_rows == done.rows
    assert way.closed
    # The clock of this test stands still, so every slice waits for its own whole time.
    assert waits == pytest.approx([0.1 * (i + 1) for i in range(40)])


def test_a_faster_stretch_compresses_time_itself(match: MatchSimulator) -> None:
    way, waits = Kept(), []
    send(way, stretch(match, speed=4.0), still(waits))
    times = np.concatenate([blocks[Kind.LPS].t_event_ns for blocks in way.blocks])
    assert waits[-1] == pytest.approx(1.0)
    assert 0.8e9 < times.max() - times.min() < 1.2e9


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name, kind, default in (
        ("path", Path, None), ("seed", int, 1), ("seconds", float, 0.0), ("from_s", float, 0.0),
        ("speed", float, 1.0), ("boot", int, -1), ("start_ns", int, 0), ("venue", str, "park"),
        ("mapping", Path, None),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--faults", action="store_true")
    return parser.parse_args(words)


def test_history_ends_now_and_runs_have_rising_boots(match: MatchSimulator) -> None:
    track = SimulatedTrack(match)
    history = stretch_of(track, options("--speed", "0", "--seconds", "2"), NOW_NS)
    assert history.start_ns == NOW_NS - 2_000_000_000
    assert (history.cursor, history.end) == (0, 40)
    later = stretch_of(track, options("--from_s", "4"), NOW_NS + 1_000_000_000)
    assert later.start_ns == NOW_NS + 1_000_000_000
    assert later.boot == history.boot + 1
    with pytest.raises(ConfigError, match="nothing to send"):
        stretch_of(track, options("--from_s", "60"), NOW_NS)


def test_a_path_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        open_track(options("--path", str(tmp_path / "none.parquet")))


def test_a_roster_written_for_people_reads_back_the_same(match: MatchSimulator) -> None:
    assert Roster.from_json(roster_text(match.roster)) == match.roster


def test_the_example_settings_fit_the_simulated_match_that_send_plays() -> None:
    folder = ROOT / "cluster" / "deploy"
    settings = load_settings(folder / "live.example.toml", environ={})
    (venue,) = settings.venues
    assert {source.type for source in venue.sources} == {"http", "udp", "flight"}
    roster, _ = open_track(options("--venue", venue.id))
    example = Roster.from_json(Path(venue.roster).read_bytes())
    assert example.groups, "the example shows how limits are set"
    plain = tuple(replace(who, group="", thresholds={}) for who in example.subjects)
    assert replace(example, subjects=plain, groups={}) == roster


# -- ways and credentials --------------------------------------------------------------------------


class Venue(BaseHTTPRequestHandler):
    """Answers with the statuses of `plan`, then with 202."""

    plan: list[int]
    seen: list[tuple[str, str, int]]
    codings: list[str | None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.codings.append(self.headers["Content-Encoding"])
        if self.codings[-1] == "zstd":
            body = unpacked(body, 1 << 20)
        self.seen.append((self.path, self.headers["Authorization"], len(body)))
        status = self.plan.pop(0) if self.plan else 202
        document = {"verdicts": [{"accepted_rows": 5, "reason": "none"}]} if status == 202 else {
            "detail": "because"
        }
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Retry-After", "3")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    Venue.plan, Venue.seen, Venue.codings = [], [], []
    opened = HTTPServer(("127.0.0.1", 0), Venue)
    thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield opened
    opened.shutdown()
    thread.join()
    opened.server_close()


def way_to(server: HTTPServer, tmp_path: Path, waits: list[float]) -> HttpWay:
    settings = Settings.from_dict({"data_dir": str(tmp_path)})
    gateway = local_gateway(settings, "test-park", "north")
    url = f"http://127.0.0.1:{server.server_port}"
    return HttpWay(url, gateway, world.roster(), wait=waits.append)


def test_a_full_venue_gets_the_same_payload_again(server: HTTPServer, tmp_path: Path) -> None:
    Venue.plan = [429, 503]
    waits: list[float] = []
    way = way_to(server, tmp_path, waits)
    answer = way.send({Kind.LPS: world.block(5)})
    way.close()
    assert answer == [{"accepted_rows": 5, "reason": "none"}]
    assert (way.retries, waits) == (2, [3.0, 3.0])
    assert {path for path, _, _ in Venue.seen} == {"/v1/ingest/test-park"}
    assert len({size for _, _, size in Venue.seen}) == 1


def test_a_dense_body_says_so_and_is_counted_as_what_it_was(
    server: HTTPServer, tmp_path: Path
) -> None:
    way = way_to(server, tmp_path, [])
    for body in (Body.PLAIN, Body.DENSE):
        way.send({Kind.LPS: world.block(50)}, body)
    way.close()
    (_, _, plain), (_, _, dense) = Venue.seen
    assert Venue.codings == [None, "zstd"]
    assert plain == dense
    assert way.plain_bytes == 2 * plain > 2 * (way.sent_bytes - plain)


@pytest.mark.parametrize(
    ("via", "asked", "body"),
    [("http", "auto", None), ("http", "dense", Body.DENSE), ("udp", "auto", Body.PLAIN),
     ("flight", "dense", Body.PLAIN)],
)
def test_only_http_has_a_choice_of_body(via: str, asked: str, body: Body | None) -> None:
    assert fixed_body(argparse.Namespace(via=via, body=asked)) == body


def test_a_venue_that_stays_full_is_given_up_with_its_words(
    server: HTTPServer, tmp_path: Path
) -> None:
    Venue.plan = [503] * 99
    way = way_to(server, tmp_path, [])
    with pytest.raises(SendError, match="given up after 10 tries"):
        way.send({Kind.LPS: world.block(5)})
    way.close()
    assert len(Venue.seen) == 10


def test_an_expired_token_is_renewed_once(server: HTTPServer, tmp_path: Path) -> None:
    Venue.plan = [401]
    way = way_to(server, tmp_path, [])
    way.send({Kind.LPS: world.block(5)})
    Venue.plan = [401, 401]
    with pytest.raises(AccessError, match="because"):
        way.send({Kind.LPS: world.block(5)})
    way.close()
    first, second = (token for _, token, _ in Venue.seen[:2])
    assert first != second


@pytest.mark.parametrize(("status", "error"), [(403, AccessError), (413, SendError)])
def test_a_refusal_is_an_error_with_the_venues_words(
    server: HTTPServer, tmp_path: Path, status: int, error: type[Exception]
) -> None:
    Venue.plan = [status]
    way = way_to(server, tmp_path, [])
    with pytest.raises(error, match=f"{status} because"):
        way.send({Kind.LPS: world.block(5)})
    way.close()


def test_nobody_at_the_address_is_a_clear_error(server: HTTPServer, tmp_path: Path) -> None:
    gateway = local_gateway(Settings.from_dict({"data_dir": str(tmp_path)}), "park", "north")
    with pytest.raises(SendError, match="no address"):
        HttpWay("ftp://somewhere", gateway, world.roster())
    way = HttpWay("http://127.0.0.1:1", gateway, world.roster())
    with pytest.raises(SendError, match="refused"):
        way.send({Kind.LPS: world.block(5)})


def test_credentials_carried_elsewhere_are_those_of_the_gateway(tmp_path: Path) -> None:
    settings = Settings.from_dict({"data_dir": str(tmp_path / "data")})
    carried = tmp_path / "carried"
    write_credentials(settings, "park", "north", carried)
    files = [path for path in carried.rglob("*") if path.is_file()]
    assert len(files) == 5
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    own, there = local_gateway(settings, "park", "north"), gateway_in(carried, "park", "north")
    assert own.datagram_key().verify(b"payload", there.datagram_key().sign(b"payload"))
    assert there.certificate().ca == own.certificate().ca
    from cluster.identity import open_issuer

    caller = open_issuer(settings.identity).verify(there.token())
    assert (str(caller.role), caller.venues) == ("device-gateway", ("park",))


@pytest.mark.parametrize("what", ["token", "datagram_key", "certificate"])
def test_missing_credentials_are_named_and_never_made_up(tmp_path: Path, what: str) -> None:
    nothing = gateway_in(tmp_path, "park", "north")
    with pytest.raises(AccessError, match="does not exist"):
        getattr(nothing, what)()
    assert not list(tmp_path.rglob("*.key"))


def test_a_recording_is_sent_like_a_match(tmp_path: Path) -> None:
    simulated = replace(world.block(200), t_ingest_ns=world.block(200).t_event_ns)
    from actors.sources.recorded.recording import MemoryLane, Recording
    from actors.sources.recording import RecordedTrack

    track = RecordedTrack(Recording("memory", world.roster(), (MemoryLane(simulated),)))
    way = Kept()
    done = send(way, stretch_of(track, options("--speed", "0"), NOW_NS))
    assert done.rows == 200
    times = np.concatenate([blocks[Kind.LPS].t_event_ns for blocks in way.blocks])
    assert NOW_NS - 100_000_000 <= times[-1] <= NOW_NS
