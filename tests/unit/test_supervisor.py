"""The supervisor: alarms from device health, restarts within bounds, actions with reasons."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from actors.net_client import NetClient, NetTask, Prediction
from actors.supervisor import Supervisor, SupervisorPorts
from actors.supervisor_health import AlarmConfig, HealthWatch
from actors.supervisor_shell import judge_stats
from cluster.eventlog.port import Record
from models.edge.effects import HEALTH_FEATURES, DeviceHealthRows, decode_health, encode_health
from models.edge.tables import KIND_LIST
from models.errors import LogError
from models.events.envelope import from_cloudevent
from models.nets.contract import FAILURE_ALARM, FAILURE_HORIZON_S
from models.nets.tracker import FailureTracker
from models.policies.supervision import (
    Action,
    Because,
    Finding,
    Health,
    SupervisionConfig,
    SupervisionPolicy,
    Verb,
)
from models.telemetry.kinds import Kind
from models.telemetry.orders import decode_order
from models.telemetry.roster import Device, Roster
from tests.unit.fakes_log import T0_NS, Clock, FakeLog, publish_roster

S = 1_000_000_000
ROSTER = Roster("v", "m1", devices=(
    Device("tag-1", Kind.LPS, "s1", 20), Device("tag-1", Kind.IMU, "s1", 100),
    Device("tag-2", Kind.LPS, "s2", 20),
))


class Bench:
    """A supervisor, one venue, and targets whose health the test sets."""

    def __init__(self) -> None:
        self.clock, self.health = Clock(), {"coordinator": Health.OK}
        self.facts: dict[str, Any] = {}
        self.log = FakeLog(self.clock)
        self.restarted: list[str] = []
        self.fail_restart = False
        publish_roster(self.log, ROSTER)
        self.supervisor = self.new(1)

    def new(self, incarnation: int) -> Supervisor:
        def probes() -> dict[str, Any]:
            return {
                name: lambda name=name: (self.health[name], self.facts) for name in self.health
            }

        ports = SupervisorPorts(
            self.log, NetClient(None, self.clock), probes, self.restart, FailureTracker,
            decode_health, self.clock,
        )
        return Supervisor(incarnation, ports)

    def restart(self, target: str) -> None:
        if self.fail_restart:
            raise ValueError(target)
        self.restarted.append(target)

    def second(self, at: int, battery: dict[int, float]) -> None:
        """Health rows of all devices at second `at`; `battery` per cent by device row."""
        values = np.zeros((len(HEALTH_FEATURES), 3), np.float32)
        values[HEALTH_FEATURES.index("batt_pct")] = [battery.get(k, 90.0) for k in range(3)]
        kinds = [KIND_LIST.index(device.kind) for device in ROSTER.devices]
        rows = DeviceHealthRows(
            np.arange(3, dtype=np.int32), np.array(kinds, np.int32), np.full(3, T0_NS + at * S),
            values,
        )
        payload = encode_health(rows, [device.device_id for device in ROSTER.devices])
        self.log.append("device-health/v", [Record("edge/m1", at, T0_NS, payload)], 0)

    def turns(self, count: int = 5, supervisor: Supervisor | None = None) -> None:
        for _ in range(count):
            self.clock.advance(0.25)
            (supervisor or self.supervisor).step()

    def predictions(self) -> list[dict]:
        return [json.loads(r.payload) for r in self.log.all("insights/v")]

    def alarms(self) -> list:
        return [from_cloudevent(r.payload) for r in self.log.all("events/v")]

    def actions(self) -> list[tuple[str, str]]:
        bodies = [json.loads(r.payload) for r in self.log.all("actions")]
        return [(body["action"], body["reason"]) for body in bodies]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_every_device_is_asked_about_every_five_seconds_of_event_time(bench: Bench) -> None:
    for at in range(21):
        bench.second(at, {})
        bench.turns(1)
    bench.turns(5)
    asked = {(p["device_id"], p["t_ns"]) for p in bench.predictions()}
    assert len(asked) == len(bench.predictions())
    assert {name for name, _ in asked} == {"tag-1", "tag-2"}
    times = sorted({t for _, t in asked})
    assert all(b - a == 5 * S for a, b in pairwise(times[1:]))
    assert bench.alarms() == []


def test_a_failing_device_raises_one_alarm_with_its_fault(bench: Bench) -> None:
    for at in range(31):
        bench.second(at, {2: 5.0 if at > 8 else 90.0})
        bench.turns(1)
    bench.turns(5)
    (alarm,) = bench.alarms()
    assert (alarm.type, alarm.subject_id) == ("device_failure_predicted", "tag-2")
    assert alarm.sub_type == "battery"
    assert alarm.t_event_ns == alarm.t_detected_ns == T0_NS + 10 * S
    assert "lps" in alarm.context


def test_what_is_ordered_for_a_failing_device_is_said_once_over_restarts(bench: Bench) -> None:
    for at in range(31):
        bench.second(at, {2: 5.0 if at > 8 else 90.0})
        bench.turns(1)
    bench.turns(5)
    (order,) = [decode_order(r.payload) for r in bench.log.all("orders/v")]
    assert (order.verb, order.subject_id, order.device_id) == ("whole", "s2", "tag-2")
    assert order.until_ns == T0_NS + int((10 + FAILURE_HORIZON_S) * S)
    assert bench.actions() == [("whole", "failure_predicted")]
    assert bench.supervisor.stats()["orders"]["standing"] == {"v": ["tag-2"]}
    second = bench.new(2)
    bench.second(35, {2: 5.0})
    bench.turns(10, second)
    assert second.stats()["orders"]["standing"] == {"v": ["tag-2"]}
    for at in range(36, 150):
        bench.second(at, {})
        bench.turns(1, second)
    bench.turns(10, second)
    assert len(bench.log.all("orders/v")) == 2
    assert bench.actions()[1:] == [("whole_over", "prediction_over")]


def test_an_order_that_the_log_does_not_take_is_given_later(bench: Bench) -> None:
    append = bench.log.append

    def deaf(topic: str, records: list[Record], epoch: int) -> list[int]:
        if topic.startswith("orders/"):
            raise LogError("no space left")
        return append(topic, records, epoch)

    bench.log.append = deaf
    for at in range(20):
        bench.second(at, {2: 5.0})
        bench.turns(1)
    assert bench.alarms()
    assert bench.supervisor.stats()["orders"]["waiting"] == 1
    bench.log.append = append
    bench.turns(2)
    assert len(bench.log.all("orders/v")) == 1
    assert bench.supervisor.stats()["orders"]["waiting"] == 0


def test_an_alarm_survives_a_log_that_cannot_be_asked_about_the_last_one(bench: Bench) -> None:
    def refuse(topic: str, stream: str) -> int:
        raise LogError(f"{topic}: input/output error")

    bench.log.last_seq = refuse
    for at in range(8):
        bench.second(at, {2: 5.0})
        bench.turns(1)
    assert (bench.alarms(), bench.log.cursor("device-health/v", "supervisor")) == ([], 0)
    del bench.log.last_seq
    bench.turns(5)
    assert [alarm.subject_id for alarm in bench.alarms()] == ["tag-2"]
    assert len(bench.predictions()) == len({(p["device_id"], p["t_ns"])
                                            for p in bench.predictions()})


@pytest.mark.parametrize(
    ("stats", "health"),
    [
        ({"state": "running"}, Health.OK), ({"state": "finished"}, Health.OK), ({}, Health.OK),
        ({"state": "failed"}, Health.DEAD), ({"state": "fenced"}, Health.DEAD),
        ({"superseded": False}, Health.OK), ({"superseded": True}, Health.DEAD),
    ],
)
def test_what_failed_or_was_pushed_aside_has_to_be_started_again(
    stats: dict[str, Any], health: Health
) -> None:
    assert judge_stats(stats) == health


def test_of_several_sensors_of_a_device_the_worst_speaks(bench: Bench) -> None:
    for at in range(16):
        bench.second(at, {1: 5.0})
        bench.turns(1)
    bench.turns(5)
    assert [alarm.subject_id for alarm in bench.alarms()] == ["tag-1"]
    worst = [p for p in bench.predictions() if p["device_id"] == "tag-1"]
    assert min(p["scores"]["p_fail"] for p in worst) > 0.5
    assert {p["device_kind"] for p in worst} == {"imu"}


def test_a_restarted_supervisor_asks_nothing_twice_and_raises_no_second_alarm(bench: Bench) -> None:
    for at in range(20):
        bench.second(at, {0: 5.0})
        bench.turns(1)
    bench.turns(5)
    asked, alarms = len(bench.predictions()), len(bench.alarms())
    assert alarms == 1
    second = bench.new(2)
    bench.turns(10, second)
    assert len(bench.predictions()) == asked
    for at in range(20, 40):
        bench.second(at, {0: 5.0})
        bench.turns(1, second)
    bench.turns(10, second)
    assert len(bench.predictions()) > asked
    assert len(bench.alarms()) == alarms


def test_an_unreadable_health_record_is_counted(bench: Bench) -> None:
    bench.log.append("device-health/v", [Record("edge/m1", 0, 0, b"junk")], 0)
    bench.second(1, {})
    bench.turns(8)
    assert bench.supervisor.stats()["unreadable"] == 1
    assert bench.predictions()


def test_a_dead_actor_is_restarted_and_the_action_says_why(bench: Bench) -> None:
    bench.health["coordinator"] = Health.DEAD
    bench.turns(24)
    assert bench.restarted == ["coordinator"]
    bench.health["coordinator"] = Health.OK
    bench.turns(8)
    assert bench.actions() == [("restart", "no_answer"), ("recovered", "answers_again")]


def test_a_restart_that_fails_is_written_down(bench: Bench) -> None:
    bench.health["coordinator"], bench.fail_restart = Health.DEAD, True
    bench.turns(24)
    assert ("restart_failed", "ValueError") in bench.actions()


def test_a_pool_that_cannot_keep_up_at_its_largest_is_reported_once(bench: Bench) -> None:
    bench.facts = {"lag_records": 900, "scale": {"reason": "at_max"}}
    bench.turns(30)
    bench.facts = {"lag_records": 3, "scale": {"reason": "steady"}}
    bench.turns(10)
    assert bench.actions() == [
        ("congestion", "lag_at_largest_pool"), ("congestion_over", "lag_is_down"),
    ]


CONFIG = SupervisionConfig(dead_after_s=2, stalled_after_s=10, cooldown_s=4, max_restarts=3)


def rounds(
    policy: SupervisionPolicy, health: Health, first: int, last: int
) -> list[tuple[int, Action]]:
    found = []
    for second in range(first, last):
        for action in policy.decide([Finding("x", health)], second * S):
            found.append((second, action))
    return found


def test_death_must_last_before_it_is_acted_on() -> None:
    policy = SupervisionPolicy(CONFIG)
    assert rounds(policy, Health.DEAD, 0, 2) == []
    assert rounds(policy, Health.OK, 2, 3) == []
    assert rounds(policy, Health.DEAD, 3, 5) == []
    ((second, action),) = rounds(policy, Health.DEAD, 5, 6)
    assert (second, action.verb, action.reason) == (5, Verb.RESTART, Because.NO_ANSWER)


def test_restarts_move_apart_and_end_in_giving_up_once() -> None:
    found = rounds(SupervisionPolicy(CONFIG), Health.DEAD, 0, 120)
    assert [(second, action.verb) for second, action in found] == [
        (2, Verb.RESTART), (6, Verb.RESTART), (14, Verb.RESTART), (30, Verb.GIVE_UP),
    ]


def test_what_was_given_up_is_tried_again_when_the_window_has_moved_on() -> None:
    policy = SupervisionPolicy(replace(CONFIG, window_s=100))
    found = rounds(policy, Health.DEAD, 0, 140)
    assert [second for second, action in found if action.verb == Verb.RESTART][-1] > 100


def test_standing_still_is_borne_longer_than_death() -> None:
    found = rounds(SupervisionPolicy(CONFIG), Health.STALLED, 0, 12)
    assert [(s, a.reason) for s, a in found] == [(10, Because.NO_PROGRESS)]


def test_targets_do_not_share_their_bounds() -> None:
    policy = SupervisionPolicy(CONFIG)
    found = []
    for second in range(4):
        findings = [Finding("x", Health.DEAD), Finding("y", Health.DEAD)]
        found += policy.decide(findings, second * S)
    assert [action.target for action in found] == ["x", "y"]
    assert policy.restarts("x") == 1


def test_an_alarm_is_raised_and_repeated_as_the_card_counts_alarms() -> None:
    """At the card's limit, in one answer; the next one only after the horizon of the first."""
    log = FakeLog(Clock())
    publish_roster(log, ROSTER)

    def watch() -> HealthWatch:
        return HealthWatch(log, ROSTER, FailureTracker(3), decode_health, AlarmConfig())

    def raised(of: HealthWatch, second: int, p_fail: float) -> int:
        task = NetTask(
            "failure", "v", ("device_id", "tag-1"), T0_NS + second * S, np.zeros(1), "", "v",
            {"device_kind": "lps"},
        )
        records = of.judge([Prediction(task, {"p_fail": p_fail}, "net")])
        log.append("events/v", records, 0)
        return len(records)

    first, horizon = watch(), int(FAILURE_HORIZON_S)
    answers = {0: 0.79, 5: FAILURE_ALARM, 10: 0.1, 15: 0.99, horizon: 0.99}
    assert [raised(first, t, p) for t, p in answers.items()] == [0, 1, 0, 0, 0]
    again = watch()
    assert [raised(again, horizon + t, 0.99) for t in (4, 5, 10)] == [0, 1, 0]
