"""PoolPolicy reads as its specification: what makes the pool grow, shrink, or stay."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policies.forecast import RateForecast
from models.policies.pool import PoolConfig, PoolPolicy, PoolSignals, Scale, ScaleReason

S = 1_000_000_000
EASY = PoolSignals(0, ready=2, pending=0, utilisation=0.6, arrival_per_s=120, service_per_s=120,
                   forecast_per_s=120)


def run(policy: PoolPolicy, signals: PoolSignals, seconds: float, start_s: float = 0.0) -> Scale:
    """The last decision after giving the same signals for so long, twice a second."""
    scale = Scale(0, ScaleReason.STEADY)
    for k in range(int(seconds * 2) + 1):
        scale = policy.decide(replace(signals, now_ns=int((start_s + k / 2) * S)))
        if scale.target != signals.ready + signals.pending:
            return scale
    return scale


def test_a_pool_at_ease_stays() -> None:
    assert run(PoolPolicy(), EASY, 120) == Scale(2, ScaleReason.STEADY)


def test_an_empty_pool_gets_its_minimum_at_once() -> None:
    policy = PoolPolicy(PoolConfig(min_workers=2))
    assert policy.decide(PoolSignals(0, 0, 0)) == Scale(2, ScaleReason.BELOW_MIN)


def test_a_fixed_pool_has_its_size_whatever_happens() -> None:
    policy = PoolPolicy(PoolConfig(fixed=3))
    assert run(policy, replace(EASY, hot_backlog_s=99), 60) == Scale(3, ScaleReason.FIXED)


@pytest.mark.parametrize(("trouble", "reason"), [
    ({"hot_backlog_s": 0.8}, ScaleReason.HOT_BACKLOG),
    ({"calm_backlog_s": 3.0}, ScaleReason.CALM_BACKLOG),
    ({"utilisation": 0.95}, ScaleReason.UTILISATION),
    ({"forecast_per_s": 400.0}, ScaleReason.FORECAST),
])
def test_it_grows_with_the_reason_when_a_need_lasts(
    trouble: dict[str, float], reason: ScaleReason
) -> None:
    scale = run(PoolPolicy(), replace(EASY, **trouble), 5)
    assert scale.reason == reason
    assert scale.target > 2


def test_a_need_that_passes_is_not_followed() -> None:
    policy = PoolPolicy()
    assert policy.decide(replace(EASY, hot_backlog_s=9.0)).target == 2
    assert policy.decide(replace(EASY, now_ns=S // 2)).target == 2
    assert policy.decide(replace(EASY, now_ns=S, hot_backlog_s=9.0)).target == 2


def test_it_asks_for_no_more_while_workers_are_pending() -> None:
    scale = run(PoolPolicy(), replace(EASY, hot_backlog_s=9.0, pending=1), 60)
    assert scale == Scale(3, ScaleReason.PENDING)


def test_two_steps_up_are_a_cooldown_apart() -> None:
    policy = PoolPolicy()
    stressed = replace(EASY, hot_backlog_s=9.0, arrival_per_s=100.0)
    assert run(policy, stressed, 5).target == 3
    grown = replace(stressed, ready=3, service_per_s=200.0, now_ns=3 * S)
    policy.decide(grown)
    assert policy.decide(replace(grown, now_ns=5 * S)).reason == ScaleReason.COOLDOWN
    assert policy.decide(replace(grown, now_ns=9 * S)).target == 4


def test_it_never_exceeds_its_maximum() -> None:
    scale = run(PoolPolicy(PoolConfig(max_workers=2)), replace(EASY, hot_backlog_s=9.0), 60)
    assert scale == Scale(2, ScaleReason.AT_MAX)


def test_a_step_up_that_brought_nothing_is_not_repeated() -> None:
    policy = PoolPolicy(PoolConfig(max_workers=8))
    full = replace(EASY, utilisation=1.0, arrival_per_s=500.0, calm_backlog_s=9.0)
    grown = run(policy, full, 5).target
    same = replace(full, ready=grown)
    assert run(policy, same, 40, start_s=20) == Scale(grown, ScaleReason.NO_GAIN)


def test_it_does_not_grow_where_its_workers_wait_for_the_cores_that_one_more_would_share() -> None:
    late = replace(EASY, hot_backlog_s=0.8, crowded=0.5)
    policy = PoolPolicy()
    assert run(policy, late, 60) == Scale(2, ScaleReason.CROWDED)
    # As soon as there are cores, or another machine.
    assert policy.decide(replace(late, crowded=0.0, now_ns=61 * S)).target > 2


def test_it_shrinks_by_one_after_a_long_calm() -> None:
    calm = replace(EASY, ready=3, utilisation=0.1, arrival_per_s=20, forecast_per_s=20)
    assert run(PoolPolicy(), calm, 25).reason == ScaleReason.STEADY
    assert run(PoolPolicy(), calm, 40) == Scale(2, ScaleReason.IDLE)


def test_it_does_not_shrink_when_fewer_would_be_busy() -> None:
    busy = replace(EASY, ready=2, utilisation=0.4)
    assert run(PoolPolicy(), busy, 300).target == 2


def test_it_does_not_shrink_before_a_forecast_rise() -> None:
    calm = replace(EASY, ready=3, utilisation=0.1, service_per_s=30.0, forecast_per_s=250.0)
    assert run(PoolPolicy(), calm, 300).target == 3


def test_workers_that_never_come_are_given_up_when_nothing_needs_them_any_more() -> None:
    waiting = replace(EASY, ready=1, pending=1, utilisation=0.1, service_per_s=10.0,
                      forecast_per_s=10.0)
    policy = PoolPolicy()
    assert run(policy, waiting, 29) == Scale(2, ScaleReason.STEADY)
    assert run(policy, waiting, 30, start_s=29.5) == Scale(1, ScaleReason.IDLE)


def test_workers_that_are_awaited_are_kept_while_those_that_are_there_have_enough_to_do() -> None:
    busy = replace(EASY, ready=1, pending=1, utilisation=0.6)
    assert run(PoolPolicy(), busy, 120).target == 2


signal_values = st.builds(
    PoolSignals, now_ns=st.just(0), ready=st.integers(0, 6), pending=st.integers(0, 3),
    hot_backlog_s=st.floats(0, 100), calm_backlog_s=st.floats(0, 100),
    arrival_per_s=st.floats(0, 1e6), forecast_per_s=st.floats(0, 1e6),
    service_per_s=st.floats(0, 1e6), utilisation=st.floats(0, 1),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(signal_values, min_size=1, max_size=40))
def test_the_target_is_always_within_bounds(many: list[PoolSignals]) -> None:
    policy = PoolPolicy(PoolConfig(min_workers=1, max_workers=5))
    for k, signals in enumerate(many):
        scale = policy.decide(replace(signals, now_ns=k * 7 * S))
        assert 1 <= scale.target <= 5


def test_a_steady_rate_is_forecast_as_it_is() -> None:
    forecast = RateForecast()
    for k in range(100):
        forecast.observe(k * S // 2, 250.0)
    assert forecast.ahead(10.0) == pytest.approx(250.0)


def test_a_rising_rate_is_forecast_higher_and_the_rise_is_damped() -> None:
    forecast = RateForecast()
    for k in range(60):
        forecast.observe(k * S, 100.0 + 5.0 * k)
    now = 100.0 + 5.0 * 59
    assert now < forecast.ahead(10.0) < now + 50.0
    assert forecast.ahead(1000.0) < now + 5.0 * 40


def test_a_falling_rate_is_never_forecast_below_zero() -> None:
    forecast = RateForecast()
    for k in range(20):
        forecast.observe(k * S, max(100.0 - 20.0 * k, 0.0))
    assert forecast.ahead(60.0) >= 0.0


def test_two_observations_of_one_moment_count_once() -> None:
    forecast = RateForecast()
    forecast.observe(0, 10.0)
    forecast.observe(0, 1000.0)
    assert forecast.ahead(0.0) == 10.0
