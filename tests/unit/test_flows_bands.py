"""Twins of persons: sums by band, rolling windows, rates, models of metabolic power."""

import math

import numpy as np
import pytest

from models.flows.config import FlowConfig
from models.metrics.balance import balance_step
from models.metrics.load import peak_rolling_mean
from models.metrics.metabolic import equivalent_distance_m
from tests.unit.flow_world import START_NS, heart, imu, last_row, lps, play, rows
from tests.unit.flow_world import roster_of as roster

BANDS = [f"{way}_{band}_m" for way in ("acc", "dec") for band in ("low", "mid", "high")]


def run(speed, hz=20):
    """A position track along x at `speed` (n,) m/s."""
    x = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 / hz)])
    return lps(0, np.arange(len(speed)) / hz, x - 40.0, 0.0)


def lively(seconds, seed=5):
    """Speed that wanders between 0 and 8 m/s."""
    rng = np.random.default_rng(seed)
    knots = rng.uniform(0.0, 8.0, seconds // 4 + 2)
    return np.interp(np.arange(seconds * 20) / 20, np.arange(len(knots)) * 4.0, knots)


@pytest.mark.parametrize(
    ("rate", "band"),
    [(1.5, "acc_low_m"), (2.5, "acc_mid_m"), (4.0, "acc_high_m"), (-1.5, "dec_low_m"),
     (-2.5, "dec_mid_m"), (-4.0, "dec_high_m")],
)
def test_metres_of_an_acceleration_go_to_its_band(rate, band):
    change_s = 6.0 / abs(rate)
    n = round(change_s * 20)
    ramp = np.linspace(1.0, 7.0, n) if rate > 0 else np.linspace(7.0, 1.0, n)
    speed = np.concatenate([np.full(60, ramp[0]), ramp, np.full(60, ramp[-1])])
    row = last_row(play(roster(), run(speed)))
    assert row[band] == pytest.approx(4.0 * change_s, abs=3.2)
    assert row[band] > 0.6 * sum(row[name] for name in BANDS)


def test_times_of_power_zones_add_up_and_high_power_is_a_part_of_the_distance():
    row = last_row(play(roster(), run(lively(120))))
    assert sum(row[f"power_z{n}_s"] for n in range(1, 7)) == pytest.approx(119.95, abs=0.2)
    assert 0.0 < row["high_power_m"] < row["distance_m"]
    assert min(row[f"power_z{n}_s"] for n in range(1, 6)) > 0.0


def test_steady_running_is_in_the_zone_of_its_power():
    row = last_row(play(roster(), run(np.full(600, 4.0))))
    assert row["power_z3_s"] == pytest.approx(29.95, abs=0.5)
    assert row["high_power_m"] == 0.0


@pytest.mark.parametrize(
    ("model", "power", "name"),
    [(0.0, 19.1973, "di Prampero & Osgnach 2018"), (1.0, 23.22, "Osgnach 2010")],
)
def test_the_model_of_metabolic_power_is_chosen_and_named(model, power, name):
    effects = play(roster(), run(np.full(400, 5.0)), config=FlowConfig(metabolic_model=model))
    assert last_row(effects)["metabolic_power_wkg"] == pytest.approx(power, abs=0.02)
    assert effects.states[0].metadata["metabolic"] == name


def test_equivalent_distance_is_work_at_the_cost_of_level_running_on_grass():
    row = last_row(play(roster(), run(lively(60))))
    assert row["equivalent_m"] == equivalent_distance_m(row["metabolic_work_jkg"])
    assert row["edi"] == pytest.approx(row["equivalent_m"] / row["distance_m"])


def test_peak_windows_are_those_of_the_whole_series_on_the_grid_of_seconds():
    effects = play(roster(), run(lively(700)), imu(0, np.arange(7000) / 10, load_au=0.01))
    (states,) = [s for s in effects.states if not s.final]
    second = states.t_ns % 1_000_000_000 == 0
    t_s = (states.t_ns[second] - START_NS) * 1e-9
    row = last_row(effects)
    for name, column in (("distance", "distance_m"), ("hsr", "hsr_m")):
        for width in (60, 180, 300):
            wanted = 60.0 * peak_rolling_mean(t_s, states.columns[column][second], float(width))
            assert row[f"peak_{width}s_{name}_mpmin"] == pytest.approx(wanted, rel=1e-5)
    work = 60.0 * peak_rolling_mean(t_s, states.columns["metabolic_work_jkg"][second], 60.0)
    assert row["peak_60s_work_jkgpmin"] == pytest.approx(work, rel=1e-5)
    assert row["peak_300s_load_aupmin"] == pytest.approx(6.0, rel=1e-3)


def test_a_window_that_is_not_full_is_not_known():
    row = last_row(play(roster(), run(np.full(20 * 100, 3.0))))
    assert row["peak_60s_distance_mpmin"] == pytest.approx(180.0, rel=0.02)
    assert math.isnan(row["peak_180s_distance_mpmin"])
    assert math.isnan(row["peak_60s_load_aupmin"])
    assert row["distance_5min_mpmin"] == pytest.approx(180.0, rel=0.02)


def test_a_long_silence_empties_the_windows_and_keeps_the_peaks():
    seconds = np.concatenate([np.arange(1800) / 20, 600.0 + np.arange(1400) / 20])
    speed = np.where(seconds < 300, 5.0, 2.0)
    x = np.concatenate([np.arange(1800) * 0.25, 450.0 + np.arange(1400) * 0.1])
    assert speed[0] == 5.0
    row = last_row(play(roster(), lps(0, seconds, x, 0.0)))
    assert row["peak_60s_distance_mpmin"] == pytest.approx(300.0, rel=0.02)
    assert row["distance_5min_mpmin"] == pytest.approx(2.0 * 69.0 / 5.0, rel=0.05)


def test_rates_per_minute_count_only_the_time_with_data():
    seconds = np.concatenate([np.arange(1200) / 20, 90.0 + np.arange(1200) / 20])
    row = last_row(play(roster(), lps(0, seconds, 3.0 * seconds, 0.0)))
    assert row["distance_mpmin"] == pytest.approx(180.0, rel=0.03)
    assert row["hsr_mpmin"] == 0.0


def test_load_per_metre_and_per_minute():
    t = np.arange(0, 60, 0.1)
    effects = play(roster(), run(np.full(1200, 3.0)), imu(0, t, load_au=0.02))
    row = last_row(effects)
    assert row["player_load_aupm"] == pytest.approx(12.0 / 179.9, rel=0.02)
    assert row["player_load_aupmin"] == pytest.approx(12.0, rel=0.01)
    assert row["player_load_flat_au"] == 0.0


def test_load_without_the_vertical_is_the_sum_of_the_edges_channel():
    block = imu(0, np.arange(500) / 100, load_au=0.02)
    values = block.values.copy()
    values[-1] = 0.015
    flat = rows(
        block.kind, 1, block.t_event_ns, load_au=0.02, load_flat_au=0.015, acc_x_mps2=0.0,
        acc_y_mps2=0.0, acc_z_mps2=9.80665,
    )
    assert last_row(play(roster(), flat))["player_load_flat_au"] == pytest.approx(7.5, rel=1e-6)


def test_felt_peaks_are_counted_once_in_the_zone_of_their_size():
    t = np.arange(2000) / 100
    felt = np.ones_like(t)
    for second, g in ((2, 5.5), (4, 6.2), (6, 6.8), (8, 7.5), (10, 9.0), (12, 12.0), (14, 4.9)):
        felt[second * 100 : second * 100 + 3] = (g, 0.97 * g, 0.5 * g)
    felt[1600:1606] = (5.2, 5.8, 8.5, 7.0, 5.1, 2.0)
    row = last_row(play(roster(), imu(0, t, felt)))
    counts = [row[f"impact_z{n}_n"] for n in range(1, 7)]
    assert counts == [1, 1, 1, 1, 2, 1]


def test_ten_minutes_in_each_zone_of_heart_rate():
    bpm = np.repeat([105.0, 125.0, 145.0, 165.0, 185.0], 600)
    row = last_row(play(roster(hr_max_bpm=200.0), heart(0, np.arange(3000.0), bpm)))
    assert [row[f"hr_z{n}_s"] for n in range(1, 6)] == pytest.approx([600.0] * 5, abs=1.01)
    assert row["trimp_edwards"] == pytest.approx(150.0, abs=0.1)


def test_the_time_with_little_left_of_d_prime():
    fast = play(roster(d_prime_m=60.0), run(np.concatenate([np.full(600, 6.0), np.full(600, 1.0)])))
    level, low_s = 60.0, 0.0
    for n in range(1, 1200):
        level = balance_step(level, 60.0, 6.0 if n < 600 else 1.0, 4.0, 0.05)
        low_s += 0.05 * (level < 15.0)
    assert last_row(fast)["dbal_low_s"] == pytest.approx(low_s, abs=1.0)
    assert last_row(play(roster(), run(np.full(1200, 3.0))))["dbal_low_s"] == 0.0
