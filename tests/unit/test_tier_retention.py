"""The hot log forgets what is old, rolled and needed by nobody; nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.order_writer import OrderWriter
from actors.worker_shell import snapshot_store
from actors.worker_snapshots import FlowSnapshot, flow_key
from cluster import names
from cluster.eventlog.sqlite import SqliteLog
from cluster.tiers import chain, open_tier, sweep_due
from jobs.retention import trim_hot
from jobs.roll import RollError, roll, spread_here
from jobs.roll_log import matches_in
from jobs.roll_warm import WarmPorts, roll_match
from models.telemetry.orders import Order, OrderVerb
from tests.unit import tier_world as world

RAW = names.raw_topic(world.VENUE)
TELEMETRY = names.telemetry_topic(world.VENUE)
INSIGHTS = names.insights_topic(world.VENUE)
HEALTH = names.health_topic(world.VENUE)
SEGMENT_BYTES = 100_000


def old_log(root: Path, hours: float = 5.0) -> SqliteLog:
    return world.open_sqlite(root, SEGMENT_BYTES, world.Clock(hours * 3600))


def store_flows(tree: world.Settings, match: world.Match, offsets: dict[str, int]) -> None:
    """Flow snapshots at these offsets; subjects that are not named are at the topic's end."""
    end = match.log.describe(TELEMETRY).end
    for subject in match.roster.subjects:
        offset = offsets.get(subject.subject_id, end)
        snapshot = FlowSnapshot(offset, False, b"state").encode()
        key = flow_key(world.VENUE, match.match_id, subject.subject_id)
        snapshot_store(tree).put(key, snapshot, 1)


def trim(tree: world.Settings, log: SqliteLog) -> dict[str, int]:
    return trim_hot(tree, log, open_tier(tree.tiers.warm_url, tree))


def test_raw_records_go_when_they_are_old_rolled_and_behind_the_stadiums_snapshot(
    tmp_path: Path,
) -> None:
    log, tree = old_log(tmp_path), world.settings(tmp_path)
    world.Match(log, seconds=6).play().work()
    log.commit(RAW, "edge", 4)
    assert RAW not in trim(tree, log)  # not rolled
    roll(tree, spread=spread_here)
    assert 0 < log.describe(RAW).begin <= 4
    log.commit(RAW, "edge", log.describe(RAW).end)
    assert RAW in trim(tree, log)
    assert log.describe(RAW).begin > 4


def test_without_a_snapshot_of_the_stadium_no_raw_record_goes(tmp_path: Path) -> None:
    log, tree = old_log(tmp_path), world.settings(tmp_path)
    world.Match(log, seconds=6).play().work()
    roll(tree, spread=spread_here)
    assert trim(tree, log) == {}
    assert log.describe(RAW).begin == 0


def test_what_is_young_stays(tmp_path: Path) -> None:
    log, tree = old_log(tmp_path, hours=1.0), world.settings(tmp_path)
    match = world.Match(log, seconds=6).play().work()
    log.commit(RAW, "edge", log.describe(RAW).end)
    store_flows(tree, match, {})
    roll(tree, spread=spread_here)
    assert log.describe(RAW).begin == log.describe(TELEMETRY).begin == 0
    shorter = world.settings(tmp_path, log={"retention_s": 60.0})
    assert {RAW, TELEMETRY} <= trim(shorter, log).keys()


def test_telemetry_goes_up_to_the_flow_that_is_furthest_behind(tmp_path: Path) -> None:
    log, tree = old_log(tmp_path), world.settings(tmp_path)
    match = world.Match(log, seconds=6).play().work()
    slow = match.roster.subjects[3].subject_id
    assert TELEMETRY not in trim(tree, log)  # no flow has a snapshot: each starts at the beginning
    store_flows(tree, match, {slow: 3})
    trim(tree, log)
    assert 0 < log.describe(TELEMETRY).begin <= 3
    store_flows(tree, match, {})
    trim(tree, log)
    assert log.describe(TELEMETRY).begin > 3


def test_device_health_waits_for_the_supervisor(tmp_path: Path) -> None:
    log = world.open_sqlite(tmp_path, 20_000, world.Clock(5 * 3600))
    tree = world.settings(tmp_path)
    world.Match(log, seconds=6).play().work()
    roll(tree, spread=spread_here)
    assert log.describe(HEALTH).begin == 0
    log.commit(HEALTH, "supervisor", log.describe(HEALTH).end)
    assert HEALTH in trim(tree, log)


def test_the_live_picture_of_the_match_being_played_stays(tmp_path: Path) -> None:
    log, tree = old_log(tmp_path), world.settings(tmp_path)
    world.Match(log, "m1", 4).play().work()
    roll(tree, spread=spread_here)
    assert log.describe(INSIGHTS).begin == 0
    first = log.describe(INSIGHTS).end
    match = world.Match(log, "m2", 4, 6, 1_790_000_000_000_000_000).play().work()
    roll(tree, spread=spread_here)
    assert 0 < log.describe(INSIGHTS).begin <= first
    assert match.log.describe(INSIGHTS).end > first


def test_orders_go_with_the_match_that_they_were_for(tmp_path: Path) -> None:
    log, tree = world.open_sqlite(tmp_path, 2_000, world.Clock(5 * 3600)), world.settings(tmp_path)
    topic, writer = names.orders_topic(world.VENUE), OrderWriter(log, "coordinator", 1)

    def order(count: int, match: str) -> None:
        for level in range(count):
            told = Order(f"{match}/{level}", match, OrderVerb.THIN, "test", 1, level=level % 4)
            writer.send(world.VENUE, told)

    world.Match(log, "m1", 2).play().work()
    order(30, "m1")
    trim(tree, log)
    assert log.describe(topic).begin == 0
    first = log.describe(topic).end
    world.Match(log, "m2", 2, 6, 1_790_000_000_000_000_000).play().work()
    order(5, "m2")
    assert topic in trim(tree, log)
    assert 0 < log.describe(topic).begin <= first
    assert writer.send(world.VENUE, Order("m2/4", "m2", OrderVerb.THIN, "test", 1)) is False


@pytest.mark.parametrize("seconds", [6])
def test_trimmed_between_rolls_the_tier_is_the_same_row_for_row(
    seconds: int, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    world.Match(old_log(whole), seconds=seconds).play().work()
    roll(world.settings(whole), spread=spread_here)
    log, tree = old_log(cut), world.settings(cut)
    match = world.Match(log, seconds=seconds)
    for _ in range(seconds):
        match.play(1, end=False).work()
        log.commit(RAW, "edge", log.describe(RAW).end)
        store_flows(tree, match, {})
        roll(tree, spread=spread_here)
    assert log.describe(RAW).begin > 0
    match.play().work()
    roll(tree, spread=spread_here)
    world.same(world.content(tree), world.content(world.settings(whole)))


class Interrupted:
    """A log; `meanwhile` is called once, when the first record of a roll's raw topic is read."""

    def __init__(self, log: SqliteLog, meanwhile: Callable[[], object]) -> None:
        self._log, self._meanwhile = log, [meanwhile]

    def read(self, topic: str, *args: Any, **options: Any) -> Any:
        if topic == RAW and self._meanwhile:
            self._meanwhile.pop()()
        return self._log.read(topic, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def test_a_roll_whose_records_a_quicker_one_has_rolled_and_trimmed_adds_nothing_and_is_no_error(
    tmp_path: Path,
) -> None:
    log, tree = old_log(tmp_path), world.settings(tmp_path)
    match = world.Match(log, seconds=6)
    match.play(2, end=False).work()
    roll(tree, spread=spread_here)
    match.play().work()
    log.commit(RAW, "edge", log.describe(RAW).end)
    storage, (span,) = open_tier(tree.tiers.warm_url, tree), matches_in(log, world.VENUE)

    def quicker() -> None:
        roll(tree, spread=spread_here)
        # What the slower roll has yet to read is gone.
        assert log.describe(RAW).begin > chain(storage, world.VENUE, "m1")[0].cursors[RAW]

    slower = Interrupted(log, quicker)
    assert roll_match(WarmPorts.of(tree, slower, storage), span) is None
    sweep_due(storage)
    named = {entry.key for one in chain(storage, world.VENUE, "m1") for entry in one.files}
    assert set(storage.list("data")) == named
    assert [one.number for one in chain(storage, world.VENUE, "m1")] == [0, 1]


def test_records_that_were_trimmed_though_nobody_rolled_them_are_an_error(tmp_path: Path) -> None:
    log, tree = old_log(tmp_path), world.settings(tmp_path)
    match = world.Match(log, seconds=6)
    match.play(2, end=False).work()
    roll(tree, spread=spread_here)
    match.play().work()
    log.trim(RAW, log.describe(RAW).end)
    with pytest.raises(RollError, match="trimmed before they were rolled"):
        roll(tree, spread=spread_here)
