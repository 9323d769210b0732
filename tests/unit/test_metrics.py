"""Metric formulas beyond their golden values (`test_golden_vectors.py`): bounds, steps, gaps."""

import math

import numpy as np
import pytest

from models.metrics.balance import balance_step
from models.metrics.fatigue import fatigue_index
from models.metrics.flight import crossing
from models.metrics.goal import goal_probability
from models.metrics.heart import (
    clean_rr_ms,
    edwards_per_min,
    lucia_per_min,
    rmssd_ms,
)
from models.metrics.load import peak_rolling_mean
from models.metrics.metabolic import di_prampero_wkg, equivalent_distance_m, osgnach_wkg
from models.metrics.zones import zone_edges_mps, zone_of
from models.telemetry.roster import Role, Subject


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
