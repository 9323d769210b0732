"""A worker of many venues works on several at once: which ones, for how long, and what comes of
it."""

import pytest

import actors.worker
from actors.net_client import NetClient
from actors.worker import ABREAST, Worker
from actors.worker_ports import WorkerConfig, WorkerPorts
from models.flows.states import decode_states
from models.policies.ownership import Assignment, VenueGrant, WorkerReport
from models.readmodel_input import PREDICTION_TYPE, STATES_TYPE
from tests.unit.fakes_log import (
    Clock,
    FakeKernel,
    FakeLog,
    FakeSnapshots,
    publish,
    publish_roster,
    roster_of,
)

VENUES = 2 * ABREAST + 3


class Slow(FakeKernel):
    """Takes its time, and notes whose records it handled and what was in the log by then."""

    def __init__(self, roster, bench: "Bench") -> None:
        super().__init__(roster)
        self._bench = bench

    def handle(self, records, subjects, *, since_ns=None):
        self._bench.handled.append((self.roster.venue_id, len(records), self._bench.events()))
        self._bench.clock.advance(self._bench.cost_s)
        return super().handle(records, subjects, since_ns=since_ns)


class Bench:
    """One worker of all flows of `VENUES` venues."""

    def __init__(self) -> None:
        self.clock, self.cost_s = Clock(), 0.0
        self.log = FakeLog(self.clock)
        self.rosters = [roster_of(f"v{n:02}", 2) for n in range(VENUES)]
        for roster in self.rosters:
            publish_roster(self.log, roster)
        self.handled: list[tuple[str, int, int]] = []
        ports = WorkerPorts(
            self.log, FakeSnapshots(), self, NetClient(None, self.clock),
            lambda roster: Slow(roster, self), self.clock,
        )
        self.worker = Worker(0, 1, ports, WorkerConfig(snapshot_ns=1 << 62))
        self.worker.beat()
        self.worker.step()

    def register(self, worker_id: int, incarnation: int) -> Assignment:
        grants = {r.venue_id: VenueGrant("m1", 0, {0: 1, 1: 1}) for r in self.rosters}
        return Assignment(1, grants)

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        return self.register(worker_id, 1)

    def send(self, first: int, last: int, hot: tuple[int, ...] = ()) -> None:
        for roster in self.rosters:
            for seq in range(first, last):
                publish(self.log, roster, seq, hot)

    def step(self) -> list[str]:
        """One turn; the venues that it worked on, in order."""
        self.handled.clear()
        self.worker.step()
        return [venue for venue, _, _ in self.handled]

    def events(self) -> int:
        return sum(len(self.log.all(f"events/{r.venue_id}")) for r in self.rosters)


def played(abreast: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What is in the log for each venue after some turns: events, rows of states, predictions.
    How many rows lie in one message depends on who waited for how long, and is left out."""
    monkeypatch.setattr(actors.worker, "ABREAST", abreast)
    bench = Bench()
    bench.cost_s = 0.004
    for first, last in ((0, 3), (3, 4), (4, 40), (40, 41)):
        bench.send(first, last, hot=(1,) if first == 3 else ())
        for _ in range(12):
            bench.step()
    assert bench.worker.idle()
    found: dict[str, list] = {}
    for venue in (roster.venue_id for roster in bench.rosters):
        insights = bench.log.all(f"insights/{venue}")
        found[venue] = [
            [(r.stream, r.seq, r.payload) for r in bench.log.all(f"events/{venue}")],
            [row for r in insights if r.content_type == STATES_TYPE
             for row in decode_states(r.payload).to_pylist()],
            [r.payload for r in insights if r.content_type == PREDICTION_TYPE],
        ]
    return found


def test_the_same_comes_of_it_however_many_are_worked_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = played(1, monkeypatch)
    assert [len(part) for part in alone["v00"]] == [27, 82, 8]
    assert played(7, monkeypatch) == alone
    assert played(10 * VENUES, monkeypatch) == alone


def test_every_venue_has_its_turn_once_when_there_is_time_for_all() -> None:
    bench = Bench()
    bench.send(0, 2)
    worked = bench.step()
    assert sorted(worked) == [r.venue_id for r in bench.rosters]
    assert bench.step() == []


def test_a_turn_that_has_spent_its_budget_ends_and_the_next_goes_on() -> None:
    bench = Bench()
    bench.cost_s = 0.03
    bench.send(0, 1)
    turns = [bench.step() for _ in range(3)]
    assert [len(turn) for turn in turns] == [ABREAST, ABREAST, 3]
    assert sorted(v for turn in turns for v in turn) == [r.venue_id for r in bench.rosters]


def test_what_a_late_worker_reads_next_does_not_wait_for_a_whole_round() -> None:
    bench = Bench()
    bench.cost_s = 0.03
    bench.send(0, 1)
    bench.step()
    bench.send(1, 2)
    second = bench.step()
    # Those that were not worked on yet have both records done at once.
    assert len(second) == ABREAST
    assert {count for _, count, _ in bench.handled} == {2}


def test_hot_effects_are_in_the_log_before_the_next_venues_are_begun() -> None:
    bench = Bench()
    bench.send(0, 1, hot=(0,))
    bench.step()
    before = [events for _, _, events in bench.handled]
    assert before[:ABREAST] == [0] * ABREAST
    assert before[ABREAST] == ABREAST
    assert before[2 * ABREAST] == 2 * ABREAST


def test_a_log_that_takes_nothing_ends_the_turn() -> None:
    bench = Bench()
    bench.send(0, 1, hot=(0,))
    bench.log.down = True
    assert len(bench.step()) == ABREAST
    assert bench.step() == []
    bench.log.down = False
    bench.clock.advance(5.0)
    assert len(bench.step()) == VENUES - ABREAST
    assert bench.events() == VENUES
