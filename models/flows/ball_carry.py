"""Carries: one player moves the ball over 3 m and more, and nobody else touches it. Metres, ns.

A carry begins with a player's touch, or when the ball has stayed beside a player for half a second;
it ends when somebody else touches the ball, when the ball is too far away, or when it is dead. Its
end is where the ball last was within reach, so that the pass after it does not count.
"""

from math import hypot

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.events import catalog as C  # noqa: N812
from models.flows import layout as L  # noqa: N812
from models.flows.config import FlowConfig
from models.flows.emit import NO_METRIC, emit
from models.flows.tables import Outputs, Twins

BESIDE_NS = 500_000_000
AWAY_NS = 2_000_000_000
SEEN_NS = 1_000_000_000
RELEASED, TAKEN, STOPPED = range(3)


@njit(cache=True)
def carry_begin(f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int, who: int) -> None:
    """`who` has the ball from now on, where it is now."""
    i[L.K_CARRIER] = who
    i[L.KT_CARRY], i[L.KT_CARRY_NEAR] = t_ns, t_ns
    f[L.K_CARRY_X], f[L.K_CARRY_Y] = f[L.K_OLD_X], f[L.K_OLD_Y]
    f[L.K_CARRY_END_X], f[L.K_CARRY_END_Y] = f[L.K_OLD_X], f[L.K_OLD_Y]
    f[L.K_CARRY_PATH], f[L.K_CARRY_SO_FAR] = 0.0, 0.0


@njit(cache=True)
def carry_end(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int, how: int
) -> None:
    """Nobody has the ball any more; an event if it went far enough."""
    f, i = twins.f[s], twins.i[s]
    who = i[L.K_CARRIER]
    i[L.K_CARRIER] = -1
    length = hypot(f[L.K_CARRY_END_X] - f[L.K_CARRY_X], f[L.K_CARRY_END_Y] - f[L.K_CARRY_Y])
    seconds = (i[L.KT_CARRY_NEAR] - i[L.KT_CARRY]) * 1e-9
    if who < 0 or length < cfg.carry_min_m or seconds <= 0.0:
        return
    i[L.K_CARRY_N] += 1
    f[L.K_CARRIED_M] += length
    path = max(f[L.K_CARRY_PATH], length)
    emit(
        out, i, L.K_SEQ, s, C.CARRY, how, i[L.KT_CARRY], t_ns, who,
        (f[L.K_CARRY_X], f[L.K_CARRY_Y], f[L.K_CARRY_END_X], f[L.K_CARRY_END_Y]), 0.7,
        (length, path, seconds, path / seconds, NO_METRIC, NO_METRIC),
    )


@njit(cache=True)
def carry_touched(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int, who: int
) -> None:
    """`who` touches the ball: the carry of anybody else is over, and theirs goes on or begins."""
    if twins.i[s, L.K_CARRIER] == who:
        return
    carry_end(twins, s, cfg, out, t_ns, TAKEN)
    carry_begin(twins.f[s], twins.i[s], t_ns, who)


@njit(cache=True)
def carry_fix(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int, z: float,
    before: tuple[float, float, float],
) -> None:
    """The ball has moved to where `f` says, from `before`; called for every position in play."""
    f, i = twins.f[s], twins.i[s]
    who = i[L.K_CARRIER]
    if who < 0:
        if i[L.K_NEAREST] >= 0 and t_ns - i[L.KT_NEAR] >= BESIDE_NS:
            carry_begin(f, i, t_ns, i[L.K_NEAREST])
        return
    f[L.K_CARRY_SO_FAR] += hypot(f[L.K_OLD_X] - before[0], f[L.K_OLD_Y] - before[1])
    away = np.inf
    if t_ns - twins.near_t[s, who] <= SEEN_NS:
        away = hypot(
            twins.near_xy[s, who, 0] - f[L.K_OLD_X], twins.near_xy[s, who, 1] - f[L.K_OLD_Y]
        )
    if away <= cfg.touch_m and z <= cfg.ball_reach_z_m:
        i[L.KT_CARRY_NEAR] = t_ns
        f[L.K_CARRY_END_X], f[L.K_CARRY_END_Y] = f[L.K_OLD_X], f[L.K_OLD_Y]
        f[L.K_CARRY_PATH] = f[L.K_CARRY_SO_FAR]
    elif away > cfg.carry_lost_m or t_ns - i[L.KT_CARRY_NEAR] > AWAY_NS:
        carry_end(twins, s, cfg, out, t_ns, RELEASED)
