"""The ball and the lines: out of play, and goal candidates with a probability. Metres."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.events import catalog as C  # noqa: N812
from models.flows import layout as L  # noqa: N812
from models.flows.ball_play import attack_sign
from models.flows.config import FlowConfig
from models.flows.emit import NO_METRIC, emit
from models.flows.tables import Outputs, Twins
from models.metrics.goal import BALL_RADIUS_M, GOAL_HALF_WIDTH_M, GOAL_HEIGHT_M, goal_probability

BACK_INSIDE_M = 0.5
GOAL_P = 0.5


@njit(cache=True)
def check_lines(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int, before_ns: int,
    before: tuple[float, float, float], half: tuple[float, float], periods: NDArray[np.int64],
) -> None:
    """Compare the last two positions with the lines; crossings are interpolated between them.

    `half` is half of the pitch's length and width. After leaving, the ball must come back by 0.5 m
    before it can leave again.
    """
    f, i = twins.f[s], twins.i[s]
    x, y, z = f[L.K_OLD_X], f[L.K_OLD_Y], f[L.K_OLD_Z]
    limit_x, limit_y = half[0] + BALL_RADIUS_M, half[1] + BALL_RADIUS_M
    if i[L.K_OUTSIDE] == 1:
        if abs(x) < half[0] - BACK_INSIDE_M and abs(y) < half[1] - BACK_INSIDE_M:
            i[L.K_OUTSIDE] = 0
            i[L.K_GOAL_SENT] = 0
        elif i[L.K_GOAL_SENT] == 0:
            _goal(twins, s, cfg, out, t_ns, half[0], periods)
        return
    over_x, over_y = abs(x) >= limit_x, abs(y) >= limit_y
    if not over_x and not over_y:
        return
    bx, by, bz = before
    part_x = _part(abs(bx), abs(x), limit_x) if over_x else 2.0
    part_y = _part(abs(by), abs(y), limit_y) if over_y else 2.0
    part = min(part_x, part_y)
    goal_line = part_x <= part_y
    cross_x, cross_y, cross_z = bx + (x - bx) * part, by + (y - by) * part, bz + (z - bz) * part
    t_cross = before_ns + int((t_ns - before_ns) * part)
    i[L.K_OUTSIDE] = 1
    i[L.KT_BOUND] = t_cross
    f[L.K_CROSS_Y], f[L.K_CROSS_Z] = cross_y, cross_z
    inside = abs(cross_y) <= GOAL_HALF_WIDTH_M and cross_z <= GOAL_HEIGHT_M
    i[L.K_GOAL_SENT] = 0 if goal_line and inside else 2
    if i[L.K_GOAL_SENT] == 0:
        _goal(twins, s, cfg, out, t_ns, half[0], periods)
    i[L.K_OUT_N] += 1
    i[L.K_TOUCHER] = -1
    emit(
        out, i, L.K_SEQ, s, C.BALL_OUT, 1 if goal_line else 0, t_cross, t_ns, -1,
        (cross_x, cross_y, NO_METRIC, NO_METRIC), 0.8,
        (f[L.K_SPEED], NO_METRIC, NO_METRIC, NO_METRIC, NO_METRIC, NO_METRIC),
    )


@njit(cache=True)
def _part(before: float, after: float, limit: float) -> float:
    """Share of the way from `before` to `after` at which `limit` is reached, in [0, 1]."""
    if after <= before:
        return 1.0
    return min(max((limit - before) / (after - before), 0.0), 1.0)


@njit(cache=True)
def _goal(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int, half_length_m: float,
    periods: NDArray[np.int64],
) -> None:
    """A goal is of who touched last of the team that attacks there; without known periods, of who
    touched last."""
    f, i = twins.f[s], twins.i[s]
    beyond = abs(f[L.K_OLD_X])
    p = goal_probability(
        beyond, f[L.K_CROSS_Y], f[L.K_CROSS_Z], half_length_m, cfg.goal_sigma_m
    )
    if p < GOAL_P:
        return
    i[L.K_GOAL_SENT] = 1
    i[L.K_GOAL_N] += 1
    who, home = i[L.K_SHOOTER], attack_sign(periods, i[L.KT_BOUND], 0)
    if home != 0:
        who = i[L.K_HOME_TOUCHER if home * f[L.K_OLD_X] > 0.0 else L.K_AWAY_TOUCHER]
    emit(
        out, i, L.K_SEQ, s, C.GOAL_CANDIDATE, 0, i[L.KT_BOUND], t_ns, who,
        (f[L.K_OLD_X], f[L.K_CROSS_Y], NO_METRIC, NO_METRIC), p,
        (p, f[L.K_CROSS_Y], f[L.K_CROSS_Z], beyond - half_length_m, f[L.K_SPEED], NO_METRIC),
    )
