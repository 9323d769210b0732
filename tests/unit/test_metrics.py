"""Metric formulas against their golden vectors (tolerance 1e-3 of the printed digits)."""

import math

import numpy as np
import pytest

from models.metrics.balance import balance_step
from models.metrics.fatigue import fatigue_index
from models.metrics.flight import crossing, flight_step
from models.metrics.goal import goal_probability
from models.metrics.heart import (
    banister_per_min,
    clean_rr_ms,
    edwards_per_min,
    lucia_per_min,
    reserve_share,
    rmssd_ms,
    stagno_per_min,
)
from models.metrics.jump import jump_height_m
from models.metrics.load import acute_chronic_ratio, ewma, peak_rolling_mean, player_load_au
from models.metrics.metabolic import di_prampero_wkg, equivalent_distance_m, osgnach_wkg
from models.metrics.zones import zone_edges_mps, zone_of
from models.telemetry.roster import Role, Subject


@pytest.mark.parametrize(
    ("speed", "accel", "power"),
    [(5, 0, 23.22), (5, 3, 86.3658), (3, 2, 36.0807), (2, 4, 47.9918), (5, -3, 17.0208),
     (7, -4, 35.9864)],
)
def test_osgnach_power_is_as_published(speed, accel, power):
    assert osgnach_wkg(float(speed), float(accel)) == pytest.approx(power, abs=1e-3)


@pytest.mark.parametrize(
    ("speed", "accel", "power"),
    [(1.4, 0, 3.2073), (4, 0, 15.0105), (5, 0, 19.1973), (7, 0, 28.5204), (5, 3, 70.6506),
     (3, 2, 29.9048), (2, 4, 36.4605), (5, -3, 13.2931), (7, -4, 24.5671)],
)
def test_di_prampero_power_is_as_published(speed, accel, power):
    assert di_prampero_wkg(float(speed), float(accel)) == pytest.approx(power, abs=1e-3)


def test_power_is_capped_and_never_negative():
    for speed in np.linspace(0, 12, 25):
        for accel in np.linspace(-10, 10, 41):
            assert 0.0 <= osgnach_wkg(speed, accel) <= 100.0
            assert 0.0 <= di_prampero_wkg(speed, accel) <= 100.0


def test_equivalent_distance_of_a_kilojoule():
    assert equivalent_distance_m(1000.0) == pytest.approx(215.332, abs=1e-3)


def test_w_balance_recovers_exactly_at_any_step():
    for step_s in (0.05, 1.0, 60.0):
        level, seen = 20000.0, []
        for seconds, power in ((60, 350.0), (120, 150.0), (60, 350.0)):
            for _ in range(int(seconds / step_s)):
                level = balance_step(level, 20000.0, power, 250.0, step_s)
            seen.append(level)
        assert seen == pytest.approx([14000.0, 16707.13, 10707.13], abs=5e-3)


def test_d_balance_of_two_sprints():
    level, seen = 200.0, []
    for seconds, speed in ((6, 7.5), (24, 1.5), (6, 7.5)):
        level = balance_step(level, 200.0, speed, 4.0, float(seconds))
        seen.append(level)
    assert seen == pytest.approx([179.0, 184.443, 163.443], abs=1e-3)


def test_ewma_loads_and_their_ratio():
    daily = np.array([400.0] * 21 + [600.0] * 7)
    assert ewma(daily, 7)[-1] == pytest.approx(573.303, abs=1e-3)
    assert ewma(daily, 28)[-1] == pytest.approx(478.720, abs=1e-3)
    assert acute_chronic_ratio(daily) == pytest.approx(1.19758, abs=1e-3)


def test_training_impulse_of_half_an_hour():
    share = reserve_share(165.0, 55.0, 195.0)
    assert 30 * banister_per_min(share, False) == pytest.approx(68.191, abs=1e-3)
    assert 30 * banister_per_min(share, True) == pytest.approx(75.291, abs=1e-3)
    assert 30 * stagno_per_min(share) == pytest.approx(81.446, abs=1e-3)


def test_edwards_ten_minutes_in_each_zone():
    assert sum(10 * edwards_per_min(hr, 200.0) for hr in (100, 125, 159.9, 160, 199)) == 150
    assert edwards_per_min(99.0, 200.0) == 0
    assert edwards_per_min(210.0, 200.0) == 5


def test_lucia_weights_meet_at_the_thresholds():
    assert [lucia_per_min(hr, 140.0, 170.0) for hr in (139.0, 140.0, 170.0)] == [1, 2, 3]


def test_rmssd_with_and_without_artefacts():
    beats = np.array([800.0, 810.0, 790.0, 805.0])
    assert rmssd_ms(beats) == pytest.approx(15.546, abs=1e-3)
    dirty = np.array([800.0, 810.0, 250.0, 790.0, 805.0, 1250.0, 800.0, 5000.0])
    assert clean_rr_ms(dirty).tolist() == [800.0, 810.0, 790.0, 805.0, 800.0]
    assert math.isnan(rmssd_ms(beats[:1]))


def test_half_a_second_of_flight_is_a_jump_of_31_cm():
    assert jump_height_m(0.5) == pytest.approx(0.3066, abs=1e-4)


def fly(spin_z):
    """30 m/s at 15 degrees from a ball's radius above the ground, in steps of 2 ms, until it is
    back at that height: (seconds, state at the end of that step, highest z)."""
    angle = math.radians(15)
    s = np.array([0.0, 0.0, 0.11, 30 * math.cos(angle), 0.0, 30 * math.sin(angle)])
    spin, work, step, top = np.array([0.0, 0.0, spin_z]), np.empty((5, 6)), 0, 0.0
    while s[2] > 0.11 or step == 0:
        flight_step(s, spin, 0.2, 0.002, work)
        step, top = step + 1, max(top, s[2])
    return step * 0.002, s, top


def test_a_ball_in_flight_with_drag():
    seconds, end, top = fly(0.0)
    assert seconds == pytest.approx(1.472, abs=1e-3)
    assert end[0] == pytest.approx(35.11, abs=6e-3)
    assert top == pytest.approx(2.77, abs=6e-3)
    assert np.linalg.norm(end[3:]) == pytest.approx(21.0, abs=0.05)


def test_spin_bends_the_ball():
    _, end, _ = fly(50.0)
    assert end[0] == pytest.approx(34.11, abs=6e-3)
    assert end[1] == pytest.approx(7.05, abs=6e-3)


def test_a_shot_meets_the_goal_plane_and_a_pass_back_does_not():
    seconds, y, z = crossing(40.0, 0.0, 0.11, 25.0, 1.0, 3.0, 52.5, 1.5)
    assert 0.5 < seconds < 0.7
    assert 0.4 < y < 0.7
    assert 0.1 < z < 2.44
    assert crossing(40.0, 0.0, 0.11, -25.0, 0.0, 3.0, 52.5, 1.5)[0] == -1.0


def test_goal_probability_follows_the_law_of_the_whole_ball():
    assert goal_probability(52.61, 0.0, 0.5, 52.5, 0.15) == pytest.approx(0.5, abs=1e-3)
    assert goal_probability(53.2, 0.0, 0.5, 52.5, 0.15) > 0.99
    assert goal_probability(53.2, 3.55, 0.5, 52.5, 0.15) == pytest.approx(0.5, abs=1e-3)
    assert goal_probability(53.2, 0.0, 2.33, 52.5, 0.15) == pytest.approx(0.5, abs=1e-3)
    assert goal_probability(53.2, 4.5, 0.5, 52.5, 0.15) < 1e-3


def test_player_load_of_the_reference_movement():
    t = np.arange(6000) / 100
    step = 2 * math.pi * 2.8 * t
    up = 1 + 1.2 * np.sin(step) + 0.4 * np.sin(2 * step)
    acc = np.stack([0.5 * np.sin(step + 1), 0.4 * np.sin(step / 2), up], axis=1)
    assert player_load_au(acc) == pytest.approx(10.41, abs=6e-3)


def test_zones_scale_with_the_own_thresholds():
    man = Subject("a", Role.ATHLETE)
    woman = Subject("b", Role.ATHLETE, sprint_mps=6.26, high_speed_mps=5.29)
    assert zone_edges_mps(man) == (2.0, 4.0, 5.5, 7.0)
    low, middle, high, sprint = zone_edges_mps(woman)
    assert (high, sprint) == (5.29, 6.26)
    assert low < 2.0
    assert [zone_of(v, *zone_edges_mps(man)) for v in (1.9, 2.0, 5.4, 5.5, 7.0)] == [0, 1, 2, 3, 4]
    assert zone_of(6.5, low, middle, high, sprint) == 4


def test_the_peak_minute_of_a_running_total():
    t = np.arange(0.0, 300.0, 0.5)
    total = np.cumsum(np.where((t > 100) & (t <= 160), 3.0, 1.0)) * 0.5
    assert peak_rolling_mean(t, total, 60.0) == pytest.approx(3.0, abs=1e-9)
    assert math.isnan(peak_rolling_mean(t[:10], total[:10], 60.0))


def test_fatigue_is_a_half_at_the_own_level_and_rises_with_deviation():
    calm, tired = np.zeros(5), np.full(5, 2.0)
    index, low, high = fatigue_index(calm, 60.0, 1.0)
    assert (index, round(low, 9), round(high, 9)) == (0.5, 0.4, 0.6)
    assert fatigue_index(tired, 60.0, 1.0)[0] == pytest.approx(1 / (1 + math.exp(-2)))


def test_missing_inputs_widen_the_band_of_fatigue():
    z = np.array([0.0, np.nan, 0.0, np.nan, np.nan])
    index, low, high = fatigue_index(z, 5.0, 0.8)
    assert index == 0.5
    assert high - low > 0.5
    assert math.isnan(fatigue_index(np.full(5, np.nan), 5.0, 0.8)[0])
