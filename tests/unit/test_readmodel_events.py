"""The ring of events serves what stands: a correction takes the place of what it supersedes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.readmodel_events import EventRing


def event(key, cursor, supersedes="", status="provisional"):
    return {
        "event_id": key, "cursor": cursor, "type": "sprint", "match_id": "m",
        "supersedes": supersedes, "status": status,
    }


def ring_of(*events, bound=100):
    ring = EventRing(bound)
    for one in events:
        assert ring.add(one)
    return ring


def ids(events):
    return [one["event_id"] for one in events]


def test_a_correction_takes_the_place_of_the_event_that_it_supersedes():
    ring = ring_of(event("a", 1), event("b", 2), event("a2", 3, "a", "corrected"))
    assert ids(ring.after(0, 10)) == ids(ring.newest(10)) == ["b", "a2"]


def test_a_reader_who_knows_the_event_is_told_of_its_correction():
    ring = ring_of(event("a", 1), event("b", 2), event("a2", 3, "a", "retracted"))
    assert [(e["event_id"], e["status"]) for e in ring.after(2, 10)] == [("a2", "retracted")]


def test_a_correction_of_a_correction_leaves_only_the_last():
    ring = ring_of(event("a", 1), event("a2", 2, "a"), event("a3", 3, "a2"))
    assert ids(ring.newest(10)) == ["a3"]


def test_what_is_superseded_does_not_use_up_the_limit_of_a_page():
    ring = ring_of(event("a", 1), event("b", 2), event("a2", 3, "a"), event("c", 4))
    assert ids(ring.after(0, 2)) == ["b", "a2"]
    assert ids(ring.newest(3)) == ["b", "a2", "c"]


def test_an_event_that_left_the_ring_is_forgotten_as_superseded_too():
    ring = ring_of(event("a", 1), event("a2", 2, "a"), bound=2)
    ring.add(event("b", 3))
    assert ring.add(event("a", 4))
    assert ids(ring.newest(10)) == ["b", "a"]


def test_a_correction_of_an_event_that_the_ring_does_not_hold_is_an_event_like_others():
    ring = ring_of(event("a2", 1, "a", "corrected"))
    assert ids(ring.newest(10)) == ["a2"]


def test_events_are_served_alike_before_and_after_they_are_packed():
    ring, made = EventRing(1000), []
    for cursor in range(1, 300):
        made.append({**event(f"e{cursor}", cursor), "x_m": cursor / 7, "context": ["a\nb"]})
        ring.add(made[-1])
        assert ring.newest(1) == made[-1:]
    assert ring.after(0, 1000) == made
    assert ring.after(130, 3) == made[130:133]
    assert ring.newest(70) == made[-70:]


@pytest.mark.parametrize("bad", [{"type": 5}, {"match_id": None}, {"x_m": {1}}])
def test_an_event_that_is_none_leaves_no_trace(bad):
    ring = ring_of(*(event(f"e{n}", n) for n in range(1, 61)), bound=100)
    with pytest.raises(TypeError):
        ring.add({**event("bad", 61), **bad})
    for n in range(62, 300):
        assert ring.add(event(f"e{n}", n))
    assert len(ring) == 100
    assert ids(ring.newest(200)) == [f"e{n}" for n in range(200, 300)]
    assert ring.add(event("bad", 300))


@given(
    st.integers(1, 200), st.integers(0, 140),
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 150), st.sampled_from("mn"))),
    st.integers(0, 400), st.integers(1, 150),
)
def test_the_ring_serves_what_a_list_would(bound, before, made, cursor, limit):
    ring, kept = EventRing(bound), []
    made = [(1000 + n, 0, "m") for n in range(before)] + made
    for at, (key, supersedes, match_id) in enumerate(made, 1):
        one = {**event(f"e{key}", at, f"e{supersedes}"), "match_id": match_id}
        new = one["event_id"] not in ids(kept)
        assert ring.add(one) is new
        kept = [*kept, one][-bound:] if new else kept
        assert len(ring) == len(kept)
    standing = [e for k, e in enumerate(kept) if not _superseded_later(kept, k)]
    after = [e for e in standing if e["cursor"] > cursor and e["match_id"] == "m"]
    assert ring.newest(limit) == standing[-limit:]
    assert ring.after(cursor, limit, match_id="m") == after[:limit]
    first = kept[0]["cursor"] if kept else 0
    assert ring.holds_all_after(first)
    assert not kept or ring.holds_all_after(0) == (ring.seen == len(kept))


def _superseded_later(kept, place):
    key = kept[place]["event_id"]
    return any(one["supersedes"] == key for one in kept[place:])
