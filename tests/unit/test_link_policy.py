"""Which body is sent, and why: before the link is narrow, with hysteresis, and back by trial."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policies.link_policy import (
    SWITCHES,
    Body,
    BodyReason,
    Choice,
    LinkPolicy,
    LinkPolicyConfig,
    LinkSignals,
)

S = 1_000_000_000
CONFIG = LinkPolicyConfig()
PLAIN = 600_000.0


def at(second: float, low: float | None, backlog_s: float = 0.0) -> LinkSignals:
    """`low`: the forecast in times of what plain bodies need."""
    return LinkSignals(
        int(second * S), backlog_s, None if low is None else low * PLAIN, PLAIN
    )


def plain_at(second: float) -> LinkPolicy:
    """A policy that has gone to plain at `second`."""
    policy = LinkPolicy()
    policy.decide(at(second - CONFIG.room_s, 5.0))
    assert policy.decide(at(second, 5.0)) == Choice(Body.PLAIN, BodyReason.ROOM)
    return policy


def test_a_link_that_is_not_known_is_taken_to_be_narrow() -> None:
    assert LinkPolicy().decide(at(0, None)) == Choice(Body.DENSE, BodyReason.UNKNOWN)


def test_a_fixed_body_stays_whatever_comes() -> None:
    policy = LinkPolicy(LinkPolicyConfig(fixed=Body.PLAIN))
    assert policy.decide(at(0, 0.0, 99.0)) == Choice(Body.PLAIN, BodyReason.FIXED)


def test_room_must_last_before_the_body_is_plain() -> None:
    policy = LinkPolicy()
    for second, low in ((0, 5.0), (9, 5.0), (9.5, 1.0), (10, 5.0), (19, 5.0)):
        assert policy.decide(at(second, low)) == Choice(Body.DENSE, BodyReason.STEADY)
    assert policy.decide(at(20, 5.0)) == Choice(Body.PLAIN, BodyReason.ROOM)


def test_plain_goes_dense_by_forecast_before_anything_waits() -> None:
    policy = plain_at(100)
    assert policy.decide(at(200, 1.3)).body == Body.PLAIN
    assert policy.decide(at(201, 1.1)) == Choice(Body.DENSE, BodyReason.FORECAST)


def test_a_backlog_makes_it_dense_whatever_the_forecast_says() -> None:
    policy = plain_at(100)
    found = policy.decide(at(200, math.inf, CONFIG.backlog_s + 0.1))
    assert found == Choice(Body.DENSE, BodyReason.BACKLOG)


@pytest.mark.parametrize("low", [1.25, 1.9])
def test_between_the_two_thresholds_nothing_changes(low: float) -> None:
    dense, plain = LinkPolicy(), plain_at(100)
    for second in range(200, 400):
        assert dense.decide(at(second, low)).body == Body.DENSE
        assert plain.decide(at(second, low)).body == Body.PLAIN


def test_two_changes_are_a_cooldown_apart() -> None:
    policy = plain_at(100)
    assert policy.decide(at(100.5, 0.1)) == Choice(Body.PLAIN, BodyReason.COOLDOWN)
    assert policy.decide(at(101.0, 0.1)) == Choice(Body.DENSE, BodyReason.FORECAST)


def seconds_to_plain(policy: LinkPolicy, second: float) -> float:
    """How long room must last now."""
    for k in range(2_000):
        if policy.decide(at(second + k, 5.0)).body == Body.PLAIN:
            return float(k)
    raise AssertionError("never plain")


def test_each_trial_that_fails_soon_doubles_the_time_to_the_next_up_to_a_bound() -> None:
    policy, second, waits = LinkPolicy(), 0.0, []
    for _ in range(8):
        waits.append(seconds_to_plain(policy, second))
        second += waits[-1] + 5
        assert policy.decide(at(second, 0.5)).reason == BodyReason.FORECAST
        second += 1
    assert waits == [10, 20, 40, 80, 160, 320, 320, 320]


def test_a_trial_that_has_held_makes_the_next_one_quick_again() -> None:
    policy = plain_at(100)
    policy.decide(at(105, 0.5))
    waited = seconds_to_plain(policy, 106)
    assert waited == 20
    policy.decide(at(126 + CONFIG.trial_s + 1, 5.0))
    policy.decide(at(300, 0.5))
    assert seconds_to_plain(policy, 301) == 10


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.05, 3), st.floats(0, 6), st.floats(0, 2)), max_size=200))
def test_a_change_has_a_reason_and_changes_are_never_closer_than_the_cooldown(
    steps: list[tuple[float, float, float]],
) -> None:
    policy, second, body, changed = LinkPolicy(), 0.0, Body.DENSE, -math.inf
    for step, low, backlog_s in steps:
        second += step
        found = policy.decide(at(second, low, backlog_s))
        assert (found.body != body) == (found.reason in SWITCHES)
        if found.body != body:
            assert second - changed >= CONFIG.cooldown_s - 1e-6
            body, changed = found.body, second
