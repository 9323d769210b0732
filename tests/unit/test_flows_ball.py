"""The ball's twin: touches, possession, passes, shots, goal candidates, out of play."""

from dataclasses import replace

import numpy as np
import pytest

from models.telemetry.roster import Period
from tests.unit.flow_world import START_NS, ball, knocks, last_row, lps, of_type, play, roster_of

ROSTER = roster_of(4)
"""p0 and p1 home, p2 and p3 away, the ball is subject 4."""
BALL = 4


def stand(player, x, y, until=20.0):
    seconds = np.arange(0, until, 0.05)
    return lps(player, seconds, x, y)


def seconds_of(until, hz=50):
    return np.arange(0, until, 1 / hz)


def rolled(seconds, *legs):
    """Ball along x: legs of (from s, to s, from m, to m); it rests between them."""
    x = np.full(len(seconds), legs[0][2], np.float64)
    for start, end, a, b in legs:
        part = np.clip((seconds - start) / (end - start), 0.0, 1.0)
        x = np.where(seconds >= start, a + (b - a) * part, x)
    return x


@pytest.mark.parametrize(("receiver", "sub_type"), [(1, "complete"), (2, "intercepted")])
def test_a_pass_is_a_touch_of_one_and_then_of_another(receiver, sub_type):
    t = seconds_of(8.0)
    x = rolled(t, (2.0, 3.5, 0.0, 18.0))
    effects = play(ROSTER, stand(0, 0.0, 0.5), stand(receiver, 18.3, 0.3), ball(ROSTER, t, x, 0.0))
    (event,) = of_type(effects, "pass")
    assert event.sub_type == sub_type
    assert event.subject_id == "p0"
    assert event.context == (f"receiver:p{receiver}",)
    assert event.metrics["length_m"] == pytest.approx(18.0, abs=2.0)
    assert event.x_end_m > event.x_m


def test_a_touch_felt_by_the_ball_is_a_kick_of_the_nearest_player():
    t, fast = seconds_of(6.0), seconds_of(6.0, 500)
    x = rolled(t, (2.0, 3.5, 0.0, 18.0))
    peak = np.where(np.abs(fast - 2.0) < 0.005, 1500.0, 10.0)
    effects = play(
        ROSTER, stand(0, 0.2, 0.3), stand(2, -1.2, 0.0), ball(ROSTER, t, x, 0.0),
        knocks(ROSTER, fast, peak),
    )
    (kick,) = of_type(effects, "kick")
    assert kick.subject_id == "p0"
    assert kick.sub_type == "sensor"
    assert abs(kick.t_event_ns - START_NS - 2_000_000_000) < 10_000_000
    assert kick.metrics["peak_mps2"] == 1500.0
    assert last_row(effects, BALL)["kick_n"] == 1


def test_a_bounce_far_from_everybody_is_no_touch():
    t, fast = seconds_of(4.0), seconds_of(4.0, 500)
    peak = np.where(np.abs(fast - 2.0) < 0.005, 1500.0, 10.0)
    effects = play(
        ROSTER, stand(0, 30.0, 0.0), ball(ROSTER, t, rolled(t, (0.0, 4.0, 0.0, 4.0)), 0.0),
        knocks(ROSTER, fast, peak),
    )
    assert not of_type(effects, "kick")
    assert last_row(effects, BALL)["poss_team"] == -1


def test_possession_goes_to_the_team_that_touches_and_its_time_is_kept():
    t = seconds_of(10.0)
    x = rolled(t, (2.0, 3.5, 0.0, 18.0))
    effects = play(ROSTER, stand(0, 0.0, 0.5), stand(2, 18.3, 0.3), ball(ROSTER, t, x, 0.0))
    gains = of_type(effects, "possession_gain")
    assert [event.team for event in gains] == ["home", "away"]
    row = last_row(effects, BALL)
    assert row["poss_team"] == 1
    assert row["poss_subject"] == 2
    assert row["poss_home_s"] == pytest.approx(1.5, abs=0.3)
    assert row["poss_away_s"] == pytest.approx(10.0 - 3.5, abs=0.3)


def test_a_dead_ball_gives_no_possession_time_and_no_touch():
    t = seconds_of(6.0)
    x = rolled(t, (2.0, 3.5, 0.0, 18.0))
    effects = play(
        ROSTER, stand(0, 0.0, 0.5), ball(ROSTER, t, x, 0.0, in_play=np.zeros(len(t)))
    )
    assert not of_type(effects, "kick")
    assert last_row(effects, BALL)["poss_home_s"] == 0.0
    assert last_row(effects, BALL)["in_play"] == 0.0


@pytest.mark.parametrize(("end_y", "sub_type"), [(1.0, "on_target"), (-3.9, "off_target")])
def test_a_fast_ball_towards_the_goal_is_a_shot(end_y, sub_type):
    t, fast = seconds_of(5.0), seconds_of(5.0, 500)
    x = rolled(t, (2.0, 2.8, 34.0, 52.0))
    y = rolled(t, (2.0, 2.8, 0.0, end_y))
    peak = np.where(np.abs(fast - 2.0) < 0.005, 3000.0, 10.0)
    effects = play(ROSTER, stand(0, 33.5, 0.2), ball(ROSTER, t, x, y), knocks(ROSTER, fast, peak))
    (shot,) = of_type(effects, "shot")
    assert shot.subject_id == "p0"
    assert shot.sub_type == sub_type
    assert shot.metrics["speed_mps"] == pytest.approx(22.5, abs=2.5)
    assert shot.x_end_m == 52.5


def test_a_fast_ball_across_the_field_is_none():
    t, fast = seconds_of(5.0), seconds_of(5.0, 500)
    y = rolled(t, (2.0, 3.0, -20.0, 5.0))
    peak = np.where(np.abs(fast - 2.0) < 0.005, 3000.0, 10.0)
    effects = play(
        ROSTER, stand(0, 20.0, -20.4), ball(ROSTER, t, np.full(len(t), 20.0), y),
        knocks(ROSTER, fast, peak),
    )
    assert not of_type(effects, "shot")


def over_the_line(z=0.5, y=1.0, depth=0.9, roster=ROSTER):
    t = seconds_of(4.0)
    x = rolled(t, (1.0, 1.5, 45.0, 52.5 + depth))
    return play(roster, stand(0, 44.5, y), ball(roster, t, x, np.full(len(t), y), z))


def test_a_ball_well_over_the_line_is_a_goal_candidate_and_out():
    effects = over_the_line()
    (goal,) = of_type(effects, "goal_candidate")
    assert goal.confidence == pytest.approx(goal.metrics["probability"])
    assert goal.confidence > 0.5
    assert goal.metrics["cross_y_m"] == pytest.approx(1.0, abs=0.05)
    (out,) = of_type(effects, "ball_out")
    assert out.sub_type == "goal_line"
    assert abs(out.x_m) == pytest.approx(52.61, abs=1e-3)
    # The crossing is interpolated: 7.61 m of 8.4 m in half a second.
    assert (out.t_event_ns - START_NS) * 1e-9 == pytest.approx(1.0 + 0.5 * 7.61 / 8.4, abs=2e-3)


@pytest.mark.parametrize("case", [{"z": 3.2}, {"y": 6.0}, {"depth": 0.05}])
def test_over_the_bar_beside_the_post_or_not_wholly_over_is_no_goal(case):
    assert not of_type(over_the_line(**case), "goal_candidate")


def test_the_touchline_is_the_touchline_and_counts_once():
    t = seconds_of(6.0)
    y = rolled(t, (1.0, 2.0, 30.0, 36.0), (3.0, 3.2, 36.0, 37.0))
    effects = play(ROSTER, stand(0, 0.0, 29.5), ball(ROSTER, t, np.zeros(len(t)), y))
    (out,) = of_type(effects, "ball_out")
    assert out.sub_type == "touchline"
    assert out.y_m == pytest.approx(34.11, abs=1e-3)


def test_an_impossible_position_is_refused_and_counted():
    t = seconds_of(3.0)
    x = np.zeros(len(t))
    x[75] = 40.0
    effects = play(ROSTER, stand(0, 20.0, 0.0), ball(ROSTER, t, x, 0.0))
    row = last_row(effects, BALL)
    assert row["refused_n"] == 1
    assert row["max_speed_mps"] < 3.0


def facing(home_attacks):
    """The roster with one period in which the home team attacks to that side."""
    return replace(ROSTER, periods=(Period("p", START_NS, START_NS + 10**11, home_attacks),))


@pytest.mark.parametrize(("home_attacks", "shots"), [(1, 1), (-1, 0), (0, 1)])
def test_a_fast_ball_at_the_own_goal_is_no_shot(home_attacks, shots):
    roster = facing(home_attacks) if home_attacks else ROSTER
    t, fast = seconds_of(5.0), seconds_of(5.0, 500)
    peak = np.where(np.abs(fast - 2.0) < 0.005, 3000.0, 10.0)
    effects = play(
        roster, stand(0, 33.5, 0.2), ball(roster, t, rolled(t, (2.0, 2.8, 34.0, 52.0)), 0.0),
        knocks(roster, fast, peak),
    )
    assert len(of_type(effects, "shot")) == shots


@pytest.mark.parametrize(("home_attacks", "scorer"), [(1, "p0"), (-1, "p2"), (0, "p2")])
def test_a_goal_belongs_to_the_last_of_the_attacking_team_who_touched(home_attacks, scorer):
    """Home player p0 kicks at 1 s, away player p2 in the goal touches at 2 s and it goes in."""
    roster = facing(home_attacks) if home_attacks else ROSTER
    t, fast = seconds_of(5.0), seconds_of(5.0, 500)
    x = rolled(t, (1.0, 1.8, 34.0, 51.0), (2.0, 2.2, 51.0, 53.5))
    peak = np.where(np.minimum(np.abs(fast - 1.0), np.abs(fast - 2.0)) < 0.005, 3000.0, 10.0)
    effects = play(
        roster, stand(0, 33.5, 0.2), stand(2, 51.4, 0.2), ball(roster, t, x, 0.0, 0.5),
        knocks(roster, fast, peak),
    )
    (goal,) = of_type(effects, "goal_candidate")
    assert goal.subject_id == scorer


def test_a_goal_of_a_team_that_never_touched_is_of_nobody():
    effects = over_the_line(roster=facing(-1))
    (goal,) = of_type(effects, "goal_candidate")
    assert (goal.subject_id, goal.team) == ("ball", "")
