"""What a link carries, from bodies: bytes by busy time, however the bodies are cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policies.link_meter import MOST_BODIES, MOST_STEPS, Carried, LinkMeter

S = 1_000_000_000
MS = 1_000_000


def rates(bodies: list[Carried]) -> list[float]:
    meter = LinkMeter()
    return [rate for body in bodies for rate in meter.add(body)]


def steady(rate: float, seconds: int, size: int = 50_000, overhead_ns: int = 0) -> list[Carried]:
    """A body ten times a second, after one that is as short as can be."""
    found = [Carried(0, overhead_ns + MS, 1)]
    for k in range(1, 10 * seconds):
        begin = k * 100 * MS
        found.append(Carried(begin, begin + overhead_ns + MS + int(size / rate * S), size))
    return found


@pytest.mark.parametrize("overhead_ns", [0, 40 * MS])
def test_a_link_is_measured_without_what_each_body_costs_by_itself(overhead_ns: int) -> None:
    found = rates(steady(2e6, 20, overhead_ns=overhead_ns))
    assert len(found) == 19
    assert found[1:] == [pytest.approx(2e6, rel=1e-6)] * 18


def test_a_body_of_many_seconds_counts_in_each_of_them() -> None:
    bodies = [*steady(2e6, 5), Carried(5 * S, 13 * S, 80_000), Carried(13 * S, 13 * S + MS, 1)]
    found = rates(bodies)
    assert found[-8:] == [pytest.approx(10_000, rel=0.01)] * 8


def test_a_body_that_did_not_arrive_is_time_in_which_nothing_was_carried() -> None:
    bodies = [*steady(2e6, 5), Carried(6 * S, 9 * S, 0), Carried(9 * S, 9 * S + 30 * MS, 50_000)]
    assert rates(bodies)[-3:] == [0.0] * 3


def test_seconds_in_which_nothing_was_sent_say_nothing() -> None:
    meter = LinkMeter()
    assert meter.add(Carried(0, 50 * MS, 50_000)) == []
    assert len(meter.add(Carried(100 * S, 100 * S + 50 * MS, 50_000))) == 1


def test_a_body_of_a_day_gives_a_bounded_number_of_rates() -> None:
    meter = LinkMeter()
    meter.add(Carried(0, MS, 1))
    assert len(meter.add(Carried(S, 86_400 * S, 1_000))) <= MOST_STEPS + 1
    for k in range(2 * MOST_BODIES):
        meter.add(Carried((86_400 + k) * S, (86_400 + k) * S + MS, 1))
    assert len(meter._spans) == MOST_BODIES


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3 * S), st.integers(1, 4 * S), st.integers(0, 10**6))),
    st.integers(0, 50),
)
def test_a_stream_of_bodies_can_be_cut_anywhere(
    raw: list[tuple[int, int, int]], cut: int
) -> None:
    bodies, at = [], 0
    for pause, span, size in raw:
        bodies.append(Carried(at + pause, at + pause + span, size))
        at += pause + span
    whole, parts = LinkMeter(), LinkMeter()
    together = [rate for body in bodies for rate in whole.add(body)]
    first = [rate for body in bodies[:cut] for rate in parts.add(body)]
    second = [rate for body in bodies[cut:] for rate in parts.add(body)]
    assert first + second == together
    assert all(rate >= 0 for rate in together)
