"""The read model and the twin store over a log in memory."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.twin_store import TwinStore
from cluster.eventlog.port import Record, StoredRecord
from models.flows.config import ALGO_VERSION
from models.flows.states import StateRows, encode_states
from models.latency import LatencyHistogram
from models.readmodel import ReadModel
from models.readmodel_clock import match_clock
from models.readmodel_input import STATES_TYPE
from models.readmodel_states import TRAIL_NS
from tests.synthetic_match import (
    MATCH,
    START_NS,
    VENUE,
    MemoryLog,
    S,
    SyntheticMatch,
    make_roster,
)

NOW = START_NS + 10_000 * S
ATHLETE = "ath_wembley_h07"


def played(ticks: int = 4, ring: int = 10_000) -> tuple[SyntheticMatch, ReadModel]:
    log = MemoryLog(lambda: NOW)
    match = SyntheticMatch(log)
    for _ in range(ticks):
        match.step()
    return match, feed(ReadModel(1, ring), log)


def feed(model: ReadModel, log: MemoryLog, offsets: dict | None = None) -> ReadModel:
    """Apply what the log holds beyond `offsets`, roster first."""
    offsets = {} if offsets is None else offsets
    for topic in sorted(log.topics(), key=lambda t: not t.startswith("roster")):
        for stored in log.read(topic, offsets.get(topic, 0), 1 << 20):
            model.apply(topic, stored)
            offsets[topic] = stored.offset + 1
    return model


def store_of(log: MemoryLog, now=lambda: NOW) -> TwinStore:
    store = TwinStore({}, autostart=False, log=log, now_ns=now)
    while store.step():
        pass
    return store


def test_the_newest_state_wins_and_says_age_status_and_version():
    match, model = played(8)
    row = model.venues[VENUE].athlete(ATHLETE, NOW + 500_000_000)
    assert row["t_ns"] == match.t_ns
    assert row["x_m"] == pytest.approx(match.person_row(6)["x_m"], abs=1e-4)
    assert (row["status"], row["algo_version"]) == ("provisional", ALGO_VERSION)
    assert row["age_ms"] == 40.0
    assert row["received_age_ms"] == 500.0
    assert not row["stale"]


def test_an_older_row_does_not_replace_a_newer_one():
    match, model = played(2)
    topic = f"insights/{VENUE}"
    newest = model.venues[VENUE].athlete(ATHLETE, NOW)
    model.apply(topic, match.log.read(topic, 0)[0])
    assert model.venues[VENUE].athlete(ATHLETE, NOW) == newest


def test_a_value_goes_stale_after_three_periods_or_when_the_feed_falls_silent():
    match, model = played()
    match.lost.add(6)
    match.step()
    feed(model, match.log)
    venue = model.venues[VENUE]
    assert venue.athlete(ATHLETE, NOW)["stale"]
    assert not venue.athlete("ath_wembley_h08", NOW)["stale"]
    silent = venue.athlete("ath_wembley_h08", NOW + 3_100_000_000)
    assert silent["stale"]
    assert silent["hr_stale"]


def test_a_final_value_never_goes_stale_and_is_kept_as_final():
    match, model = played()
    match.step(final=True)
    feed(model, match.log)
    venue = model.venues[VENUE]
    row = venue.athlete(ATHLETE, NOW + 3600 * S)
    assert row["status"] == "final"
    assert not row["stale"]
    assert venue.summary(NOW)["status"] == "final"
    assert len(venue.states.finals) == 26


def test_a_flow_is_hot_by_hysteresis():
    match, model = played(1)
    board = model.venues[VENUE].states
    assert board.entries["ath_wembley_h10"].hot
    for intensity, hot in ((0.6, True), (0.5, False), (0.6, False), (0.75, True)):
        row = match.person_row(9) | {"intensity": intensity}
        match.person_row = lambda place, row=row: row
        match.step()
        feed(model, match.log)
        assert board.entries["ath_wembley_h10"].hot == hot


def test_the_ball_leaves_a_trail_of_three_seconds():
    match, model = played(40)
    trail = model.venues[VENUE].states.trail
    assert trail[-1][0] == match.t_ns
    assert trail[0][0] == match.t_ns - TRAIL_NS
    assert trail[-1][1] == pytest.approx(match.ball(match.t_s)[0], abs=0.01)


def test_events_are_kept_once_in_log_order_with_a_rising_cursor():
    match, model = played(1)
    for place in range(5):
        match.event("sprint", place)
    twice = match.log.read(f"events/{VENUE}", 2)[0]
    match.log.append(f"events/{VENUE}", [twice.record])
    feed(model, match.log)
    page = model.events(VENUE, 0, 100)
    assert [e["cursor"] for e in page["events"]] == [1, 2, 3, 4, 5]
    assert page["next_cursor"] == 6
    assert model.venues[VENUE].events.doubles == 1


def test_the_ring_is_bounded_and_says_when_it_is_no_longer_complete():
    match, model = played(1, ring=10)
    for place in range(22):
        match.event("sprint", place)
    feed(model, match.log)
    ring = model.venues[VENUE].events
    assert len(ring) == 10
    assert not model.events(VENUE, 0, 5)["complete"]
    assert model.events(VENUE, 12, 5)["complete"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 7), max_size=12))
def test_paging_by_cursor_gives_every_event_exactly_once(limits: list[int]):
    match, model = played(1)
    ids = [match.event("sprint", place % 22).event_id for place in range(40)]
    feed(model, match.log)
    cursor, found = 0, []
    for limit in [*limits, 100]:
        page = model.events(VENUE, cursor, limit)
        found += [e["event_id"] for e in page["events"]]
        cursor = page["next_cursor"]
    assert found == ids


def test_events_carry_the_match_clock_and_the_shirt_number():
    match, model = played(1)
    match.t_s = 63 * 60 + 12.0
    match.event("sprint", 6)
    feed(model, match.log)
    event = model.events(VENUE, 0, 1)["events"][0]
    assert (event["clock"], event["period"], event["number"]) == ("63:12", "second_half", 7)


def test_the_clock_runs_on_in_stoppage_time_and_restarts_at_45():
    periods = [{"name": p.name, "start_ns": p.start_ns, "end_ns": p.end_ns}
               for p in make_roster().periods]
    at = [match_clock(periods, START_NS + s * S)["clock"] for s in (0, 59, 2710, 3600, 3661)]
    assert at == ["0:00", "0:59", "45:10", "45:00", "46:01"]


def test_device_health_events_and_predictions_meet_at_the_device():
    match, model = played(1)
    match.health(stuck_n=3.0)
    match.event("device_degraded", subject_id="tag-ath_wembley_h01", sub_type="stuck",
                context=("lps",), stream="edge")
    match.predict(kind="failure", device_id="tag-ath_wembley_a07",
                  scores={"p_fail": 0.81, "none": 0.1, "battery": 0.7})
    feed(model, match.log)
    devices = model.venues[VENUE].devices
    by_key = {(d["id"], d["kind"]): d for d in devices.served(NOW)}
    assert by_key["tag-ath_wembley_h01", "lps"]["faults"] == ["stuck"]
    assert by_key["tag-ath_wembley_h01", "lps"]["health"]["stuck_n"] == 3.0
    assert by_key["tag-ath_wembley_h01", "imu"]["status"] == "ok"
    assert by_key["tag-ath_wembley_a07", "imu"]["failure_p"] == 0.81
    assert by_key["tag-ath_wembley_a07", "imu"]["failure_class"] == "battery"
    assert devices.next_failure()["device_id"] == "tag-ath_wembley_a07"
    match.event("device_recovered", subject_id="tag-ath_wembley_h01", stream="edge")
    feed(model, match.log, {"roster/" + VENUE: 1, "events/" + VENUE: 1})
    assert devices.counts()["ok"] == 51


def test_a_device_is_silent_after_five_seconds_or_three_of_its_own_periods():
    match, model = played(1)
    match.health(age_s=10.0)
    feed(model, match.log)
    devices = model.venues[VENUE].devices
    first = devices.entries["tag-ath_wembley_h01", "lps"]
    assert devices.counts()["silent"] == 1
    first.silent_after_s = 180.0  # as of a device that speaks once a minute
    assert "silent" not in devices.counts()
    slow = [{"device_id": "w", "kind": "weather", "subject": "s", "rate_hz": 1 / 60}]
    devices.enroll(slow)
    assert devices.entries["w", "weather"].silent_after_s == pytest.approx(180.0)


def test_a_damaged_record_is_counted_and_changes_nothing():
    _, model = played()
    before = model.snapshot_since(VENUE, "", NOW)["athletes"]
    rng = np.random.default_rng(5)
    for kind in ("events", "insights", "device-health", "roster"):
        for content in (b"", b"{}", b"[1]", bytes(rng.integers(0, 256, 400, np.uint8))):
            record = Record("x", 0, 0, content, "application/vnd.touchline.states")
            model.apply(f"{kind}/{VENUE}", StoredRecord(99, NOW, record))
    assert sum(model.damaged.values()) == 16
    assert model.snapshot_since(VENUE, "", NOW)["athletes"] == before
    json.dumps(model.damaged)


def test_a_snapshot_holds_only_what_has_changed_since_its_cursor():
    match, model = played()
    offsets = {}
    feed(model, match.log, offsets)
    first = model.snapshot_since(VENUE, "", NOW)
    assert first["full"]
    assert len(first["athletes"]) == 26
    quiet = model.snapshot_since(VENUE, first["cursor"], NOW)
    assert (quiet["athletes"], quiet["events"], quiet["full"]) == ([], [], False)
    event = match.event("sprint", 3)
    feed(model, match.log, offsets)
    new = model.snapshot_since(VENUE, quiet["cursor"], NOW)
    assert [e["event_id"] for e in new["events"]] == [event.event_id]
    assert new["athletes"] == []
    match.step()
    feed(model, match.log, offsets)
    assert len(model.snapshot_since(VENUE, new["cursor"], NOW)["athletes"]) == 26


def test_a_cursor_survives_a_restart_of_the_model_without_losing_an_event():
    match, model = played()
    match.event("sprint", 1)
    old = feed(model, match.log, {}).snapshot_since(VENUE, "", NOW)["cursor"]
    missed = [match.event("sprint", place).event_id for place in range(2, 6)]
    reborn = feed(ReadModel(2), match.log)
    body = reborn.snapshot_since(VENUE, old, NOW)
    assert [e["event_id"] for e in body["events"]] == missed
    assert len(body["athletes"]) == 26
    assert not body["gap"]


def test_another_match_at_the_venue_starts_empty_and_keeps_the_finals():
    match, model = played()
    match.step(final=True)
    feed(model, match.log)
    text = make_roster("next-match").to_json().encode()
    model.apply(f"roster/{VENUE}", StoredRecord(1, NOW, Record("roster", 1, 0, text)))
    venue = model.venues[VENUE]
    assert venue.match_id == "next-match"
    assert venue.athlete(ATHLETE, NOW)["status"] == "no data"
    assert (MATCH, ATHLETE) in venue.states.finals


def test_late_final_rows_of_the_last_match_stay_with_it_and_show_nowhere_else():
    match, model = played()
    text = make_roster("next-match").to_json().encode()
    model.apply(f"roster/{VENUE}", StoredRecord(1, NOW, Record("roster", 1, 0, text)))
    rows = StateRows(
        np.array([match.t_ns]), np.array([6], np.int32), {"x_m": np.array([1.0])}, True
    )
    late = Record("worker", 1, 0, encode_states(rows, match.ids, MATCH), STATES_TYPE)
    model.apply(f"insights/{VENUE}", StoredRecord(99, NOW, late))
    venue = model.venues[VENUE]
    assert list(venue.states.finals) == [(MATCH, ATHLETE)]
    assert venue.athlete(ATHLETE, NOW)["status"] == "no data"
    match.log.append(f"roster/{VENUE}", [Record("roster", 1, 0, text)])
    match.log.append(f"insights/{VENUE}", [late])
    dump = store_of(match.log).dump(VENUE)
    assert (len(dump[MATCH]["finals"]), len(dump["next-match"]["finals"])) == (1, 0)


def test_the_store_finds_new_venues_and_reads_old_events_from_the_log():
    log = MemoryLog(lambda: NOW)
    match = SyntheticMatch(log)
    ids = [match.event("sprint", place % 22).event_id for place in range(30)]
    store = store_of(log)
    store._model.venues[VENUE].events.first_cursor = 25  # as if these had left the ring
    page = store.events(VENUE, 0, 10)
    assert [e["event_id"] for e in page["events"]] == ids[:10]
    assert page["next_cursor"] == 10
    assert page["complete"]
    log.trim(f"events/{VENUE}", 5)
    assert not store.events(VENUE, 0, 10)["complete"]


def test_a_dump_is_whole_although_the_ring_is_not():
    log = MemoryLog(lambda: NOW)
    match = SyntheticMatch(log)
    ids = {match.event("sprint", place % 22).event_id for place in range(50)}
    match.step(final=True)
    store = store_of(log)
    store._model.venues.clear()
    dump = store.dump()[MATCH]
    assert {event["event_id"] for event in dump["events"]} == ids
    assert len(dump["finals"]) == 26
    assert all(row["status"] == "final" for row in dump["finals"])


def test_the_store_measures_delivery_of_what_comes_while_it_runs():
    now = [NOW]
    log = MemoryLog(lambda: now[0])
    match = SyntheticMatch(log)
    match.event("sprint", 1, source_ns=NOW - 50_000_000)
    now[0] += 60 * S
    store = store_of(log, lambda: now[0])
    match.event("sprint", 2, source_ns=now[0] - 100_000_000)
    now[0] += 20_000_000
    store.step()
    found = {stage: LatencyHistogram.from_dict(h) for stage, h in store.latency().items()}
    assert found["delivery"].count == 1
    assert found["delivery"].max_ns == 20_000_000
    assert found["total"].max_ns == 120_000_000


def test_lag_counts_what_is_durable_and_not_yet_read():
    log = MemoryLog(lambda: NOW)
    match = SyntheticMatch(log)
    store = store_of(log)
    assert not any(store.ops()["lag_records"].values())
    match.event("sprint", 1)
    assert store.ops()["lag_records"][f"events/{VENUE}"] == 1
    store._discovered_s = float("-inf")
    store.step()
    assert not any(store.ops()["lag_records"].values())


def test_a_trimmed_topic_is_followed_from_what_is_left():
    log = MemoryLog(lambda: NOW)
    match = SyntheticMatch(log)
    store = store_of(log)
    for place in range(10):
        match.event("sprint", place)
    log.trim(f"events/{VENUE}", 6)
    store._discovered_s = float("-inf")
    while store.step():
        pass
    store.step()
    store.step()
    assert [e["cursor"] for e in store.events(VENUE, 6)["events"]] == [7, 8, 9, 10]


def test_memory_stays_bounded_over_a_long_match():
    log = MemoryLog(lambda: NOW)
    match = SyntheticMatch(log)
    model, offsets = ReadModel(1, 100), {}
    for tick in range(1500):
        match.step(seconds=10.0)
        match.event("sprint", tick % 22)
    feed(model, log, offsets)
    venue = model.venues[VENUE]
    assert len(venue.events) == 100
    assert len(venue.events._ids) == 100
    assert len(venue.states.history(ATHLETE)) == 1080
    assert len(venue.states.trail) <= 256
    assert len(venue.states.served(ATHLETE, NOW)["trend_mpmin"]) == 30
