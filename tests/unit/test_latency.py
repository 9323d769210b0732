"""The latency histogram: error bound, merging, travel."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.latency import HIGHEST_NS, LOWEST_NS, LatencyHistogram

durations = st.lists(st.integers(int(LOWEST_NS), int(HIGHEST_NS)), min_size=1, max_size=60)
anything = st.lists(st.integers(-(2**62), 2**62), max_size=40)


def recorded(values: list[int]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    histogram.record(np.asarray(values, np.int64))
    return histogram


@given(values=durations, percent=st.floats(0, 100))
def test_a_percentile_is_within_three_percent_of_the_exact_one(
    values: list[int], percent: float
) -> None:
    exact = sorted(values)[min(len(values), max(1, math.ceil(len(values) * percent / 100))) - 1]
    assert recorded(values).percentile_ns(percent) == pytest.approx(exact, rel=0.03)


@given(first=anything, second=anything)
def test_merging_is_recording_both(first: list[int], second: list[int]) -> None:
    merged, one_by_one = recorded(first), recorded(first)
    merged.merge(recorded(second))
    for value in second:
        one_by_one.record(value)
    assert merged.to_dict() == recorded(first + second).to_dict() == one_by_one.to_dict()
    assert merged.count == len(first) + len(second)


@given(values=st.lists(st.integers(-(2**62), 2**62) | st.integers(-5, 10**7), max_size=8))
def test_a_few_are_counted_as_an_array_of_them_is(values: list[int]) -> None:
    few = LatencyHistogram()
    few.record(values)
    assert few.to_dict() == recorded(values).to_dict()


def test_a_few_fall_into_the_same_buckets_at_their_edges() -> None:
    edges = [int(LOWEST_NS * 1.05**k) + near for k in range(455) for near in (-1, 0, 1)]
    few = LatencyHistogram()
    for edge in edges:
        few.record([edge])
    assert few.to_dict() == recorded(edges).to_dict()


@given(values=anything)
def test_it_travels_as_json(values: list[int]) -> None:
    told = json.loads(json.dumps(recorded(values).to_dict()))
    again = LatencyHistogram.from_dict(told)
    assert again.to_dict() == told
    assert again.summary_ms() == recorded(values).summary_ms()


def test_a_weight_counts_as_often() -> None:
    weighted = LatencyHistogram()
    weighted.record([1_000_000, 9_000_000, 5], [99, 1, 0])
    assert weighted.count == 100
    assert weighted.percentile_ns(99) == pytest.approx(1e6, rel=0.03)
    assert weighted.percentile_ns(99.5) == pytest.approx(9e6, rel=0.03)
    assert weighted.min_ns == 1_000_000


def test_values_outside_the_range_are_counted_at_its_ends() -> None:
    histogram = recorded([-5, 0, 10, 2**62])
    assert (histogram.count, histogram.negative) == (4, 1)
    assert (histogram.percentile_ns(0), histogram.percentile_ns(100)) == (-5, 2**62)


def test_an_empty_one_has_no_percentiles() -> None:
    assert math.isnan(LatencyHistogram().percentile_ns(50))
    assert LatencyHistogram().summary_ms() == {}
    LatencyHistogram().record([])


def test_a_bucket_that_does_not_exist_is_refused() -> None:
    told = recorded([5]).to_dict()
    with pytest.raises(ValueError, match="bucket"):
        LatencyHistogram.from_dict({**told, "buckets": [10**6]})
