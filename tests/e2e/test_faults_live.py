"""A live venue with a full disk, with consumers that are slow or dead, and started anew.

One live system; a gateway goes on sending through all of it. The tests build on each other in the
order of the file: the last one adds up what was acknowledged and what is in the log.
"""

import os
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from cluster.names import raw_topic, telemetry_topic
from models.telemetry.raw import decode_raw
from models.telemetry.record import decode_record
from tests.e2e import faults_run as faults
from tests.e2e.faults_gateway import SpoolingGateway
from tests.e2e.faults_record import note
from tests.e2e.live_world import LiveVenue
from tests.unit import source_world as world

pytestmark = pytest.mark.timeout(400)
FULL_BYTES = 4_096
figures: list[tuple[str, float]] = []


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveVenue]:
    folder = tmp_path_factory.mktemp("faults")
    made = LiveVenue(folder, world.roster(), lateness_ms=1_000, late_bound_ms=300_000)
    made.run()
    try:
        made.takes_samples()
        yield made
    finally:
        made.command.end()


@pytest.fixture(scope="module")
def gateway(venue: LiveVenue) -> SpoolingGateway:
    made = SpoolingGateway(venue)
    made.start()
    faults.until(lambda: len(made.acknowledged) > 10, "packets that are acknowledged")
    return made


@pytest.fixture(scope="module")
def log(venue: LiveVenue) -> Iterator[faults.Log]:
    made = faults.Log(venue.folder / "data")
    yield made
    made.close()


def goes_on(gateway: SpoolingGateway, since_ns: int) -> float:
    """Seconds from `since_ns` to the next acknowledged packet."""
    found = faults.until(
        lambda: [t for _, t in gateway.acknowledged if t > since_ns], "an acknowledged packet"
    )
    assert isinstance(found, list)
    return (found[0] - since_ns) / 1e9


def test_a_full_disk_stops_acknowledgements_and_nothing_else(
    venue: LiveVenue, gateway: SpoolingGateway
) -> None:
    stadium = faults.the_one(venue.command.process.pid, faults.STADIUM)
    before, outages = stadium.rlimit(resource.RLIMIT_FSIZE), venue.stadium()["log"]["outages"]
    # No file of this process may grow beyond this: what write() meets on a disk that is full.
    stadium.rlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, before[1]))
    try:
        found = faults.until(
            lambda: venue.stadium()["log"]["down"] and venue.stadium(), "a log that is down"
        )
        assert isinstance(found, dict)
        assert found["state"] == "log_down"
        at = len(gateway.acknowledged)
        time.sleep(2.0)
        assert len(gateway.acknowledged) <= at + 1, "one may have been under way"
    finally:
        stadium.rlimit(resource.RLIMIT_FSIZE, before)
    figures.append(("disk full", goes_on(gateway, time.time_ns())))
    faults.until(lambda: venue.stadium()["state"] == "running", "a stadium that runs")
    assert venue.stadium()["log"]["outages"] > outages
    assert faults.the_one(venue.command.process.pid, faults.STADIUM).pid == stadium.pid


def test_consumers_that_stand_still_hold_nobody_up(
    venue: LiveVenue, gateway: SpoolingGateway, log: faults.Log
) -> None:
    """The only worker is stopped for longer than it may be silent, and goes on as if nothing had
    been; a reader of the live feed reads nothing, and another one is gone without a word."""
    listeners = [live_feed(venue) for _ in range(2)]
    listeners.pop().close()
    worker = faults.the_one(venue.command.process.pid, faults.WORKER)
    at, topic = len(gateway.acknowledged), f"insights/{venue.venue_id}"
    worker.suspend()
    try:
        time.sleep(6.0)
        stood = log.ends()[topic]
        assert len(gateway.acknowledged) > at + 15, "the edge does not wait for its readers"
    finally:
        worker.resume()
    t_ns = time.time_ns()
    figures.append(("slow consumers: worker stopped for 6 s, a reader that reads nothing",
                    log.seconds_until(topic, t_ns, stood)))
    faults.until(lambda: venue.ops()["pool"]["lag_records"] < 20, "a pool that has caught up")
    listeners.pop().close()


def test_a_dead_consumer_reads_its_way_back_and_holds_nobody_up(
    venue: LiveVenue, gateway: SpoolingGateway
) -> None:
    """The twin store holds nothing that the log does not."""
    path = f"/v1/events?venue={venue.venue_id}&limit=1000"
    before, at = venue.events(), len(gateway.acknowledged)
    t_ns = faults.kill(
        faults.the_one(venue.command.process.pid, faults.TWINS), venue.command.process.pid
    )
    token = venue.token("medical", team="*")
    faults.until(lambda: venue.request("GET", path, token)[0] == 200, "a twin store")
    figures.append(("dead consumer: twin store killed", (time.time_ns() - t_ns) / 1e9))
    assert before
    faults.until(lambda: ids(before) <= ids(venue.events()), "all events again")
    faults.until(lambda: len(gateway.acknowledged) > at + 10, "an edge that has not waited")


def ids(events: list[dict[str, Any]]) -> set[str]:
    return {event["event_id"] for event in events}


def live_feed(venue: LiveVenue) -> socket.socket:
    """A connection that has asked for the live feed and does not read it."""
    made = socket.create_connection(("127.0.0.1", venue.http_port))
    path = f"/v1/live?venue={venue.venue_id}"
    token = venue.token("medical", team="*")
    made.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    return made


def test_killed_as_a_whole_and_started_again_it_goes_on(
    venue: LiveVenue, gateway: SpoolingGateway, log: faults.Log
) -> None:
    run = venue.command.process
    family = psutil.Process(run.pid).children(recursive=True)
    assert len(family) > 8
    for process in [psutil.Process(run.pid), *family]:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # its parent's end was its own
    psutil.wait_procs(family, 20)
    run.wait(20)
    t_ns, since = time.time_ns(), log.ends()[telemetry_topic(venue.venue_id)]
    venue.run()
    topic = telemetry_topic(venue.venue_id)
    # The stadium writes as soon as it runs; it is all up when a gateway is answered again.
    first_s = log.seconds_until(topic, t_ns, since)
    figures.append(("full restart", max(first_s, goes_on(gateway, t_ns))))
    assert venue.stadium()["recovery"]["from_offset"] > 0


def test_after_all_of_it_every_acknowledged_row_is_there_once(
    venue: LiveVenue, gateway: SpoolingGateway, log: faults.Log
) -> None:
    gateway.finish()
    faults.until(lambda: not venue.account()["buffered"], "all rows through")
    rows_of = {(d.device_id, d.kind): row for row, d in enumerate(venue.roster.devices)}
    raw: set[int] = set()
    for stored in faults.records_now(log.log, raw_topic(venue.venue_id)):
        for block in decode_raw(stored.record.payload, rows_of).blocks.values():
            raw |= set(block.seq.tolist())
    forwarded: Counter[int] = Counter()
    for stored in faults.records_now(log.log, telemetry_topic(venue.venue_id)):
        record = decode_record(stored.record.payload, rows_of)
        for blocks in (record.blocks, record.supplements):
            for block in blocks.values():
                forwarded.update(block.seq.tolist())
    account = venue.account()
    # First what was refused, and why: the sums below only say that something is missing.
    assert gateway.refused == []
    assert set(account["rejected"]) <= {"duplicate"}
    lost = len(gateway.counters() - raw)
    kept = account["forwarded"] + account["thinned"]
    assert kept <= len(gateway.counters()), "more rows than were sent"
    lost += len(gateway.counters()) - kept
    doubled = forwarded.total() - len(forwarded)
    doubled += faults.doubled(log.ids(telemetry_topic(venue.venue_id)))
    for fault, seconds in figures:
        note(fault, seconds, lost, doubled)
    assert (lost, doubled, log.damaged()) == (0, 0, 0)
