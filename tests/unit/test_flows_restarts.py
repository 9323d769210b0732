"""Set pieces: with what the game goes on after the ball was dead, by flag and by place."""

from dataclasses import replace

import numpy as np
import pytest

from models.flows.kernel import FlowKernel
from models.simulator.config import Faults, MatchConfig
from models.simulator.match import MatchSimulator
from models.telemetry.block import concat_blocks
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Period
from tests.unit.flow_world import START_NS, ball, knocks, last_row, lps, of_type, play, roster_of

ROSTER = replace(
    roster_of(4), periods=(Period("first_half", START_NS, START_NS + 10**12, 1),),
)
"""p0 and p1 home (towards +x), p2 and p3 away, the ball is subject 4."""
BALL = 4
SET_PIECES = ("kick_off", "throw_in", "corner", "goal_kick", "free_kick", "penalty")


def stand(player, x, y, until=40.0):
    return lps(player, np.arange(0, until, 0.05), x, y)


def path(points, hz=50):
    """(seconds, x, y) of a ball that goes straight through (s, x, y) points."""
    when = np.array([p[0] for p in points])
    t = np.arange(0.0, when[-1], 1 / hz)
    x, y = (np.interp(t, when, [p[k] for p in points]) for k in (1, 2))
    return t, x, y


def restarts(effects):
    return [event for event in effects.events if event.type in SET_PIECES]


OVER_TOUCHLINE = [(0, 5, 20), (2, 5, 20), (3, 10, 36), (4, 10, 36)]
OVER_GOAL_LINE = [(0, 40, 20), (2, 40, 20), (3, 54, 20), (4, 54, 20)]


def scene(kicker, kicked_at, taker, taker_at, points, flag=None):
    """`kicker` plays the ball out, `taker` stands at the place of the restart."""
    t, x, y = path(points)
    more = {} if flag is None else {"in_play": np.where((t >= flag[0]) & (t < flag[1]), 0.0, 1.0)}
    return play(
        ROSTER, stand(kicker, *kicked_at), stand(taker, *taker_at), ball(ROSTER, t, x, y, **more),
    )


@pytest.mark.parametrize("flag", [None, (3.0, 10.0)], ids=["by place", "by flag"])
def test_a_ball_over_the_touchline_comes_back_by_a_throw_in(flag):
    points = [*OVER_TOUCHLINE, (6, 11, 34.4), (10, 11, 34.4), (11, 2, 26), (13, 0, 24)]
    effects = scene(0, (5, 19.5), 2, (11, 34.8), points, flag)
    (event,) = restarts(effects)
    assert (event.type, event.subject_id, event.team) == ("throw_in", "p2", "away")
    assert event.sub_type == ("geometry" if flag is None else "source")
    assert event.metrics["dead_s"] == pytest.approx(7.2, abs=0.6)
    assert event.metrics["left_x_m"] == pytest.approx(9.4, abs=0.6)
    assert (event.t_event_ns - START_NS) * 1e-9 == pytest.approx(10.1, abs=0.2)
    assert last_row(effects, BALL)["throw_in_n"] == 1


@pytest.mark.parametrize("flag", [None, (2.95, 12.0)], ids=["by place", "by flag"])
@pytest.mark.parametrize(
    ("kicker", "spot", "kind"), [(2, (52.2, 33.7), "corner"), (0, (47.2, 4.0), "goal_kick")],
)
def test_over_the_goal_line_it_is_a_corner_or_a_goal_kick(kicker, spot, kind, flag):
    """Home attacks +x: the defender p2 gives a corner, the attacker p0 a goal kick."""
    taker = 1 if kind == "corner" else 3
    points = [*OVER_GOAL_LINE, (7, *spot), (12, *spot), (13, 30, 10), (15, 28, 8)]
    effects = scene(kicker, (39.5, 20), taker, (spot[0] + 0.6, spot[1] + 0.4), points, flag)
    (event,) = restarts(effects)
    assert (event.type, event.subject_id) == (kind, f"p{taker}")
    assert event.confidence == pytest.approx(0.9)
    assert (event.x_m, event.y_m) == pytest.approx(spot, abs=0.8)
    assert last_row(effects, BALL)[f"{kind}_n"] == 1


def test_a_place_that_does_not_fit_who_touched_last_lowers_the_confidence():
    points = [*OVER_GOAL_LINE, (7, 52.2, 33.7), (12, 52.2, 33.7), (13, 30, 10), (15, 28, 8)]
    effects = scene(0, (39.5, 20), 3, (52.6, 34), points)
    (event,) = restarts(effects)
    assert (event.type, event.confidence) == ("corner", pytest.approx(0.5))


@pytest.mark.parametrize("flag", [None, (1.0, 12.0)], ids=["by place", "by flag"])
@pytest.mark.parametrize(
    ("spot", "kind"),
    [((41.5, 0.0), "penalty"), ((20.0, 10.0), "free_kick"), ((0.3, -0.2), "kick_off")],
)
def test_a_ball_that_lay_dead_in_the_field_goes_on_by_its_place(spot, kind, flag):
    points = [(0, spot[0] - 6, 9), (1, *spot), (12, *spot), (13, spot[0] + 9, 8), (14, 30, 8)]
    effects = scene(0, (spot[0] - 0.7, spot[1]), 2, (-40, 0), points, flag)
    (event,) = restarts(effects)
    assert (event.type, event.subject_id) == (kind, "p0")
    assert event.metrics["dead_s"] == pytest.approx(11.0, abs=0.3)
    assert "left_x_m" not in event.metrics


def test_the_first_ball_of_a_match_that_leaves_the_centre_is_the_kick_off():
    t, x, y = path([(0, 0, 0), (3, 0, 0), (4, -12, 3), (5, -13, 3)])
    effects = play(ROSTER, stand(0, 0.4, 0.3), stand(1, -13, 3.4), ball(ROSTER, t, x, y))
    (event,) = restarts(effects)
    assert (event.type, event.subject_id) == ("kick_off", "p0")
    assert abs((event.t_event_ns - START_NS) * 1e-9 - 3.0) < 0.2


def test_after_a_goal_candidate_the_centre_is_a_kick_off_and_nothing_else_is():
    t, x, y = path([
        (0, 40, 0), (1, 40, 0), (1.6, 53.6, 0.5), (3, 54, 0.5), (20, 0, 0), (25, 0, 0), (26, -9, 5),
        (27, -10, 5),
    ])
    effects = play(ROSTER, stand(0, 39.5, 0.2), stand(2, 0.3, 0.5), ball(ROSTER, t, x, y, 0.5))
    assert len(of_type(effects, "goal_candidate")) == 1
    (event,) = restarts(effects)
    assert (event.type, event.subject_id) == ("kick_off", "p2")


def test_a_ball_boy_who_kicks_the_ball_back_restarts_nothing():
    """It comes back over the line and rolls; one stray touch later it still is not in play."""
    points = [*OVER_TOUCHLINE, (6, 20, 40), (9, 20, 40), (10, 17, 28), (12, 16.5, 26), (16, 16, 26)]
    effects = scene(0, (5, 19.5), 2, (17, 28.0), points)
    assert not restarts(effects)
    assert last_row(effects, BALL)["in_play"] == 0.0
    assert last_row(effects, BALL)["dead_s"] > 12.0


def test_two_players_who_touch_it_in_the_field_are_play_whatever_was_missed():
    points = [*OVER_TOUCHLINE, (5, 10, 20), (8, 10, 20), (9, 22, 10), (10, 10, 2), (12, 9, 1)]
    t, x, y = path(points)
    effects = play(
        ROSTER, stand(0, 5, 19.5), stand(2, 10, 20.3), stand(1, 22, 10.4), ball(ROSTER, t, x, y),
    )
    assert last_row(effects, BALL)["in_play"] == 1.0


def test_a_kick_felt_by_the_ball_on_a_lawful_spot_is_the_restart_and_a_kick():
    points = [*OVER_GOAL_LINE, (7, 52.2, 33.7), (12, 52.2, 33.7), (13, 30, 10), (15, 28, 8)]
    t, x, y = path(points)
    fast = np.arange(0, 15, 1 / 500)
    peak = np.where(np.minimum(np.abs(fast - 2), np.abs(fast - 12.0)) < 0.005, 1500.0, 10.0)
    effects = play(
        ROSTER, stand(2, 39.5, 20), stand(1, 52.6, 34), ball(ROSTER, t, x, y),
        knocks(ROSTER, fast, peak),
    )
    (event,) = restarts(effects)
    assert (event.type, event.subject_id) == ("corner", "p1")
    kicks = of_type(effects, "kick")
    assert [kick.subject_id for kick in kicks] == ["p2", "p1"]
    assert abs(event.t_event_ns - kicks[1].t_event_ns) < 10_000_000


def test_a_flag_that_slips_for_half_a_second_restarts_nothing():
    t, x, y = path([(0, 5, 5), (8, 30, 5)])
    flag = np.where((t > 3) & (t < 3.5), 0.0, 1.0)
    effects = play(ROSTER, stand(0, 18, 5), ball(ROSTER, t, x, y, in_play=flag))
    assert not restarts(effects)


def test_time_out_of_play_is_counted_and_time_in_play_is_not():
    points = [*OVER_TOUCHLINE, (6, 11, 34.4), (10, 11, 34.4), (11, 2, 26), (13, 0, 24)]
    effects = scene(0, (5, 19.5), 2, (11, 34.8), points, (3.0, 10.0))
    row = last_row(effects, BALL)
    assert row["dead_s"] == pytest.approx(7.0, abs=0.05)


def run_with_ball(player, start, end, t0=2.0, speed=6.0):
    """A player who runs along x with the ball half a metre ahead, from `start` to `end` m."""
    t1 = t0 + (end - start) / speed
    seconds = np.arange(0, 12, 0.05)
    return lps(player, seconds, np.interp(seconds, [t0, t1], [start, end]), 0.3), t1


@pytest.mark.parametrize(("end", "carries"), [(22.0, 1), (12.0, 0)])
def test_a_player_who_runs_with_the_ball_carries_it_from_three_metres_on(end, carries):
    who, t1 = run_with_ball(0, 10.0, end)
    t, x, y = path([(0, 10.5, 0), (2, 10.5, 0), (t1, end + 0.5, 0), (t1 + 1, end + 18, 0),
                    (11, end + 19, 0)])
    effects = play(ROSTER, who, stand(1, end + 18, 0.4), ball(ROSTER, t, x, y))
    found = of_type(effects, "carry")
    assert len(found) == carries
    if carries:
        (event,) = found
        assert (event.subject_id, event.sub_type) == ("p0", "released")
        assert event.metrics["length_m"] == pytest.approx(12.0, abs=1.5)
        assert event.metrics["speed_mps"] == pytest.approx(
            event.metrics["path_m"] / event.metrics["duration_s"]
        )
        assert event.x_end_m > event.x_m
        assert last_row(effects, BALL)["carry_m"] == pytest.approx(event.metrics["length_m"])


def test_an_opponents_touch_ends_a_carry_and_is_a_loss_of_possession():
    who, t1 = run_with_ball(0, 10.0, 22.0)
    t, x, y = path([
        (0, 10.5, 0), (2, 10.5, 0), (t1, 22.5, 0), (t1 + 0.5, 21.0, -8.0), (11, 20, -9),
    ])
    effects = play(ROSTER, who, stand(2, 22.6, -0.1), ball(ROSTER, t, x, y))
    (carry,) = of_type(effects, "carry")
    assert (carry.subject_id, carry.sub_type) == ("p0", "taken")
    (loss,) = of_type(effects, "possession_loss")
    (_, gain) = of_type(effects, "possession_gain")
    assert (loss.subject_id, loss.sub_type, gain.subject_id) == ("p0", "home", "p2")
    assert loss.t_event_ns == gain.t_event_ns
    assert last_row(effects, BALL)["loss_n"] == 1


def simulated(flagged):
    """(true outs and goals, types of restarts found) in four minutes of a simulated match."""
    simulator = MatchSimulator(MatchConfig(seed=1, duration_s=240.0, faults=Faults.none()))
    start = simulator.config.start_ns
    kernel = FlowKernel(simulator.roster)
    who = np.array([n for n, s in enumerate(simulator.roster.subjects) if s.role == "ball"])
    found, held = [], {}
    for k in range(simulator.chunks):
        final = k == simulator.chunks - 1
        for kind, block in simulator.chunk(k).items():
            if kind in (Kind.LPS, Kind.BALL_POS, Kind.BALL_IMU):
                held.setdefault(kind, []).append(block)
        if k % 20 < 19 and not final:
            continue
        until, blocks, late = start + k * 10**9, {}, {}
        for kind, parts in held.items():
            block = concat_blocks(parts)
            if kind == Kind.BALL_POS and not flagged:
                values = block.values.copy()
                values[KINDS[kind].index("in_play")] = np.nan
                block = replace(block, values=values)
            now = np.full(len(block), True) if final else block.t_event_ns < until
            blocks[kind] = block.take(now)
            late[kind] = [block.take(~now)]
        held = late
        record = TelemetryRecord("v", "m", k, until - 20 * 10**9, until, blocks, final=final)
        found += restarts(kernel.handle([record], who))
    truth = [e.type for e in simulator.truth.events if e.type in ("ball_out", "goal")]
    return truth, [event.type for event in found]


@pytest.mark.parametrize(("flagged", "missed"), [(True, 1), (False, 2)], ids=["flag", "place"])
def test_in_a_simulated_match_every_stop_has_its_restart(flagged, missed):
    """And the kick-off at the beginning. The last stop outlasts the four minutes; by its place
    alone a throw-in is not told that goes out again before it is a metre inside."""
    truth, found = simulated(flagged)
    outs, goals = truth.count("ball_out"), truth.count("goal")
    assert outs >= 4
    assert found.count("kick_off") == 1 + goals
    lines = sum(found.count(kind) for kind in ("throw_in", "corner", "goal_kick"))
    assert outs - lines == missed
    assert not {"free_kick", "penalty"} & set(found)
