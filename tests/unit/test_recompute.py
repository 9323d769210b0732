"""The recomputation of a match: complete, the same however it is cut, and only what changed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.flows.config import FlowConfig
from models.flows.layout import PERSON_COLUMNS
from models.recompute.config import RECOMPUTE_VERSION, RecomputeConfig
from models.recompute.events import Reason, correct_events, match_events, standing
from models.recompute.match import Told
from models.recompute.metrics import METRICS, correct_metrics
from models.recompute.tables import correction_tables, event_of, events_of, finals_table
from models.recompute.walk import PEAK_COLUMNS
from models.telemetry.kinds import KINDS, Kind
from models.tiers.columns import HEALTH_CORRECTIONS, health_columns
from tests.unit import recompute_world as world

LATE_FROM_S, LATE_S = 20.0, 15.0


@pytest.fixture(scope="module")
def played():
    """A minute of a match in which one athlete's sensors came 15 s late."""
    return world.play(60, late_from_s=LATE_FROM_S, late_s=LATE_S)


@pytest.fixture(scope="module")
def findings(played):
    return world.recomputed(played)


def wet(played):
    """The athlete whose rows came late."""
    return played.simulator.roster.subjects[world.WET].subject_id


@settings(max_examples=6, deadline=None)
@given(
    cuts=st.lists(st.floats(0.5, 59.5), max_size=4), seed=st.integers(0, 2**32 - 1),
)
def test_however_the_rows_are_parted_and_mixed_the_findings_are_the_same(
    played, findings, cuts, seed
):
    again = world.recomputed(played, cuts, rng=np.random.default_rng(seed))
    assert same_rows(again.finals, findings.finals)
    assert again.events == findings.events
    assert str(again.metrics) == str(findings.metrics)
    assert again.late == findings.late


def same_rows(left, right):
    """Equal but for NaN, which equals NaN here."""
    return left.keys() == right.keys() and all(
        np.array_equal(list(left[n].values()), list(right[n].values()), equal_nan=True)
        for n in left
    )


def test_a_batch_that_came_15_s_late_is_in_the_final_distance_and_not_in_the_live_one(
    played, findings
):
    name = wet(played)
    simulator = played.simulator
    who = simulator.truth.subjects.index(name)
    true_m = float(simulator.truth.distance_m[-1, who])
    live_m, final_m = played.rows[name]["distance_m"], findings.finals[name]["distance_m"]
    assert live_m < 0.90 * true_m
    assert abs(final_m - true_m) < 0.05 * true_m
    assert findings.late[name] > 1500
    assert played.rows[name]["coverage"] < 0.8 < 0.99 < findings.finals[name]["coverage"]
    found = next(
        one for one in findings.metrics if (one.subject_id, one.metric) == (name, "distance_m")
    )
    assert (found.reason, found.old, found.new) == (Reason.LATE_DATA, live_m, final_m)


def test_trimp_and_player_load_of_the_late_batch_are_made_up_for(played, findings):
    name, whole = wet(played), world.recomputed(world.play(60)).finals
    for metric in ("trimp", "player_load_au", "distance_m", "step_n"):
        assert played.rows[name][metric] < 0.95 * whole[name][metric], metric
        assert findings.finals[name][metric] == pytest.approx(whole[name][metric], rel=0.01), metric


def test_events_in_the_late_batch_are_found_and_say_so(played, findings):
    name, start_ns = wet(played), played.simulator.config.start_ns
    late = [
        one for one in findings.events
        if one.new.subject_id == name and one.reason == Reason.LATE_DATA
    ]
    assert {one.new.type for one in late} >= {"collision", "fall"}
    assert not {"collision", "fall"} & {
        event.type for event in played.events if event.subject_id == name
    }
    for one in late:
        into_s = (one.new.t_event_ns - start_ns) * 1e-9
        assert LATE_FROM_S - 12.0 < into_s < LATE_FROM_S + LATE_S + 1.0
        assert "reason:late_data" in one.new.context


def test_who_sent_everything_in_time_has_no_number_corrected_for_late_data(played, findings):
    others = [m for m in findings.metrics if findings.late.get(m.subject_id, 0) == 0]
    assert {m.reason for m in others} <= {Reason.ZERO_PHASE, Reason.FULL_RATE}
    by_metric = {(m.metric, m.reason) for m in others}
    assert ("distance_m", Reason.ZERO_PHASE) in by_metric
    assert ("step_n", Reason.FULL_RATE) in by_metric
    assert not {"trimp", "hr_mean_bpm"} & {m.metric for m in others}


def test_player_load_without_late_rows_is_the_sum_that_the_edge_makes_at_full_rate(
    played, findings
):
    roster = played.simulator.roster
    block = played.whole(Kind.IMU)[Kind.IMU]
    edge_au = block.values[KINDS[Kind.IMU].names.index("load_au")].astype(np.float64)
    dry = [n for n in findings.finals if not findings.late.get(n)]
    assert len(dry) > 20
    for name in dry:
        mine = np.array([d.subject == name for d in roster.devices])[block.device]
        load = findings.finals[name]["player_load_au"]
        assert load == pytest.approx(float(edge_au[mine].sum()), rel=1e-9)
        assert load == pytest.approx(played.rows[name]["player_load_au"], rel=1e-3)


def test_the_final_distance_is_nearer_to_the_truth_than_the_live_one(played, findings):
    truth = dict(zip(
        played.simulator.truth.subjects, played.simulator.truth.distance_m[-1], strict=True
    ))
    off = {
        label: np.median([abs(row["distance_m"] / truth[n] - 1.0) for n, row in told.items()])
        for label, told in (("live", played.rows), ("final", findings.finals))
    }
    assert off["final"] < 0.6 * off["live"]


def test_a_second_recomputation_of_the_same_rows_has_nothing_to_say(played, findings):
    said = [*played.events, *(one.new for one in findings.events)]
    again = world.recomputed(played, told=Told(said, findings.finals), generation=1)
    assert again.events == []
    assert again.metrics == []


def test_what_stands_after_all_corrections_is_what_the_recomputation_found(played, findings):
    said = [*played.events, *(one.new for one in findings.events)]
    left = standing(said)
    assert all(event.status in ("confirmed", "corrected") for event in left)
    counts = {"sprint": "sprint_n", "acceleration": "acc_n", "jump": "jump_n"}
    for kind, metric in counts.items():
        n = sum(event.type == kind for event in left)
        assert n == sum(row[metric] for row in findings.finals.values()), kind


def test_every_event_told_live_is_answered_once(played, findings):
    answered = [one.new.supersedes for one in findings.events if one.old is not None]
    assert sorted(answered) == sorted(event.event_id for event in played.events)
    assert len({one.new.event_id for one in findings.events}) == len(findings.events)
    assert all(one.new.algo_version == RECOMPUTE_VERSION for one in findings.events)


def sprint(start_s, lasts_s=2.0, **more):
    from models.events.envelope import Event

    at = int(start_s * 1e9)
    given_more = {"subject_id": "a", "metrics": {"duration_s": lasts_s, "peak_mps": 8.0}, **more}
    return Event("sprint", "v", "m", "flow/a", more.pop("seq", 0), at, at, **given_more)


def test_two_live_events_over_one_recomputed_are_not_both_matched_to_it():
    told = [sprint(10.0), replace(sprint(12.5), seq=1)]
    pairs, lost, fresh = match_events(told, [sprint(10.1, 4.0)], RecomputeConfig())
    assert [(old.t_event_ns, len(lost), fresh) for old, _ in pairs] == [(10_000_000_000, 1, [])]


@pytest.mark.parametrize(("start_s", "peak", "status"), [
    (10.05, 8.1, "confirmed"), (10.2, 8.0, "corrected"), (10.0, 9.0, "corrected"),
])
def test_an_event_is_confirmed_when_neither_time_nor_figures_move(start_s, peak, status):
    new = sprint(start_s, metrics={"duration_s": 2.0, "peak_mps": peak})
    (one,) = correct_events([sprint(10.0)], [new], {}, 0, RecomputeConfig())
    assert (one.new.status, one.new.supersedes) == (status, sprint(10.0).event_id)


def test_an_event_that_is_not_found_again_is_retracted_and_a_new_one_supersedes_nothing():
    found = correct_events([sprint(10.0)], [sprint(40.0)], {}, 3, RecomputeConfig())
    said = [(one.new.status, one.new.supersedes, one.new.stream) for one in found]
    old = sprint(10.0).event_id
    assert said == [("retracted", old, "recompute/3"), ("confirmed", "", "recompute/3")]


def test_of_people_and_other_types_nothing_is_matched():
    other = sprint(10.0, subject_id="b")
    assert match_events([sprint(10.0)], [other], RecomputeConfig())[0] == []


def test_a_number_that_is_not_known_any_more_or_was_not_known_then_is_corrected():
    blank = dict.fromkeys(METRICS, float("nan"))
    known = {**blank, "trimp": 3.0}
    (gained,) = correct_metrics({"a": blank}, {"a": known}, {"a": known}, {"a": 5})
    (lost,) = correct_metrics({"a": known}, {"a": blank}, {"a": blank}, {})
    assert (gained.metric, gained.new, gained.reason) == ("trimp", 3.0, Reason.LATE_DATA)
    assert (lost.old, np.isnan(lost.new), lost.reason) == (3.0, True, Reason.FULL_RATE)


def test_peaks_are_the_most_of_any_window_and_longer_windows_hold_more(findings):
    for row in findings.finals.values():
        assert 0.0 < row["peak_60s_distance_m"] <= row["distance_m"] + 1e-9 or np.isnan(
            row["peak_60s_distance_m"]
        )
        assert np.isnan(row["peak_180s_distance_m"])


def test_corrections_of_health_are_in_a_kind_of_their_own_that_is_encrypted(played, findings):
    tables = correction_tables(findings, played.simulator.roster, 0)
    open_names = set(tables["corrections"].column("name").to_pylist())
    sealed = set(tables[HEALTH_CORRECTIONS].column("name").to_pylist())
    assert not open_names & {"trimp", "hr_mean_bpm", "fatigue_index", "dbal_m", "man_down"}
    assert {"trimp", "dbal_m"} <= sealed
    closed = health_columns(HEALTH_CORRECTIONS, tables[HEALTH_CORRECTIONS].schema.names)
    assert {"old", "new", "name", "subject_id", "body"} <= set(closed)


def test_finals_say_how_they_were_made_and_hold_every_metric(findings):
    table = finals_table(findings, 0, FlowConfig())
    assert {*PERSON_COLUMNS, *PEAK_COLUMNS} <= set(table.schema.names)
    assert b"zero-phase" in table.schema.metadata[b"metric"]
    assert b"effort_enter_mps2" in table.schema.metadata[b"metric"]
    assert table.schema.metadata[b"algo_version"] == RECOMPUTE_VERSION.encode()


def test_events_come_back_from_the_tables_as_they_were(played, findings):
    tables = correction_tables(findings, played.simulator.roster, 0)
    assert events_of(tables.values()) == [one.new for one in findings.events]
    event = findings.events[0].new
    assert event_of(event.canonical()) == event
