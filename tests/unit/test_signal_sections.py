"""Second-order sections and means over 10 ms cells."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signal.cell_means import (
    BRIDGE_NS,
    CELL_I,
    CELL_NS,
    GOES_ON,
    OLD,
    STARTS,
    T_CELL,
    begin_sample,
    next_mean,
)
from models.signal.sections import high_pass, low_pass, section_settle, section_step


def gain_of(section, hz, rate_hz=100.0):
    """Size of the output of a settled sine."""
    state, out = np.zeros(2), []
    for n in range(4000):
        x = math.sin(2 * math.pi * hz * n / rate_hz)
        out.append(section_step(section, state, 0, x))
    return max(out[2000:])


@pytest.mark.parametrize("made", [low_pass, high_pass])
@pytest.mark.parametrize("cutoff_hz", [0.8, 6.0, 12.0])
def test_a_section_halves_the_power_at_its_cutoff(made, cutoff_hz):
    assert gain_of(made(cutoff_hz, 100.0), cutoff_hz) == pytest.approx(math.sqrt(0.5), abs=0.01)


@pytest.mark.parametrize(
    ("made", "below", "above"), [(low_pass, 1.0, 0.01), (high_pass, 0.01, 1.0)]
)
def test_a_section_passes_one_side_of_its_cutoff(made, below, above):
    assert gain_of(made(5.0, 100.0), 0.4) == pytest.approx(below, abs=0.01)
    assert gain_of(made(5.0, 100.0), 45.0) == pytest.approx(above, abs=0.02)


@pytest.mark.parametrize(("made", "rest"), [(low_pass, 9.8), (high_pass, 0.0)])
def test_a_settled_section_does_not_stir(made, rest):
    section, state = made(3.0, 100.0), np.zeros(2)
    assert section_settle(section, state, 0, 9.8) == pytest.approx(rest, abs=1e-9)
    assert section_step(section, state, 0, 9.8) == pytest.approx(rest, abs=1e-9)


def means_of(t_ns, values):
    """(cell ends, means) of one channel."""
    f, i, ends, means = np.zeros(4), np.zeros(CELL_I, np.int64), [], []
    for t, value in zip(t_ns, values, strict=True):
        f[2] = value
        if begin_sample(f, 0, i, 0, 1, int(t)) != GOES_ON:
            continue
        while next_mean(f, 0, i, 0, 1, int(t)):
            ends.append(int(i[T_CELL]))
            means.append(f[3])
    return np.array(ends), np.array(means)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40_000_000), min_size=5, max_size=60), st.floats(-5, 5))
def test_the_mean_of_a_straight_line_is_its_value_in_the_middle_however_it_is_sampled(gaps, slope):
    t_ns = np.cumsum(gaps) + 1_000_000_000
    ends, means = means_of(t_ns, slope * (t_ns - t_ns[0]) * 1e-9 + 3.0)
    whole = ends - CELL_NS >= t_ns[0]
    middle_s = (ends - CELL_NS // 2 - t_ns[0]) * 1e-9
    np.testing.assert_allclose(means[whole], (slope * middle_s + 3.0)[whole], atol=1e-9)
    assert len(ends) == t_ns[-1] // CELL_NS - t_ns[0] // CELL_NS
    np.testing.assert_array_equal(np.diff(ends), CELL_NS)


def test_the_area_under_the_signal_is_kept():
    rng = np.random.default_rng(4)
    t_ns = 10**9 + np.arange(500) * 2_000_000
    values = rng.normal(size=500)
    ends, means = means_of(t_ns, values)
    inside = t_ns <= ends[-1]
    area = np.trapezoid(values[inside], t_ns[inside] * 1e-9)
    assert means.sum() * CELL_NS * 1e-9 == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize(
    ("gap_ns", "how"),
    [(BRIDGE_NS, GOES_ON), (BRIDGE_NS + 1, STARTS), (0, OLD), (-1, OLD), (-BRIDGE_NS - 1, STARTS)],
)
def test_a_long_hole_starts_anew_and_a_late_sample_is_left_out(gap_ns, how):
    f, i = np.zeros(4), np.zeros(CELL_I, np.int64)
    assert begin_sample(f, 0, i, 0, 1, 10**9) == STARTS
    assert begin_sample(f, 0, i, 0, 1, 10**9 + gap_ns) == how
