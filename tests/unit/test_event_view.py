"""Events as readers may see them: betting never gets health, operators never an athlete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.policies.access import DataClass, Principal, Role, column_class
from models.policies.event_view import _EVENT_CLASS, ALWAYS, class_of_event, event_view
from models.policies.sight import PolicySight

METRICS = ("length_m", "hr_bpm", "fatigue_index", "trimp", "speed_mps", "rmssd_ms", "dbal_m")


def caller(role, **more):
    return PolicySight(Principal("test", Role(role), **more), "v1")


def event(kind, **more):
    return {
        "type": kind, "subject_id": "ath_1", "team": "home", "policy_class": "tracking",
        "metrics": dict.fromkeys(METRICS, 1.0), **more,
    }


@given(
    st.sampled_from([*_EVENT_CLASS, "novelty"]), st.sampled_from(list(Role)),
    st.sampled_from(["home", "away", "", "*"]),
    st.sampled_from(["tracking", "physical", "on_the_ball", "secret"]),
)
def test_nobody_sees_health_without_the_class_whatever_the_event(kind, role, team, claim):
    sight = caller(role, team=team, athlete_id="ath_1")
    seen = event_view(event(kind, policy_class=claim), sight)
    classes = sight.of("home", "ath_1") | sight.of("", "")
    withheld = {DataClass.HEALTH_BIOMETRIC, DataClass.HEALTH_INDEX} - classes
    if seen is None:
        return
    assert class_of_event(seen) not in withheld
    assert not [m for m in seen["metrics"] if column_class(m) in withheld]
    assert {"length_m", "speed_mps"} <= set(seen["metrics"])


@pytest.mark.parametrize("kind", [k for k, c in _EVENT_CLASS.items() if "health_" in c])
@pytest.mark.parametrize("role", ["betting", "broadcaster", "league", "ops"])
def test_health_reaches_none_of_those_outside(kind, role):
    assert event_view(event(kind), caller(role, team="home")) is None


def test_a_team_s_events_of_health_are_its_own():
    assert event_view(event("fatigue_red"), caller("coach", team="home")) is not None
    assert event_view(event("fatigue_red"), caller("coach", team="away")) is None
    assert event_view(event("sprint"), caller("coach", team="away")) is not None


def test_tracking_is_coarse_for_betting_and_what_is_on_the_ball_is_not():
    where = {"x_m": 12.34, "y_m": -7.51, "x_end_m": None, "y_end_m": 3.2}
    metrics = {"peak_mps": 8.61, "distance_m": 17.9, "limit_speed_mps": 7.0, "hr_bpm": 180.0}
    sprint, shot = (event(kind, **where, metrics=metrics) for kind in ("sprint", "shot"))
    seen = event_view(sprint, caller("betting"))
    assert [seen[key] for key in where] == [12, -8, None, 3]
    assert seen["metrics"] == {"peak_mps": 9, "distance_m": 18, "limit_speed_mps": 7.0}
    assert event_view(shot, caller("betting"))["x_m"] == 12.34
    assert event_view(sprint, caller("broadcaster"))["metrics"]["peak_mps"] == 8.61
    assert sprint["x_m"] == 12.34


def test_a_coach_sees_the_index_and_not_the_heart():
    """The index is derived from health and open to a coach; what it is derived from is not."""
    more = {"hr_peak": 190.0, "fatigue_gap": 0.2, "heart_beats_n": 3.0}
    whole = event("sprint", metrics=dict.fromkeys(METRICS, 1.0) | more)
    seen = event_view(whole, caller("coach", team="home"))
    assert set(seen["metrics"]) == {
        "length_m", "speed_mps", "fatigue_index", "dbal_m", "fatigue_gap"
    }
    assert event_view(whole, caller("medical", team="home"))["metrics"] == whole["metrics"]


def test_an_operator_is_not_told_who_wears_the_device():
    failed = event("device_failed", device_id="tag-1")
    assert event_view(failed, caller("ops"))["subject_id"] == ""
    assert event_view(failed, caller("medical", team="home"))["subject_id"] == "ath_1"
    assert event_view(event("feed_gap"), caller("ops"))["subject_id"] == ""


def test_what_was_handed_in_stays_as_it_was():
    given_in = event("pass")
    seen = event_view(given_in, caller("betting"))
    assert "hr_bpm" in given_in["metrics"]
    assert "hr_bpm" not in seen["metrics"]


def test_every_class_is_one_that_somebody_may_be_granted():
    assert set(_EVENT_CLASS.values()) <= {*map(str, DataClass), ALWAYS}
