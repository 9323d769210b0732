"""The walk of one person's flow: its rows of every kind in time order, timers in between."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.config import STATE_STEP_NS, FlowConfig
from models.flows.person_beats import take_beat
from models.flows.person_given import take_given
from models.flows.person_grid import fill_grid, fill_slots
from models.flows.person_heart import take_heart
from models.flows.person_motion import give_jump, take_motion
from models.flows.person_position import close_bouts, give_ended, take_position
from models.flows.person_rows import write_person
from models.flows.person_steps import take_foot
from models.flows.person_timers import SILENT_NS, fire_person, nearest_other
from models.flows.tables import (
    N_EVENTS,
    N_FATIGUE,
    N_STATES,
    N_WINDOWS,
    Boots,
    Fixes,
    Hearts,
    Motions,
    Outputs,
    Positions,
    Rest,
    Twins,
    first_row,
)
from models.signal import kalman as K  # noqa: N812


@njit(cache=True, forceinline=True)
def _fits(
    twins: Twins, s: int, pos: Positions, imu: Motions, heart: Hearts, boot: Boots, out: Outputs,
    end_ns: int,
) -> bool:
    """Whether what flow `s` can at most give out of these rows fits into what is left of `out`."""
    moves = pos.begin[s + 1] - pos.begin[s]
    jolts = imu.begin[s + 1] - imu.begin[s]
    beats = heart.begin[s + 1] - heart.begin[s]
    soles = boot.begin[s + 1] - boot.begin[s]
    since = twins.i[s, L.NEXT_STATE]
    if since == L.NEVER:
        if moves:
            since = min(since, pos.t_ns[pos.begin[s]])
        if jolts:
            since = min(since, imu.t_ns[imu.begin[s]])
        if beats:
            since = min(since, heart.t_ns[heart.begin[s]])
        if soles:
            since = min(since, boot.t_ns[boot.begin[s]])
    steps = max(end_ns - since, 0) // STATE_STEP_NS + 2
    # States stop a minute after the last row, so that rows bound them over any jump of the clock.
    steps = min(steps, (moves + jolts + beats + soles + 1) * (SILENT_NS // STATE_STEP_NS + 2))
    return (
        out.n[N_EVENTS] + 5 * moves + 2 * jolts + 2 * beats + 4 * steps + 8 <= out.event_i.shape[0]
        and out.n[N_STATES] + steps <= out.state_i.shape[0]
        and out.n[N_WINDOWS] + min(jolts, steps) + 8 <= out.window_i.shape[0]
        and out.n[N_FATIGUE] + steps // 40 + 2 <= out.fatigue_i.shape[0]
    )


@njit(cache=True)
def walk_persons(
    flows: NDArray[np.int64], first: int, since_ns: NDArray[np.int64], twins: Twins,
    params: NDArray[np.float64], limits: NDArray[Any], pos: Positions, imu: Motions, heart: Hearts,
    boot: Boots, ball: Fixes, ball_row: int, rest: Rest, end_ns: int, final: bool, out: Outputs,
) -> int:
    """Walk flows[first:] from `since_ns` (S,) of each up to `end_ns`, the end of the last record,
    with the thresholds of its row of `limits`. Returns how many of `flows` are done: fewer than all
    when the buffers may not hold the next one's output."""
    for n in range(first, flows.shape[0]):
        s = flows[n]
        if not _fits(twins, s, pos, imu, heart, boot, out, end_ns):
            return n
        _walk_one(
            s, since_ns[s], twins, params, limits[s], pos, imu, heart, boot, ball, ball_row, rest,
            end_ns, final, out,
        )
    return int(flows.shape[0])


@njit(cache=True, forceinline=True)
def _walk_one(
    s: int, since_ns: int, twins: Twins, params: NDArray[np.float64], cfg: FlowConfig,
    pos: Positions, imu: Motions, heart: Hearts, boot: Boots, ball: Fixes, ball_row: int,
    rest: Rest, end_ns: int, final: bool, out: Outputs,
) -> None:
    f, i, p, k = twins.f[s], twins.i[s], params[s], twins.kalman[s]
    bins, ring = twins.bins[s], twins.ring[s]
    a, a_end = first_row(pos.t_ns, pos.begin, s, since_ns)
    b, b_end = first_row(imu.t_ns, imu.begin, s, since_ns)
    c, c_end = first_row(heart.t_ns, heart.begin, s, since_ns)
    d, d_end = first_row(boot.t_ns, boot.begin, s, since_ns)
    at, at_end = first_row(ball.t_ns, ball.begin, ball_row, since_ns)
    given_n = pos.given.shape[1]
    while True:
        ta = pos.t_ns[a] if a < a_end else L.NEVER
        tb = imu.t_ns[b] if b < b_end else L.NEVER
        tc = heart.t_ns[c] if c < c_end else L.NEVER
        td = boot.t_ns[d] if d < d_end else L.NEVER
        t_ns = min(min(ta, tb), min(tc, td))
        if t_ns == L.NEVER:
            break
        if i[L.T_FIRST] == L.NONE_NS:
            i[L.T_FIRST] = t_ns
            i[L.NEXT_STATE] = (t_ns // STATE_STEP_NS + 1) * STATE_STEP_NS
            i[L.NEXT_DUE] = i[L.NEXT_STATE]
        if i[L.NEXT_DUE] <= t_ns:
            fire_person(twins, s, p, cfg, out, pos, params, rest, t_ns)
        at = fill_slots(f, i, ring, k[K.X], k[K.Y], ball, at, at_end, t_ns)
        if i[L.NEXT_GRID] > i[L.PEND_NEXT]:
            at = fill_grid(twins, s, out, ball, at, at_end, t_ns)
        i[L.T_LAST] = t_ns
        if ta == t_ns:
            if a < given_n:
                ended = take_given(f, i, k, bins, p, cfg, t_ns, pos, a)
            else:
                ended = take_position(
                    f, i, twins.kalman, s, bins, p, cfg, t_ns, np.float64(pos.x_m[a]),
                    np.float64(pos.y_m[a]), np.float64(pos.r_m[a]),
                    np.float64(pos.doppler_mps[a]), pos.rank[a],
                )
            if ended:
                give_ended(twins, s, p, cfg, out, t_ns, ended)
            a += 1
        elif tb == t_ns:
            b, at, jumped = run_motion(
                f, i, bins, ring, k[K.X], k[K.Y], cfg, imu, b, b_end, min(ta, min(tc, td)), ball,
                at, at_end,
            )
            if jumped:
                give_jump(twins, s, out, i[L.T_IMU])
            if i[L.ASK_NEAR]:
                i[L.ASK_NEAR] = 0
                i[L.NEAR_WHO], f[L.NEAR_M] = nearest_other(twins, s, pos, params, i[L.T_IMU])
        elif tc == t_ns:
            hr_bpm = np.float64(heart.hr_bpm[c])
            take_beat(twins, s, p, cfg, out, t_ns, hr_bpm, np.float64(heart.rr_ms[c]))
            take_heart(twins, s, p, cfg, t_ns, hr_bpm)
            c += 1
        else:
            take_foot(f, i, boot.side[d], t_ns, boot.values, d)
            d += 1
    _end(s, twins, params, cfg, pos, ball, at, at_end, rest, end_ns, final, out)


@njit(cache=True)
def run_motion(
    f: NDArray[np.float64], i: NDArray[np.int64], bins: NDArray[np.float64],
    ring: NDArray[np.float32], x_m: float, y_m: float, cfg: FlowConfig, imu: Motions, b: int,
    b_end: int, stop_ns: int, ball: Fixes, at: int, at_end: int,
) -> tuple[int, int, bool]:
    """Take motion rows from `b` on until a row of another kind, a timer or a window is due, or a
    jump has ended or a hit begun: the tight loop in which most rows are spent. Row `b` itself is
    ready to be taken. Returns the motion row and the ball row reached, and whether a jump was
    landed."""
    while True:
        t_ns = imu.t_ns[b]
        i[L.T_LAST] = t_ns
        jumped = take_motion(f, i, bins, cfg, t_ns, imu.values, b)
        b += 1
        if i[L.IMPACT_DUE] != L.NONE_NS:
            i[L.NEXT_DUE] = min(i[L.NEXT_DUE], i[L.IMPACT_DUE])
        if jumped or b >= b_end or i[L.ASK_NEAR]:
            return b, at, jumped
        t_ns = imu.t_ns[b]
        if t_ns >= stop_ns or t_ns >= i[L.NEXT_DUE]:
            return b, at, False
        at = fill_slots(f, i, ring, x_m, y_m, ball, at, at_end, t_ns)
        if i[L.NEXT_GRID] > i[L.PEND_NEXT]:
            return b, at, False


@njit(cache=True, forceinline=True)
def _end(
    s: int, twins: Twins, params: NDArray[np.float64], cfg: FlowConfig, pos: Positions, ball: Fixes,
    at: int, at_end: int, rest: Rest, end_ns: int, final: bool, out: Outputs,
) -> None:
    """The record ends: timers up to its end, and what the next call must remember of others."""
    f, i, p = twins.f[s], twins.i[s], params[s]
    if i[L.T_FIRST] != L.NONE_NS:
        fire_person(twins, s, p, cfg, out, pos, params, rest, end_ns)
        at = fill_grid(twins, s, out, ball, at, at_end, end_ns)
        if final:
            close_bouts(twins, s, p, cfg, out, end_ns)
            write_person(twins, s, p, out, end_ns, True)
    if at < at_end:
        i[L.T_BALL] = ball.t_ns[at_end - 1]
        f[L.BALL_X], f[L.BALL_Y] = ball.x_m[at_end - 1], ball.y_m[at_end - 1]
    for other in range(pos.begin.shape[0] - 1):
        row = pos.begin[other + 1] - 1
        if row >= pos.begin[other]:
            twins.near_t[s, other] = pos.t_ns[row]
            twins.near_xy[s, other, 0] = pos.x_m[row]
            twins.near_xy[s, other, 1] = pos.y_m[row]
