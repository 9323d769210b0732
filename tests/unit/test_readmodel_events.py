"""The ring of events serves what stands: a correction takes the place of what it supersedes."""

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
