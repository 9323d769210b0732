"""Random schedules of the whole pool on a virtual clock: whatever happens, the same effects.

Workers crash, join and leave, the coordinator restarts and goes away, the log refuses or loses its
answers. The fake kernel itself fails the test when a flow sees a record twice or out of order.
"""

import random

import pytest

from cluster.eventlog.port import Record
from models.flows.kernel import FlowKernel
from models.telemetry.roster import Roster
from tests.ray import pool_match
from tests.unit.fakes_log import roster_of
from tests.unit.pool_world import World

ROSTERS = [roster_of("a", 5), roster_of("b", 3)]
RECORDS = 120


def feed(world: World, sent: int, hot: tuple[int, ...]) -> None:
    for roster in ROSTERS:
        world.send(roster, 1, hot, final=sent == RECORDS - 1)


@pytest.fixture(scope="module")
def expected() -> World:
    """One worker, nothing happens."""
    world = World(ROSTERS, size=1)
    for sent in range(RECORDS):
        feed(world, sent, (sent % 5,))
        world.turn()
    world.settle()
    return world


def disturb(world: World, rng: random.Random) -> None:
    """One random mishap, or none."""
    chance = rng.random()
    if chance < 0.05 and world.workers:
        world.crash(rng.choice(sorted(world.workers)))
    elif chance < 0.10:
        world.policy.target = rng.randint(1, 4)
    elif chance < 0.13 and not world.snapshots.broken:
        world.restart_coordinator()
    elif chance < 0.18:
        world.log.down = not world.log.down
    elif chance < 0.22:
        world.log.lossy = not world.log.lossy
    elif chance < 0.26:
        world.away = not world.away
    elif chance < 0.29:
        world.snapshots.broken = not world.snapshots.broken
    elif chance < 0.32:
        world.clock.advance(4.0)


def calm_down(world: World) -> None:
    world.log.down = world.log.lossy = world.away = world.snapshots.broken = False


@pytest.mark.parametrize("seed", range(40))
def test_effects_do_not_depend_on_what_happens_to_the_pool(seed: int, expected: World) -> None:
    rng = random.Random(seed)
    world = World(ROSTERS, size=rng.randint(1, 3))
    sent = 0
    while sent < RECORDS:
        disturb(world, rng)
        lossy, down, world.log.lossy, world.log.down = world.log.lossy, world.log.down, False, False
        for _ in range(min(rng.choice((0, 1, 1, 2, 6)), RECORDS - sent)):
            feed(world, sent, (sent % 5,))
            sent += 1
        world.log.lossy, world.log.down = lossy, down
        world.turn(rng.choice((0.01, 0.05, 0.2)))
    calm_down(world)
    world.settle(2000)
    for roster in ROSTERS:
        venue = roster.venue_id
        events = world.events(venue)
        assert events == expected.events(venue), seed
        assert world.finals(venue) == expected.finals(venue), seed
        for flow in events.values():
            assert [event["seq"] for event in flow] == list(range(len(flow))), seed


@pytest.fixture(scope="module")
def match() -> tuple[Roster, list[Record]]:
    roster, records = pool_match.play(20)
    return roster, pool_match.encode(roster, records)


@pytest.mark.parametrize("seed", range(4))
def test_the_real_kernel_gives_the_same_events_and_finals_bit_for_bit(
    seed: int, match: tuple[Roster, list[Record]]
) -> None:
    roster, records = match
    alone = World([roster], size=1, kernel=FlowKernel)
    alone.log.append("telemetry/arena", records, 1 << 40)
    alone.settle(2000)
    rng = random.Random(seed)
    world = World([roster], size=rng.randint(1, 3), kernel=FlowKernel)
    sent = 0
    while sent < len(records):
        if rng.random() < 0.06 and world.workers:
            world.crash(rng.choice(sorted(world.workers)))
        if rng.random() < 0.05:
            world.policy.target = rng.randint(1, 4)
        count = rng.choice((0, 1, 2, 8))
        world.log.append("telemetry/arena", records[sent : sent + count], 1 << 40)
        sent += count
        world.turn(rng.choice((0.01, 0.05, 0.2)))
    world.settle(2000)
    assert world.events("arena") == alone.events("arena")
    finals, expected = world.finals("arena"), alone.finals("arena")
    assert {name: repr(row) for name, row in finals.items()} == {
        name: repr(row) for name, row in expected.items()
    }
    assert len(finals) > 20


def test_three_workers_really_share_the_flows_of_one_venue() -> None:
    world = World(ROSTERS[:1], size=3)
    for sent in range(20):
        world.send(ROSTERS[0], 1, final=sent == 19)
        world.turn()
    world.settle()
    owners = world.coordinator.status()["venues"]["a"]["owners"]
    assert sorted(owners.values()) == [1, 2, 2]
