"""The report adds up, and says so when it does not."""

from models.events.envelope import Event
from models.report import RunFacts, build_report, holds, sum_accounts

ACCOUNT = {
    "in": 100, "forwarded": 60, "thinned": 30, "buffered": 2,
    "rejected": {"duplicate": 5, "stuck": 3}, "lost_by_counter": 4,
}
FINAL = {
    "subject_id": "ath_1", "match_id": "m", "distance_m": 812.5, "sprint_n": 3.0,
    "max_speed_mps": 8.4, "player_load_au": 71.0, "hr_mean_bpm": float("nan"), "coverage": 0.98,
    "fatigue_index": 0.4, "fatigue_low": 0.2, "fatigue_high": 0.6,
}
SPRINT = Event("sprint", "v", "m", "flow/ath_1", 0, 10, 20, "ath_1")


def test_accounts_of_venues_add_up_by_reason() -> None:
    total = sum_accounts([ACCOUNT, ACCOUNT])
    assert total["in"] == 200
    assert total["rejected"] == {"duplicate": 10, "stuck": 6}
    assert holds(total)


def test_a_venue_that_was_never_taken_over_adds_nothing() -> None:
    assert sum_accounts([{}, ACCOUNT]) == sum_accounts([ACCOUNT])


def test_a_lost_sample_breaks_conservation() -> None:
    assert not holds(sum_accounts([{**ACCOUNT, "forwarded": 59}]))


def test_an_event_delivered_twice_counts_once() -> None:
    report = build_report(RunFacts([ACCOUNT], [SPRINT, SPRINT], [FINAL]))
    assert report["events"] == {"sprint": 1}


def test_an_unknown_value_is_null_and_not_a_number() -> None:
    athlete = build_report(RunFacts([ACCOUNT], [], [FINAL]))["athletes"][0]
    assert athlete["hr_mean_bpm"] is None
    assert athlete["distance_m"] == 812.5
    assert athlete["fatigue"] == {"index": 0.4, "low": 0.2, "high": 0.6, "source": "rule"}


def test_the_net_speaks_for_fatigue_where_it_has_spoken() -> None:
    facts = RunFacts([ACCOUNT], [], [FINAL], {"ath_1": {"index": 0.5, "low": 0.3, "high": 0.7}})
    assert build_report(facts)["athletes"][0]["fatigue"]["source"] == "net"
