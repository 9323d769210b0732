"""Butterworth, Hampel, stuck runs, trends: the small causal parts, against definitions."""

import numpy as np
import pytest

from models.signal.biquads import SECTIONS, butterworth, filter_step, settle
from models.signal.hampel import MAD_SCALE, WINDOW, hampel_step, new_windows
from models.signal.stuck import new_runs, run_ns
from models.signal.trend import TREND_WIDTH, trend_step


def _response(sections: np.ndarray, hz: float, rate_hz: float) -> float:
    z = np.exp(-2j * np.pi * hz / rate_hz)
    gain = 1.0 + 0j
    for b0, b1, b2, a1, a2 in sections:
        gain *= (b0 + b1 * z + b2 * z * z) / (1 + a1 * z + a2 * z * z)
    return abs(gain)


@pytest.mark.parametrize(("cutoff_hz", "rate_hz"), [(20.0, 100.0), (40.0, 500.0), (40.0, 1000.0)])
def test_the_low_pass_is_a_fourth_order_butterworth(cutoff_hz: float, rate_hz: float) -> None:
    sections = butterworth(cutoff_hz, rate_hz)
    warp = np.tan(np.pi * cutoff_hz / rate_hz)
    for hz in (0.0, cutoff_hz / 3, cutoff_hz, min(1.7 * cutoff_hz, 0.49 * rate_hz)):
        ideal = 1.0 / np.sqrt(1.0 + (np.tan(np.pi * hz / rate_hz) / warp) ** 8)
        assert np.isclose(_response(sections, hz, rate_hz), ideal, rtol=1e-9)
    assert np.isclose(_response(sections, cutoff_hz, rate_hz), np.sqrt(0.5))


def test_a_settled_filter_passes_a_constant_from_the_first_sample_on() -> None:
    sections = butterworth(20.0, 100.0)[None]
    z = np.zeros((1, 2 * SECTIONS, 1))
    settle(sections, z, 0, 0, 9.81)
    assert np.allclose([filter_step(sections, z, 0, 0, 9.81) for _ in range(5)], 9.81)


def test_the_filter_runs_as_its_difference_equation() -> None:
    sections = butterworth(20.0, 100.0)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, 200)
    z = np.zeros((1, 2 * SECTIONS, 1))
    ours = [filter_step(sections[None], z, 0, 0, float(v)) for v in x]
    y = x
    for b0, b1, b2, a1, a2 in sections:
        out = np.zeros(len(y))
        for i in range(len(y)):
            x1, x2 = (y[i - 1] if i else 0.0), (y[i - 2] if i > 1 else 0.0)
            y1, y2 = (out[i - 1] if i else 0.0), (out[i - 2] if i > 1 else 0.0)
            out[i] = b0 * y[i] + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
        y = out
    assert np.allclose(ours, y)


def test_hampel_is_the_identifier_of_the_last_seven_samples() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, 500)
    x[rng.choice(500, 40, replace=False)] += 12.0
    windows = new_windows(1, 1)
    for i, value in enumerate(x):
        outside, middle = hampel_step(windows, 0, 0, float(value), 3.0, 3.0)
        seen = x[max(0, i - WINDOW + 1) : i + 1]
        if i < 3 or abs(value - x[i - 1]) <= 3.0:
            assert not outside
            continue
        median = np.median(seen)
        band = max(3.0, 3.0 * MAD_SCALE * np.median(np.abs(seen - median)))
        assert outside == (abs(value - median) > band)
        assert middle == median


def test_a_run_is_as_long_as_the_value_stands() -> None:
    value, since = new_runs(1)
    assert [run_ns(value, since, 0, t, 1.0, 2.0, 3.0) for t in (5, 7, 9)] == [0, 2, 4]
    assert run_ns(value, since, 0, 11, 1.0, 2.0, 3.5) == 0
    assert run_ns(value, since, 0, 15, 1.0, 2.0, 3.5) == 4
    nan = float("nan")
    assert [run_ns(value, since, 0, t, nan, 0.0, 0.0) for t in (20, 30)] == [0, 0]


def test_a_trend_finds_the_slope_of_a_line_and_forgets_the_one_before() -> None:
    trend = np.zeros((1, TREND_WIDTH))
    slopes = [trend_step(trend, 0, 1e9 + 3.0 * i, 0.99) for i in range(300)]
    assert np.isnan(slopes[:7]).all()
    assert np.isclose(slopes[-1], 3.0)
    for i in range(2000):
        slope = trend_step(trend, 0, 1e9 + 900.0 - 2.0 * i if i % 3 else float("nan"), 0.99)
    assert np.isclose(slope, -2.0)
