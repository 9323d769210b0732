"""How long records had waited when they were done, and what a worker makes of it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.flows.lanes import Priority
from models.flows.waits import WINDOW_NS, WaitMeter
from tests.unit.test_worker import Bench

HOT, CALM = Priority.HOT, Priority.CALM


def test_the_longest_wait_of_each_class_is_told_and_forgotten_after_two_windows() -> None:
    meter = WaitMeter()
    meter.note(0, HOT, 300)
    meter.note(1, HOT, 200)
    meter.note(2, CALM, 900)
    assert meter.worst_ns(3) == {HOT: 300, CALM: 900}
    meter.note(WINDOW_NS, CALM, 100)
    assert meter.worst_ns(WINDOW_NS) == {HOT: 300, CALM: 900}
    assert meter.worst_ns(2 * WINDOW_NS) == {HOT: 0, CALM: 100}
    assert meter.worst_ns(4 * WINDOW_NS) == {HOT: 0, CALM: 0}


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, WINDOW_NS), st.sampled_from([HOT, CALM]), st.integers(0, 10**10)),
        max_size=50,
    )
)
def test_nothing_of_the_last_window_is_missed_and_nothing_older_than_two_is_told(
    steps: list[tuple[int, Priority, int]],
) -> None:
    meter, now_ns, done = WaitMeter(), 0, []
    for step_ns, priority, wait_ns in steps:
        now_ns += step_ns
        done.append((now_ns, priority, wait_ns))
        meter.note(now_ns, priority, wait_ns)
        told = meter.worst_ns(now_ns)
        for one in (HOT, CALM):
            ages = {wait: now_ns - at for at, p, wait in done if p == one}
            least = max((w for at, p, w in done if p == one and now_ns - at < WINDOW_NS), default=0)
            assert told[one] >= least
            assert told[one] == 0 or ages[told[one]] < 2 * WINDOW_NS


def test_the_report_says_how_long_what_was_done_had_waited() -> None:
    bench = Bench()
    bench.desk.grant((0, 1), 1)
    bench.turns(2)
    bench.send(0, 3)
    bench.clock.advance(0.7)
    bench.turns(1)
    assert bench.worker.report.backlog_s["calm"] == pytest.approx(0.76, abs=1e-3)
    assert bench.worker.report.backlog_s["hot"] == 0.0
    bench.turns(30)
    assert bench.worker.report.backlog_s == {"hot": 0.0, "calm": 0.0}


def test_a_late_worker_lets_calm_venues_wait_and_no_longer_than_it_may() -> None:
    bench = Bench()
    bench.worker.config = replace(bench.worker.config, late_ns=1, linger_ns=300_000_000)
    bench.desk.grant((0, 1), 1)
    bench.turns(3)
    bench.send(0, 1, hot=(1,))
    bench.turns(1)
    assert bench.worker.report.offsets == {"a": {0: 1, 1: 1}}
    bench.send(1, 2)
    bench.turns(3)
    assert bench.worker.report.offsets == {"a": {0: 1, 1: 1}}
    bench.turns(4)
    assert bench.worker.report.offsets == {"a": {0: 2, 1: 2}}
