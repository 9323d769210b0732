"""A busy stadium collects, one at ease does not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.core_time import core_time
from models.policies.linger import CoreTime, LingerConfig, LingerPolicy

MS = 1_000_000


def rounds(policy, work_ms, seconds, at_ns=0, every_ms=50):
    """Rounds that take `work_ms(span)` each, one for each slice or span; when the last ended."""
    end_ns = at_ns + seconds * 1000 * MS
    while at_ns < end_ns:
        done_ns = at_ns + int(work_ms(policy.span_ns / MS) * MS)
        wait_ns = policy.note(at_ns, done_ns)
        at_ns = max(done_ns + wait_ns, at_ns + every_ms * MS)
    return at_ns


def test_at_ease_nothing_lingers():
    policy = LingerPolicy()
    rounds(policy, lambda span: 5, 20)
    assert policy.span_ns == 0


def test_who_is_busy_for_most_of_the_time_collects_and_no_longer_than_is_allowed():
    policy, seen = LingerPolicy(), []
    at_ns = 0
    for _ in range(20):
        at_ns = rounds(policy, lambda span: 45 + span / 2, 1, at_ns)
        seen.append(policy.span_ns)
    assert max(seen) == LingerConfig().most_ns
    assert seen[0] == LingerConfig().least_ns


def test_a_span_that_makes_rounds_cheap_enough_is_kept():
    """30 ms a round however much it brings: 0.6 of the time at 50 ms, 0.3 at 100."""
    policy = LingerPolicy()
    at_ns = rounds(policy, lambda span: 30, 5)
    kept = policy.span_ns
    assert kept == 100 * MS
    for _ in range(30):
        at_ns = rounds(policy, lambda span: 30, 1, at_ns)
        assert policy.span_ns == kept


def test_it_is_over_when_there_is_time_again():
    policy = LingerPolicy()
    at_ns = rounds(policy, lambda span: 60, 5)
    assert policy.span_ns
    rounds(policy, lambda span: 2, 10, at_ns)
    assert policy.span_ns == 0


def test_the_wait_counts_from_the_beginning_of_the_round():
    policy = LingerPolicy()
    at_ns = rounds(policy, lambda span: 49 + span / 2, 20)
    span_ns = policy.span_ns
    assert policy.note(at_ns, at_ns + 20 * MS) == span_ns - 20 * MS
    assert policy.note(at_ns + 500 * MS, at_ns + 500 * MS + span_ns + 1) == 0


def test_a_clock_that_goes_back_starts_anew():
    policy = LingerPolicy()
    rounds(policy, lambda span: 45, 3)
    assert policy.note(-5_000 * MS, -4_990 * MS) >= 0
    assert policy.note(-4_900 * MS, -4_950 * MS) >= 0


class Core:
    """What a thread is told of its time on a core."""

    def __init__(self):
        self.time = CoreTime()

    def __call__(self):
        return self.time


def crowd(policy, core, wait_share, seconds, at_ns=0):
    """Rounds of 10 ms every 100 ms, of which so much is waiting for a core; when they end."""
    for _ in range(seconds * 10):
        waited_ns = int(10 * MS * wait_share)
        ran_ns, before_ns = core.time
        core.time = CoreTime(ran_ns + 10 * MS - waited_ns, before_ns + waited_ns)
        policy.note(at_ns, at_ns + 10 * MS)
        at_ns += 100 * MS
    return at_ns


def test_who_waits_for_a_core_collects_although_it_is_never_busy_for_long():
    core, config = Core(), LingerConfig()
    policy = LingerPolicy(core_time=core)
    at_ns = crowd(policy, core, 0.0, 5)
    assert policy.span_ns == 0
    at_ns = crowd(policy, core, 0.5, 5, at_ns)
    assert policy.span_ns == config.most_ns
    # Between the bounds it stays as it is: lingering itself makes the machine less crowded.
    at_ns = crowd(policy, core, 0.2, 20, at_ns)
    assert policy.span_ns == config.most_ns
    crowd(policy, core, 0.05, 20, at_ns)
    assert policy.span_ns == 0


def test_the_time_on_a_core_is_told_and_never_falls():
    first = core_time()
    # The kernel counts at its ticks, of which the slowest come every 10 ms.
    end_ns = time.thread_time_ns() + 50_000_000
    while time.thread_time_ns() < end_ns:
        pass
    second = core_time()
    assert second.ran_ns > first.ran_ns > 0
    assert second.waited_ns >= first.waited_ns >= 0


@given(st.lists(st.tuples(st.integers(-200, 400), st.integers(-50, 900)), max_size=200))
def test_span_and_wait_stay_within_their_bounds(looks):
    config = LingerConfig()
    policy, at_ns = LingerPolicy(config), 0
    for gap_ms, took_ms in looks:
        at_ns += gap_ms * MS
        wait_ns = policy.note(at_ns, at_ns + took_ms * MS)
        span_ns = policy.span_ns
        assert span_ns == 0 or config.least_ns <= span_ns <= config.most_ns
        assert 0 <= wait_ns <= max(span_ns, span_ns - took_ms * MS)
        at_ns += took_ms * MS


@pytest.mark.parametrize("wrong", [
    {"least_ns": 0}, {"most_ns": 10}, {"look_ns": 100}, {"busy_low": 0.3}, {"busy_high": 1.0},
    {"crowded_low": 0.2}, {"crowded_high": 1.0},
])
def test_a_config_that_would_swing_is_refused(wrong):
    with pytest.raises(AssertionError):
        LingerConfig(**wrong)
