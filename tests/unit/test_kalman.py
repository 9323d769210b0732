"""The causal position filter: accuracy, gate, reset, and freedom from how a stream is cut."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from models.columns import frozen
from models.signal.kalman import (
    AX,
    GATED_N,
    GATED_RUN,
    STEP_GATED,
    STEP_OK,
    STEP_RESET,
    VX,
    VY,
    X,
    Y,
    kalman_age_ns,
    kalman_shift,
    kalman_step,
    new_kalman,
)

START_NS = 1_767_376_800_123_456_789


@njit
def walk(state, row, t_ns, x, y, r, out):
    for i in range(t_ns.shape[0]):
        out[i, 0] = kalman_step(state, row[i], t_ns[i], x[i], y[i], r)
        out[i, 1] = state[row[i], VX]
        out[i, 2] = state[row[i], X]


def run(state, rows, t_ns, x, y, r=0.1):
    out = np.empty((len(t_ns), 3))
    walk(
        state, frozen(np.asarray(rows), np.int64), frozen(t_ns, np.int64), frozen(x, np.float64),
        frozen(y, np.float64), r, out,
    )
    return out


def grid_ns(n, hz=20):
    return START_NS + np.arange(n, dtype=np.int64) * (10**9 // hz)


def test_a_steady_run_gives_its_speed_and_no_acceleration():
    t_ns = grid_ns(100)
    seconds = np.arange(100) * 0.05
    state = new_kalman(1)
    out = run(state, np.zeros(100, int), t_ns, 5.0 * seconds, -2.0 * seconds)
    assert abs(state[0, VX] - 5.0) < 0.02
    assert abs(state[0, VY] + 2.0) < 0.02
    assert abs(state[0, AX]) < 0.1
    assert out[0, 0] == STEP_RESET
    assert (out[1:, 0] == STEP_OK).all()


def test_speed_of_a_run_with_8_cm_of_noise_is_good_to_0_4_metres_per_second():
    rng = np.random.default_rng(4)
    t_ns = grid_ns(2000)
    seconds = np.arange(2000) * 0.05
    speed = 4.0 + 2.0 * np.sin(seconds * 0.8)
    x = 4.0 * seconds - 2.5 * (np.cos(seconds * 0.8) - 1)
    noisy = x + rng.normal(0, 0.08, 2000)
    out = run(new_kalman(1), np.zeros(2000, int), t_ns, noisy, rng.normal(0, 0.08, 2000), 0.08)
    assert np.sqrt(np.mean((out[40:, 1] - speed[40:]) ** 2)) < 0.4


def test_a_jump_is_gated_and_leaves_no_trace_but_its_count():
    t_ns = grid_ns(40)
    state = new_kalman(1)
    run(state, np.zeros(39, int), t_ns[:39], np.zeros(39), np.zeros(39))
    before = state.copy()
    out = run(state, [0], t_ns[39:], np.array([9.0]), np.array([0.0]))
    assert out[0, 0] == STEP_GATED
    before[0, [GATED_N, GATED_RUN]] += 1
    assert np.array_equal(before, state)


def test_a_gap_of_more_than_a_second_starts_anew():
    state = new_kalman(1)
    run(state, [0], np.array([START_NS]), np.array([0.0]), np.array([0.0]))
    late = START_NS + 1_000_000_001
    out = run(state, [0], np.array([late]), np.array([50.0]), np.array([7.0]))
    assert out[0, 0] == STEP_RESET
    assert (state[0, X], state[0, Y], state[0, VX]) == (50.0, 7.0, 0.0)
    assert kalman_age_ns(state, 0, late + 7) == 7


def test_a_run_of_refused_positions_means_that_the_track_is_lost():
    t_ns = grid_ns(40)
    x = np.where(np.arange(40) < 20, 0.0, 9.0)
    out = run(new_kalman(1), np.zeros(40, int), t_ns, x, np.zeros(40))
    codes = out[20:, 0].tolist()
    assert codes.index(STEP_RESET) == 5
    assert codes[:5] == [STEP_GATED] * 5
    assert out[-1, 2] == 9.0


def test_a_sensor_that_takes_over_moves_the_track_and_keeps_its_velocity():
    t_ns = grid_ns(60)
    state = new_kalman(1)
    run(state, np.zeros(60, int), t_ns, np.arange(60) * 0.25, np.zeros(60))
    later = int(t_ns[-1]) + 50_000_000
    kalman_shift(state, 0, later, 20.0, 3.0)
    out = run(state, [0], np.array([later]), np.array([20.0]), np.array([3.0]))
    assert out[0, 0] == STEP_OK
    assert abs(state[0, X] - 20.0) < 0.01
    assert abs(state[0, VX] - 5.0) < 0.05


def test_a_sample_older_than_the_last_is_refused():
    state = new_kalman(1)
    run(state, [0], np.array([START_NS]), np.array([0.0]), np.array([0.0]))
    out = run(state, [0], np.array([START_NS - 1]), np.array([0.0]), np.array([0.0]))
    assert out[0, 0] == STEP_GATED


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 200), max_size=6))
def test_where_a_stream_is_cut_changes_nothing(seed, cuts):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 3, 200)
    t_ns = START_NS + np.cumsum(rng.integers(0, 300_000_000, 200))
    x, y = rng.normal(0, 3, 200), rng.normal(0, 3, 200)
    whole, parts = new_kalman(3), new_kalman(3)
    out = run(whole, rows, t_ns, x, y)
    edges = [0, *sorted(cuts), 200]
    pieces = [
        run(parts, rows[a:b], t_ns[a:b], x[a:b], y[a:b])
        for a, b in itertools.pairwise(edges)
    ]
    assert np.array_equal(np.concatenate(pieces), out)
    assert np.array_equal(whole, parts)
