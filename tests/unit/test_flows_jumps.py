"""Jumps: the same height at any sample rate within its time resolution, and what is no jump."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.metrics.jump import jump_height_m
from tests.unit.flow_world import START_NS, imu, of_type, play, roster_of

G_MPS2 = 9.81
AIR_S = 0.5


def leap(seconds, air_s=AIR_S, push_g=2.0, land_g=4.0, begin_s=3.0):
    """|a| in g: stand, push off for 0.2 s, fly from `begin_s` for `air_s`, land for 0.06 s."""
    z = np.ones_like(seconds)
    z[(seconds >= begin_s - 0.2) & (seconds < begin_s)] = push_g
    z[(seconds >= begin_s) & (seconds < begin_s + air_s)] = 0.05
    z[(seconds >= begin_s + air_s) & (seconds < begin_s + air_s + 0.06)] = land_g
    return z


def jumps_at(hz, phase=0.0, noise_g=0.0, **motion):
    seconds = (np.arange(6 * hz) + phase) / hz
    z_g = leap(seconds, **motion) + np.random.default_rng(hz).normal(0, noise_g, len(seconds))
    return of_type(play(roster_of(), imu(0, seconds, z_g)), "jump")


def test_half_a_second_in_the_air_is_the_golden_height():
    assert jump_height_m(0.5) == pytest.approx(0.3066, abs=5e-5)


@pytest.mark.parametrize("hz", [100, 200, 1000])
@settings(max_examples=15, deadline=None)
@given(phase=st.floats(0, 0.99), air_s=st.floats(0.25, 0.75))
def test_a_jump_has_the_same_height_at_any_rate_within_a_sample(hz, phase, air_s):
    (jump,) = jumps_at(hz, phase, noise_g=0.02, air_s=air_s)
    dt_s = 1.0 / hz
    assert jump.metrics["flight_s"] == pytest.approx(air_s, abs=1.001 * dt_s)
    resolution_m = G_MPS2 * (2 * air_s * dt_s + dt_s**2) / 8
    assert jump.metrics["height_m"] == pytest.approx(
        G_MPS2 * air_s**2 / 8, abs=1.01 * resolution_m
    )
    assert (jump.t_event_ns - START_NS) * 1e-9 == pytest.approx(3.0, abs=1.001 * dt_s)


@pytest.mark.parametrize("hz", [100, 200, 1000])
@pytest.mark.parametrize(
    "motion",
    [{"push_g": 1.4}, {"land_g": 2.4}, {"air_s": 0.18}, {"air_s": 0.82}],
    ids=["no push-off", "soft landing", "too short", "too long"],
)
def test_what_misses_one_of_the_four_limits_is_no_jump_at_any_rate(hz, motion):
    assert not jumps_at(hz, **motion)
