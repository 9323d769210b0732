"""Steps against the annotation of real walks: 7 subjects, 40 trials, 4.9 % of packets lost.

An annotated pair is (toe-off, heel strike) of one foot, as packet counts. Found means within
0.15 s, one to one, all annotated steps included: starts, turns and those after the trial.
"""

import numpy as np
import pytest

from models.gait.rows import new_feet, new_trunks, take_feet, take_trunks, zero_phase_steps
from models.signal.biquads import butterworth, filter_step, settle
from tests.unit.gait_world import Tally, trials


def strikes_of(trial, foot):
    t_ns, acc, gyr = trial.sensors[foot]
    return take_feet(new_feet(1), np.zeros(len(t_ns)), t_ns, acc, gyr)


def trunk_of(t_ns, acc):
    return take_trunks(new_trunks(1), np.zeros(len(t_ns)), t_ns, acc)[1]


def both_feet(trial):
    return np.sort(np.concatenate([trial.feet["lf"][1], trial.feet["rf"][1]]))


@pytest.fixture(scope="module")
def walks(recordings):
    return trials(recordings / "gait_imu100")


@pytest.mark.parametrize(
    ("event", "least", "spread_s"), [("strike", 0.96, 0.025), ("toe", 0.965, 0.02)]
)
def test_foot_sensors_find_heel_strikes_and_toe_offs(walks, event, least, spread_s):
    tally = Tally()
    for trial in walks:
        for foot, (toe_ns, strike_ns) in trial.feet.items():
            found = strikes_of(trial, foot)
            if event == "strike":
                tally.add(trial.subject, found.t_strike_ns, strike_ns)
            else:
                tally.add(trial.subject, found.t_toe_ns, toe_ns)
    assert tally.f1() >= least
    assert min(tally.f1(subject) for subject in tally.counts) >= 0.93
    assert abs(np.mean(tally.offsets)) < 0.005
    assert np.std(tally.offsets) < spread_s


@pytest.mark.parametrize(("how", "least"), [("causal", 0.935), ("zero phase", 0.93)])
def test_the_trunk_sensor_finds_the_steps_of_both_feet(walks, how, least):
    tally = Tally()
    for trial in walks:
        t_ns, acc, _ = trial.sensors["lb"]
        found = trunk_of(t_ns, acc) if how == "causal" else zero_phase_steps(t_ns, acc)
        tally.add(trial.subject, found, both_feet(trial))
    assert tally.f1() >= least
    assert min(tally.f1(subject) for subject in tally.counts) >= 0.89
    assert abs(np.mean(tally.offsets)) < 0.005


def test_motion_thinned_to_50_hz_as_the_edge_does_it_gives_the_same_steps(walks):
    """Fourth-order low-pass at 20 Hz, then every second row."""
    sections, tally, full = butterworth(20.0, 100.0)[None], Tally(), Tally()
    for trial in walks:
        t_ns, acc, _ = trial.sensors["lb"]
        z, smooth = np.zeros((1, 4, 3)), np.empty_like(acc)
        for axis in range(3):
            settle(sections, z, 0, axis, float(acc[axis, 0]))
            for n in range(acc.shape[1]):
                smooth[axis, n] = filter_step(sections, z, 0, axis, float(acc[axis, n]))
        thin = trunk_of(t_ns[1::2], smooth[:, 1::2])
        tally.add(trial.subject, thin, both_feet(trial))
        full.add(trial.subject, thin, trunk_of(t_ns, acc))
    assert tally.f1() >= 0.93
    assert full.f1() >= 0.97


def test_ground_contact_agrees_with_the_annotation_within_a_fiftieth_of_a_second(walks):
    off = []
    for trial in walks:
        for foot, (toe_ns, strike_ns) in trial.feet.items():
            found = strikes_of(trial, foot)
            for n in range(1, len(found.contact_s)):
                mine = int(np.argmin(np.abs(strike_ns - found.t_strike_ns[n])))
                ends = strike_ns[mine] - found.t_strike_ns[n], toe_ns[mine] - found.t_toe_ns[n]
                before = strike_ns[mine - 1] - found.t_strike_ns[n - 1]
                if mine and max(abs(int(x)) for x in (*ends, before)) < 150_000_000:
                    true_s = (toe_ns[mine] - strike_ns[mine - 1]) * 1e-9
                    off.append(found.contact_s[n] - true_s)
    assert len(off) > 1200
    assert np.mean(np.abs(off)) < 0.022
    assert abs(np.mean(off)) < 0.005
