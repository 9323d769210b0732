"""Room for workers is asked for ahead, held while they come, and taken back."""

from dataclasses import replace

import pytest

from actors.coordinator_shell import coordinator_config, node_port
from actors.nodes import GivenNodes, NodesAwayError, NodeWish, RayNodes, bundle_of
from cluster.settings import load_settings
from models.policies.prewarm import (
    Prewarm,
    PrewarmConfig,
    PrewarmPolicy,
    PrewarmReason,
    PrewarmSignals,
)
from tests.unit.fakes_log import FakeNodes

S = 1_000_000_000
CONFIG = PrewarmConfig(max_workers=6, node_start_s=240.0, hold_s=60.0)
# One worker that carries 100 flow-records a second; 85 when it is not to be too busy.
WARM_UP = PrewarmSignals(0, ready=1, capacity_per_s=100.0, arrival_per_s=20.0)
KICK_OFF = replace(WARM_UP, rise_per_s=180.0)


def at(signals: PrewarmSignals, second: float, **more: float) -> PrewarmSignals:
    return replace(signals, now_ns=int(second * S), **more)


def test_a_load_that_is_carried_asks_for_nothing() -> None:
    assert PrewarmPolicy(CONFIG).decide(WARM_UP) == Prewarm(0, PrewarmReason.OVER)


def test_a_load_that_is_here_already_is_left_to_the_pool() -> None:
    busy = replace(WARM_UP, arrival_per_s=500.0)
    assert PrewarmPolicy(CONFIG).decide(busy) == Prewarm(0, PrewarmReason.OVER)


def test_a_kick_off_asks_for_room_with_headroom_for_the_load_it_brings() -> None:
    # 200 x 1.25 / 85 = 2.9
    assert PrewarmPolicy(CONFIG).decide(KICK_OFF) == Prewarm(3, PrewarmReason.TIMETABLE)


def test_it_never_asks_for_more_than_the_pool_may_have() -> None:
    assert PrewarmPolicy(CONFIG).decide(replace(KICK_OFF, rise_per_s=1e9)).workers == 6


def test_a_pool_that_grows_by_forecast_has_its_room_asked_for() -> None:
    wish = PrewarmPolicy(CONFIG).decide(replace(WARM_UP, grown_to=4))
    assert wish == Prewarm(4, PrewarmReason.FORECAST)


def test_nothing_is_asked_for_before_it_is_known_what_a_worker_carries() -> None:
    policy = PrewarmPolicy(CONFIG)
    unknown = replace(KICK_OFF, capacity_per_s=0.0)
    assert policy.decide(unknown).workers == 0
    policy.decide(at(WARM_UP, 1))
    assert policy.decide(at(unknown, 2)).workers == 3, "what it once carried is remembered"


def test_a_wish_outlives_its_cause_until_it_has_been_held_long_enough() -> None:
    policy = PrewarmPolicy(CONFIG)
    policy.decide(KICK_OFF)
    assert policy.decide(at(WARM_UP, 59)) == Prewarm(3, PrewarmReason.HELD)
    assert policy.decide(at(WARM_UP, 60)) == Prewarm(0, PrewarmReason.OVER)


def test_a_smaller_cause_does_not_lower_a_wish_that_is_held() -> None:
    policy = PrewarmPolicy(CONFIG)
    policy.decide(KICK_OFF)
    assert policy.decide(at(KICK_OFF, 10, rise_per_s=80.0)).workers == 3


def test_a_wish_ends_when_the_workers_are_there() -> None:
    policy = PrewarmPolicy(CONFIG)
    policy.decide(KICK_OFF)
    there = at(KICK_OFF, 10, ready=3, capacity_per_s=300.0)
    assert policy.decide(there) == Prewarm(0, PrewarmReason.TAKEN)


def test_nodes_that_need_no_time_are_never_asked_for() -> None:
    policy = PrewarmPolicy(replace(CONFIG, node_start_s=0.0))
    assert policy.decide(replace(KICK_OFF, grown_to=5)).workers == 0


def test_the_cluster_is_asked_only_when_the_wish_changes() -> None:
    nodes = FakeNodes()
    wish = NodeWish(nodes, CONFIG)
    changes = [wish.follow(at(signals, k)) for k, signals in enumerate(
        [WARM_UP, KICK_OFF, KICK_OFF, at(WARM_UP, 2)]
    )]
    assert nodes.asked == [0, 3], "the first word replaces what a predecessor asked for"
    assert [change.reason for change in changes if change] == ["timetable"]
    wish.take_back()
    assert (nodes.asked, wish.workers) == ([0, 3, 0], 0)


def test_a_cluster_that_does_not_answer_is_asked_again() -> None:
    nodes = FakeNodes()
    wish = NodeWish(nodes, CONFIG)
    nodes.away = True
    with pytest.raises(NodesAwayError):
        wish.follow(KICK_OFF)
    nodes.away = False
    change = wish.follow(at(KICK_OFF, 1))
    assert change is not None
    assert change.detail == {
        "from": 0, "to": 3, "arrival_per_s": 20.0, "rise_per_s": 180.0,
    }
    assert nodes.asked == [3]


def test_the_autoscaler_is_asked_only_where_workers_take_room_that_it_can_add() -> None:
    assert isinstance(node_port({"num_cpus": 0.05}), GivenNodes)
    options = {"num_cpus": 0.5, "resources": {"flow": 1}}
    assert isinstance(node_port(options), RayNodes)
    assert bundle_of(options) == {"CPU": 0.5, "flow": 1}


def test_where_no_nodes_can_be_had_nothing_is_asked_for_ahead() -> None:
    tree = load_settings(None, {"pool.node_start_s": 100.0}, environ={})
    assert coordinator_config(tree, elastic=True).prewarm.node_start_s == 100.0
    assert coordinator_config(tree).prewarm.node_start_s == 0.0
