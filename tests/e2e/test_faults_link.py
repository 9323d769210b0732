"""Faults of delivery at a real stadium on a real log: uplink, clocks, order, doubles.

Time is the test's own, so that minutes take seconds; the gateway keeps what is not acknowledged.
"""

import random
from collections import Counter, deque
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from actors.stadium import Stadium
from actors.stadium_build import StadiumPorts
from cluster import names
from cluster.eventlog.sqlite import SqliteLog
from cluster.snapshots import SnapshotStore
from cluster.storage import LocalStorage
from models.telemetry.packet import Packet, encode_packets
from models.telemetry.raw import decode_raw
from models.telemetry.record import decode_record
from models.telemetry.roster import Roster
from tests.e2e.faults_link import MS, LinkedLog, Wall, with_outage
from tests.e2e.faults_record import note
from tests.unit import source_world as world
from tests.unit.stadium_world import VENUE, live, records

SECOND = 1_000 * MS
START_NS = world.START_NS
ROWS, STEP_NS = 4, 200 * MS
OUTAGE_MS = 78_300
"""The longest outage of an uplink in the recordings (net_cellular: AT&T, driving, up)."""
TAGS = ("tag_0", "tag_1")


class Venue:
    """A stadium whose gateway offers packets in order and keeps what is to be tried again."""

    def __init__(
        self, root: Path, late_bound_ms: int, link: Any = None, now_ns: int = START_NS
    ) -> None:
        self.wall, self.log = Wall(now_ns), SqliteLog(root / "log")
        self.linked = LinkedLog(self.log, link, self.wall) if link else None
        settings = {
            "data_dir": str(root), "pool": {"snapshot_s": 5.0},
            "edge": {"thin": False, "late_bound_ms": late_bound_ms, "lateness_ms": 1_500},
        }
        store = SnapshotStore(LocalStorage(root / "state"))
        ports = StadiumPorts(self.linked or self.log, store, self.wall)
        self.stadium = Stadium(settings, live(root), ports=ports)
        self.stadium.open()
        self.spool: deque[Packet] = deque()
        self.verdicts: Counter[str] = Counter()
        self.longest = 0

    def turn(self, to_ns: int) -> None:
        """Time goes on; what the spool holds is offered until something is not taken."""
        self.wall.now_ns = max(self.wall.now_ns, to_ns)
        self.longest = max(self.longest, len(self.spool))
        while self.spool:
            (answer,) = self.stadium.ingest(
                encode_packets([self.spool[0]]), "application/octet-stream", "gateway"
            )
            if answer["reason"] == "retry":
                break
            self.verdicts[answer["reason"]] += 1
            self.spool.popleft()
        for _ in range(4):
            self.stadium.run_step()

    def catch_up(self) -> int:
        """Time goes on until the spool is empty; when that is."""
        for _ in range(2_000):
            if not self.spool:
                return self.wall.now_ns
            self.turn(self.wall.now_ns + STEP_NS)
        raise AssertionError(f"{len(self.spool)} packets are left")

    def end(self) -> dict[str, Any]:
        self.stadium.finish()
        for _ in range(2_000):
            self.wall.now_ns += STEP_NS
            self.stadium.run_step()
            if self.stadium.done():
                break
        assert self.stadium.done()
        return dict(self.stadium.stats()["account"])

    def rows(self, topic: str) -> Counter[tuple[str, int]]:
        """(device, seq) of every row in the raw or the telemetry topic."""
        roster = Roster.from_json(
            records(self.log, names.roster_topic(VENUE))[-1].record.payload
        )
        ids = [device.device_id for device in roster.devices]
        rows_of = {(d.device_id, d.kind): row for row, d in enumerate(roster.devices)}
        found: Counter[tuple[str, int]] = Counter()
        for stored in records(self.log, topic):
            if topic == names.raw_topic(VENUE):
                groups = [decode_raw(stored.record.payload, rows_of).blocks]
            else:
                record = decode_record(stored.record.payload, rows_of)
                groups = [record.blocks, record.supplements]
            for block in (b for blocks in groups for b in blocks.values()):
                found.update(
                    (ids[device], int(seq))
                    for device, seq in zip(block.device, block.seq, strict=True)
                )
        return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller does not wait in real time for a link that is away in the test's time."""
    monkeypatch.setattr("actors.sources.push.ANSWER_TIMEOUT_S", 0.001)


def packets_at(k: int, skew_ns: dict[str, int] | None = None) -> list[Packet]:
    """One packet of each tag, complete at turn `k`, by the tag's own clock."""
    t_ns = START_NS + (k + 1) * STEP_NS
    skew_ns = skew_ns or {}
    return [world.packet(tag, k * ROWS, ROWS, t_ns + skew_ns.get(tag, 0)) for tag in TAGS]


def play(venue: Venue, turns: int) -> None:
    """Packets come at their time, whether or not an append holds the stadium up."""
    k = 0
    while k < turns:
        while k < turns and START_NS + (k + 1) * STEP_NS <= venue.wall.now_ns:
            venue.spool.extend(packets_at(k))
            k += 1
        venue.turn(venue.wall.now_ns + STEP_NS)


def every_row(turns: int) -> set[tuple[str, int]]:
    return {(tag, seq) for tag in TAGS for seq in range(turns * ROWS)}


@pytest.fixture(scope="module")
def uplink(recordings: Path) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(recordings / "net_cellular" / "mahimahi_1ms.parquet")
    frame = table.to_pandas()
    one = frame[frame.trace.str.strip() == "ATT-LTE-driving-2016.up"]
    return with_outage(
        one.t_ms.to_numpy(np.int64), one.opportunities.to_numpy(np.int64), 20_000, OUTAGE_MS
    )


def test_an_uplink_away_for_78_seconds_loses_nothing(tmp_path: Path, uplink: Any) -> None:
    venue = Venue(tmp_path, late_bound_ms=120_000, link=uplink)
    turns = 110 * SECOND // STEP_NS
    back_ns = START_NS + 20 * SECOND + OUTAGE_MS * MS
    play(venue, turns)
    caught_up_ns = venue.catch_up()
    account = venue.end()
    outage = venue.stadium.outage.as_dict(venue.wall.now_ns)
    raw, telemetry = (venue.rows(topic(VENUE)) for topic in (
        names.raw_topic, names.telemetry_topic))
    lost = len(every_row(turns) - telemetry.keys())
    note(
        "78 s uplink outage", (caught_up_ns - back_ns) / 1e9, lost,
        telemetry.total() - len(telemetry), spooled_packets=venue.longest, **outage,
    )
    assert raw.keys() == telemetry.keys() == every_row(turns)
    assert telemetry.total() == len(telemetry)
    assert set(account["rejected"]) <= {"duplicate"}
    assert venue.longest > 2 * 70 * SECOND // STEP_NS
    assert outage["down_s"] > 75
    assert set(venue.verdicts) <= {"none", "duplicate"}


def test_beyond_the_late_bound_an_outage_is_refused_by_name_and_kept_in_quarantine(
    tmp_path: Path, uplink: Any
) -> None:
    venue = Venue(tmp_path, late_bound_ms=30_000, link=uplink)
    turns = 110 * SECOND // STEP_NS
    play(venue, turns)
    venue.catch_up()
    account = venue.end()
    assert account["rejected"]["too_late"] > 100
    assert venue.rows(names.raw_topic(VENUE)).keys() == every_row(turns)
    out = account["forwarded"] + account["thinned"] + sum(account["rejected"].values())
    assert account["in"] == out
    assert records(venue.log, names.quarantine_topic(VENUE))


def test_a_spool_that_drains_no_faster_than_it_fills_after_a_restart_loses_nothing(
    tmp_path: Path,
) -> None:
    """The stadium dies without a word, is back after 20 s, and the machine is too busy to catch up
    for 15 s more: everything is 20 s late, and then nothing is."""
    known, away, level, turns = 75, 100, 75, 300
    before = Venue(tmp_path, late_bound_ms=30_000)
    for k in range(known):
        before.spool.extend(packets_at(k))
        before.turn(START_NS + (k + 1) * STEP_NS + 20 * MS)
    assert before.verdicts == {"none": 2 * known}
    venue = Venue(tmp_path, late_bound_ms=30_000, now_ns=START_NS + (known + away) * STEP_NS)
    assert venue.stadium.stats()["recovery"]["from_offset"] > 0
    for k in range(known, turns):
        venue.spool.extend(packets_at(k))
        behind = away if k < known + level else max(0, known + level + away - k)
        venue.turn(START_NS + (k + 1 + behind) * STEP_NS + 20 * MS)
    venue.catch_up()
    account = venue.end()
    assert venue.verdicts == {"none": 2 * (turns - known)}
    assert account["rejected"] == {}
    telemetry = venue.rows(names.telemetry_topic(VENUE))
    assert telemetry.keys() == every_row(turns)
    assert telemetry.total() == len(telemetry)
    assert account["forwarded"] == len(every_row(turns))
    events = [s.record.payload for s in records(venue.log, names.events_topic(VENUE))]
    assert not any(b"clock_fault" in payload for payload in events)


def test_five_percent_doubles_and_ten_percent_out_of_order_change_nothing(
    tmp_path: Path,
) -> None:
    turns, rng = 400, random.Random(5)
    sent: list[tuple[float, int, Packet]] = []
    for k in range(turns):
        for packet in packets_at(k):
            late = rng.uniform(1.0, 5.0) if rng.random() < 0.10 else 0.0
            sent.append((k + late, len(sent), packet))
            if rng.random() < 0.05:
                sent.append((k + rng.uniform(0.0, 5.0), len(sent), packet))
    doubles = len(sent) - 2 * turns
    venue = Venue(tmp_path, late_bound_ms=30_000)
    at = 0
    sent.sort(key=lambda one: one[:2])
    for k in range(turns + 6):
        while at < len(sent) and sent[at][0] <= k:
            venue.spool.append(sent[at][2])
            at += 1
        venue.turn(START_NS + (k + 1) * STEP_NS)
    account = venue.end()
    telemetry = venue.rows(names.telemetry_topic(VENUE))
    lost = len(every_row(turns) - telemetry.keys())
    note("5 % doubles, 10 % out of order", 0.0, lost, telemetry.total() - len(telemetry))
    assert telemetry.keys() == every_row(turns)
    assert telemetry.total() == len(telemetry)
    assert account["rejected"] == {"duplicate": doubles * ROWS}
    assert venue.verdicts == {"none": 2 * turns, "duplicate": doubles}


@pytest.mark.parametrize(
    ("who", "skew_s"), [("device", 300), ("device", -300), ("gateway", 300), ("gateway", -300)]
)
def test_a_clock_that_is_five_minutes_off_is_corrected_and_told(
    tmp_path: Path, who: str, skew_s: int
) -> None:
    """A gateway that stamps for its devices is wrong for all of them."""
    wrong = TAGS if who == "gateway" else TAGS[1:]
    venue, turns = Venue(tmp_path, late_bound_ms=30_000), 200
    for k in range(turns):
        venue.spool.extend(packets_at(k, dict.fromkeys(wrong, skew_s * SECOND)))
        venue.turn(START_NS + (k + 1) * STEP_NS + 20 * MS)
    account = venue.end()
    telemetry = venue.rows(names.telemetry_topic(VENUE))
    refused = sum(account["rejected"].values())
    missing = every_row(turns) - telemetry.keys()
    note(
        f"{who} clock {skew_s:+d} s", 0.0, len(missing) - refused,
        telemetry.total() - len(telemetry), refused_until_known=refused,
    )
    assert {tag for tag, _ in missing} <= set(wrong)
    assert len(missing) == refused < len(wrong) * 5 * 20
    assert telemetry.total() == len(telemetry)
    events = [s.record.payload for s in records(venue.log, names.events_topic(VENUE))]
    assert sum(b"clock_fault" in payload for payload in events) == len(wrong)
