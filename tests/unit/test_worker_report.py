"""What a worker says of its venues is what they are, whatever it remembers of them."""

import random

import pytest

from actors.worker_report import VenueBoard
from models.flows.lanes import Priority
from tests.unit.worker_world import Bench

NOTHING_DONE = dict.fromkeys(Priority, 0)


def said_by(board: VenueBoard, bench: Bench) -> tuple:
    board.look(bench.worker._venues)
    ages = board.backlog_s(bench.clock() + 5, NOTHING_DONE)
    return board.fields(durable=True), board.fields(durable=False), ages, board.totals()


@pytest.mark.parametrize("seed", range(20))
def test_a_board_that_has_looked_before_says_what_a_new_one_says(seed: int) -> None:
    rng, bench, board = random.Random(seed), Bench(), VenueBoard()
    sent, epoch = 0, 1
    for step in range(60):
        what = rng.choice(("grant", "send", "send", "turn", "turn", "read", "pin"))
        if what == "grant":
            epoch += 1
            rows = tuple(row for row in range(4) if rng.random() < 0.6)
            bench.desk.grant(rows, epoch)
        elif what == "send":
            bench.send(sent, sent + 3, final=step > 50, hot=(rng.randrange(4),))
            sent += 3
        elif what == "turn":
            bench.turns(1)
        for flows in bench.worker._venues.values():
            if what == "read":
                flows.read()
            elif what == "pin":
                flows.backlog.pin(rng.randrange(4), 1 << 62)
        if rng.random() < 0.5:
            assert said_by(board, bench) == said_by(VenueBoard(), bench)


def test_a_venue_that_is_left_and_taken_again_is_told_as_it_is_now() -> None:
    bench, board = Bench(), VenueBoard()
    bench.desk.grant((0, 1), 2)
    bench.send(0, 3)
    bench.turns(5)
    before = said_by(board, bench)
    assert before[0]["offsets"] == {"a": {0: 3, 1: 3}}
    bench.desk.grant((), 3)
    bench.turns(5)
    assert said_by(board, bench) == said_by(VenueBoard(), bench)
    assert board.totals().work_n == 0
    bench.desk.grant((0, 1), 4)
    bench.turns(5)
    assert said_by(board, bench) == said_by(VenueBoard(), bench)


def test_what_was_said_does_not_change_when_more_is_done() -> None:
    bench = Bench()
    bench.desk.grant((0, 1), 2)
    bench.send(0, 3)
    bench.turns(5)
    report = bench.worker.report
    bench.send(3, 9)
    bench.turns(5)
    assert (report.offsets, report.held) == ({"a": {0: 3, 1: 3}}, {"a": {0: 2, 1: 2}})
    assert bench.worker.report.offsets == {"a": {0: 9, 1: 9}}
