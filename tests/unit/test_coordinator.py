"""The coordinator: finds flows, fences before it grants, survives, scales, says why."""

from dataclasses import replace

import pytest

from actors.coordinator import TABLE_KEY
from actors.worker_snapshots import flow_stream
from cluster.eventlog.port import Record
from models.errors import FencedError
from models.policies.ownership import Ownership, WorkerReport
from models.policies.pool import ScaleReason
from tests.unit.fakes_log import FakeNodes, publish_roster, roster_of
from tests.unit.pool_world import World

S = 1_000_000_000
A, B = roster_of("a", 4), roster_of("b", 2)


def up(size: int = 1, even: bool = True, turns: int = 40) -> World:
    world = World([A, B], size=size, even=even)
    for _ in range(turns):
        world.turn()
    return world


def held(world: World) -> dict[int, int]:
    return {w: sum(map(len, worker.report.held.values())) for w, worker in world.workers.items()}


def actions(world: World) -> list[str]:
    return [action["action"] for action in world.actions()]


def test_it_finds_venues_and_gives_every_flow_to_a_worker() -> None:
    world = up()
    assert held(world) == {0: 6}
    status = world.coordinator.status()
    assert {v: body["flows"] for v, body in status["venues"].items()} == {"a": 4, "b": 2}
    assert {"venue_found", "worker_registered", "flows_assigned"} <= set(actions(world))


def test_a_venue_that_appears_later_is_found() -> None:
    world = up()
    publish_roster(world.log, roster_of("c", 3))
    for _ in range(5):
        world.turn()
    assert held(world) == {0: 9}


def test_a_stream_is_fenced_before_its_flow_is_granted() -> None:
    world = up()
    with pytest.raises(FencedError):
        world.log.append("events/a", [Record(flow_stream("m1", "a-0"), 0, 0, b"")], 0)


def test_a_silent_worker_loses_its_flows_and_is_started_again() -> None:
    world = up(size=2)
    world.crash(1)
    for _ in range(90):
        world.turn()
    assert sorted(held(world).values()) == [2, 4]
    assert "worker_dead" in actions(world)
    reasons = [a["reason"] for a in world.actions() if a["action"] == "worker_dead"]
    assert reasons == ["missed_heartbeats"]


def test_a_restarted_worker_is_given_its_flows_in_answer_to_its_registration() -> None:
    world = up()
    before = {venue: dict(rows) for venue, rows in world.workers[0].report.held.items()}
    answer = world.register(0, world.workers[0].incarnation + 1)
    assert {v: grant.subjects.keys() for v, grant in answer.venues.items()} == {
        venue: rows.keys() for venue, rows in before.items()
    }
    assert min(answer.venues["a"].subjects.values()) > max(before["a"].values())


def test_a_worker_that_comes_back_registers_anew_and_gets_flows_under_a_new_epoch() -> None:
    world = up()
    before = dict(world.workers[0].report.held["a"])
    world.crash(0)
    world.start(0)
    for _ in range(10):
        world.turn()
    after = world.workers[0].report.held["a"]
    assert before.keys() == after.keys()
    assert min(after.values()) > max(before.values())
    assert world.coordinator.status()["worker_restarts"] == 1


def test_an_orphan_of_an_older_incarnation_is_told_to_end() -> None:
    world = up()
    orphan = world.workers[0]
    world.crash(0)
    world.start(0)
    for _ in range(5):
        world.turn()
    orphan.beat()
    orphan.step()
    assert orphan.retired
    assert not any(orphan.report.held.values())
    assert held(world) == {0: 6}


def test_growing_moves_flows_and_shrinking_brings_them_back() -> None:
    world = up()
    world.policy.target = 3
    for _ in range(60):
        world.turn()
    assert sorted(held(world).values()) == [2, 2, 2]
    world.policy.target = 1
    for _ in range(60):
        world.turn()
    assert list(held(world).values()) == [6]
    status = world.coordinator.status()
    assert (status["min_size"], status["max_size"], status["size"]) == (1, 3, 1)
    assert actions(world).count("worker_drained") == 2


def test_a_drained_worker_that_still_talks_is_not_taken_back() -> None:
    world = up(size=2)
    leaving = world.workers[1]
    world.policy.target = 1
    for _ in range(60):
        world.turn()
    assert 1 not in world.workers
    leaving.beat()
    leaving.beat()
    leaving.step()
    assert leaving.retired
    assert world.coordinator.status()["size"] == 1


def test_a_worker_that_does_not_let_go_is_fenced() -> None:
    world = up()
    stubborn = world.workers[0]
    world.policy.target = 2
    for _ in range(300):
        world.clock.advance(0.05)
        world.coordinator.tick()
        stubborn.beat()
        for worker in world.workers.values():
            if worker is not stubborn:
                worker.beat()
                worker.step()
    assert "flow_taken" in actions(world)
    assert sum(map(len, world.workers[1].report.held.values())) > 0


def test_a_restarted_coordinator_goes_on_with_owners_and_a_higher_epoch() -> None:
    world = up(size=2)
    epoch, before = world.coordinator.status()["epoch"], held(world)
    grants = {w: worker.report.held for w, worker in world.workers.items()}
    world.restart_coordinator()
    for _ in range(20):
        world.turn()
    assert world.coordinator.status()["epoch"] > epoch
    assert held(world) == before
    assert {w: worker.report.held for w, worker in world.workers.items()} == grants


def test_after_a_restart_of_everything_the_workers_are_back_before_they_count_as_silent() -> None:
    world = up(size=2)
    before = held(world)
    for worker in (0, 1):
        world.crash(worker)
    world.restart_coordinator()
    world.turn()
    assert sorted(world.workers) == [0, 1]
    for _ in range(20):
        world.turn()
    assert held(world) == before
    assert "worker_dead" not in actions(world)


def test_a_worker_that_was_on_its_way_out_is_not_called_back() -> None:
    world = up(size=2)
    world.policy.target = 1
    for _ in range(20):
        world.clock.advance(0.05)
        world.coordinator.tick()  # the workers do not hear of it
    assert [w for w, one in world.coordinator.status()["workers"].items() if one["draining"]]
    world.crash(1)
    world.restart_coordinator()
    world.turn()
    assert sorted(world.workers) == [0]


def test_the_predecessor_of_a_restarted_coordinator_is_refused() -> None:
    world = up()
    old = world.coordinator
    world.restart_coordinator()
    world.clock.advance(10.0)
    old.tick()
    old.register(7, 1)
    old.tick()
    assert old.superseded
    assert not old.heartbeat(7, WorkerReport(1, 0, 0)).known


def test_a_lost_table_is_no_end_because_the_log_counts_the_terms() -> None:
    world = up()
    for _ in range(3):
        world.crash(0)
        world.start(0)
        for _ in range(10):
            world.turn()
    world.snapshots.held.pop(TABLE_KEY)
    world.restart_coordinator()
    for _ in range(60):
        world.turn()
    assert held(world) == {0: 6}
    assert world.coordinator.status()["errors"] == {}


def test_trouble_with_the_log_is_seen_and_passes() -> None:
    world = up()
    world.log.topics = lambda: (_ for _ in ()).throw(FileNotFoundError("gone"))
    world.turn()
    assert "discover" in world.coordinator.status()["errors"]
    del world.log.topics
    world.turn()
    assert world.coordinator.status()["errors"] == {}


def test_a_pool_is_final_only_when_all_expected_venues_are() -> None:
    world = World([A, B])
    for _ in range(10):
        world.turn()
    world.send(A, 3, final=True)
    for _ in range(10):
        world.turn()
    assert not world.coordinator.status()["all_final"]
    world.send(B, 3, final=True)
    world.settle()


def test_the_next_match_of_a_venue_replaces_the_last_one() -> None:
    world = World([A])
    for _ in range(10):
        world.turn()
    world.send(A, 5, final=True)
    world.settle()
    publish_roster(world.log, roster_of("a", 3, "m2"), seq=1)
    for _ in range(10):
        world.turn()
    status = world.coordinator.status()
    assert status["venues"]["a"]["match_id"] == "m2"
    assert not status["all_final"]
    assert held(world) == {0: 3}


def test_the_next_match_waits_until_the_last_one_is_worked_off() -> None:
    world = World([A])
    for _ in range(10):
        world.turn()
    world.send(A, 40, final=True)
    publish_roster(world.log, roster_of("a", 3, "m2"), seq=1)
    matches = []
    for _ in range(60):
        world.turn()
        matches.append(world.coordinator.status()["venues"]["a"]["match_id"])
    assert matches[0] == "m1"
    assert matches[-1] == "m2"
    assert set(world.finals("a")) == {f"a-{row}" for row in range(4)}


def test_a_match_that_came_and_went_while_there_was_no_coordinator_is_worked_off_too() -> None:
    world = World([A])
    world.send(A, 5, final=True)
    publish_roster(world.log, roster_of("a", 3, "m2"), seq=1)
    for _ in range(60):
        world.turn()
    assert set(world.finals("a")) == {f"a-{row}" for row in range(4)}
    assert world.coordinator.status()["venues"]["a"]["match_id"] == "m2"


def test_a_pool_is_not_final_while_a_match_waits() -> None:
    world = World([A])
    for _ in range(10):
        world.turn()
    world.send(A, 5, final=True)
    publish_roster(world.log, roster_of("a", 3, "m2"), seq=1)
    for _ in range(60):
        world.turn()
        assert not world.coordinator.status()["all_final"]


def test_a_match_that_was_broken_off_makes_room_after_a_while_and_that_is_told() -> None:
    world = World([A])
    for _ in range(10):
        world.turn()
    world.send(A, 5)
    publish_roster(world.log, roster_of("a", 3, "m2"), seq=1)
    for _ in range(300):
        world.turn()
    assert held(world) == {0: 3}
    assert "match_left" in actions(world)


def test_a_worker_that_is_given_up_before_it_came_is_sent_away_when_it_comes_after_all() -> None:
    world = up()
    world.policy.target, start = 2, world.start
    world.start = lambda worker_id: None  # type: ignore[method-assign]  # no node has room
    for _ in range(15):
        world.turn()
    assert world.coordinator.status()["pending"] == [1]
    world.policy.target = 1
    for _ in range(15):
        world.turn()
    assert world.coordinator.status()["pending"] == []
    assert "worker_withdrawn" in actions(world)
    answer = world.coordinator.register(1, 77, "node-2")
    assert (answer.retired, answer.known) == (True, False)
    assert world.coordinator.status()["size"] == 1
    world.start, world.policy.target = start, 2  # type: ignore[method-assign]
    for _ in range(30):
        world.turn()
    assert world.coordinator.status()["size"] == 2, "one that is wanted anew is taken"


def test_a_growth_that_is_foreseen_asks_the_cluster_for_room_and_gives_it_back() -> None:
    nodes = FakeNodes()
    world = World([A, B], nodes=nodes)
    for _ in range(20):
        world.turn()
    world.start = lambda worker_id: None  # type: ignore[method-assign]  # no node has room
    world.policy.target, world.policy.reason = 3, ScaleReason.FORECAST
    for _ in range(130):
        world.turn()
    assert nodes.asked == [0, 3, 0]
    told = [(one["reason"], one["detail"]["to"]) for one in world.actions()
            if one["action"] == "prewarm"]
    assert told == [("forecast", 3), ("over", 0)]
    assert world.coordinator.status()["prewarmed"] == 0


def test_a_cluster_that_does_not_answer_is_remembered_and_stops_nothing_else() -> None:
    nodes = FakeNodes()
    nodes.away = True
    world = World([A, B], nodes=nodes)
    for _ in range(40):
        world.turn()
    assert "away" in world.coordinator.status()["errors"]["observe"]
    assert held(world) == {0: 6}


def test_it_tells_on_which_node_a_worker_is() -> None:
    world = up()
    world.coordinator.register(0, 5, "node-1")
    world.turn()
    told = [one["detail"] for one in world.actions() if one["action"] == "worker_registered"]
    assert told[-1] == {"worker": 0, "node": "node-1"}
    report = WorkerReport(5, 1, 1, node="node-1")
    world.coordinator.heartbeat(0, report)
    status = world.coordinator.status()
    assert (status["nodes"], status["workers"]["0"]["node"]) == (1, "node-1")


def test_the_table_survives_its_stored_form() -> None:
    world = up(size=2)
    stored = world.snapshots.held[TABLE_KEY][0]
    table = Ownership.from_json(stored, 5)
    assert Ownership.from_json(table.to_json(), 5).to_json() == table.to_json()
    assert table.assignment(0).flows == {v: tuple(sorted(rows)) for v, rows in
                                         world.workers[0].report.held.items()}


def test_edges_are_told_to_thin_as_soon_as_a_worker_says_that_it_is_late() -> None:
    world = up()
    late = replace(world.workers[0].report, backlog_s={"hot": 0.0, "calm": 0.7})
    for _ in range(2):  # twice 0.1 s, far less than a pool is looked at for its size
        world.heartbeat(0, late)
        world.clock.advance(0.1)
        world.coordinator.tick()
    thinned = [one["detail"]["venue"] for one in world.actions() if one["action"] == "thin"]
    assert thinned == ["a", "b"]
