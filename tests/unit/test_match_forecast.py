"""The timetable of a match as a forecast, and a policy that follows it without oscillating."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policies.match_forecast import MatchForecast, Phase
from models.policies.pool import PoolConfig, PoolPolicy, PoolSignals, ScaleReason

S = 1_000_000_000
MINUTE = 60 * S
PERIODS = [(20 * MINUTE, 65 * MINUTE), (80 * MINUTE, 125 * MINUTE)]
RATES = {Phase.OFF: 0.0, Phase.WARM_UP: 100.0, Phase.PLAY: 270.0, Phase.BREAK: 60.0}


def watched(upto_min: float, venues: tuple[str, ...] = ("a",)) -> MatchForecast:
    """A forecast that has seen the match up to a minute, once a second."""
    forecast = MatchForecast()
    for venue in venues:
        forecast.schedule(venue, PERIODS)
    for second in range(int(upto_min * 60) + 1):
        phase = forecast.phase("a", second * S)
        assert phase is not None
        forecast.observe(second * S, {"a": RATES[phase]})
    return forecast


def test_the_timetable_tells_the_phase() -> None:
    forecast = watched(0)
    found = [forecast.phase("a", minute * MINUTE) for minute in (1, 10, 30, 70, 100, 130)]
    assert found == [
        Phase.OFF, Phase.WARM_UP, Phase.PLAY, Phase.BREAK, Phase.PLAY, Phase.OFF
    ]


def test_the_second_half_is_foreseen_from_the_first() -> None:
    forecast = watched(79.9)
    assert forecast.change(2.0) == 0.0
    assert forecast.change(10.0) == pytest.approx(210.0, abs=1.0)


def test_the_end_of_play_is_foreseen_as_a_fall() -> None:
    assert watched(124.95).change(10.0) == pytest.approx(-270.0, abs=1.0)


def test_a_venue_that_is_new_is_expected_to_be_like_the_others() -> None:
    forecast = watched(30.0)
    forecast.schedule("b", [(30 * MINUTE + 5 * S, 75 * MINUTE)])
    assert forecast.change(10.0) == pytest.approx(170.0, abs=1.0)


def test_a_rate_that_nobody_has_seen_is_not_guessed() -> None:
    assert watched(19.9).change(10.0) == 0.0


def test_a_venue_without_a_timetable_is_left_as_it_is() -> None:
    forecast = MatchForecast()
    forecast.schedule("a", [])
    forecast.observe(0, {"a": 5.0})
    forecast.observe(S, {"a": 5.0})
    assert forecast.change(1e6) == 0.0


rates = st.floats(0, 1e5)
signal_values = st.builds(
    PoolSignals, now_ns=st.just(0), ready=st.just(0), pending=st.just(0),
    hot_backlog_s=st.floats(0, 5), calm_backlog_s=st.floats(0, 20), arrival_per_s=rates,
    forecast_per_s=rates, service_per_s=rates, utilisation=st.floats(0, 1),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(signal_values, min_size=10, max_size=120), st.integers(1, 4))
def test_whatever_it_sees_steps_are_a_cooldown_apart_within_bounds_and_have_reasons(
    many: list[PoolSignals], start: int
) -> None:
    config = PoolConfig(min_workers=1, max_workers=6, up_after_s=1.0, down_after_s=3.0)
    policy, size, steps = PoolPolicy(config), start, []
    for k, signals in enumerate(many):
        now_ns = k * S // 2
        scale = policy.decide(replace(signals, now_ns=now_ns, ready=size))
        assert config.min_workers <= scale.target <= config.max_workers
        assert isinstance(scale.reason, ScaleReason)
        if scale.target != size:
            steps.append((now_ns, scale.target - size))
            assert scale.reason not in (ScaleReason.STEADY, ScaleReason.COOLDOWN)
        size = scale.target
    for (before_ns, _), (now_ns, way) in pairwise(steps):
        least_s = config.up_cooldown_s if way > 0 else config.down_cooldown_s
        assert now_ns - before_ns >= least_s * S
