"""The scene: one match played, with its grids and truth, ready for sensors to look at.

Everything that costs time once is done here; afterwards any second can be sensed by itself.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.simulator.ballgame import STEP_S, Log
from models.simulator.body import GRID_HZ, Grids, build_grids
from models.simulator.config import MatchConfig, PlannedFault
from models.simulator.faults import plan_faults, true_faults
from models.simulator.flight import PATH_S
from models.simulator.motion import BALL_GRID_HZ
from models.simulator.play import Course, Play
from models.simulator.traits import AGENTS, Traits, draw_traits, subject_ids
from models.simulator.truth import TrueEvent, Truth

_SPRINT_MPS, _SPRINT_END_MPS, _SPRINT_S = 7.0, 6.5, 1.0


@dataclass(frozen=True, slots=True)
class Scene:
    """`ball` (m, 3) float32 on the 50 Hz grid, all else as named."""

    traits: Traits
    course: Course
    grids: Grids
    ball: NDArray[np.float32]
    plan: tuple[PlannedFault, ...]
    truth: Truth


def play_scene(config: MatchConfig) -> Scene:
    """Plays the match of `config`; deterministic."""
    roots = np.random.SeedSequence(config.seed).spawn(4)
    rngs = [np.random.default_rng(root) for root in roots]
    traits = draw_traits(rngs[0])
    course = Play(config, traits, rngs[1]).run()
    grids = build_grids(course, traits, rngs[2])
    ball = _ball_grid(course)
    plan = plan_faults(config, rngs[3])
    return Scene(traits, course, grids, ball, plan, _truth(config, course, grids, ball, plan))


def _ball_grid(course: Course) -> NDArray[np.float32]:
    """The ball each 20 ms: between 10 Hz steps straight, in flight along the flown path."""
    steps = len(course.ball)
    fine = np.arange(steps * BALL_GRID_HZ // GRID_HZ) / BALL_GRID_HZ
    coarse = np.arange(steps) * STEP_S
    grid = np.stack([np.interp(fine, coarse, course.ball[:, axis]) for axis in range(3)], axis=1)
    for t0, path in course.log.flights:
        first = math.ceil(t0 * BALL_GRID_HZ)
        last = min(int((t0 + (len(path) - 1) * PATH_S) * BALL_GRID_HZ), len(grid) - 1)
        if last < first:
            continue
        at = (np.arange(first, last + 1) / BALL_GRID_HZ - t0) / PATH_S
        known = np.arange(len(path))
        for axis in range(3):
            grid[first : last + 1, axis] = np.interp(at, known, path[:, axis])
    return grid.astype(np.float32)


def _truth(
    config: MatchConfig, course: Course, grids: Grids, ball: NDArray[np.float32],
    plan: tuple[PlannedFault, ...],
) -> Truth:
    ids, end = subject_ids(config), config.duration_s
    rows = _ball_events(course.log, ids) + _body_events(course, ids)
    rows += _sprints(course, ids)
    rows += [
        (t, t, TrueEvent("transition", 0, 0, values={"players_n": float(n)}))
        for t, n in course.transitions
    ]

    def ns(seconds: float) -> int:
        return config.start_ns + round(seconds * 1e9)

    events = [
        TrueEvent(e.type, ns(t0), ns(t1), e.subject_id, e.other_id, e.sub_type, e.values)
        for t0, t1, e in sorted(rows, key=lambda row: (row[0], row[2].type, row[2].subject_id))
        if t1 < end
    ]
    every = slice(0, math.ceil(end) * GRID_HZ, GRID_HZ)
    return Truth(
        tuple(events), tuple(true_faults(config, plan)), ids, course.fatigue[every],
        grids.distance_m[every], course.pos, ball,
    )


Row = tuple[float, float, TrueEvent]


def _ball_events(log: Log, ids: tuple[str, ...]) -> list[Row]:
    rows: list[Row] = []
    for t, who, kind, dv, _ in log.kicks:
        rows.append((t, t, TrueEvent("kick", 0, 0, ids[who], "", kind, {"dv_mps": dv})))
    for t, dv in log.bounces:
        rows.append((t, t, TrueEvent("bounce", 0, 0, values={"dv_mps": dv})))
    for t0, t1, giver, taker, length in log.passes:
        complete = giver // 11 == taker // 11 and giver != taker
        how = "complete" if complete else "lost"
        pass_ = TrueEvent("pass", 0, 0, ids[giver], ids[taker], how, {"length_m": length})
        rows.append((t0, t1, pass_))
    for t, who, speed, outcome in log.shots:
        rows.append((t, t, TrueEvent("shot", 0, 0, ids[who], "", outcome, {"speed_mps": speed})))
    for t, x, y, kind in log.outs:
        rows.append((t, t, TrueEvent("ball_out", 0, 0, "", "", kind, {"x_m": x, "y_m": y})))
    for t, team, side, y, z in log.goals:
        values = {"goal_n": float(side > 0), "y_m": y, "z_m": z}
        rows.append((t, t, TrueEvent("goal", 0, 0, "", "", ("home", "away")[team], values)))
    for t, who, changed in log.gains:
        how = "turnover" if changed else "kept"
        rows.append((t, t, TrueEvent("possession_gain", 0, 0, ids[who], "", how)))
    return rows


def _body_events(course: Course, ids: tuple[str, ...]) -> list[Row]:
    rows: list[Row] = []
    for c in course.contacts:
        values = {"duration_s": c.duration_s, "peak_g": c.peak_g}
        other = ids[c.other] if c.other >= 0 else ""
        event = TrueEvent(c.type, 0, 0, ids[c.agent], other, "", values)
        rows.append((c.t_s, c.t_s + c.duration_s, event))
    return rows


def _sprints(course: Course, ids: tuple[str, ...]) -> list[Row]:
    """v >= 7.0 m/s for >= 1.0 s, over when v < 6.5 for 0.5 s (DOMAIN B1), on true speeds."""
    speed = np.hypot(course.vel[..., 0], course.vel[..., 1])
    rows: list[Row] = []
    for agent in range(AGENTS):
        fast = np.flatnonzero(speed[:, agent] >= _SPRINT_END_MPS)
        for run in np.split(fast, np.flatnonzero(np.diff(fast) > 5) + 1):
            quick = run[speed[run, agent] >= _SPRINT_MPS]
            if len(quick) and (quick[-1] - quick[0]) * STEP_S >= _SPRINT_S:
                own = speed[quick[0] : run[-1] + 1, agent]
                values = {"peak_mps": float(own.max()), "distance_m": float(own.sum() * STEP_S)}
                t0, t1 = float(quick[0] * STEP_S), float(run[-1] * STEP_S)
                rows.append((t0, t1, TrueEvent("sprint", 0, 0, ids[agent], values=values)))
    return rows
