"""The DEBS 2013 analyses: their definitions, and that cuts of the stream cannot show."""

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.analyses.heatmap import GRIDS
from models.analyses.running import CLASSES, WINDOWS_S, class_of
from models.analyses.suite import NAMES, Suite
from models.errors import SchemaError
from models.simulator.config import Faults, MatchConfig
from models.simulator.match import MatchSimulator
from models.telemetry.block import concat_blocks
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device, Period
from tests.unit.flow_world import START_NS, at_ns, ball, knocks, lps, roster_of, rows

ROSTER = replace(
    roster_of(4), periods=(Period("first_half", START_NS, START_NS + 10**12, 1),),
)


def samples_of(suite, *blocks):
    kinds = {}
    for block in blocks:
        kinds.setdefault(block.kind, []).append(block)
    return suite.merger.merge({kind: concat_blocks(found) for kind, found in kinds.items()})


def ran(legs, hz=20, player=0):
    """An LPS track along x of (seconds, m/s) legs."""
    speed = np.concatenate([np.full(int(s * hz), v) for s, v in legs])
    x = -40.0 + np.concatenate([[0.0], np.cumsum(speed / hz)])
    return lps(player, np.arange(len(x)) / hz, x, 0.0)


def times(table, subject=0):
    return {
        row["intensity"]: row["time_s"] for row in table.to_pylist() if row["subject"] == subject
    }


def test_the_thresholds_are_those_of_the_challenge():
    limits = [0.0, 0.9, 1.1, 10.9, 11.1, 13.9, 14.1, 16.9, 17.1, 23.9, 24.1, 40.0]
    found = [CLASSES[class_of(kmh / 3.6)] for kmh in limits]
    assert found == [
        "standing", "standing", "trot", "trot", "low", "low", "medium", "medium", "high", "high",
        "sprint", "sprint",
    ]


def test_time_and_distance_go_to_the_class_that_is_run_at():
    suite = Suite(ROSTER)
    running = suite.running()
    running.handle(samples_of(suite, ran([(20, 0.0), (20, 2.0), (10, 8.0)])))
    found = times(running.table())
    assert found["standing"] == pytest.approx(20.0, abs=1.0)
    assert found["trot"] == pytest.approx(20.0, abs=1.5)
    assert found["sprint"] == pytest.approx(10.0, abs=1.5)
    metres = sum(running.table().column("distance_m").to_pylist())
    assert metres == pytest.approx(40.0 + 80.0, abs=2.0)
    (now,) = running.current().to_pylist()
    assert (now["subject"], now["intensity"]) == (0, "sprint")
    assert now["speed_kmh"] == pytest.approx(28.8, abs=0.3)


def test_a_class_that_is_held_for_less_than_a_second_belongs_to_the_one_before():
    suite = Suite(ROSTER)
    running = suite.running()
    running.handle(samples_of(suite, ran([(10, 2.0), (0.5, 4.3), (10, 2.0)])))
    assert set(times(running.table())) == {"trot"}


def test_windows_hold_the_last_minutes_only():
    suite = Suite(ROSTER)
    running = suite.running()
    running.handle(samples_of(suite, ran([(90, 0.0), (60, 2.0)], hz=10)))
    assert times(running.table(60)).get("standing", 0.0) < 2.0
    assert times(running.table(60))["trot"] == pytest.approx(60.0, abs=2.0)
    assert times(running.table(300)) == pytest.approx(times(running.table(0)))
    with pytest.raises(ValueError, match="window"):
        running.table(1201)


def test_two_feet_are_one_runner_and_a_spare_arm_does_not_count():
    devices = (
        Device("left", Kind.LPS, "p0", 200.0), Device("right", Kind.LPS, "p0", 200.0),
        Device("arm", Kind.LPS, "p0", 200.0, source_rank=1),
    )
    suite = Suite(replace(ROSTER, devices=devices))
    running, t = suite.running(), np.arange(0, 20, 0.005)
    stride = 0.35 * np.sin(2 * np.pi * 1.5 * t)
    body = -40 + 3.5 * t
    parts = [
        rows(Kind.LPS, n, at_ns(t), pos_x_m=x, pos_y_m=np.zeros(len(t)))
        for n, x in enumerate((body + stride, body - stride, body + 5 * np.sin(9 * t)))
    ]
    running.handle(samples_of(suite, *parts))
    assert sum(running.table().column("distance_m").to_pylist()) == pytest.approx(70.0, abs=2.0)


def rolled(t, *legs):
    x = np.full(len(t), legs[0][2], np.float64)
    for start, end, a, b in legs:
        x = np.where(t >= start, a + (b - a) * np.clip((t - start) / (end - start), 0, 1), x)
    return x


def passing(sensed):
    """p0 plays to p2 at 2 s, who has it from 3.5 s until it rolls out at 10 s."""
    t = np.arange(0, 12, 0.02)
    x = rolled(t, (2.0, 3.5, 0.0, 18.0))
    y = rolled(t, (8.0, 10.5, 0.0, 40.0))
    blocks = [lps(0, np.arange(0, 12, 0.05), 0.0, 0.4), lps(2, np.arange(0, 12, 0.05), 18.2, 0.3),
              ball(ROSTER, t, x, y)]
    if sensed:
        fast = np.arange(0, 12, 0.002)
        hit = np.min([np.abs(fast - s) for s in (2.0, 3.5, 8.0)], axis=0) < 0.003
        blocks.append(knocks(ROSTER, fast, np.where(hit, 800.0, 10.0)))
    return blocks


@pytest.mark.parametrize("sensed", [True, False])
def test_possession_lasts_from_a_players_hit_to_the_next_of_another_or_to_the_line(sensed):
    suite = Suite(ROSTER)
    possession = suite.possession()
    possession.handle(samples_of(suite, *passing(sensed)))
    found = {row["subject"]: row for row in possession.players().to_pylist()}
    assert found[0]["time_s"] == pytest.approx(1.5, abs=0.2)
    assert found[2]["time_s"] == pytest.approx(6.6, abs=0.3)
    assert found[0]["hits"] == 1
    assert possession.player == -1
    home, away = possession.teams().to_pylist()
    assert home["percent"] + away["percent"] == pytest.approx(100.0)
    assert away["time_s"] == pytest.approx(found[2]["time_s"])


def test_a_ball_that_is_hit_two_metres_away_from_everybody_is_nobodys():
    suite = Suite(ROSTER)
    possession = suite.possession()
    blocks = passing(True)
    blocks[:2] = [lps(0, np.arange(0, 12, 0.05), 0.0, 2.0)]
    possession.handle(samples_of(suite, *blocks))
    assert possession.players().num_rows == 0
    assert np.isnan(possession.teams().column("percent").to_pylist()).all()


def test_a_stopped_game_is_nobodys_possession():
    suite = Suite(ROSTER)
    possession = suite.possession()
    blocks = passing(True)
    values = blocks[2].values.copy()
    values[4] = np.where(np.arange(values.shape[1]) < 250, 1.0, 0.0)
    blocks[2] = replace(blocks[2], values=values)
    possession.handle(samples_of(suite, *blocks))
    assert sum(possession.players().column("time_s").to_pylist()) == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize(("y", "home", "shots"), [(1.0, 1, 1), (5.0, 1, 0), (1.0, -1, 0)])
def test_a_shot_is_a_hit_that_would_cross_the_other_teams_goal(y, home, shots):
    roster = replace(ROSTER, periods=(Period("p", START_NS, START_NS + 10**12, home),))
    suite = Suite(roster)
    t, fast = np.arange(0, 4, 0.02), np.arange(0, 4, 0.002)
    track = ball(roster, t, rolled(t, (2.0, 2.8, 34.0, 52.0)), rolled(t, (2.0, 2.8, 0.0, y)))
    hit = knocks(roster, fast, np.where(np.abs(fast - 2.0) < 0.003, 2000.0, 10.0))
    analysis = suite.shots()
    analysis.handle(samples_of(suite, lps(0, np.arange(0, 4, 0.05), 33.6, 0.2), track, hit))
    found = analysis.table().to_pylist()
    assert len(found) == shots
    if shots:
        assert found[0]["subject"] == 0
        assert found[0]["speed_mps"] == pytest.approx(22.5, abs=1.5)
        assert found[0]["goal_x_m"] == 52.5
        assert 0.7 < found[0]["arrives_s"] < 1.3


@pytest.mark.parametrize("grid", range(4))
def test_shares_of_a_heat_map_sum_to_all_the_time_on_the_pitch(grid):
    suite = Suite(ROSTER)
    heat = suite.heatmap()
    t = np.arange(0, 100, 0.05)
    heat.handle(samples_of(suite, lps(0, t, -52.5 + 105.0 * (t % 50) / 50, 33.9)))
    share = heat.share(0, grid)
    assert share.shape == GRIDS[grid]
    assert share.sum() == pytest.approx(100.0)
    assert share[-1].sum() == pytest.approx(100.0)
    assert share[-1].max() < 2.2 * 100.0 / GRIDS[grid][1]


def test_off_the_pitch_is_in_no_cell_and_the_last_minute_is_the_last_minute():
    suite = Suite(ROSTER)
    heat = suite.heatmap()
    t = np.arange(0, 120, 0.1)
    heat.handle(samples_of(suite, lps(0, t, np.where(t < 60, 60.0, 10.0), 0.0)))
    assert heat.share(0, 0).sum() == pytest.approx(50.0, abs=0.5)
    assert heat.share(0, 0, 60).sum() == pytest.approx(100.0, abs=0.5)
    (cell,) = heat.table(0, 60).to_pylist()
    assert cell["x1_m"] <= 10.0 <= cell["x2_m"]
    with pytest.raises(ValueError, match="window"):
        heat.share(0, 0, 601)


@cache
def match():
    """(suite, samples) of half a minute of a simulated match."""
    simulator = MatchSimulator(MatchConfig(seed=4, duration_s=30.0, faults=Faults.none()))
    parts = {}
    for k in range(simulator.chunks):
        for kind, block in simulator.chunk(k).items():
            parts.setdefault(kind, []).append(block)
    suite = Suite(simulator.roster)
    return suite, suite.merger.merge({kind: concat_blocks(p) for kind, p in parts.items()})


def made(name, suite):
    return getattr(suite, name)()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_cuts_and_moves_of_the_state_change_nothing(name, seed):
    suite, samples = match()
    whole, dice = made(name, suite), random.Random(seed)
    whole.handle(samples)
    pieces, at = made(name, suite), 0
    while at < samples.rows:
        size = dice.choice((0, 1, 3, 500, 20_000, 60_000))
        pieces.handle(samples.part(slice(at, at + size)))
        at += size
        if dice.random() < 0.3:
            moved = made(name, suite)
            moved.restore(pieces.snapshot())
            pieces = moved
    assert pieces.snapshot() == whole.snapshot()


def test_a_simulated_match_has_something_of_everything():
    suite, samples = match()
    running, possession = suite.running(), suite.possession(1.5)
    for analysis in (running, possession):
        analysis.handle(samples)
    assert len(set(running.table(WINDOWS_S[0]).column("intensity").to_pylist())) >= 3
    assert possession.players().num_rows > 3


@pytest.mark.parametrize("name", NAMES)
def test_a_state_of_another_analysis_or_a_torn_one_is_refused(name):
    suite, _ = match()
    analysis = made(name, suite)
    good = analysis.snapshot()
    other = made(NAMES[NAMES.index(name) - 1], suite).snapshot()
    for bad in (b"", b"nonsense!", good[:-1], other, good[:4] + b"\xff\xff\xff\x00" + good[8:]):
        with pytest.raises(SchemaError):
            analysis.restore(bad)
