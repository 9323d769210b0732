"""What touches of the ball mean: possession, passes, shots. Times in ns, places in metres."""

from math import hypot, nan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.events import catalog as C  # noqa: N812
from models.flows import layout as L  # noqa: N812
from models.flows.ball_carry import carry_touched
from models.flows.config import FlowConfig
from models.flows.emit import NO_METRIC, emit
from models.flows.tables import Outputs, Twins
from models.metrics.flight import crossing, spun_crossing
from models.metrics.goal import GOAL_HALF_WIDTH_M, GOAL_HEIGHT_M

SEEN_NS = 1_000_000_000
SHOT_SETTLE_NS = 150_000_000
REPEAT_NS = 300_000_000
SAME_CHANGE_NS = 160_000_000
"""A change of velocity is seen over two spans of 80 ms: within them it is still the same one."""
OUT_PASS_M = 15.0
"""A ball that is only deflected or lost seldom goes so far before it is out."""
BY_POSITION, BY_SENSOR, BY_CONTROL = range(3)


@njit(cache=True)
def find_nearest(
    twins: Twins, s: int, params: NDArray[np.float64], t_ns: int
) -> tuple[int, float]:
    """The player of a team nearest to the ball by the last positions within a second: (subject,
    m)."""
    f = twins.f[s]
    best, best_m = -1, np.inf
    for who in range(params.shape[0]):
        if params[who, L.P_TEAM] < 0.0 or t_ns - twins.near_t[s, who] > SEEN_NS:
            continue
        dx = twins.near_xy[s, who, 0] - f[L.K_OLD_X]
        dy = twins.near_xy[s, who, 1] - f[L.K_OLD_Y]
        if abs(dx) < best_m and abs(dy) < best_m:
            metres = hypot(dx, dy)
            if metres < best_m:
                best, best_m = who, metres
    return best, best_m


@njit(cache=True)
def attack_sign(periods: NDArray[np.int64], t_ns: int, team: int) -> int:
    """Towards which end `team` (0 home, 1 away) attacks at `t_ns`: 1 for +x, -1 for -x, 0 when no
    period says so. periods (P, 3): begin, end, the home team's end."""
    for n in range(periods.shape[0]):
        if periods[n, 0] <= t_ns < periods[n, 1]:
            return int(periods[n, 2]) if team == 0 else -int(periods[n, 2])
    return 0


@njit(cache=True)
def touch(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    who: int, how: int, peak_mps2: float, metres: float,
) -> None:
    """Player `who` touches the ball at `t_ns`: closes a pass, may gain possession, may be a
    kick."""
    f, i = twins.f[s], twins.i[s]
    last = i[L.K_TOUCHER]
    again_ns = REPEAT_NS if who == last else SAME_CHANGE_NS
    if how == BY_POSITION and last >= 0 and t_ns - i[L.KT_TOUCH] < again_ns:
        return
    if last >= 0 and last != who:
        _pass(twins, s, params, cfg, out, t_ns, last, who)
    carry_touched(twins, s, cfg, out, t_ns, who)
    _gain(twins, s, params, out, t_ns, who)
    i[L.K_TOUCH_N] += 1
    i[L.K_TOUCHER] = who
    i[L.K_HOME_TOUCHER if params[who, L.P_TEAM] == 0.0 else L.K_AWAY_TOUCHER] = who
    i[L.KT_TOUCH] = t_ns
    f[L.K_TOUCH_X], f[L.K_TOUCH_Y] = f[L.K_OLD_X], f[L.K_OLD_Y]
    if how == BY_CONTROL:
        return
    i[L.K_KICK_N] += 1
    emit(
        out, i, L.K_SEQ, s, C.KICK, how, t_ns, t_ns, who,
        (f[L.K_OLD_X], f[L.K_OLD_Y], NO_METRIC, NO_METRIC), 0.9 if how == BY_SENSOR else 0.6,
        (f[L.K_SPEED], peak_mps2, metres, NO_METRIC, NO_METRIC, NO_METRIC),
    )
    i[L.KT_SHOT_DUE] = t_ns + SHOT_SETTLE_NS
    i[L.KT_SHOT] = t_ns
    i[L.K_SHOOTER] = who
    f[L.K_SHOT_X], f[L.K_SHOT_Y] = f[L.K_OLD_X], f[L.K_OLD_Y]
    i[L.KT_NEXT_DUE] = min(i[L.KT_NEXT_DUE], i[L.KT_SHOT_DUE])


@njit(cache=True)
def _pass(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    giver: int, taker: int,
) -> None:
    f, i = twins.f[s], twins.i[s]
    length = hypot(f[L.K_OLD_X] - f[L.K_TOUCH_X], f[L.K_OLD_Y] - f[L.K_TOUCH_Y])
    duration = (t_ns - i[L.KT_TOUCH]) * 1e-9
    if length < cfg.pass_min_m or duration > cfg.pass_max_s or duration <= 0.0:
        return
    complete = params[giver, L.P_TEAM] == params[taker, L.P_TEAM]
    i[L.K_PASS_N if complete else L.K_STEAL_N] += 1
    emit(
        out, i, L.K_SEQ, s, C.PASS, 0 if complete else 1, i[L.KT_TOUCH], t_ns,
        giver * params.shape[0] + taker,
        (f[L.K_TOUCH_X], f[L.K_TOUCH_Y], f[L.K_OLD_X], f[L.K_OLD_Y]), 0.7,
        (length, duration, length / duration, NO_METRIC, NO_METRIC, NO_METRIC),
    )


@njit(cache=True)
def passed_out(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    giver: int,
) -> None:
    """The ball has left the field after a touch of `giver`: a pass to nobody, unless it was a
    shot."""
    f, i = twins.f[s], twins.i[s]
    if giver < 0 or i[L.KT_SHOT_TOUCH] == i[L.KT_TOUCH]:
        return
    length = hypot(f[L.K_OLD_X] - f[L.K_TOUCH_X], f[L.K_OLD_Y] - f[L.K_TOUCH_Y])
    duration = (t_ns - i[L.KT_TOUCH]) * 1e-9
    if length < max(cfg.pass_min_m, OUT_PASS_M) or duration > cfg.pass_max_s or duration <= 0.0:
        return
    emit(
        out, i, L.K_SEQ, s, C.PASS, 2, i[L.KT_TOUCH], t_ns, giver * params.shape[0] + giver,
        (f[L.K_TOUCH_X], f[L.K_TOUCH_Y], f[L.K_OLD_X], f[L.K_OLD_Y]), 0.5,
        (length, duration, length / duration, NO_METRIC, NO_METRIC, NO_METRIC),
    )


@njit(cache=True)
def _gain(
    twins: Twins, s: int, params: NDArray[np.float64], out: Outputs, t_ns: int, who: int
) -> None:
    f, i = twins.f[s], twins.i[s]
    team = int(params[who, L.P_TEAM])
    loser = i[L.K_OWNER]
    i[L.K_OWNER] = who
    if team == i[L.K_TEAM]:
        return
    held = (t_ns - i[L.KT_PASS]) * 1e-9 if i[L.KT_PASS] != L.NONE_NS else nan
    if loser >= 0:
        i[L.K_LOSS_N] += 1
        emit(
            out, i, L.K_SEQ, s, C.LOSS, 1 + i[L.K_TEAM], t_ns, t_ns, loser,
            (f[L.K_OLD_X], f[L.K_OLD_Y], NO_METRIC, NO_METRIC), 0.7,
            (held, NO_METRIC, NO_METRIC, NO_METRIC, NO_METRIC, NO_METRIC),
        )
    i[L.K_TEAM] = team
    i[L.KT_PASS] = t_ns
    emit(
        out, i, L.K_SEQ, s, C.GAIN, 1 + team, t_ns, t_ns, who,
        (f[L.K_OLD_X], f[L.K_OLD_Y], NO_METRIC, NO_METRIC), 0.7,
        (held, NO_METRIC, NO_METRIC, NO_METRIC, NO_METRIC, NO_METRIC),
    )


@njit(cache=True)
def judge_shot(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    half_length_m: float, periods: NDArray[np.int64],
) -> None:
    """A shot leaves fast and, with drag, would meet the goal or come near it: the other team's
    goal, where the periods say which one that is. A measured spin is a size without an axis: taken
    as side spin it bends the ball by as much to either side, and the shot counts if one of the
    three paths comes near; the event tells the straight one and the bend."""
    f, i = twins.f[s], twins.i[s]
    vx, vy, vz = f[L.KVX], f[L.KVY], f[L.KVZ]
    speed = (vx * vx + vy * vy + vz * vz) ** 0.5
    if speed < cfg.shot_mps or t_ns - i[L.KT_POS] > SHOT_SETTLE_NS or vx == 0.0:
        return
    plane = half_length_m if vx > 0.0 else -half_length_m
    attack = params[i[L.K_SHOOTER], L.P_TEAM]
    if abs(plane - f[L.KX]) > speed * cfg.shot_within_s or attack < 0.0:
        return
    if attack_sign(periods, i[L.KT_SHOT], int(attack)) * plane < 0.0:
        return
    arrives, y, z = crossing(f[L.KX], f[L.KY], f[L.KZ], vx, vy, vz, plane, cfg.shot_within_s)
    bend = 0.0
    if f[L.K_SPIN] > 0.0 and arrives >= 0.0:
        _, left, _ = spun_crossing(
            f[L.KX], f[L.KY], f[L.KZ], vx, vy, vz, plane, cfg.shot_within_s, f[L.K_SPIN]
        )
        bend = abs(left - y)
    margin = cfg.shot_margin_m
    if arrives < 0.0 or abs(y) > GOAL_HALF_WIDTH_M + margin + bend or z > GOAL_HEIGHT_M + margin:
        return
    on_target = abs(y) <= GOAL_HALF_WIDTH_M and z <= GOAL_HEIGHT_M
    i[L.K_SHOT_N] += 1
    i[L.KT_SHOT_TOUCH] = i[L.KT_TOUCH]
    away = hypot(plane - f[L.K_SHOT_X], f[L.K_SHOT_Y])
    emit(
        out, i, L.K_SEQ, s, C.SHOT, 1 if on_target else 0, i[L.KT_SHOT], t_ns, i[L.K_SHOOTER],
        (f[L.K_SHOT_X], f[L.K_SHOT_Y], plane, y), 0.7,
        (speed, away, arrives, y, z, bend if f[L.K_SPIN] > 0.0 else nan),
    )
