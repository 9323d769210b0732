"""Orders for failing devices: when, for how long, how many at most, and when they are over."""

from dataclasses import replace

import pytest

from models.policies.device_care import Because, Care, CareConfig, DeviceCare
from models.telemetry.kinds import Kind
from models.telemetry.orders import Order, OrderVerb
from models.telemetry.roster import Device, Role, Roster, Subject

S = 1_000_000_000
T0 = 1_700_000_000 * S
TWO = tuple(
    device for n in range(20) for device in (
        Device(f"tag{n}", Kind.LPS, f"a{n}", 20.0), Device(f"tag{n}", Kind.IMU, f"a{n}", 100.0),
        Device(f"vest{n}", Kind.GNSS, f"a{n}", 10.0, source_rank=1),
    )
)
ROSTER = Roster(
    "v", "m", subjects=tuple(Subject(f"a{n}", Role.ATHLETE) for n in range(21)),
    devices=(*TWO, Device("lone", Kind.LPS, "a20", 20.0), Device("post", Kind.ANCHOR, "", 1.0)),
)


def at(second: float) -> int:
    return T0 + int(second * S)


def said(care: Care | None) -> list[tuple[OrderVerb, str, float]]:
    """(verb, target, seconds from T0 until which) of a decision."""
    if care is None:
        return []
    return [
        (o.verb, o.target, (o.until_ns - T0) / S if o.until_ns else 0.0) for o in care.orders
    ]


def test_a_predicted_failure_demotes_the_device_and_keeps_its_subject_whole() -> None:
    care = DeviceCare(ROSTER)
    assert care.predicted("tag0", at(0), 0.79) is None
    first = care.predicted("tag0", at(5), 0.8)
    assert said(first) == [(OrderVerb.DEMOTE, "tag0", 605.0), (OrderVerb.WHOLE, "a0", 605.0)]
    assert first.because == Because.FAILURE_PREDICTED
    assert {o.match_id for o in first.orders} == {"m"}
    assert care.predicted("tag0", at(10), 0.99) is None, "one decision holds"
    assert care.standing == ["tag0"]


def test_the_only_source_of_a_subject_is_not_demoted() -> None:
    care = DeviceCare(ROSTER)
    assert said(care.predicted("lone", at(0), 0.9)) == [(OrderVerb.WHOLE, "a20", 600.0)]
    assert care.predicted("post", at(0), 0.9) is None
    assert care.predicted("unheard of", at(0), 0.9) is None


def test_orders_are_taken_back_when_the_prediction_has_been_low_for_a_minute() -> None:
    care = DeviceCare(ROSTER)
    care.predicted("tag0", at(0), 0.9)
    for second, p_fail in ((5, 0.4), (60, 0.4), (62, 0.6), (70, 0.1), (125, 0.1)):
        assert care.predicted("tag0", at(second), p_fail) is None, second
    over = care.predicted("tag0", at(130), 0.1)
    assert over.because == Because.PREDICTION_OVER
    assert said(over) == [(OrderVerb.DEMOTE, "tag0", 0.0), (OrderVerb.WHOLE, "a0", 0.0)]
    assert care.standing == []
    assert care.predicted("tag0", at(135), 0.1) is None, "once"


def test_orders_are_renewed_before_they_lapse_while_the_prediction_stays_high() -> None:
    care = DeviceCare(ROSTER)
    acted = [s for s in range(0, 1300, 5) if care.predicted("tag0", at(s), 0.9) is not None]
    assert acted == [0, 540, 1080]


@pytest.mark.parametrize(
    ("sign", "kind", "acts"),
    [
        ("rssi_dbm_low", Kind.IMU, True), ("loss_ewma_high", Kind.LPS, True),
        ("batt_v_low", Kind.HEALTH, True), ("rate_ratio_low", Kind.LPS, True),
        ("noise_ratio_high", Kind.LPS, True), ("spike_rate_high", Kind.GNSS, True),
        ("noise_ratio_high", Kind.IMU, False), ("spike_rate_high", Kind.IMU, False),
        ("rssi_dbm_high", Kind.LPS, False), ("clock_ppm_high", Kind.LPS, False),
    ],
)
def test_only_anomalies_that_cost_places_are_acted_on(sign: str, kind: Kind, acts: bool) -> None:
    care = DeviceCare(ROSTER)
    found = care.unlike_itself("tag0", at(0), sign, kind)
    assert said(found) == (
        [(OrderVerb.DEMOTE, "tag0", 180.0), (OrderVerb.WHOLE, "a0", 180.0)] if acts else []
    )


def test_an_anomaly_lapses_by_itself_and_a_prediction_makes_it_last() -> None:
    care = DeviceCare(ROSTER)
    care.unlike_itself("tag0", at(0), "rssi_dbm_low", Kind.LPS)
    assert [care.predicted("tag0", at(s), 0.1) for s in range(5, 180, 5)] == [None] * 35
    assert care.predicted("tag0", at(180), 0.1) is None
    assert (care.standing, care.counts["lapsed"]) == ([], 1)
    care.unlike_itself("tag1", at(0), "rssi_dbm_low", Kind.LPS)
    longer = care.predicted("tag1", at(40), 0.9)
    assert said(longer)[0] == (OrderVerb.DEMOTE, "tag1", 640.0)


def test_a_venue_gets_a_bounded_number_of_decisions_and_the_rest_in_their_time() -> None:
    care = DeviceCare(ROSTER, CareConfig(most=3, most_s=60.0))
    first = [n for n in range(10) if care.predicted(f"tag{n}", at(n), 0.9) is not None]
    assert first == [0, 1, 2]
    assert care.counts["bound"] == 7
    again = [n for n in range(3, 10) if care.predicted(f"tag{n}", at(58 + n), 0.9) is not None]
    assert again == [3, 4, 5]
    over = [care.predicted("tag0", at(s), 0.0) for s in (70, 131)]
    assert over[1] is not None, "taking back has no bound"


def test_false_alarms_cannot_put_everybody_into_care() -> None:
    """Each subject in care is one that cannot be thinned."""
    care = DeviceCare(ROSTER, CareConfig(most_standing=4, calm_s=10.0))
    acted = [n for n in range(10) if care.predicted(f"tag{n}", at(60 * n), 0.9) is not None]
    assert acted == [0, 1, 2, 3]
    assert care.predicted("tag0", at(650), 0.9) is not None, "after its own has lapsed"
    care.predicted("tag1", at(655), 0.1)
    assert care.predicted("tag9", at(656), 0.9) is None
    assert len(care.standing) == 4


def test_a_device_has_a_cooldown() -> None:
    care = DeviceCare(ROSTER, CareConfig(calm_s=10.0))
    care.predicted("tag0", at(0), 0.9)
    care.predicted("tag0", at(5), 0.1)
    assert care.predicted("tag0", at(15), 0.1).because == Because.PREDICTION_OVER
    acted = [s for s in range(20, 60, 5) if care.predicted("tag0", at(s), 0.9) is not None]
    assert acted == [45]


def test_a_subject_stays_whole_as_long_as_any_of_its_devices_needs_it() -> None:
    care = DeviceCare(ROSTER)
    care.predicted("tag0", at(0), 0.9)
    short = care.unlike_itself("vest0", at(10), "batt_v_low", Kind.GNSS)
    assert said(short) == [(OrderVerb.DEMOTE, "vest0", 190.0), (OrderVerb.WHOLE, "a0", 600.0)]
    care.predicted("tag0", at(20), 0.1)
    over = care.predicted("tag0", at(80), 0.1)
    assert said(over) == [(OrderVerb.DEMOTE, "tag0", 0.0), (OrderVerb.WHOLE, "a0", 190.0)]


def test_a_successor_knows_what_is_in_force_and_takes_it_back() -> None:
    first = DeviceCare(ROSTER)
    orders: list[Order] = []
    for name, second in (("tag0", 0), ("tag1", 1)):
        orders += first.predicted(name, at(second), 0.9).orders
    first.predicted("tag1", at(10), 0.1)
    orders += first.predicted("tag1", at(80), 0.1).orders
    foreign = replace(orders[0], match_id="last week", device_id="tag2")
    second_life = DeviceCare(ROSTER)
    second_life.recall([foreign, *orders])
    assert second_life.standing == ["tag0"]
    assert second_life.predicted("tag0", at(100), 0.95) is None
    second_life.predicted("tag0", at(105), 0.1)
    over = second_life.predicted("tag0", at(165), 0.1)
    assert said(over) == [(OrderVerb.DEMOTE, "tag0", 0.0), (OrderVerb.WHOLE, "a0", 0.0)]


def test_the_same_decision_has_the_same_id() -> None:
    one, other = DeviceCare(ROSTER), DeviceCare(ROSTER)
    assert one.predicted("tag0", at(7), 0.9).orders == other.predicted("tag0", at(7), 0.95).orders
