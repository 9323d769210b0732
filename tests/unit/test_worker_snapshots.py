"""A worker whose snapshots are written beside its work."""

from actors.snapshot_writer import WriteNow, Writing
from actors.worker import Worker
from actors.worker_snapshots import FlowSnapshot
from models.policies.ownership import Assignment
from tests.unit.fakes_log import FakeSnapshots
from tests.unit.worker_world import Bench


class Later(WriteNow):
    """Snapshots stay on their way until `settle`."""

    def __init__(self, store: FakeSnapshots) -> None:
        super().__init__(store)
        self.way: list[Writing] = []

    def busy(self) -> bool:
        return bool(self.way)

    def begin(self, what: Writing) -> None:
        self.way.append(what)

    def settle(self) -> None:
        for what in self.way:
            super().begin(what)
        self.way = []


def begun() -> tuple[Bench, Worker, Later, Writing]:
    """A worker of two flows that has done ten records; a snapshot is on its way."""
    bench = Bench()
    writer = Later(bench.snapshots)
    worker = bench.new(2, writer=writer)
    bench.desk.grant((0, 1), 5)
    bench.send(0, 10)
    bench.turns(40, worker)
    (on_its_way,) = writer.way
    return bench, worker, writer, on_its_way


def test_the_work_does_not_wait_for_a_snapshot_and_a_hand_over_does() -> None:
    bench, worker, writer, on_its_way = begun()
    assert on_its_way.offset == 10
    bench.send(10, 20)
    bench.turns(10, worker)
    assert worker.report.offsets == {"a": {0: 20, 1: 20}}
    assert not bench.snapshots.held
    assert writer.way == [on_its_way]
    bench.desk.answer = Assignment(6, {})
    bench.turns(3, worker)
    # The older one did not come to lie above what was stored last.
    offsets = [FlowSnapshot.decode(body).offset for body, _ in bench.snapshots.held.values()]
    assert offsets == [20, 20]
    assert worker.report.counters.get("snapshot_failed", 0) == 0


def test_a_flow_whose_snapshot_is_refused_later_is_dropped_then() -> None:
    bench, worker, writer, on_its_way = begun()
    _, row = on_its_way.of
    bench.snapshots.held[on_its_way.key] = (b"of its next owner", 9)
    writer.settle()
    bench.send(10, 12)
    bench.turns(3, worker)
    assert worker.report.counters["flows_fenced"] == 1
    assert set(worker.report.held["a"]) == {0, 1} - {row}
    # Of a flow that is granted anew what was on its way before says nothing.
    writer.settle()
    assert bench.snapshots.held[on_its_way.key] == (b"of its next owner", 9)
