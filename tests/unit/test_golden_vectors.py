"""Every golden vector of the domain reference, each within 1e-3 of the printed digits.

One line per published number, through the public function that the live path uses; where the kernel
runs the formula sample by sample, the kernel is asked too. Printed digits decide the tolerance: a
number printed with two decimals is met to half of its last digit.
"""

import math

import numpy as np
import pytest

from models.flows.config import FlowConfig
from models.metrics.balance import balance_step
from models.metrics.drift import decoupling_pct, efficiency_factor
from models.metrics.flight import flight_step
from models.metrics.goal import (
    BALL_RADIUS_M,
    GOAL_HALF_WIDTH_M,
    GOAL_HEIGHT_M,
    goal_probability,
)
from models.metrics.heart import (
    banister_per_min,
    edwards_per_min,
    reserve_share,
    rmssd_ms,
    stagno_per_min,
)
from models.metrics.jump import jump_height_m
from models.metrics.load import acute_chronic_ratio, ewma, player_load_au
from models.metrics.metabolic import di_prampero_wkg, equivalent_distance_m, osgnach_wkg
from tests.unit.flow_world import heart, last_row, play, roster_of

NEAR = 1e-3


@pytest.mark.parametrize(
    ("speed", "accel", "power"),
    [(5, 0, 23.22), (5, 3, 86.3658), (3, 2, 36.0807), (2, 4, 47.9918), (5, -3, 17.0208),
     (7, -4, 35.9864)],
)
def test_osgnach_2010_on_grass(speed, accel, power):
    assert osgnach_wkg(float(speed), float(accel)) == pytest.approx(power, abs=NEAR)


@pytest.mark.parametrize(
    ("speed", "accel", "power"),
    [(1.4, 0, 3.2073), (4, 0, 15.0105), (5, 0, 19.1973), (7, 0, 28.5204), (5, 3, 70.6506),
     (3, 2, 29.9048), (2, 4, 36.4605), (5, -3, 13.2931), (7, -4, 24.5671)],
)
def test_di_prampero_2018(speed, accel, power):
    assert di_prampero_wkg(float(speed), float(accel)) == pytest.approx(power, abs=NEAR)


def balance(capacity, critical, legs):
    level, seen = capacity, []
    for seconds, intensity in legs:
        level = balance_step(level, capacity, intensity, critical, float(seconds))
        seen.append(level)
    return seen


def test_w_balance_with_exact_recovery():
    seen = balance(20_000.0, 250.0, ((60, 350.0), (120, 150.0), (60, 350.0)))
    assert seen == pytest.approx([14_000.0, 16_707.13, 10_707.13], abs=5e-3)


def test_d_balance_of_two_sprints():
    seen = balance(200.0, 4.0, ((6, 7.5), (24, 1.5), (6, 7.5)))
    assert seen == pytest.approx([179.000, 184.443, 163.443], abs=NEAR)


def test_ewma_of_28_days_and_their_ratio():
    daily = np.array([400.0] * 21 + [600.0] * 7)
    assert ewma(daily, 7)[-1] == pytest.approx(573.303, abs=NEAR)
    assert ewma(daily, 28)[-1] == pytest.approx(478.720, abs=NEAR)
    assert acute_chronic_ratio(daily) == pytest.approx(1.19758, abs=1e-5)


@pytest.mark.parametrize(("sex", "banister"), [("m", 68.191), ("f", 75.291)])
def test_training_impulse_of_half_an_hour_at_165(sex, banister):
    share = reserve_share(165.0, 55.0, 195.0)
    assert 30 * banister_per_min(share, sex == "f") == pytest.approx(banister, abs=NEAR)
    assert 30 * stagno_per_min(share) == pytest.approx(81.446, abs=NEAR)
    row = last_row(play(roster_of(sex=sex), heart(0, np.arange(1801.0), 165.0)))
    assert row["trimp"] == pytest.approx(banister, abs=NEAR)
    assert row["trimp_stagno"] == pytest.approx(81.446, abs=NEAR)


def test_rmssd_of_four_beats():
    assert rmssd_ms(np.array([800.0, 810.0, 790.0, 805.0])) == pytest.approx(15.546, abs=NEAR)


def test_edwards_of_ten_minutes_in_each_zone():
    assert sum(10 * edwards_per_min(hr, 200.0) for hr in (105, 125, 145, 165, 185)) == 150.0


def test_jump_of_half_a_second():
    assert jump_height_m(0.5) == pytest.approx(0.3066, abs=1e-4)


def fly(spin_z):
    """30 m/s at 15 degrees in RK4 steps of 2 ms until the ball is back at its height."""
    angle = math.radians(15)
    s = np.array([0.0, 0.0, 0.11, 30 * math.cos(angle), 0.0, 30 * math.sin(angle)])
    spin, work, step, top = np.array([0.0, 0.0, spin_z]), np.empty((5, 6)), 0, 0.0
    while s[2] > 0.11 or step == 0:
        flight_step(s, spin, 0.2, 0.002, work)
        step, top = step + 1, max(top, s[2])
    return step * 0.002, s, top


def test_flight_of_a_ball_without_and_with_spin():
    seconds, end, top = fly(0.0)
    assert seconds == pytest.approx(1.472, abs=NEAR)
    assert (end[0], top) == pytest.approx((35.11, 2.77), abs=5e-3)
    assert np.linalg.norm(end[3:]) == pytest.approx(21.0, abs=0.05)
    _, bent, _ = fly(50.0)
    assert (bent[0], bent[1]) == pytest.approx((34.11, 7.05), abs=5e-3)


def test_player_load_of_a_minute_of_the_reference_movement():
    t = np.arange(6000) / 100
    step = 2 * math.pi * 2.8 * t
    up = 1 + 1.2 * np.sin(step) + 0.4 * np.sin(2 * step)
    acc = np.stack([0.5 * np.sin(step + 1), 0.4 * np.sin(step / 2), up], axis=1)
    assert player_load_au(acc) == pytest.approx(10.41, abs=5e-3)


@pytest.mark.parametrize(
    ("beyond", "y", "z", "goal"),
    [(52.60, 0.0, 0.5, False), (52.62, 0.0, 0.5, True), (53.5, 3.60, 0.5, False),
     (53.5, -3.60, 0.5, False), (53.5, 0.0, 2.40, False), (53.5, 3.50, 2.28, True)],
)
def test_the_whole_ball_over_the_line_inside_the_frame(beyond, y, z, goal):
    """52.60 no, 52.62 yes, |y| 3.60 post, z 2.40 bar: by a position without error."""
    assert (goal_probability(beyond, y, z, 52.5, 1e-4) > 0.5) is goal


def test_goal_geometry_is_the_law_of_the_game():
    assert pytest.approx(52.61) == 52.5 + BALL_RADIUS_M
    assert pytest.approx(3.55) == GOAL_HALF_WIDTH_M - BALL_RADIUS_M
    assert pytest.approx(2.33) == GOAL_HEIGHT_M - BALL_RADIUS_M
    assert pytest.approx(7.32) == 2 * GOAL_HALF_WIDTH_M


def test_hmld_is_the_power_of_running_at_its_speed():
    assert osgnach_wkg(5.5, 0.0) == pytest.approx(25.54, abs=5e-3)


def test_the_slope_polynomial_never_leaves_its_range():
    assert osgnach_wkg(5.0, -9.0) == osgnach_wkg(5.0, -0.45 * 9.81)
    assert osgnach_wkg(5.0, -9.0) > 0.0
    assert di_prampero_wkg(9.0, 9.0) == 100.0


def test_equivalent_distance_and_efficiency_by_their_definitions():
    assert equivalent_distance_m(3.6 * 1.29 * 1000.0) == pytest.approx(1000.0, abs=NEAR)
    assert efficiency_factor(12.0, 150.0) == pytest.approx(0.08, abs=1e-9)
    assert decoupling_pct(0.080, 0.076) == pytest.approx(5.0, abs=1e-9)


def test_thresholds_are_those_of_the_reference():
    c = FlowConfig()
    assert (c.effort_enter_mps2, c.effort_hold_s, c.effort_short_s) == (3.0, 0.5, 0.3)
    assert (c.effort_leave_mps2, c.effort_leave_s, c.effort_gap_s) == (1.5, 0.3, 0.5)
    assert (c.sprint_hold_s, c.sprint_leave_mps, c.sprint_leave_s) == (1.0, 0.5, 0.5)
    assert (c.band_low_mps2, c.band_mid_mps2, c.band_high_mps2) == (1.0, 2.0, 3.0)
    assert [getattr(c, f"power_z{n}_wkg") for n in range(1, 6)] == [5, 10, 20, 35, 55]
    assert [getattr(c, f"impact_z{n}_g") for n in range(1, 7)] == [5, 6, 6.5, 7, 8, 10]
    assert (c.hr_jump_bpmps, c.hr_lock_bpm, c.hr_lock_s, c.recovery_s) == (8.0, 3.0, 30.0, 60.0)
