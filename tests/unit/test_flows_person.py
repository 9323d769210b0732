"""Twins of persons: distances, efforts, loads, hits, jumps, hearts, fatigue, silence."""

import math

import numpy as np
import pytest

from models.flows.config import ALGO_VERSION, FlowConfig
from models.metrics.jump import jump_height_m
from models.nets.contract import (
    BALL_DISTANCE_CAP_M,
    EVENT_PEAK_INDEX,
    EVENT_WINDOW,
    FATIGUE_FEATURES,
)
from models.telemetry.flags import Flag
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device, Roster
from tests.unit.flow_world import (
    START_NS,
    at_ns,
    ball,
    heart,
    imu,
    last_row,
    lps,
    of_type,
    play,
    roster_of,
    rows,
)


def course(speed, hz=20):
    """(seconds, x) of a run along x with `speed` (n,) m/s at `hz`."""
    seconds = np.arange(len(speed)) / hz
    return seconds, np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 / hz)]) - 40.0


def ramp(*legs, hz=20):
    """Speed profile: legs of (seconds, from m/s, to m/s)."""
    return np.concatenate([np.linspace(a, b, round(s * hz), endpoint=False) for s, a, b in legs])


def test_a_steady_run_counts_its_metres_in_its_zone():
    seconds, x = course(np.full(401, 3.0))
    row = last_row(play(roster_of(), lps(0, seconds, x, 0.0)))
    assert row["distance_m"] == pytest.approx(60.0, abs=0.6)
    assert row["z2_m"] == pytest.approx(row["distance_m"], abs=1.0)
    assert row["hsr_m"] == row["sprint_n"] == 0
    assert row["speed_mps"] == pytest.approx(3.0, abs=0.02)
    assert row["coverage"] == pytest.approx(1.0, abs=0.01)
    assert row["metabolic_power_wkg"] == pytest.approx(3.0 * 3.63, rel=0.05)


def test_zones_add_up_to_the_distance():
    seconds, x = course(ramp((4, 0, 8), (4, 8, 8), (4, 8, 1), (5, 1, 6), (3, 6, 0)))
    row = last_row(play(roster_of(), lps(0, seconds, x, 0.0)))
    zones = sum(row[f"z{n}_m"] for n in range(1, 6))
    assert zones == pytest.approx(row["distance_m"], rel=1e-9)
    assert row["hsr_m"] == pytest.approx(row["z4_m"] + row["z5_m"], rel=1e-9)
    assert row["hmld_m"] >= row["hsr_m"]


def test_standing_with_a_noisy_sensor_covers_no_ground():
    rng = np.random.default_rng(3)
    seconds = np.arange(600) / 20
    noise = rng.normal(0, 0.01, (2, 600))
    row = last_row(play(roster_of(), lps(0, seconds, noise[0], noise[1])))
    assert row["distance_m"] < 1.0


def test_a_sprint_is_one_event_with_its_numbers():
    seconds, x = course(ramp((3, 0, 8), (3, 8, 8), (3, 8, 2)))
    effects = play(roster_of(), lps(0, seconds, x, 5.0))
    (sprint,) = of_type(effects, "sprint")
    assert sprint.subject_id == "p0"
    assert sprint.team == "home"
    assert sprint.algo_version == ALGO_VERSION
    assert sprint.metrics["peak_mps"] == pytest.approx(8.0, abs=0.2)
    assert 3.2 < sprint.metrics["duration_s"] < 4.4
    assert sprint.metrics["threshold_mps"] == 7.0
    assert sprint.x_end_m - sprint.x_m == pytest.approx(sprint.metrics["distance_m"], abs=0.7)
    assert sprint.t_detected_ns > sprint.t_event_ns > START_NS
    assert last_row(effects)["sprint_n"] == 1
    assert len(of_type(effects, "high_intensity_bout")) == 1


def test_thresholds_belong_to_the_athlete():
    seconds, x = course(ramp((3, 0, 6.5), (3, 6.5, 6.5), (3, 6.5, 2)))
    track = lps(0, seconds, x, 0.0)
    assert not of_type(play(roster_of(), track), "sprint")
    own = roster_of(sprint_mps=6.26, high_speed_mps=5.29)
    assert len(of_type(play(own, track), "sprint")) == 1


def test_a_short_dip_does_not_split_a_sprint_and_a_long_one_does():
    for dip_s, count in ((0.2, 1), (2.0, 2)):
        dip = ((0.3, 8, 6.3), (dip_s, 6.3, 6.3), (0.3, 6.3, 8))
        legs = ((2, 0, 8), (2, 8, 8), *dip, (2, 8, 8), (3, 8, 0))
        seconds, x = course(ramp(*legs))
        assert len(of_type(play(roster_of(), lps(0, seconds, x, 0.0)), "sprint")) == count


def test_an_acceleration_needs_its_minimum_duration():
    long = ramp((2, 1, 1), (1.3, 1, 6.2), (2, 6.2, 6.2))
    seconds, x = course(long)
    effects = play(roster_of(), lps(0, seconds, x, 0.0))
    (effort,) = of_type(effects, "acceleration")
    assert effort.metrics["held_s"] >= 0.5
    assert effort.metrics["limit_effort_hold_s"] == 0.5
    assert 3.0 < effort.metrics["peak_mps2"] < 5.0
    assert last_row(effects)["acc_n"] == 1
    seconds, x = course(ramp((2, 1, 1), (0.35, 1, 2.2), (2, 2.2, 2.2)))
    assert not of_type(play(roster_of(), lps(0, seconds, x, 0.0)), "acceleration")


def test_a_deceleration_is_told_from_an_acceleration():
    seconds, x = course(ramp((2, 7, 7), (1.2, 7, 1.6), (2, 1.6, 1.6)))
    effects = play(roster_of(), lps(0, seconds, x, 0.0))
    assert len(of_type(effects, "deceleration")) == 1
    assert not of_type(effects, "acceleration")


def test_a_sharp_cut_is_a_change_of_direction():
    seconds = np.arange(160) / 20
    heading = np.interp(seconds, [4.0, 4.6], [0.0, math.pi / 2])
    x, y = np.cumsum(4.0 * np.cos(heading)) / 20, np.cumsum(4.0 * np.sin(heading)) / 20
    (turn,) = of_type(play(roster_of(), lps(0, seconds, x, y)), "change_of_direction")
    assert 60.0 <= turn.metrics["angle_deg"] <= 100.0
    assert abs((turn.t_event_ns - START_NS) * 1e-9 - 4.0) < 0.6


def test_a_gap_adds_no_distance_and_costs_coverage():
    seconds, x = course(np.full(400, 4.0))
    kept = (seconds < 8.0) | (seconds > 14.0)
    row = last_row(play(roster_of(), lps(0, seconds[kept], x[kept], 0.0)))
    assert row["distance_m"] == pytest.approx(4.0 * 13.9, rel=0.06)
    assert row["coverage"] == pytest.approx(14 / 20, abs=0.03)


def test_player_load_is_the_sum_of_the_edge_s_channel():
    seconds = np.arange(500) / 100
    row = last_row(play(roster_of(), imu(0, seconds, load_au=0.01)))
    assert row["player_load_au"] == pytest.approx(5.0, rel=1e-6)
    assert math.isnan(row["speed_mps"])


def moving(player, seconds, x):
    """A position track that stands at `x`, then is thrown forward at 4 s."""
    shove = np.where(seconds > 4.0, 3.0 * (seconds - 4.0), 0.0)
    return lps(player, seconds, x + shove, 0.0)


def jolt(seconds, at_s, peak_g, width_s=0.05):
    return 1.0 + (peak_g - 1.0) * (np.abs(seconds - at_s) < width_s / 2)


@pytest.mark.parametrize(("distance", "name"), [(1.2, "collision"), (8.0, "impact")])
def test_a_hit_is_a_collision_when_somebody_is_near(distance, name):
    fast, slow = np.arange(800) / 100, np.arange(160) / 20
    effects = play(
        roster_of(), moving(0, slow, 0.0), lps(1, slow, distance + 0.4, 0.0),
        imu(0, fast, jolt(fast, 4.0, 9.0), gyr=np.where(np.abs(fast - 4) < 0.1, 8.0, 0.0)),
    )
    (hit,) = of_type(effects, name)
    assert hit.metrics["peak_g"] == pytest.approx(9.0, abs=0.01)
    assert hit.context == (("other:p1",) if name == "collision" else ())
    assert hit.policy_class == "physical"
    assert 0.2 <= (hit.t_detected_ns - hit.t_event_ns) * 1e-9 <= 0.3


def test_a_knock_without_twist_or_push_is_no_impact():
    fast, slow = np.arange(800) / 100, np.arange(160) / 20
    effects = play(roster_of(), lps(0, slow, 0.0, 0.0), imu(0, fast, jolt(fast, 4.0, 9.0)))
    assert not of_type(effects, "impact")
    assert len([w for w in effects.windows if w.kind == "event"]) == 1


def test_an_event_window_has_its_peak_in_the_middle_and_names_its_event():
    fast, slow = np.arange(1000) / 100, np.arange(200) / 20
    roster = roster_of()
    effects = play(
        roster, moving(0, slow, 0.0), lps(1, slow, 1.0, 0.0),
        imu(0, fast, jolt(fast, 4.003, 9.0, 0.02), gyr=np.where(np.abs(fast - 4) < 0.1, 8.0, 0.0)),
        ball(roster, np.arange(500) / 50, 10.0, 0.0),
    )
    (window,) = [w for w in effects.windows if w.kind == "event"]
    assert window.data.shape == EVENT_WINDOW
    assert window.data.dtype == np.float32
    size = np.sqrt((window.data[:3] ** 2).sum(0))
    assert size[EVENT_PEAK_INDEX] == pytest.approx(9.0, abs=0.01)
    assert window.data[3].max() == 8.0
    assert window.data[8, :120] == pytest.approx(10.0, abs=0.2)
    assert window.event_id == of_type(effects, "collision")[0].event_id


def test_a_window_without_a_ball_says_far():
    fast = np.arange(800) / 100
    (window,) = play(roster_of(), imu(0, fast, jolt(fast, 4.0, 9.0))).windows
    assert (window.data[8] == BALL_DISTANCE_CAP_M).all()
    assert np.isfinite(window.data).all()


def leap(seconds, start, air):
    z = np.ones_like(seconds)
    z[(seconds >= start - 0.2) & (seconds < start)] = 2.0
    z[(seconds >= start) & (seconds < start + air)] = 0.05
    z[(seconds >= start + air) & (seconds < start + air + 0.06)] = 4.0
    return z


def test_a_jump_is_push_free_fall_and_landing():
    fast = np.arange(600) / 100
    effects = play(roster_of(), imu(0, fast, leap(fast, 3.0, 0.5)))
    (jump,) = of_type(effects, "jump")
    assert jump.metrics["flight_s"] == pytest.approx(0.5, abs=0.011)
    assert jump.metrics["height_m"] == pytest.approx(jump_height_m(0.5), abs=0.015)
    assert (jump.t_event_ns - START_NS) * 1e-9 == pytest.approx(3.0, abs=0.011)


@pytest.mark.parametrize("air", [0.1, 1.2])
def test_free_fall_of_the_wrong_length_is_no_jump(air):
    fast = np.arange(600) / 100
    assert not of_type(play(roster_of(), imu(0, fast, leap(fast, 3.0, air))), "jump")


def test_who_stays_down_after_a_hit_is_a_medical_alert():
    fast, slow = np.arange(2000) / 100, np.arange(400) / 20
    lying = fast > 4.3
    upright = jolt(fast, 4.0, 9.0)
    effects = play(
        roster_of(), lps(0, slow, 0.0, 0.0),
        imu(0, fast, np.where(lying, 0.1, upright), x_g=np.where(lying, 1.0, 0.0),
            gyr=np.where(np.abs(fast - 4) < 0.1, 8.0, 0.0)),
    )
    (down,) = of_type(effects, "man_down")
    assert down.priority == "medical"
    assert down.policy_class == "health"
    assert down.metrics["down_s"] >= 8.0
    assert len(of_type(effects, "fall")) == 1


def test_who_gets_up_is_none():
    fast, slow = np.arange(2000) / 100, np.arange(400) / 20
    lying = (fast > 4.3) & (fast < 9.0)
    effects = play(
        roster_of(), lps(0, slow, 0.0, 0.0),
        imu(0, fast, np.where(lying, 0.1, jolt(fast, 4.0, 9.0)), x_g=np.where(lying, 1.0, 0.0),
            gyr=np.where(np.abs(fast - 4) < 0.1, 8.0, 0.0)),
    )
    assert not of_type(effects, "man_down")


def test_half_an_hour_at_165_is_the_published_training_impulse():
    seconds = np.arange(1801.0)
    row = last_row(play(roster_of(), heart(0, seconds, 165.0)))
    assert row["trimp"] == pytest.approx(68.191, abs=1e-3)
    assert row["trimp_stagno"] == pytest.approx(81.446, abs=1e-3)
    assert row["trimp_edwards"] == pytest.approx(30 * 4)
    assert row["hr_mean_bpm"] == pytest.approx(165.0)
    assert row["hr_pct"] == pytest.approx(100 * 165 / 195)


def test_a_stuck_heart_sensor_ages_instead_of_counting():
    seconds = np.arange(60.0)
    block = heart(0, seconds, 120.0)
    stuck = np.where(seconds >= 20, np.uint32(Flag.STUCK), np.uint32(0)).astype(np.uint32)
    row = last_row(play(roster_of(), block.with_flags(stuck)))
    assert row["hr_age_ms"] > 40_000
    assert row["hr_coverage"] < 0.4


def test_states_come_on_the_grid_of_a_quarter_second_and_stop_after_a_minute_of_silence():
    seconds, x = course(np.full(100, 3.0))
    effects = play(roster_of(), lps(0, seconds, x, 0.0), seconds=600.0)
    (states,) = [s for s in effects.states if not s.final]
    assert (states.t_ns % 250_000_000 == 0).all()
    assert (np.diff(states.t_ns) == 250_000_000).all()
    assert states.columns["age_ms"][-1] <= 60_000
    assert len(states) == pytest.approx((5 + 60) * 4, abs=2)
    assert states.metadata["algo_version"] == ALGO_VERSION


def test_a_second_position_source_only_helps_out():
    base = roster_of(1)
    spare = Device("gnss0", Kind.GNSS, "p0", 10.0)
    roster = Roster("venue", "match", subjects=base.subjects, devices=(*base.devices, spare))
    seconds, x = course(np.full(400, 3.0))
    gnss_s = np.arange(200) / 10 + 0.003
    other = rows(
        Kind.GNSS, len(base.devices), at_ns(gnss_s), pos_x_m=3.0 * gnss_s - 40.0, pos_y_m=2.0,
        speed_dop_mps=3.0, hdop=1.0,
    )
    lost = (seconds > 8) & (seconds < 14)
    effects = play(roster, lps(0, seconds[~lost], x[~lost], 0.0), other)
    (states,) = [s for s in effects.states if not s.final]
    when = (states.t_ns - START_NS) * 1e-9
    y = states.columns["y_m"]
    assert abs(y[when < 8]).max() < 1e-3
    assert y[(when > 11) & (when < 14)] == pytest.approx(2.0, abs=0.2)
    assert abs(y[when > 17]).max() < 0.2
    assert last_row(effects)["distance_m"] == pytest.approx(60.0, abs=4.5)


def tired_match(minutes=24):
    """Fifteen lively minutes, then walking with a racing heart and a heavy step."""
    n = minutes * 60 * 10
    seconds = np.arange(n) / 10
    fresh = seconds < 900
    speed = np.where(fresh, 3.0 + 3.5 * np.sin(seconds / 4) ** 4, 1.4)
    x = 45.0 * np.sin(np.cumsum(speed) / 10 / 45.0)
    beats = np.arange(minutes * 60.0)
    load = np.where(np.arange(minutes * 60 * 10) < 9000, 0.01, 0.02)
    return (
        lps(0, seconds, x, 0.0), imu(0, seconds, load_au=load),
        heart(0, beats, np.where(beats < 900, 150.0, 180.0)),
    )


def test_fatigue_rises_above_the_own_level_and_is_told_as_health_data():
    effects = play(roster_of(), *tired_match())
    first = of_type(effects, "fatigue_amber")[0]
    assert first.policy_class == "health"
    assert 900 < (first.t_event_ns - START_NS) * 1e-9 < 1300
    assert first.metrics["low"] < first.metrics["index"] < first.metrics["high"]
    features = [w for w in effects.windows if w.kind == "fatigue"]
    assert {w.data.shape for w in features} == {(len(FATIGUE_FEATURES),)}
    steps = np.diff([w.t_ns for w in features])
    assert set(steps.tolist()) == {30_000_000_000}
    at = FATIGUE_FEATURES.index
    assert features[-1].data[at("pl_per_m_z")] > 0
    assert features[-1].data[at("hr_drift_z")] > 0
    assert features[-1].data[at("rule_index")] > 0.6


def test_thresholds_that_contradict_each_other_are_refused():
    with pytest.raises(AssertionError):
        play(roster_of(), imu(0, np.arange(10) / 100), config=FlowConfig(effort_leave_mps2=4.0))


@pytest.mark.parametrize("knock", ["along", "across"])
def test_who_lies_already_and_is_bumped_has_not_fallen_and_is_no_medical_alert(knock):
    fast, slow = np.arange(6000) / 100, np.arange(1200) / 20
    lying = fast > 10.0
    bump = jolt(fast, 40.0, 9.0) - jolt(fast, 40.0, 1.0)
    z, x = np.where(lying, 0.1, 1.0), np.where(lying, 1.0, 0.0)
    effects = play(
        roster_of(), lps(0, slow, 0.0, 0.0),
        imu(0, fast, z + bump * (knock == "across"), x_g=x + bump * (knock == "along"),
            gyr=np.where(np.abs(fast - 40) < 0.1, 8.0, 0.0)),
    )
    assert of_type(effects, "impact")
    assert not of_type(effects, "fall")
    assert not of_type(effects, "man_down")
