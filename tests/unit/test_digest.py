"""The digest covers what a replay must reproduce, and nothing else."""

from dataclasses import replace

from models.digest import digest
from models.events.envelope import Event

SPRINT = Event(
    "sprint", "v", "m", "flow/ath_1", 0, 1_000, 1_100, "ath_1", metrics={"peak_mps": 8.1}
)
LATER = replace(SPRINT, seq=1, t_event_ns=2_000)
FINAL = {"subject_id": "ath_1", "match_id": "m", "distance_m": 101.25}


def test_order_and_repetition_of_events_change_nothing() -> None:
    assert digest([SPRINT, LATER], [FINAL]) == digest([LATER, SPRINT, SPRINT], [FINAL])


def test_any_field_of_an_event_counts() -> None:
    assert digest([SPRINT], []) != digest([replace(SPRINT, metrics={"peak_mps": 8.2})], [])


def test_the_last_bit_of_a_metric_counts() -> None:
    nudged = {**FINAL, "distance_m": 101.25 + 1.5e-14}
    assert nudged["distance_m"] != FINAL["distance_m"]
    assert digest([], [FINAL]) != digest([], [nudged])


def test_what_a_net_says_is_left_out() -> None:
    predicted = replace(SPRINT, stream="supervisor", type="device_failure_predicted")
    assert digest([SPRINT], [FINAL]) == digest([SPRINT, predicted], [FINAL])
