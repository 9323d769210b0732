"""Twins of persons: heart-rate recovery, plausibility, RMSSD at rest, efficiency and drift."""

import math
from dataclasses import replace

import numpy as np
import pytest

from models.metrics.heart import rmssd_ms
from models.telemetry.kinds import Kind
from tests.unit.flow_world import at_ns, heart, imu, last_row, lps, of_type, play, roster_of, rows


def beats(rr_ms, start_s=0.0):
    """Heart rows of player 0, one per beat, each at the end of its interval."""
    t = start_s + np.cumsum(rr_ms) * 1e-3
    return rows(Kind.HEART, 2, at_ns(t), hr_bpm=60_000.0 / rr_ms, rr_ms=rr_ms, contact=1.0)


def still(seconds):
    return lps(0, np.arange(round(seconds * 20)) / 20, 0.0, 0.0)


def resting_rr(n, seed=2):
    """RR of somebody at rest: breathing and noise, ms."""
    k = np.arange(n)
    breath = 25.0 * np.sin(2 * np.pi * k / 5.3)
    return 900.0 + breath + np.random.default_rng(seed).normal(0.0, 8.0, n)


def effort(rest_s=90, drop=40.0, again_s=None):
    """A minute at 5 m/s, then rest; heart rate 180, falling by `drop` within the next minute."""
    t = np.arange((60 + rest_s) * 20) / 20
    speed = np.where(t < 60, 5.0, 0.0)
    if again_s is not None:
        speed[(t > 60 + again_s) & (t < 65 + again_s)] = 4.0
    x = np.cumsum(speed) / 20
    s = np.arange(60.0 + rest_s)
    bpm = 180.0 - np.clip((s - 60) / 60, 0, 1.5) * drop
    return lps(0, t, x, 0.0), heart(0, s, bpm)


def test_recovery_is_the_fall_within_a_minute_after_an_effort():
    effects = play(roster_of(), *effort())
    (event,) = of_type(effects, "heart_rate_recovery")
    assert event.policy_class == "health"
    assert event.metrics["recovery_bpm"] == pytest.approx(40.0, abs=1.0)
    assert event.metrics["limit_recovery_s"] == 60.0
    row = last_row(effects)
    assert row["hr_recovery_bpm"] == event.metrics["recovery_bpm"]
    assert 0 < row["hr_recovery_age_ms"] < 40_000


def test_who_runs_again_within_the_minute_has_not_recovered_yet():
    effects = play(roster_of(), *effort(again_s=30))
    assert not of_type(effects, "heart_rate_recovery")
    assert math.isnan(last_row(effects)["hr_recovery_bpm"])


def test_a_low_rate_is_no_effort_to_recover_from():
    own = roster_of(hr_max_bpm=235.0)
    assert not of_type(play(own, *effort()), "heart_rate_recovery")


def test_jumps_of_the_rate_are_counted_and_flagged_for_a_while():
    bpm = np.full(60, 120.0)
    bpm[40:] = 150.0
    effects = play(roster_of(), heart(0, np.arange(60.0), bpm))
    (states,) = [s for s in effects.states if not s.final]
    assert last_row(effects)["hr_jump_n"] == 1
    assert last_row(effects)["hr_flag"] == 0
    assert states.columns["hr_flag"].max() == 1


@pytest.mark.parametrize(("off", "locked"), [(0.0, True), (2.0, True), (12.0, False)])
def test_a_rate_that_follows_the_steps_is_suspect(off, locked):
    t = np.arange(9000) / 100
    felt = 1.3 + 0.6 * np.sin(2 * np.pi * 2.5 * t)
    effects = play(
        roster_of(), imu(0, t, felt), heart(0, np.arange(90.0), np.full(90, 150.0 + off)),
    )
    found = of_type(effects, "heart_rate_suspect")
    assert len(found) == int(locked)
    assert last_row(effects)["hr_flag"] == (2 if locked else 0)
    if locked:
        assert found[0].sub_type == "cadence_lock"
        assert found[0].metrics["held_s"] >= 30.0


def test_rmssd_at_rest_is_that_of_the_beats():
    rr = np.where(np.arange(100) % 2, 880.0, 920.0)
    row = last_row(play(roster_of(), still(90), beats(rr)))
    assert row["rmssd_ms"] == pytest.approx(40.0, abs=1e-3)
    assert row["rr_artefact_pct"] == 0.0
    assert 0 < row["rmssd_age_ms"] < 60_000


def test_the_noise_of_a_position_sensor_is_no_movement():
    t = np.arange(90 * 20) / 20
    rng = np.random.default_rng(1)
    slow = np.interp(t, np.arange(92.0), rng.normal(0.0, 0.08, 92))
    noisy = lps(0, t, slow + rng.normal(0, 0.04, len(t)), rng.normal(0, 0.04, len(t)))
    effects = play(roster_of(), noisy, beats(resting_rr(95)))
    (states,) = [s for s in effects.states if not s.final]
    assert states.columns["speed_mps"].max() > 0.5
    assert last_row(effects)["rmssd_ms"] > 0.0


def test_few_artefacts_hardly_change_rmssd_and_many_give_none():
    clean = resting_rr(150)
    few, many = clean.copy(), clean.copy()
    few[[40, 75, 120]] *= (1.9, 0.5, 1.6)
    many[10::8] *= 0.5
    wanted = rmssd_ms(clean)
    first, second = (last_row(play(roster_of(), still(140), beats(rr))) for rr in (few, many))
    assert first["rmssd_ms"] == pytest.approx(wanted, rel=0.15)
    assert 0.0 < first["rr_artefact_pct"] <= 5.0
    assert math.isnan(second["rmssd_ms"])
    assert second["rr_artefact_pct"] > 5.0


def test_there_is_no_rmssd_for_who_moves_or_whose_place_is_unknown():
    rr = resting_rr(100)
    t = np.arange(1800) / 20
    walking = lps(0, t, 1.2 * t, 0.0)
    assert math.isnan(last_row(play(roster_of(), walking, beats(rr)))["rmssd_ms"])
    assert math.isnan(last_row(play(roster_of(), beats(rr)))["rmssd_ms"])


def test_a_sensor_that_reports_every_other_beat_has_no_rmssd():
    rr = resting_rr(200)
    t = np.cumsum(rr)[::2] * 1e-3
    block = rows(
        Kind.HEART, 2, at_ns(t), hr_bpm=66.0, rr_ms=rr[::2].astype(np.float32), contact=1.0
    )
    assert math.isnan(last_row(play(roster_of(), still(190), block))["rmssd_ms"])


def test_efficiency_and_its_drift_over_twenty_minutes():
    minutes = 24
    t = np.arange(minutes * 60 * 10) / 10
    x = 40.0 * np.sin(3.0 * t / 40.0)
    s = np.arange(minutes * 60.0)
    bpm = 140.0 + s / 60.0
    row = last_row(play(roster_of(), lps(0, t, x, 40.0 * np.cos(3.0 * t / 40.0)), heart(0, s, bpm)))
    power = row["metabolic_work_jkg"] / t[-1]
    assert row["efficiency_wkgpbpm"] == pytest.approx(power / bpm.mean(), rel=0.01)
    assert row["drift_pct"] == pytest.approx(100 * 10 / 159, abs=0.5)


def test_drift_needs_twenty_minutes():
    s = np.arange(19 * 60.0)
    t = np.arange(19 * 600) / 10
    row = last_row(play(roster_of(), lps(0, t, 0.02 * t, 0.0), heart(0, s, 140.0)))
    assert math.isnan(row["drift_pct"])


def test_thresholds_of_lucia_are_the_athletes_own():
    base = roster_of(1)
    own = replace(base.subjects[0], thresholds={"vt1_bpm": 120.0, "vt2_bpm": 140.0})
    block = heart(0, np.arange(601.0), 130.0)
    mine = play(replace(base, subjects=(own, *base.subjects[1:])), block)
    assert last_row(mine)["trimp_lucia"] == pytest.approx(20.0)
    assert last_row(play(base, block))["trimp_lucia"] == pytest.approx(10.0)
