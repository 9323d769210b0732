"""Steps, cadence, strides, balance and contact of persons, from the trunk and from both feet."""

from dataclasses import replace

import numpy as np
import pytest

from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Device
from tests.unit.flow_world import at_ns, imu, last_row, play, roster_of, rows
from tests.unit.gait_world import G, foot_motion, trials, trunk_motion

LIMP = 0.2


def shod(*sides):
    """A roster whose first player wears foot sensors; `sides` as the roster says."""
    plain = roster_of()
    boots = tuple(Device(f"boot{n}", Kind.BOOT, "p0", 200.0, side=s) for n, s in enumerate(sides))
    return replace(plain, devices=plain.devices + boots), len(plain.devices)


def sole(device, seconds, acc, gyr):
    values = zip(KINDS[Kind.BOOT].names, [*acc, *gyr], strict=False)
    return rows(Kind.BOOT, device, at_ns(seconds), **dict(values))


def boots(first, until_s=60.0, hz=200, stride_s=1.0, limp=0.0, silent_s=60.0):
    """Rows of the left and of the right foot, half a stride apart; the left lands harder by `limp`,
    the right one's sensor is silent from `silent_s` on."""
    seconds = np.arange(0, until_s, 1 / hz)
    left = foot_motion(seconds, stride_s, 2.0, landing=1 + limp)
    right = foot_motion(seconds, stride_s, 2.0 + stride_s / 2, landing=1 - limp)
    heard = seconds < silent_s
    return (
        sole(first, seconds, *left),
        sole(first + 1, seconds[heard], right[0][:, heard], right[1][:, heard]),
    )


def trunk(until_s=60.0, hz=100, **motion):
    seconds = np.arange(0, until_s, 1 / hz)
    return imu(0, seconds, trunk_motion(seconds, **motion)[2] / G)


def test_a_walk_that_never_reaches_a_quarter_g_above_rest_is_counted():
    row = last_row(play(roster_of(), trunk(size_mps2=1.5, step_s=0.5)))
    assert row["step_n"] == pytest.approx(116, abs=2)
    assert row["cadence_spm"] == pytest.approx(120, abs=1)
    assert row["stride_rate_hz"] == pytest.approx(1.0, abs=0.01)
    assert np.isnan(row["contact_time_s"])


def test_motion_at_50_hz_gives_the_steps_of_motion_at_100_hz():
    fast, slow = (last_row(play(roster_of(), trunk(hz=hz))) for hz in (100, 50))
    assert slow["step_n"] == fast["step_n"] > 100
    assert slow["cadence_spm"] == pytest.approx(fast["cadence_spm"], rel=0.01)


def test_both_feet_come_before_the_trunk():
    roster, first = shod("left", "right")
    row = last_row(play(roster, trunk(step_s=0.4), *boots(first)))
    assert row["step_n"] == pytest.approx(116, abs=3), "the trunk alone would count 145"
    assert row["cadence_spm"] == pytest.approx(120, abs=1)
    assert row["stride_cv_pct"] < 1.0
    # Flat at 0.95 of a stride, off at 0.55 of the next; less the lags of the two events.
    assert row["contact_time_s"] == pytest.approx(0.6 - 0.06 - 0.012, abs=0.03)


def test_feet_without_a_trunk_sensor_are_enough():
    roster, first = shod("left", "right")
    row = last_row(play(roster, *boots(first)))
    assert row["step_n"] == pytest.approx(116, abs=3)
    assert np.isnan(row["player_load_au"])


def test_when_one_foot_falls_silent_the_trunk_counts_on():
    roster, first = shod("left", "right")
    row = last_row(play(roster, trunk(step_s=0.5), *boots(first, silent_s=20.0)))
    assert row["step_n"] == pytest.approx(116, abs=7), "two seconds until the silence is certain"
    assert row["cadence_spm"] == pytest.approx(120, abs=1)


def test_a_boot_that_does_not_say_its_side_is_read_by_no_flow():
    roster, first = shod("", "")
    row = last_row(play(roster, trunk(step_s=0.4), *boots(first)))
    assert row["step_n"] == pytest.approx(145, abs=3)
    assert np.isnan(row["contact_time_s"])


@pytest.mark.parametrize("limp", [LIMP, -LIMP])
def test_the_sign_of_asymmetry_says_which_foot_lands_harder(limp):
    roster, first = shod("left", "right")
    row = last_row(play(roster, *boots(first, limp=limp)))
    assert row["step_asymmetry_pct"] == pytest.approx(200 * limp, abs=2)


@pytest.mark.parametrize("odd", [0.1, -0.1])
def test_feet_tell_the_trunk_which_side_its_steps_are_of(odd):
    """The right foot makes the steps of odd number: where those are stronger, L - R is negative."""
    roster, first = shod("left", "right")
    row = last_row(play(roster, trunk(step_s=0.5, odd=odd), *boots(first, limp=LIMP)))
    assert row["step_asymmetry_pct"] == pytest.approx(-200 * odd, abs=6)


@pytest.mark.parametrize("odd", [0.1, -0.1])
def test_from_the_trunk_alone_asymmetry_has_a_size_and_no_sign(odd):
    row = last_row(play(roster_of(), trunk(odd=odd)))
    assert row["step_asymmetry_pct"] == pytest.approx(20, abs=6)
    even = last_row(play(roster_of(), trunk()))
    assert even["step_asymmetry_pct"] < 3


def test_uneven_strides_show_in_their_variability():
    rng = np.random.default_rng(2)
    period = 0.5 + rng.normal(0, 0.02, 120)
    starts = 2.0 + np.concatenate([[0.0], np.cumsum(period)])
    seconds = np.arange(0, 55, 0.01)
    phase = np.interp(seconds, starts, np.arange(121.0), left=0.0)
    acc = G + np.where(seconds > 2.0, 3.0 * np.sin(2 * np.pi * phase), 0.0)
    row = last_row(play(roster_of(), imu(0, seconds, acc / G)))
    strides = period[:-1] + period[1:]
    last = strides[int(phase[-1]) - 17 : int(phase[-1]) - 1]
    assert row["stride_cv_pct"] == pytest.approx(100 * last.std(ddof=1) / last.mean(), abs=1.0)


def test_before_eight_strides_variability_and_balance_are_unknown():
    row = last_row(play(roster_of(), trunk(until_s=6.0)))
    assert row["step_n"] > 3
    assert np.isnan(row["stride_cv_pct"])
    assert np.isnan(row["step_asymmetry_pct"])


def test_who_stands_has_no_cadence_and_keeps_what_was_known_of_the_strides():
    row = last_row(play(roster_of(), trunk(end_s=50.0)))
    assert row["cadence_spm"] == row["stride_rate_hz"] == 0
    assert row["stride_cv_pct"] < 5


def test_a_recorded_walk_with_three_sensors_has_its_steps_cadence_and_contact(recordings):
    roster, first = shod("left", "right")
    for trial in trials(recordings / "gait_imu100")[3:5]:
        blocks = []
        for n, name in enumerate(("lf", "rf")):
            t_ns, acc, gyr = trial.sensors[name]
            values = zip(KINDS[Kind.BOOT].names, [*acc, *gyr], strict=False)
            blocks.append(rows(Kind.BOOT, first + n, t_ns, **dict(values)))
        t_ns, acc, gyr = trial.sensors["lb"]
        values = zip(KINDS[Kind.IMU].names, [*acc, *gyr], strict=False)
        blocks.append(rows(Kind.IMU, 1, t_ns, **dict(values)))
        row = last_row(play(roster, *blocks))
        steps = sum(len(strike_ns) for _, strike_ns in trial.feet.values())
        assert row["step_n"] == pytest.approx(steps, abs=3)
        true_s = [
            (toe_ns[1:] - strike_ns[:-1])[-8:] * 1e-9 for toe_ns, strike_ns in trial.feet.values()
        ]
        assert row["contact_time_s"] == pytest.approx(np.mean(true_s), abs=0.05)
        assert abs(row["step_asymmetry_pct"]) < 40
        assert row["stride_cv_pct"] < 15
