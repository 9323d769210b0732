"""Step detectors on synthetic walks: any rate, any mounting, any cut of the stream, holes, rest."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.gait.rows import (
    Detectors,
    new_feet,
    new_trunks,
    take_feet,
    take_trunks,
    zero_phase_steps,
)
from models.signal.cell_means import BRIDGE_NS
from tests.unit.gait_world import ZERO_NS, foot_motion, times, trunk_motion

RATES = (100, 200, 500)


def clock(hz, seconds=20.0, phase=0.0):
    return (np.arange(round(seconds * hz)) + phase) / hz


def rotation(seed):
    """A random mounting."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def feet_at(hz, phase=0.0, mounting=None, keep=None, **motion):
    seconds = clock(hz, phase=phase)
    acc, gyr = foot_motion(seconds, **motion)
    if mounting is not None:
        acc, gyr = mounting @ acc, mounting @ gyr
    keep = np.ones(len(seconds), bool) if keep is None else keep(seconds)
    t_ns = times(seconds[keep])
    return take_feet(new_feet(1), np.zeros(len(t_ns)), t_ns, acc[:, keep], gyr[:, keep])


def trunk_at(hz, phase=0.0, **motion):
    seconds = clock(hz, phase=phase)
    t_ns = times(seconds)
    return take_trunks(new_trunks(1), np.zeros(len(t_ns)), t_ns, trunk_motion(seconds, **motion))[1]


@settings(max_examples=25, deadline=None)
@example(0.5, 0.5, 0)
@given(st.floats(0.42, 1.8), st.floats(0, 0.99), st.integers(0, 10**6))
def test_the_same_walk_gives_the_same_strikes_at_any_rate_and_mounting(stride_s, phase, seed):
    # The stream may end between a strike and its certainty: judged up to a moment of mere swing.
    strides = int(16.5 / stride_s)
    until_ns = times(2.0 + (strides + 0.75) * stride_s)

    def before_the_end(found):
        return (t_ns[t_ns < until_ns] for t_ns in (found.t_strike_ns, found.t_toe_ns))

    strikes, toes = before_the_end(feet_at(100, stride_s=stride_s))
    assert abs(len(strikes) - strides) <= 1
    for hz in RATES:
        others, other_toes = before_the_end(feet_at(hz, phase, rotation(seed), stride_s=stride_s))
        assert len(others) == len(strikes)
        assert np.abs(others - strikes).max() <= 5_000_000
        assert np.abs(other_toes - toes).max() <= 5_000_000


@settings(max_examples=25, deadline=None)
@given(st.floats(0.21, 0.75), st.floats(0, 0.99), st.floats(2.0, 12.0))
def test_the_same_walk_gives_the_same_trunk_steps_at_any_rate(step_s, phase, size_mps2):
    found = [trunk_at(hz, phase, step_s=step_s, size_mps2=size_mps2) for hz in (50, *RATES)]
    assert abs(len(found[1]) - 18.0 / step_s) <= 4
    np.testing.assert_allclose(np.diff(found[1][3:]) * 1e-9, step_s, atol=0.021)
    # The ramp at the start and the end of the stream leave open whether a step still is one.
    for one, other in ((a, b) for a in found for b in found):
        sure = one[(one > times(4.0)) & (one < times(19.0))]
        nearest = np.abs(sure[:, None] - other[None, :]).min(axis=1)
        assert nearest.max() <= 10_000_000


def walkers(hz=100):
    """Rows of three devices, interleaved in time, with losses: (device, t_ns, acc, gyr)."""
    rng = np.random.default_rng(5)
    parts = []
    for device in range(3):
        seconds = clock(hz, 12.0, phase=device / 3)
        acc, gyr = foot_motion(seconds, 0.8 + 0.2 * device)
        acc = acc + trunk_motion(seconds, 0.4 + 0.1 * device) + rng.normal(0, 0.3, acc.shape)
        gyr = gyr + rng.normal(0, 0.2, gyr.shape)
        kept = rng.random(len(seconds)) > 0.1
        kept[500 + device : 530 + device] = False
        row = np.full(kept.sum(), device)
        parts.append((row, times(seconds[kept]), acc[:, kept], gyr[:, kept]))
    order = np.argsort(np.concatenate([p[1] for p in parts]), kind="stable")
    return tuple(np.concatenate([p[n] for p in parts], axis=-1)[..., order] for n in range(4))


def in_pieces(cuts):
    """Everything found, and the state, of rows taken in pieces; state moves as bytes in between."""
    device, t_ns, acc, gyr = walkers()
    feet, trunks, found = new_feet(3), new_trunks(3), []
    edges = [0, *sorted(cuts), len(t_ns)]
    for a, b in pairwise(edges):
        feet, trunks = moved(feet), moved(trunks)
        strikes = take_feet(feet, device[a:b], t_ns[a:b], acc[:, a:b], gyr[:, a:b])
        steps = take_trunks(trunks, device[a:b], t_ns[a:b], acc[:, a:b])
        found.append([*strikes, *steps])
    columns = [np.concatenate(column).tobytes() for column in zip(*found, strict=True)]
    return columns, [array.tobytes() for array in (*feet, *trunks)]


def moved(state):
    copies = (np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape).copy() for a in state)
    return Detectors(*copies)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3200), max_size=12))
def test_cuts_of_the_stream_change_neither_steps_nor_state(cuts):
    assert in_pieces(cuts) == in_pieces([])


def test_the_walkers_of_the_cut_test_do_step():
    device, t_ns, acc, gyr = walkers()
    strikes = take_feet(new_feet(3), device, t_ns, acc, gyr)
    assert np.bincount(strikes.device).min() >= 7
    assert np.bincount(take_trunks(new_trunks(3), device, t_ns, acc)[0]).min() >= 9


def test_no_step_is_found_where_nobody_walks():
    rng = np.random.default_rng(1)
    seconds = clock(100, 60.0)
    t_ns, noise = times(seconds), rng.normal(0, 0.2, (2, 3, len(seconds)))
    noise[0, 2] += 9.80665
    still = np.zeros(len(seconds))
    assert not len(take_feet(new_feet(1), still, t_ns, noise[0], noise[1]).device)
    assert not len(take_trunks(new_trunks(1), still, t_ns, noise[0])[1])
    assert not len(zero_phase_steps(t_ns, noise[0]))


def test_a_strike_is_timed_to_when_the_foot_met_the_ground():
    found = feet_at(200, stride_s=1.0)
    since_s = (found.t_strike_ns - ZERO_NS) * 1e-9 - 2.0
    # Flat at 0.95 of the stride in this motion; the lead tells rotation from annotated contact.
    np.testing.assert_allclose(since_s % 1.0, 0.95 + 0.012, atol=0.025)
    assert (found.t_detected_ns - found.t_strike_ns).max() < 60_000_000


@pytest.mark.parametrize("hole_s", [0.05, 0.12])
def test_a_short_loss_in_stance_costs_no_step(hole_s):
    whole = feet_at(100, stride_s=1.0)
    begin = 8.05
    holed = feet_at(100, stride_s=1.0, keep=lambda s: (s < begin) | (s >= begin + hole_s))
    assert len(holed.t_strike_ns) == len(whole.t_strike_ns)
    assert np.abs(holed.t_strike_ns - whole.t_strike_ns).max() < 10_000_000


def test_a_hole_longer_than_the_bridge_starts_the_detector_anew_and_keeps_what_it_learnt():
    hole_s = 3 * BRIDGE_NS * 1e-9
    holed = feet_at(100, stride_s=1.0, keep=lambda s: (s < 8.3) | (s >= 8.3 + hole_s))
    whole = feet_at(100, stride_s=1.0)
    missed = set((whole.t_strike_ns // 10**8).tolist()) - set((holed.t_strike_ns // 10**8).tolist())
    assert len(missed) == 1


def test_rows_that_come_twice_or_without_rotation_are_left_out():
    seconds = clock(100)
    acc, gyr = foot_motion(seconds)
    t_ns, zero = times(seconds), np.zeros(len(seconds))
    plain = take_feet(new_feet(1), zero, t_ns, acc, gyr)
    twice = take_feet(
        new_feet(1), np.repeat(zero, 2), np.repeat(t_ns, 2), np.repeat(acc, 2, 1),
        np.repeat(gyr, 2, 1),
    )
    np.testing.assert_array_equal(twice.t_strike_ns, plain.t_strike_ns)
    blind = take_feet(new_feet(1), zero, t_ns, acc, gyr * np.nan)
    assert not len(blind.device)


def test_a_sensor_turned_upside_down_on_the_way_is_learnt_again():
    seconds = clock(100, 40.0)
    acc, gyr = foot_motion(seconds, stride_s=1.0)
    gyr[:, seconds > 20.0] *= -1.0
    t_ns = times(seconds)
    found = take_feet(new_feet(1), np.zeros(len(t_ns)), t_ns, acc, gyr)
    late = found.t_strike_ns[found.t_strike_ns > ZERO_NS + 23 * 10**9]
    assert len(late) >= 16
    np.testing.assert_allclose(((late - ZERO_NS) * 1e-9) % 1.0, 0.96, atol=0.03)


def test_zero_phase_steps_are_those_of_the_causal_detector():
    seconds = clock(100, 30.0)
    acc, t_ns = trunk_motion(seconds), times(seconds)
    live = take_trunks(new_trunks(1), np.zeros(len(t_ns)), t_ns, acc)[1]
    batch = zero_phase_steps(t_ns, acc)
    inner = batch[(batch > live[2]) & (batch < live[-1])]
    assert len(inner) == len(live) - 4 or len(inner) == len(live) - 3
    assert max(np.abs(live - t).min() for t in inner) < 60_000_000


def test_zero_phase_steps_of_nothing_are_none():
    assert not len(zero_phase_steps(np.empty(0, np.int64), np.empty((3, 0))))
