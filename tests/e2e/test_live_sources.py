"""`touchline live` fed by `touchline send` over HTTP, UDP and Flight, until Ctrl-C ends it.

One live system for the module; the tests build on each other in the order of the file.
"""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.send import main as send_main
from jobs.token import main as token_main
from models.simulator.config import Faults, MatchConfig
from models.simulator.match import MatchSimulator
from tests.e2e.conftest import Command
from tests.e2e.live_world import WAIT_S, LiveVenue, live_venue, until
from tests.unit import source_world as world

pytestmark = pytest.mark.timeout(240)
VENUE, SEED, SECONDS = "park", 86, 8
sent: dict[str, dict[str, Any]] = {}
"""What each test has sent: the last one adds it up."""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveVenue]:
    match = MatchConfig(SEED, SECONDS, faults=Faults.none(), venue_id=VENUE, match_id="m1")
    roster = replace(MatchSimulator(match).roster, periods=())
    folder = tmp_path_factory.mktemp("live")
    # Bounds that a busy machine keeps: what is taken must not depend on who else is computing.
    yield from live_venue(folder, roster, lateness_ms=1_000, late_bound_ms=120_000)


def words(venue: LiveVenue, via: str, boot: int, *more: str) -> list[str]:
    return [
        "--settings", str(venue.settings_path), "--venue", VENUE, "--via", via, "--seed",
        str(SEED), "--seconds", str(SECONDS), "--boot", str(boot), *more,
    ]


def send(venue: LiveVenue, name: str, via: str, boot: int, *more: str) -> dict[str, Any]:
    """Send from this process; what became of it."""
    path = venue.folder / f"{name}.json"
    assert send_main([*words(venue, via, boot, *more), "--json", str(path)]) == 0
    sent[name] = json.loads(path.read_text())
    return sent[name]


def settled(venue: LiveVenue, before: dict[str, Any], rows: int) -> dict[str, Any]:
    """The account once `rows` more have come in and none of them is held back any more."""

    def now() -> dict[str, Any] | None:
        account = venue.account()
        return account if account["in"] >= before["in"] + rows and not account["buffered"] else None

    return until(now, f"{rows} rows, all through")


def kicks_since(venue: LiveVenue, start_ns: int) -> list[dict[str, Any]]:
    return [e for e in venue.events() if e["type"] == "kick" and e["t_event_ns"] >= start_ns]


@pytest.mark.parametrize("via", ["http", "udp", "flight"])
def test_the_same_stretch_is_taken_whole_over_each_way(venue: LiveVenue, via: str) -> None:
    before, start_ns = venue.account(), time.time_ns()
    boot = 100 + ("http", "udp", "flight").index(via)
    done = send(venue, via, via, boot, "--start-ns", str(start_ns))
    after = settled(venue, before, done["rows"])
    assert done["rows"] > 3_000 * SECONDS
    assert after["in"] - before["in"] == done["rows"]
    assert after["rejected"] == before["rejected"] == {}
    taken = after["forwarded"] + after["thinned"] - before["forwarded"] - before["thinned"]
    assert taken == done["rows"]
    if via != "udp":
        assert set(done["verdicts"]) == {"none"}
        assert done["accepted_rows"] == done["rows"]
    seen = until(lambda: kicks_since(venue, start_ns), "a kick among the events")
    assert all(e["t_event_ns"] < start_ns + SECONDS * 1_000_000_000 for e in seen)
    sent[via]["start_ns"] = start_ns


def test_every_source_has_counted_its_own(venue: LiveVenue) -> None:
    sources = {one["type"]: one for one in venue.stadium()["sources"]}
    assert sources["http"]["callers"].keys() == {f"{VENUE}/gateway"}
    peers = sources["flight"]["peers"].keys()
    assert peers == {f"spiffe://touchline.local/gateway/{VENUE}/gateway"}
    assert sources["udp"]["datagrams"] > 100
    assert sources["udp"]["kernel_drops"] == 0
    packets = {via: sum(sent[via]["verdicts"].values()) for via in ("http", "flight")}
    assert {via: sources[via]["packets"] for via in packets} == packets


def test_what_came_over_one_way_is_not_taken_again_over_another(venue: LiveVenue) -> None:
    before = venue.account()
    start = str(sent["flight"]["start_ns"])
    again = send(venue, "again", "http", 102, "--start-ns", start, "--speed", "max")
    after = settled(venue, before, again["rows"])
    assert again["rows"] == sent["flight"]["rows"]
    assert again["accepted_rows"] == 0
    assert set(again["verdicts"]) <= {"duplicate", "stale_seq"}
    assert after["forwarded"] + after["thinned"] == before["forwarded"] + before["thinned"]
    assert sum(after["rejected"].values()) == again["rows"]


def test_a_gateway_elsewhere_sends_with_credentials_that_were_written_for_it(
    venue: LiveVenue, tmp_path: Path
) -> None:
    folder = tmp_path / "credentials"
    asked = ["--settings", str(venue.settings_path), "--gateway", "gateway", "--venue", VENUE]
    assert token_main([*asked, "--out", str(folder)]) == 0
    assert all(p.stat().st_mode & 0o077 == 0 for p in folder.rglob("*") if p.is_file())
    command = Command(
        ["send", *words(venue, "http", 103, "--seconds", "1", "--format", "json"), "--credentials",
         str(folder), "--json", str(tmp_path / "report.json")], tmp_path,
    )
    ended = command.wait(60)
    assert ended.code == 0, ended.output
    assert ended.report["accepted_rows"] == ended.report["rows"] > 3_000
    sent["elsewhere"] = ended.report


def test_the_tiers_roll_by_themselves(venue: LiveVenue) -> None:
    warm = until(lambda: venue.ops()["tiers"]["warm"]["rows"], "rows in the warm tier")
    assert warm > 0
    assert venue.command.process.poll() is None


def test_ctrl_c_ends_live_with_its_report_and_leaves_no_process(venue: LiveVenue) -> None:
    children = psutil.Process(venue.command.process.pid).children(recursive=True)
    assert len(children) > 5
    # As a terminal does it: to the whole process group.
    os.killpg(venue.command.process.pid, signal.SIGINT)
    ended = venue.command.wait(2 * WAIT_S)
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, [process.cmdline() for process in alive]
    assert ended.code == 0, ended.output[-3000:]
    assert "Traceback" not in ended.output

    samples = ended.report["samples"]
    assert samples["in"] == sum(one["rows"] for one in sent.values())
    assert samples["buffered"] == 0
    assert sum(samples["rejected"].values()) == sent["again"]["rows"]
    assert ended.report["conservation"]["holds"]
    assert ended.report["events"]["kick"] >= 3
    assert len([a for a in ended.report["athletes"] if a["distance_m"] > 1.0]) >= 20
    assert ended.report["tiers"]["warm"]["rows"] >= samples["forwarded"]
    assert ended.report["tiers"]["cold"]["rows"] > 0


def test_a_venue_that_cannot_listen_is_told_with_its_reason_and_ends_in_an_error(
    tmp_path: Path,
) -> None:
    venue = LiveVenue(tmp_path, world.roster())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", venue.flight_port))
        taken.listen()
        command = venue.run("--seconds", "1")
        try:
            ended = command.wait(3 * WAIT_S)
        finally:
            command.end()
    assert ended.code == 2, ended.output
    assert f"touchline live: {venue.venue_id}: " in ended.output
    assert f"flight 127.0.0.1:{venue.flight_port}" in ended.output
    assert "Traceback" not in ended.output
