"""Which worker gets which flow: sticky, whole venues first, few moves, deterministic."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.coordinator_shell import coordinator_config
from cluster.settings import load_settings
from models.policies.assignment import (
    AssignmentConfig,
    FlowInfo,
    Move,
    MoveReason,
    WorkerInfo,
    plan_moves,
)

CONFIG = AssignmentConfig()
EVEN = AssignmentConfig(even=True)


def venue(name: str, count: int, owner: int | None = None, hot: tuple[int, ...] = ()):
    return [
        FlowInfo((name, row), owner, row in hot, had_owner=owner is not None)
        for row in range(count)
    ]


def workers(*utilisation: float) -> list[WorkerInfo]:
    return [WorkerInfo(k, u) for k, u in enumerate(utilisation)]


def after(flows: list[FlowInfo], moves: list[Move]) -> dict[tuple[str, int], int | None]:
    owners = {info.flow: info.owner for info in flows}
    owners |= {move.flow: move.target for move in moves}
    return owners


def test_a_new_venue_goes_whole_to_the_least_loaded_worker() -> None:
    flows = venue("a", 5, owner=0) + venue("b", 5)
    moves = plan_moves(flows, workers(0.5, 0.0), CONFIG, rebalance=False)
    assert {(move.target, move.reason) for move in moves} == {(1, MoveReason.NEW)}
    assert {move.flow[0] for move in moves} == {"b"}


def test_flows_with_a_living_owner_stay() -> None:
    flows = venue("a", 5, owner=0) + venue("b", 5, owner=1)
    assert plan_moves(flows, workers(0.7, 0.1), CONFIG, rebalance=True) == []


def test_flows_of_a_dead_worker_join_the_rest_of_their_venue() -> None:
    flows = [*venue("a", 3, owner=1), FlowInfo(("a", 9), owner=7, had_owner=True)]
    moves = plan_moves(flows, workers(0.0, 0.3), CONFIG, rebalance=False)
    assert moves == [Move(("a", 9), 1, MoveReason.OWNER_GONE)]


def test_a_draining_worker_gives_all_and_gets_nothing() -> None:
    flows = venue("a", 4, owner=0) + venue("b", 2)
    pool = [WorkerInfo(0, 0.1, draining=True), WorkerInfo(1, 0.5)]
    moves = plan_moves(flows, pool, CONFIG, rebalance=True)
    assert {move.target for move in moves} == {1}
    assert len(moves) == 6


def test_an_overloaded_worker_gives_a_whole_venue_that_fits() -> None:
    flows = venue("a", 6, owner=0) + venue("b", 2, owner=0)
    moves = plan_moves(flows, workers(0.95, 0.0), CONFIG, rebalance=True)
    assert {move.flow[0] for move in moves} == {"b"}
    assert {move.reason for move in moves} == {MoveReason.SPREAD_VENUE}


def test_the_hot_flows_of_a_single_loaded_venue_move_to_free_capacity() -> None:
    flows = venue("a", 10, owner=0, hot=(3, 7))
    moves = plan_moves(flows, workers(1.0, 0.0), CONFIG, rebalance=True)
    moved = [move.flow[1] for move in moves]
    assert moved[:2] == [3, 7]
    assert all(move.reason == MoveReason.SPREAD_HOT for move in moves)
    assert 10 - len(moved) >= 4


def test_a_pool_that_grows_sooner_shares_sooner() -> None:
    flows, pool = venue("a", 10, owner=0), workers(0.5, 0.0)
    assert plan_moves(flows, pool, AssignmentConfig.beside(0.85), rebalance=True) == []
    moves = plan_moves(flows, pool, AssignmentConfig.beside(0.2), rebalance=True)
    assert {(move.target, move.reason) for move in moves} == {(1, MoveReason.SPREAD_HOT)}
    assert 0 < len(moves) * 0.05 <= 0.2


def test_the_pool_shares_by_the_share_of_time_at_which_it_grows() -> None:
    assert coordinator_config(load_settings(None, {}, environ={})).assignment == CONFIG
    tree = load_settings(None, {"pool.busy_high": 0.2, "pool.busy_low": 0.1}, environ={})
    found = coordinator_config(tree).assignment
    assert found.low < found.high < 0.2


def test_nothing_moves_when_all_are_full() -> None:
    flows = venue("a", 10, owner=0, hot=(3,)) + venue("b", 10, owner=1)
    assert plan_moves(flows, workers(1.0, 1.0), CONFIG, rebalance=True) == []


def test_a_pool_of_fixed_size_shares_one_venue_evenly() -> None:
    flows = venue("a", 26)
    moves = plan_moves(flows, workers(0, 0, 0), EVEN, rebalance=True)
    owners = list(after(flows, moves).values())
    assert sorted(owners.count(w) for w in range(3)) == [8, 9, 9]


def test_a_pool_of_fixed_size_keeps_venues_whole_while_there_are_enough() -> None:
    flows = [info for name in "abcd" for info in venue(name, 5)]
    moves = plan_moves(flows, workers(0, 0), EVEN, rebalance=True)
    owners = after(flows, moves)
    for name in "abcd":
        assert len({owners[name, row] for row in range(5)}) == 1
    assert sorted(list(owners.values()).count(w) for w in range(2)) == [10, 10]


def test_without_workers_nothing_can_be_planned() -> None:
    assert plan_moves(venue("a", 3), [], CONFIG, rebalance=True) == []


flows_strategy = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 8), st.one_of(st.none(), st.integers(0, 5)),
              st.booleans()),
    max_size=30, unique_by=lambda flow: flow[:2],
)
workers_strategy = st.lists(
    st.tuples(st.integers(0, 5), st.floats(0, 1), st.booleans()), min_size=1, max_size=5,
    unique_by=lambda worker: worker[0],
)


@settings(max_examples=100, deadline=None)
@given(flows_strategy, workers_strategy, st.booleans(), st.integers(0, 1000))
def test_every_flow_ends_with_a_worker_that_stays_in_any_order_of_input(
    flows: list, pool: list, even: bool, seed: int
) -> None:
    infos = [FlowInfo((v, row), owner, hot, owner is not None) for v, row, owner, hot in flows]
    members = [WorkerInfo(*worker) for worker in pool]
    config = EVEN if even else CONFIG
    moves = plan_moves(infos, members, config, rebalance=True)
    staying = {w.worker_id for w in members if not w.draining}
    owners = after(infos, moves)
    assert all(owner in staying for owner in owners.values()) or not staying
    rng = random.Random(seed)
    rng.shuffle(infos)
    rng.shuffle(members)
    assert after(infos, plan_moves(infos, members, config, rebalance=True)) == owners


@settings(max_examples=60, deadline=None)
@given(flows_strategy, workers_strategy)
def test_an_even_spread_is_reached_at_once_and_then_left_alone(flows: list, pool: list) -> None:
    infos = [FlowInfo((v, row), owner, hot, True) for v, row, owner, hot in flows]
    members = [WorkerInfo(w, 0.0) for w, _, _ in pool]
    owners = after(infos, plan_moves(infos, members, EVEN, rebalance=True))
    settled = [FlowInfo(flow, owner, False, True) for flow, owner in owners.items()]
    assert plan_moves(settled, members, EVEN, rebalance=True) == []
