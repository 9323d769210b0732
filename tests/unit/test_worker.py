"""A worker on its own: what it does with trouble of the log, the store, the coordinator."""

import json
from dataclasses import replace

import pytest

from actors.lives import next_incarnation
from actors.net_client import NetClient, NetConfig
from actors.worker_outbox import Outbox
from actors.worker_snapshots import FlowSnapshot, flow_key, flow_stream
from cluster.eventlog.port import Record
from models.errors import SchemaError
from models.policies.ownership import Assignment, VenueGrant
from tests.unit.fakes_log import (
    TICK_NS,
    Clock,
    FakeLog,
)
from tests.unit.worker_world import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_only_granted_flows_are_worked_on(bench: Bench) -> None:
    bench.desk.grant((1, 3), 5)
    bench.send(0, 12)
    bench.turns()
    assert {event.stream for event in bench.events()} == {"flow/a-1", "flow/a-3"}
    assert bench.worker.report.offsets == {"a": {1: 12, 3: 12}}


def test_an_event_carries_the_arrival_mark_of_the_record_behind_it(bench: Bench) -> None:
    bench.desk.grant((0,), 5)
    bench.send(0, 7)
    bench.turns()
    for record in bench.log.all("events/a"):
        body = json.loads(record.payload)
        assert int(body["sourcens"]) == body["data"]["t_detected_ns"] - TICK_NS
        assert record.stream == "flow/m1/a-0"


def test_a_log_that_is_down_costs_no_progress(bench: Bench) -> None:
    bench.desk.grant((0, 1), 5)
    bench.send(0, 6)
    bench.turns(3)
    bench.send(6, 20)
    bench.log.down = True
    bench.turns(5)
    assert bench.worker.report.counters["append_failures"] > 0
    before = len(bench.events())
    bench.log.down = False
    bench.turns(60)
    assert len(bench.events()) > before
    assert [e.seq for e in bench.events() if e.stream == "flow/a-0"] == list(range(7))


def test_a_stuck_outbox_backs_off_and_takes_no_new_work(bench: Bench) -> None:
    bench.desk.grant((0,), 5)
    bench.send(0, 6)
    bench.turns(2)
    bench.send(6, 9)
    bench.log.down = True
    bench.turns(3)
    reads = bench.log.reads
    bench.turns(50)
    assert bench.log.reads == reads
    assert bench.worker.report.counters["append_failures"] < 12


def test_an_answer_that_was_lost_makes_no_duplicate(bench: Bench) -> None:
    bench.desk.grant((0,), 5)
    bench.send(0, 6)
    bench.log.lossy = True
    bench.turns(4)
    bench.log.lossy = False
    bench.turns(60)
    assert [event.seq for event in bench.events()] == [0, 1]
    assert bench.worker.report.counters["repeated"] > 0


def test_a_fenced_flow_is_dropped_at_once_and_the_coordinator_is_told(bench: Bench) -> None:
    bench.desk.grant((0, 1), 5)
    bench.turns(3)
    bench.log.fence("events/a", flow_stream("m1", "a-1"), 9)
    bench.send(0, 9)
    bench.turns(5)
    report = bench.worker.report
    assert set(report.held["a"]) == {0}
    assert report.lost == {"a": (1,)}
    assert {event.stream for event in bench.events()} == {"flow/a-0"}
    bench.desk.grant((0, 1), 10)
    bench.turns(5)
    assert bench.worker.report.lost == {}
    assert {event.stream for event in bench.events()} == {"flow/a-0", "flow/a-1"}


def test_a_flow_goes_on_from_its_snapshot_and_makes_nothing_twice(bench: Bench) -> None:
    bench.desk.grant((0, 1), 5)
    bench.send(0, 30)
    bench.turns(40)
    stored = FlowSnapshot.decode(bench.snapshots.held[flow_key("a", "m1", "a-0")][0])
    assert stored.offset == 30
    bench.send(30, 40)
    bench.desk.grant((0, 1), 7)
    second = bench.new(2)
    bench.turns(10, second)
    assert second.report.work_n == 20
    assert [e.seq for e in bench.events() if e.stream == "flow/a-0"] == list(range(14))


def test_a_flow_that_is_taken_away_is_stored_before_it_is_let_go(bench: Bench) -> None:
    bench.desk.grant((0, 1), 5)
    bench.send(0, 10)
    bench.turns(3)
    bench.desk.answer = Assignment(6, {"a": VenueGrant("m1", 0, {0: 5})})
    bench.turns(2)
    assert bench.worker.report.epoch == 6
    assert set(bench.worker.report.held["a"]) == {0}
    stored = FlowSnapshot.decode(bench.snapshots.held[flow_key("a", "m1", "a-1")][0])
    assert stored.offset == 10


def test_a_draining_worker_ends_with_nothing_held(bench: Bench) -> None:
    bench.desk.grant((0, 1), 5)
    bench.send(0, 10)
    bench.turns(3)
    bench.desk.answer = Assignment(6, {}, drain=True)
    bench.turns(2)
    assert bench.worker.drained
    assert not any(bench.worker.report.held.values())


def test_a_store_that_fails_is_counted_and_the_flow_goes_on(bench: Bench) -> None:
    bench.desk.grant((0,), 5)
    bench.turns(2)
    bench.snapshots.broken = True
    bench.send(0, 10)
    bench.turns(50)
    assert bench.worker.report.counters["snapshot_failed"] > 0
    assert bench.worker.report.offsets == {"a": {0: 10}}


def test_a_snapshot_that_cannot_be_loaded_makes_the_flow_lost_for_now(bench: Bench) -> None:
    bench.snapshots.broken = True
    bench.desk.grant((0,), 5)
    bench.turns(2)
    assert bench.worker.report.lost == {}
    bench.turns(40)
    assert bench.worker.report.lost == {"a": (0,)}
    bench.snapshots.broken = False
    bench.desk.grant((0,), 6)
    bench.send(0, 5)
    bench.turns(5)
    assert bench.worker.report.offsets == {"a": {0: 5}}


def test_an_unreadable_snapshot_means_starting_over_from_the_log(bench: Bench) -> None:
    bench.snapshots.held[flow_key("a", "m1", "a-0")] = (b"not ours", 1)
    bench.desk.grant((0,), 5)
    bench.send(0, 5)
    bench.turns(5)
    assert bench.worker.report.counters["flow_snapshot_unreadable"] == 1
    assert bench.worker.report.offsets == {"a": {0: 5}}


def test_an_unreadable_record_is_counted_and_passed_over(bench: Bench) -> None:
    bench.desk.grant((0,), 5)
    bench.send(0, 3)
    bench.log.append("telemetry/a", [Record("x", 0, 0, b"\0" * 50)], 0)
    bench.send(3, 6)
    bench.turns(5)
    assert bench.worker.report.counters["records_unreadable"] == 1
    assert bench.worker.report.work_n == 6


def test_trimmed_records_are_counted_and_the_flow_goes_on_from_the_begin(bench: Bench) -> None:
    state = json.dumps({"0": [10, 0, 0]}).encode()
    bench.snapshots.held[flow_key("a", "m1", "a-0")] = (FlowSnapshot(4, False, state).encode(), 1)
    bench.send(0, 15)
    bench.log.trim("telemetry/a", 10)
    bench.desk.grant((0,), 5)
    bench.turns(5)
    assert bench.worker.report.counters["records_trimmed_unread"] == 6
    assert bench.worker.report.offsets == {"a": {0: 15}}


def test_the_final_record_makes_final_states_and_final_flows(bench: Bench) -> None:
    bench.desk.grant((0, 2), 5)
    bench.send(0, 8, final=True)
    bench.turns(5)
    assert bench.worker.report.final == {"a": (0, 2)}
    finals = {row["subject_id"] for row in bench.states() if row["status"] == "final"}
    assert finals == {"a-0", "a-2"}


def test_a_worker_that_takes_over_a_final_flow_reports_it_final(bench: Bench) -> None:
    bench.desk.grant((0,), 5)
    bench.send(0, 8, final=True)
    bench.turns(40)
    bench.desk.grant((0,), 6)
    second = bench.new(2)
    bench.turns(3, second)
    assert second.report.final == {"a": (0,)}
    assert second.report.work_n == 0


def test_a_man_down_keeps_its_flow_hot(bench: Bench) -> None:
    bench.desk.grant((2,), 5)
    bench.send(0, 50)
    bench.turns(5)
    assert bench.events()[-1].type == "man_down"
    assert bench.worker.report.hot == {"a": (2,)}


def test_predictions_go_to_the_insights_of_the_venue(bench: Bench) -> None:
    bench.desk.grant((0, 1), 5)
    bench.send(0, 20)
    bench.turns(5)
    bodies = [
        json.loads(r.payload) for r in bench.log.all("insights/a") if "prediction" in r.content_type
    ]
    asked = {(b["subject_id"], b["t_ns"]) for b in bodies}
    assert len(asked) == len(bodies) == 4
    assert {(b["kind"], b["source"]) for b in bodies} == {("fatigue", "fallback")}


def test_a_flow_is_not_stored_while_its_windows_are_with_the_nets(bench: Bench) -> None:
    class Never:
        def submit(self, *args: object) -> object:
            from concurrent.futures import Future

            return Future()

    nets = NetClient(lambda _n, x: x, bench.clock, NetConfig(timeout_s=0.6), Never())
    worker = bench.new(2, nets)
    bench.desk.grant((0,), 5)
    bench.send(0, 20)
    bench.turns(12, worker)
    assert worker.report.counters.get("snapshots", 0) == 0
    bench.turns(60, worker)
    assert worker.report.counters["snapshots"] >= 1
    assert worker.report.counters["predictions_fallback"] == 2


def test_without_its_coordinator_a_worker_goes_on(bench: Bench) -> None:
    from actors.worker_ports import CoordinatorAwayError

    bench.desk.grant((0,), 5)
    bench.turns(3)

    def away(*_args: object) -> Assignment:
        raise CoordinatorAwayError("no actor")

    bench.desk.heartbeat = away
    bench.send(0, 9)
    bench.turns(5)
    assert bench.worker.report.offsets == {"a": {0: 9}}
    assert bench.worker.report.counters["coordinator_away"] >= 5


def test_an_unknown_worker_drops_all_and_registers_again(bench: Bench) -> None:
    bench.desk.grant((0,), 5)
    bench.turns(3)
    known = bench.desk.answer
    bench.desk.answer = Assignment(0, known=False)
    bench.turns(1)
    assert not any(bench.worker.report.held.values())
    bench.desk.answer = replace(known, epoch=8)
    bench.turns(3)
    assert set(bench.worker.report.held["a"]) == {0}


def test_a_later_life_has_the_higher_number_whatever_the_clock_says(bench: Bench) -> None:
    first = next_incarnation(bench.log, "worker/0")
    bench.clock.advance(-300.0)
    assert next_incarnation(bench.log, "worker/0") > first
    assert next_incarnation(bench.log, "worker/1") == first


def test_an_outdated_assignment_is_not_adopted(bench: Bench) -> None:
    bench.desk.grant((0,), 5)
    bench.turns(3)
    bench.desk.answer = Assignment(4)
    bench.turns(2)
    assert set(bench.worker.report.held["a"]) == {0}


def test_an_outbox_keeps_order_within_a_stream_and_uses_each_flows_own_epoch() -> None:
    clock = Clock()
    log = FakeLog(clock)
    log.fence("t", "old", 3)
    log.fence("t", "new", 7)
    box = Outbox(log, clock)
    for seq in range(3):
        box.put("t", Record("old", seq, 0, b""), 3)
        box.put("t", Record("new", seq, 0, b""), 7)
    log.fence("t", "old", 8)
    assert box.flush()
    assert box.take_fenced() == {"old"}
    assert [(r.stream, r.seq) for r in log.all("t")] == [("new", 0), ("new", 1), ("new", 2)]


@pytest.mark.parametrize(
    "payload",
    [b"", b"TLFS", b"TLFS\x05\0\0\0{}", b"XXXX\0\0\0\0", b"TLFS\2\0\0\0[]"],
)
def test_bytes_that_are_no_snapshot_are_refused(payload: bytes) -> None:
    with pytest.raises(SchemaError):
        FlowSnapshot.decode(payload)
