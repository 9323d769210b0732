"""The table of owners: what it remembers between changes is what it would work out anew."""

import copy
import random

import pytest

from models.policies.assignment import Move, MoveReason
from models.policies.ownership import Ownership, WorkerReport

VENUES, ROWS, WORKERS = ("a", "b", "c"), 3, 3


def as_new(table: Ownership) -> Ownership:
    """The same table, of which nothing has been asked yet."""
    fresh = copy.deepcopy(table)
    fresh._flows, fresh._leaving, fresh._due, fresh._answers = None, (-1, frozenset()), (-1, []), {}
    return fresh


def report_of(table: Ownership, worker: int, rng: random.Random) -> WorkerReport:
    """Of a worker that holds most of what it is to hold, at an epoch that it may have reached."""
    held: dict[str, dict[int, int]] = {}
    for venue, grant in table.assignment(worker).venues.items():
        kept = {row: epoch for row, epoch in grant.subjects.items() if rng.random() < 0.9}
        held |= {venue: kept} if kept else {}
    some = {venue: tuple(rows) for venue, rows in held.items() if rng.random() < 0.2}
    lost = {rng.choice(VENUES): (rng.randrange(ROWS),)} if rng.random() < 0.2 else {}
    epoch = rng.choice((table.epoch, max(table.epoch - 1, 0)))
    return WorkerReport(1, epoch, 0, held=held, final=some, lost=lost)


def change(table: Ownership, rng: random.Random, now_ns: int) -> None:
    what = rng.randrange(8)
    members = sorted(table.members)
    if what == 0:
        table.set_venue(rng.choice(VENUES), f"m{rng.randrange(3)}", 0, map(str, range(ROWS)))
    elif what == 1:
        table.register(rng.randrange(WORKERS), rng.randrange(1, 4), now_ns)
    elif what == 2 and rng.random() < 0.3:
        table.lose(rng.randrange(WORKERS))
    elif what == 3 and members and rng.random() < 0.3:
        table.drain(rng.choice(members))
    elif what == 4 and members and table.flows():
        flows = rng.sample([flow for flow, _ in table.flows()], 2)
        table.move([Move(f, rng.choice(members), MoveReason.NEW) for f in flows], now_ns)
    elif what == 5:
        table.overdue(now_ns, 3)
    elif what == 6:
        table.epoch += 1
        for due in table.due():
            table.granted(due, table.epoch)
    elif members:
        worker = rng.choice(members)
        table.report(worker, report_of(table, worker, rng))


@pytest.mark.parametrize("seed", range(40))
def test_what_is_remembered_is_what_would_be_worked_out_anew(seed: int) -> None:
    rng, table = random.Random(seed), Ownership()
    for now_ns in range(150):
        fresh = as_new(table)
        state = rng.getstate()
        change(table, rng, now_ns)
        rng.setstate(state)
        change(fresh, rng, now_ns)
        assert table.to_json() == fresh.to_json()
        fresh = as_new(table)
        assert table.due() == fresh.due()
        assert table.flows() == fresh.flows()
        assert table._venues_left() == fresh._venues_left()
        for worker in table.members:
            assert table.assignment(worker) == fresh.assignment(worker)


@pytest.mark.parametrize("seed", range(10))
def test_the_version_rises_with_every_change_that_a_plan_would_see(seed: int) -> None:
    rng, table = random.Random(seed), Ownership()

    def seen() -> list:
        flows = [(f, e.owner, e.target, e.had_owner) for f, e in table.flows()]
        return [flows, [(w, m.draining) for w, m in sorted(table.members.items())]]

    for now_ns in range(300):
        before, version = seen(), table.version
        change(table, rng, now_ns)
        assert seen() == before or table.version > version


def test_an_answer_follows_the_epoch_alone_too() -> None:
    table = Ownership()
    table.register(0, 1, 0)
    assert table.assignment(0).epoch == 0
    table.epoch = 7
    assert table.assignment(0).epoch == 7
