"""The access policy: who sees what, and above all who does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.policies.access import (
    ACTIONS,
    BROADCAST_HEALTH_CONSENT,
    COARSE_COLUMNS,
    COLUMN_CLASSES,
    GRANTS,
    PLAIN_COLUMNS,
    PURPOSES,
    Action,
    DataClass,
    Principal,
    Purpose,
    Role,
    Target,
    Why,
    allowed_columns,
    classes_of,
    column_class,
    decide,
    may,
    own_purpose,
)

HEALTH = {DataClass.HEALTH_BIOMETRIC, DataClass.HEALTH_INDEX}
HEALTH_WORDS = ("hr", "rr", "heart", "trimp", "fatigue", "dbal", "wbal", "temp", "metabolic")
roles, classes, purposes = (st.sampled_from(list(kind)) for kind in (Role, DataClass, Purpose))
names = st.sampled_from(["", "home", "away", "*", "a1", "wembley"])
consents = st.frozensets(st.sampled_from([BROADCAST_HEALTH_CONSENT, "betting", "*", "health"]))
targets = st.none() | st.builds(Target, names, names, names, consents)
principals = st.builds(
    Principal, st.just("x"), roles, st.just("person"), names, st.sampled_from([(), ("wembley",)]),
    names,
)


@given(principals, classes, purposes, targets)
def test_betting_never_gets_health(who: Principal, c: DataClass, p: Purpose, t: Target) -> None:
    better = Principal(who.subject, Role.BETTING, who.kind, who.team, who.venues, who.athlete_id)
    if c in HEALTH | {DataClass.PERSONAL, DataClass.PERFORMANCE, DataClass.DEVICE_HEALTH}:
        assert not decide(better, c, p, t).allow


@given(consents, st.lists(st.sampled_from(sorted(COLUMN_CLASSES)) | st.text(max_size=12)))
def test_no_health_column_reaches_betting(agreed: frozenset[str], columns: list[str]) -> None:
    seen = allowed_columns(Role.BETTING, columns, agreed)
    assert not [name for name in seen if name.startswith(HEALTH_WORDS)]
    coarse = COARSE_COLUMNS | PLAIN_COLUMNS
    assert all(n in coarse or column_class(n) is DataClass.ON_THE_BALL for n in seen)


@given(principals, classes, purposes, targets)
def test_nothing_is_given_for_contract_or_insurance(
    who: Principal, c: DataClass, p: Purpose, t: Target
) -> None:
    for purpose in (Purpose.CONTRACT, Purpose.INSURANCE):
        assert decide(who, c, purpose, t).reason is Why.PURPOSE_FORBIDDEN
    if decide(who, c, p, t).allow:
        assert p in PURPOSES[who.role]


@given(principals, classes, purposes, targets)
def test_a_target_only_narrows_except_where_the_athlete_opted_in(
    who: Principal, c: DataClass, p: Purpose, t: Target
) -> None:
    decision = decide(who, c, p, t)
    if decision.allow and decision.reason is not Why.OPTED_IN:
        assert decide(who, c, p).allow


@given(st.text(max_size=20), st.text(max_size=20), roles)
def test_what_has_no_name_here_is_denied(data_class: str, purpose: str, role: Role) -> None:
    if data_class not in set(DataClass) or purpose not in set(Purpose):
        assert not decide(Principal("x", role), data_class, purpose).allow
    if data_class not in set(Action):
        assert not may(Principal("x", role), data_class).allow


def test_the_matrix_of_data_classes() -> None:
    d = DataClass
    assert {role: set(GRANTS[role]) for role in Role} == {
        Role.COACH: {d.PERFORMANCE, d.ON_THE_BALL, d.TRACKING, d.HEALTH_INDEX},
        Role.MEDICAL: set(d),
        Role.PERFORMANCE: {d.PERFORMANCE, d.ON_THE_BALL, d.TRACKING, d.DEVICE_HEALTH, *HEALTH},
        Role.BROADCASTER: {d.ON_THE_BALL, d.TRACKING},
        Role.BETTING: {d.ON_THE_BALL, d.TRACKING_COARSE},
        Role.OPS: {d.DEVICE_HEALTH},
        Role.RESEARCH: {d.PERFORMANCE, d.ON_THE_BALL, d.TRACKING, d.HEALTH_INDEX},
        Role.LEAGUE: {d.PERFORMANCE, d.ON_THE_BALL, d.TRACKING},
        Role.DEVICE_GATEWAY: set(),
        Role.SERVICE: set(d),
        Role.ATHLETE: {d.PERSONAL, d.PERFORMANCE, d.ON_THE_BALL, d.TRACKING, *HEALTH},
    }


def test_a_club_sees_its_own_bodies_and_everybody_on_the_pitch() -> None:
    coach = Principal("c", Role.COACH, team="home")
    home, away = Target(team="home"), Target(team="away")
    purpose = Purpose.COACHING
    assert decide(coach, DataClass.HEALTH_INDEX, purpose, home).reason is Why.GRANTED
    assert decide(coach, DataClass.HEALTH_INDEX, purpose, away).reason is Why.OTHER_TEAM
    assert decide(coach, DataClass.PERFORMANCE, purpose, away).reason is Why.OTHER_TEAM
    assert decide(coach, DataClass.TRACKING, purpose, away).allow
    teamless = Principal("c", Role.COACH)
    assert decide(teamless, DataClass.HEALTH_INDEX, purpose, Target()).reason is Why.OTHER_TEAM
    everyone = Principal("c", Role.COACH, team="*")
    assert decide(everyone, DataClass.HEALTH_INDEX, purpose, away).allow


def test_an_athlete_sees_only_themself() -> None:
    athlete = Principal("a", Role.ATHLETE, athlete_id="a1")
    health, purpose = DataClass.HEALTH_BIOMETRIC, Purpose.OWN_DATA
    assert decide(athlete, health, purpose, Target(athlete_id="a1")).allow
    assert decide(athlete, health, purpose, Target(athlete_id="a2")).reason is Why.OTHER_ATHLETE
    nobody = Principal("a", Role.ATHLETE)
    assert decide(nobody, health, purpose, Target()).reason is Why.OTHER_ATHLETE


def test_a_broadcaster_gets_heart_rates_of_those_who_opted_in() -> None:
    caster = Principal("b", Role.BROADCASTER)
    health, purpose = DataClass.HEALTH_BIOMETRIC, Purpose.BROADCAST
    agreed = Target(consents=frozenset({BROADCAST_HEALTH_CONSENT}))
    assert decide(caster, health, purpose, Target()).reason is Why.CLASS_NOT_GRANTED
    assert decide(caster, health, purpose, agreed).reason is Why.OPTED_IN
    assert not decide(caster, DataClass.HEALTH_INDEX, purpose, agreed).allow
    assert "hr_bpm" not in allowed_columns(Role.BROADCASTER, ["hr_bpm"])
    assert allowed_columns(Role.BROADCASTER, ["hr_bpm"], agreed.consents) == ["hr_bpm"]


def test_a_token_for_one_venue_opens_no_other() -> None:
    gateway = Principal("g", Role.DEVICE_GATEWAY, venues=("wembley",))
    assert may(gateway, Action.INGEST, "wembley").allow
    assert may(gateway, Action.INGEST, "anfield").reason is Why.OTHER_VENUE
    assert may(gateway, Action.READ, "wembley").reason is Why.ACTION_NOT_GRANTED
    medic = Principal("m", Role.MEDICAL, team="*", venues=("wembley",))
    target = Target(venue_id="anfield", team="home")
    assert decide(medic, DataClass.TRACKING, Purpose.CARE, target).reason is Why.OTHER_VENUE


def test_only_gateways_and_services_bring_data_in() -> None:
    senders = {role for role in Role if Action.INGEST in ACTIONS[role]}
    assert senders == {Role.DEVICE_GATEWAY, Role.SERVICE}
    assert not may(Principal("r", Role.RESEARCH), Action.READ).allow


def test_columns_are_cut_by_class_and_unknown_ones_are_for_nobody() -> None:
    columns = ["subject_id", "x_m", "distance_m", "hr_bpm", "fatigue_index", "kick_n", "secret"]
    assert allowed_columns(Role.MEDICAL, columns) == columns[:-1]
    assert allowed_columns(Role.COACH, columns) == [
        "subject_id", "x_m", "distance_m", "fatigue_index", "kick_n",
    ]
    assert allowed_columns(Role.BETTING, columns) == ["subject_id", "x_m", "kick_n"]
    assert allowed_columns(Role.DEVICE_GATEWAY, columns) == []


def test_columns_of_the_body_are_health() -> None:
    for name, found in COLUMN_CLASSES.items():
        if name.startswith(("hr", "trimp")):
            assert found is DataClass.HEALTH_BIOMETRIC
        if name.startswith(("dbal", "wbal", "fatigue")):
            assert found is DataClass.HEALTH_INDEX


def test_the_served_catalogue_says_the_same_as_the_policy() -> None:
    catalogue = pytest.importorskip("serve.catalogue")
    for name, metric in catalogue.METRICS.items():
        if metric.data_class == "always":
            assert column_class(name) is None
            assert not name.startswith(HEALTH_WORDS)
        else:
            assert column_class(name) == metric.data_class, name


@pytest.mark.parametrize("role", list(Role))
def test_every_role_has_a_purpose_of_its_own(role: Role) -> None:
    assert own_purpose(role) in PURPOSES[role]
    assert classes_of(role) == GRANTS[role]
