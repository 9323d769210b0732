"""One venue's log holds one match after another: no row of one is ever another's."""

import logging
from pathlib import Path

import pytest

from cluster import names
from cluster.tiers import newest_manifests, open_tier
from jobs.roll import roll, spread_here
from jobs.roll_log import matches_in, offset_at
from models.telemetry.raw import decode_raw
from tests.unit import tier_world as world

HOUR_S = 3600.0
LATER_NS = 1_790_000_000_000_000_000


def closed(tree: world.Settings) -> dict[str, bool]:
    storage = open_tier(tree.tiers.warm_url, tree)
    return {manifest.match_id: manifest.closed for manifest in newest_manifests(storage)}


def test_two_matches_of_a_venue_roll_as_if_each_had_a_log_of_its_own(tmp_path: Path) -> None:
    for name, matches in (("both", ("m1", "m2")), ("one", ("m1",)), ("two", ("m2",))):
        log = world.open_sqlite(tmp_path / name, clock=world.Clock(HOUR_S))
        for match_id in matches:
            seed, start_ns = (5, world.Match.start_ns) if match_id == "m1" else (6, LATER_NS)
            world.Match(log, match_id, 2, seed, start_ns).play().work()
        roll(world.settings(tmp_path / name), spread=spread_here)
    both = world.settings(tmp_path / "both")
    assert closed(both) == {"m1": True, "m2": True}
    for name, match_id in (("one", "m1"), ("two", "m2")):
        alone = world.content(world.settings(tmp_path / name))
        world.same(world.content(both, match_id=match_id), alone)


def test_a_match_that_was_left_for_the_next_is_rolled_to_its_last_sample(tmp_path: Path) -> None:
    log = world.open_sqlite(tmp_path, clock=world.Clock(HOUR_S))
    left = world.Match(log, "m1", 3).play(2, end=False).work()
    tree = world.settings(tmp_path)
    roll(tree, spread=spread_here)
    assert closed(tree) == {"m1": False}
    assert left.accounts.buffered > 0
    world.Match(log, "m2", 1, 6, LATER_NS).play().work()
    roll(tree, spread=spread_here)
    assert closed(tree) == {"m1": True, "m2": True}
    rows = world.content(tree, match_id="m1")
    samples = sum(rows[kind].num_rows for kind in left.accounts.to_dict()["kinds"] if kind in rows)
    account = left.accounts
    assert samples == account.forwarded + account.thinned + account.buffered
    assert world.content(tree, "cold", "m1")["minutes"].num_rows > 0
    assert roll(tree, spread=spread_here) == {"warm": 0, "cold": 0}


def test_a_match_is_not_closed_before_its_last_state_row_is_there(tmp_path: Path) -> None:
    log = world.open_sqlite(tmp_path)
    tree = world.settings(tmp_path)
    match = world.Match(log, seconds=2).play()
    assert roll(tree, spread=spread_here)["cold"] == 0
    assert closed(tree) == {"m1": False}
    match.work()
    assert roll(tree, spread=spread_here)["cold"] > 0
    assert closed(tree) == {"m1": True}


@pytest.mark.parametrize("says", [False, True])
def test_a_worker_still_busy_with_the_last_match_does_not_write_into_the_next(
    says: bool, tmp_path: Path
) -> None:
    log = world.open_sqlite(tmp_path, clock=world.Clock())
    # The next match plays an old recording: its event time lies before that of the last.
    last = world.Match(log, "last", 2, 5, LATER_NS, says=says).play()
    following = world.Match(log, "next", 2, 6, says=says).play()
    last.work()
    following.work()
    tree = world.settings(tmp_path)
    roll(tree, spread=spread_here)
    states = world.content(tree, match_id="next")["states"]
    assert max(states.column("t_ns").to_pylist()) < LATER_NS
    assert set(states.column("status").to_pylist()) == {"provisional", "final"}
    held = world.content(tree, match_id="last")
    assert ("states" in held) == says


def test_raw_records_part_where_the_next_roster_came(tmp_path: Path) -> None:
    log = world.open_sqlite(tmp_path, clock=world.Clock())
    world.Match(log, "m1", 2).play()
    first_raw = log.describe(names.raw_topic(world.VENUE)).end
    world.Match(log, "m2", 1, 6).play()
    one, two = matches_in(log, world.VENUE)
    assert (one.match_id, two.match_id) == ("m1", "m2")
    assert one.until_ns == two.since_ns
    assert two.until_ns is None
    assert offset_at(log, names.raw_topic(world.VENUE), two.since_ns) == first_raw
    assert offset_at(log, names.raw_topic(world.VENUE), one.since_ns) == 0
    ended = log.read(names.raw_topic(world.VENUE), first_raw - 1, 1)[0]
    assert decode_raw(ended.record.payload, {}).end


def test_a_match_that_begins_again_after_another_is_told_and_stays_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = world.open_sqlite(tmp_path, clock=world.Clock(HOUR_S))
    world.Match(log, "m1", 1).play()
    world.Match(log, "m2", 1, 6, LATER_NS).play()
    world.Match(log, "m1", 1, 7, LATER_NS).play()
    tree = world.settings(tmp_path)
    with caplog.at_level(logging.WARNING):
        roll(tree, spread=spread_here)
    assert "m1 is played again" in caplog.text
    assert closed(tree) == {"m1": True, "m2": True}
    assert log.describe(names.raw_topic(world.VENUE)).begin == 0
