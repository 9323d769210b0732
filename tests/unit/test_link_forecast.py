"""Quantiles of a link's capacity: ordered, calibrated, bounded, from the past alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policies.link_forecast import LinkConfig, LinkForecast

SHARES = (0.1, 0.5, 0.9)
H = LinkConfig().horizon


def fed(rates: list[float]) -> LinkForecast:
    link = LinkForecast()
    for rate in rates:
        link.observe(rate)
    return link


def below(rates: np.ndarray, share: float, unjudged: int = 200) -> float:
    """How often the mean of the next seconds came out below the quantile."""
    link, found = LinkForecast(), []
    for n in range(len(rates) - H):
        link.observe(float(rates[n]))
        if n >= unjudged:
            found.append(rates[n + 1 : n + 1 + H].mean() < link.quantile(share))
    return float(np.mean(found))


def test_nothing_seen_means_nothing_known_and_nothing_promised() -> None:
    link = LinkForecast()
    assert not link.known
    assert link.quantile(0.5) == 0.0


def test_a_link_that_never_changes_is_forecast_as_it_is() -> None:
    link = fed([8e5] * 400)
    assert [link.quantile(q) for q in SHARES] == [pytest.approx(8e5)] * 3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1e9), max_size=200), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_are_ordered_and_never_negative(
    rates: list[float], one: float, other: float
) -> None:
    link = fed(rates)
    low, high = sorted((one, other))
    assert 0.0 <= link.quantile(low) <= link.quantile(high)


@pytest.mark.parametrize("seed", [3, 4])
def test_about_a_tenth_of_what_comes_lies_below_the_tenth(seed: int) -> None:
    rates = np.exp(np.random.default_rng(seed).normal(13.0, 0.6, 3000))
    assert 0.06 < below(rates, 0.1) < 0.14


def test_a_link_that_has_been_jumpy_promises_less_than_a_steady_one() -> None:
    rng = np.random.default_rng(5)
    jumpy = fed((1e6 * np.exp(rng.normal(0, 1.0, 600))).tolist())
    calm = fed((1e6 * np.exp(rng.normal(0, 0.1, 600))).tolist())
    assert jumpy.quantile(0.1) / jumpy.quantile(0.5) < 0.6 < calm.quantile(0.1) / 1e6


def test_a_link_that_was_away_promises_nothing_until_it_carries_again() -> None:
    assert fed([1e6] * 60 + [0.0] * 40).quantile(0.1) == 0.0


def test_old_errors_are_forgotten_and_memory_is_bounded() -> None:
    wild = np.exp(np.random.default_rng(6).normal(13.0, 2.0, 500)).tolist()
    calm = [4e5] * (LinkConfig().memory + 2 * H + 40)
    link = fed(wild + calm)
    assert link.quantile(0.1) == pytest.approx(4e5, rel=0.01)
    held = [getattr(link, name) for name in ("_errors", "_recent", "_levels")]
    assert [len(one) for one in held] == [LinkConfig().memory, H, H]


def test_on_recorded_uplinks_the_tenth_holds_within_a_few_hundredths(recordings) -> None:
    from tests.bench.link_traces import capacities

    shares = [below(rates, 0.1, 60) for rates in capacities(recordings / "net_cellular").values()]
    assert 0.06 < np.mean(shares) < 0.14
