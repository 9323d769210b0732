"""The offset between two event clocks, found again on shifted, thinned and disturbed events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signal.alignment import MAX_EVENTS, Marks, estimate_offset, match_marks

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def marks(t_ns, group=None, xy=None):
    n = len(t_ns)
    return Marks(
        np.asarray(t_ns, np.int64),
        np.zeros(n, np.int64) if group is None else np.asarray(group, np.int64),
        np.full((n, 2), np.nan) if xy is None else np.asarray(xy, np.float64),
    )


def two_lists(seed, offset_ns, jitter_s=0.3, kept=0.75, extra=0.2, n=80):
    """Ours, and what an annotator made of the same events with a clock that is off."""
    dice = np.random.default_rng(seed)
    t = START + np.cumsum(dice.exponential(3.5, n) * SECOND).astype(np.int64)
    group, xy = dice.integers(0, 2, n), dice.uniform(-45, 45, (n, 2))
    mine = np.sort(dice.permutation(n)[: int(kept * n)])
    theirs = np.sort(dice.permutation(n)[: int(kept * n)])
    late = t[theirs] - offset_ns + (dice.normal(0, jitter_s, len(theirs)) * SECOND).astype(np.int64)
    wrong = START + dice.integers(0, int(t[-1] - START), int(extra * n)) - offset_ns
    other = np.concatenate([late, wrong])
    more = dice.integers(0, 2, len(wrong)), dice.uniform(-45, 45, (len(wrong), 2))
    return (
        marks(t[mine], group[mine], xy[mine]),
        marks(other, np.concatenate([group[theirs], more[0]]),
              np.concatenate([xy[theirs] + dice.normal(0, 2, (len(theirs), 2)), more[1]])),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(-9.0, 9.0))
def test_the_offset_is_found_again_as_exactly_as_the_events_were_noted(seed, offset_s):
    ours, theirs = two_lists(seed, int(offset_s * SECOND))
    found = estimate_offset(ours, theirs)
    # Standard error of a median of normal residuals: 1.2533 sd / sqrt(n); sd = 1.4826 MAD.
    error_ns = 1.2533 * 1.4826 * found.spread_ns / found.matched**0.5
    assert abs(found.offset_ns - offset_s * SECOND) < 5.0 * error_ns
    assert found.confidence > 0.3
    assert found.matched >= 30


def test_the_offset_is_mostly_within_a_fifth_of_a_second():
    errors_s = []
    for seed in range(60):
        offset_ns = (seed % 19 - 9) * SECOND
        found = estimate_offset(*two_lists(seed, offset_ns))
        errors_s.append(abs(found.offset_ns - offset_ns) / SECOND)
    assert np.median(errors_s) < 0.08
    assert np.quantile(errors_s, 0.95) < 0.2


@pytest.mark.parametrize("seed", range(5))
def test_without_places_it_is_found_too_and_less_surely(seed):
    ours, theirs = two_lists(seed, 4 * SECOND)
    blind = [marks(m.t_ns, m.group) for m in (ours, theirs)]
    found, sure = estimate_offset(*blind), estimate_offset(ours, theirs)
    assert abs(found.offset_ns - 4 * SECOND) < 0.3 * SECOND
    assert found.confidence < sure.confidence


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_events_that_have_nothing_to_do_with_each_other_give_a_low_confidence(seed):
    ours, _ = two_lists(seed, 0)
    _, theirs = two_lists(seed + 1, 0)
    assert estimate_offset(ours, theirs).confidence < 0.2


def test_shifting_one_list_shifts_the_offset_by_as_much():
    ours, theirs = two_lists(3, 2 * SECOND)
    moved = Marks(theirs.t_ns - SECOND, theirs.group, theirs.xy_m)
    first, second = estimate_offset(ours, theirs), estimate_offset(ours, moved)
    assert second.offset_ns - first.offset_ns == SECOND
    assert second.matched == first.matched


def test_nothing_like_anything_is_no_offset():
    assert estimate_offset(marks([START], [0]), marks([START], [1])).confidence == 0.0
    assert estimate_offset(marks([]), marks([])).matched == 0


@given(
    st.lists(st.integers(0, 60), max_size=7), st.lists(st.integers(0, 60), max_size=7),
    st.integers(0, 6),
)
def test_matches_are_one_to_one_and_as_many_as_there_can_be(ours, theirs, tolerance):
    a, b = marks([t * SECOND for t in ours]), marks([t * SECOND for t in theirs])
    mine, other, gap = match_marks(a, b, 0, tolerance * SECOND)
    assert len(set(mine.tolist())) == len(mine) == len(set(other.tolist()))
    assert (np.abs(gap) <= tolerance * SECOND).all()
    assert len(mine) == most(ours, theirs, tolerance)


def most(ours, theirs, tolerance):
    """The largest matching, by augmenting paths."""
    taken = {}

    def place(i, seen):
        for j, t in enumerate(theirs):
            if abs(ours[i] - t) <= tolerance and j not in seen:
                seen.add(j)
                if j not in taken or place(taken[j], seen):
                    taken[j] = i
                    return True
        return False

    return sum(place(i, set()) for i in range(len(ours)))


def test_more_events_or_a_wider_search_than_the_bound_are_refused():
    many = marks(np.zeros(MAX_EVENTS + 1, np.int64))
    with pytest.raises(ValueError, match="events"):
        estimate_offset(many, marks([START]))
    with pytest.raises(ValueError, match="events"):
        estimate_offset(marks([START]), marks([START]), search_ns=3600 * SECOND)
