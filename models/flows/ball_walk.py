"""The walk of a ball's flow: its positions and its own sensor in time order, with the players' last
positions beside it. Everything comes out of the records, nothing out of other flows."""

from math import hypot, isnan, nan
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import ball_play as play
from models.flows import ball_restart as again
from models.flows import layout as L  # noqa: N812
from models.flows.ball_carry import carry_fix
from models.flows.ball_lines import check_lines
from models.flows.ball_track import REFUSED, START, known_z, open_up, touch_change, track_step
from models.flows.config import STATE_STEP_NS, FlowConfig
from models.flows.person_rates import age_ms
from models.flows.person_rows import next_row
from models.flows.person_timers import SILENT_NS
from models.flows.tables import (
    N_EVENTS,
    N_STATES,
    Fixes,
    Knocks,
    Outputs,
    Positions,
    Twins,
    first_row,
)
from models.metrics.goal import BALL_RADIUS_M

COVER_S = 0.3
LOST_NS = 1_000_000_000
"""A kick that the ball feels needs a position that is not older."""
SPAN_NS = 80_000_000
EVENTS_A_FIX = 14
"""Out, goal, pass, end of a carry; restart with a touch; a touch: end of a carry, pass, loss, gain,
kick. And one to spare."""
EVENTS_A_KNOCK = 6


@njit(cache=True)
def walk_ball(
    s: int, since_ns: NDArray[np.int64], twins: Twins, params: NDArray[np.float64],
    limits: NDArray[Any], pos: Positions, fix: Fixes, knock: Knocks, half: tuple[float, float],
    periods: NDArray[np.int64], cursor: NDArray[np.int64], end_ns: int, final: bool, out: Outputs,
) -> bool:
    """Walk flow `s` from its `since_ns` (S,) up to `end_ns`, by its row of `limits`; False (and
    nothing done) when `out` may be too small. `cursor` (S,) is scratch: the row of each person
    reached so far."""
    cfg = limits[s]
    i = twins.i[s]
    a, a_end = first_row(fix.t_ns, fix.begin, s, since_ns[s])
    b, b_end = first_row(knock.t_ns, knock.begin, s, since_ns[s])
    since = i[L.KT_NEXT_STATE]
    if since == L.NEVER:
        since = min(fix.t_ns[a] if a < a_end else L.NEVER, knock.t_ns[b] if b < b_end else L.NEVER)
    rows = a_end - a + b_end - b
    steps = max(end_ns - since, 0) // STATE_STEP_NS + 2
    steps = min(steps, (rows + 1) * (SILENT_NS // STATE_STEP_NS + 2))
    most = EVENTS_A_FIX * (a_end - a) + EVENTS_A_KNOCK * (b_end - b)
    if out.n[N_EVENTS] + most + 2 * steps + 16 > out.event_i.shape[0]:
        return False
    if out.n[N_STATES] + steps > out.state_i.shape[0]:
        return False
    for who in range(cursor.shape[0]):
        cursor[who] = pos.begin[who]
    while a < a_end or b < b_end:
        ta = fix.t_ns[a] if a < a_end else L.NEVER
        tb = knock.t_ns[b] if b < b_end else L.NEVER
        t_ns = min(ta, tb)
        if i[L.KT_FIRST] == L.NONE_NS:
            i[L.KT_FIRST] = t_ns
            i[L.KT_NEXT_STATE] = (t_ns // STATE_STEP_NS + 1) * STATE_STEP_NS
            i[L.KT_NEXT_DUE] = i[L.KT_NEXT_STATE]
        if i[L.KT_NEXT_DUE] <= t_ns:
            _fire(twins, s, params, cfg, out, t_ns, half[0], periods)
        i[L.KT_LAST] = t_ns
        if ta == t_ns:
            _advance(twins, s, pos, cursor, t_ns)
            _take_fix(twins, s, params, cfg, out, fix, a, half, periods)
            a += 1
        else:
            i[L.KT_IMU] = t_ns
            if knock.peak_mps2[b] >= cfg.kick_mps2 or knock.clip[b] >= 0.5:
                peak = np.float64(knock.peak_mps2[b])
                _take_knock(twins, s, params, cfg, out, pos, cursor, t_ns, peak, half, periods)
            b += 1
    _advance(twins, s, pos, cursor, end_ns)
    if i[L.KT_FIRST] != L.NONE_NS:
        _fire(twins, s, params, cfg, out, end_ns, half[0], periods)
        if final:
            _write(twins, s, out, end_ns, True)
    return True


@njit(cache=True, forceinline=True)
def _advance(
    twins: Twins, s: int, pos: Positions, cursor: NDArray[np.int64], t_ns: int
) -> None:
    """Bring every person's last position up to `t_ns`."""
    for who in range(cursor.shape[0]):
        row, end = cursor[who], pos.begin[who + 1]
        if row >= end or pos.t_ns[row] > t_ns:
            continue
        while row < end and pos.t_ns[row] <= t_ns:
            row += 1
        cursor[who] = row
        twins.near_t[s, who] = pos.t_ns[row - 1]
        twins.near_xy[s, who, 0] = pos.x_m[row - 1]
        twins.near_xy[s, who, 1] = pos.y_m[row - 1]


@njit(cache=True, forceinline=True)
def _take_fix(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, fix: Fixes,
    row: int, half: tuple[float, float], periods: NDArray[np.int64],
) -> None:
    f, i = twins.f[s], twins.i[s]
    t_ns, before_ns = fix.t_ns[row], i[L.KT_POS]
    before = (f[L.K_OLD_X], f[L.K_OLD_Y], f[L.K_OLD_Z])
    x, y = np.float64(fix.x_m[row]), np.float64(fix.y_m[row])
    z = known_z(np.float64(fix.z_m[row]), BALL_RADIUS_M)
    code = track_step(f, i, t_ns, x, y, z, cfg.ball_r_m)
    if code == REFUSED:
        return
    said = np.float64(fix.in_play[row])
    flagged = not isnan(said)
    alive = not flagged or said >= 0.5
    dt = 0.0 if code == START else (t_ns - before_ns) * 1e-9
    spin = np.float64(fix.spin_radps[row])
    f[L.K_SPIN] = 0.0 if isnan(spin) else spin
    speed = (f[L.KVX] ** 2 + f[L.KVY] ** 2 + f[L.KVZ] ** 2) ** 0.5
    f[L.K_SPEED] = speed
    f[L.K_MAX] = max(f[L.K_MAX], speed)
    f[L.K_COVER] += min(dt, COVER_S)
    if dt > 0.0:
        f[L.K_DIST] += hypot(f[L.KVX], f[L.KVY]) * dt
    who, metres = play.find_nearest(twins, s, params, t_ns)
    f[L.K_NEAR] = metres if who >= 0 else nan
    if i[L.KT_DEAD] == L.NONE_NS:
        again.begin(twins, s, t_ns, who, metres)
    _count_time(f, i, bool(alive and (flagged or i[L.K_DEAD] == L.ALIVE)), dt)
    if not alive:
        again.stop_by_source(twins, s, cfg, out, t_ns, half)
        f[L.K_IN_PLAY] = 0.0
        return
    if i[L.K_DEAD] == L.BY_SOURCE:
        again.resume_by_source(twins, s, params, cfg, out, t_ns, who, metres, half, periods)
    elif i[L.K_PENDING] >= 0:
        again.pending(twins, s, params, cfg, out, t_ns, who, metres, half, periods)
    outs, giver = i[L.K_OUT_N], i[L.K_TOUCHER]
    if code != START:
        check_lines(twins, s, cfg, out, t_ns, before_ns, before, half, periods)
    if i[L.K_OUT_N] > outs:
        if i[L.K_DEAD] == L.ALIVE:
            play.passed_out(twins, s, params, cfg, out, t_ns, giver)
        again.leave(twins, s, cfg, out, t_ns, flagged, half)
    if not flagged or i[L.K_DEAD] == L.NOT_BEGUN:
        again.follow(twins, s, params, cfg, out, t_ns, who, metres, half, periods)
    f[L.K_IN_PLAY] = 1.0 if flagged or i[L.K_DEAD] == L.ALIVE else 0.0
    _contact(twins, s, params, cfg, out, t_ns, who, metres, z, half, periods)
    if i[L.K_DEAD] == L.ALIVE:
        carry_fix(twins, s, cfg, out, t_ns, z, before)


@njit(cache=True)
def _count_time(f: NDArray[np.float64], i: NDArray[np.int64], in_play: bool, dt: float) -> None:
    """Time in play, of each team, and out of play."""
    if not in_play:
        f[L.K_DEAD_S] += dt
        return
    f[L.K_ALIVE_S] += dt
    if i[L.K_TEAM] == 0:
        f[L.K_HOME_S] += dt
    elif i[L.K_TEAM] == 1:
        f[L.K_AWAY_S] += dt


@njit(cache=True)
def _contact(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    who: int, metres: float, z: float, half: tuple[float, float], periods: NDArray[np.int64],
) -> None:
    """Touches seen in positions: a change of velocity (when the ball has no sensor), or control."""
    f, i = twins.f[s], twins.i[s]
    if who < 0 or metres > cfg.touch_m or z > cfg.ball_reach_z_m:
        i[L.K_NEAREST] = -1
        return
    if i[L.K_NEAREST] != who:
        i[L.K_NEAREST] = who
        i[L.KT_NEAR] = t_ns
    sensed = again.sensed(i, t_ns)
    if not sensed and touch_change(f, i, SPAN_NS) >= cfg.touch_dv_mps:
        if again.allows(twins, s, params, cfg, out, t_ns, who, False, half, periods):
            play.touch(twins, s, params, cfg, out, t_ns, who, play.BY_POSITION, nan, metres)
    elif t_ns - i[L.KT_NEAR] >= int(cfg.control_s * 1e9) and i[L.K_TOUCHER] != who:
        # Possession by mere nearness is only believed where a sensor tells the real touches.
        slow = f[L.K_SPEED] <= cfg.control_mps
        if slow and sensed and i[L.K_DEAD] == L.ALIVE:
            play.touch(twins, s, params, cfg, out, t_ns, who, play.BY_CONTROL, nan, metres)


@njit(cache=True)
def _take_knock(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs,
    pos: Positions, cursor: NDArray[np.int64], t_ns: int, peak_mps2: float,
    half: tuple[float, float], periods: NDArray[np.int64],
) -> None:
    """A hit in the ball's own sensor: clipping is the signature of a kick, not a fault."""
    f, i = twins.f[s], twins.i[s]
    if t_ns - i[L.KT_KICK] < int(cfg.kick_refractory_s * 1e9):
        return
    i[L.KT_KICK] = t_ns
    open_up(f)
    if i[L.KT_POS] == L.NONE_NS or t_ns - i[L.KT_POS] > LOST_NS:
        return
    if i[L.K_DEAD] == L.BY_SOURCE:
        return
    _advance(twins, s, pos, cursor, t_ns)
    who, metres = play.find_nearest(twins, s, params, t_ns)
    near = who >= 0 and metres <= cfg.touch_m and f[L.K_OLD_Z] <= cfg.ball_reach_z_m
    if near and again.allows(twins, s, params, cfg, out, t_ns, who, True, half, periods):
        play.touch(twins, s, params, cfg, out, t_ns, who, play.BY_SENSOR, peak_mps2, metres)


@njit(cache=True, forceinline=True)
def _fire(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    half_length_m: float, periods: NDArray[np.int64],
) -> None:
    """Fire the ball's timers due at or before `t_ns`."""
    i = twins.i[s]
    while True:
        shot, state = i[L.KT_SHOT_DUE], i[L.KT_NEXT_STATE]
        if shot != L.NONE_NS and shot <= state and shot <= t_ns:
            i[L.KT_SHOT_DUE] = L.NONE_NS
            play.judge_shot(twins, s, params, cfg, out, shot, half_length_m, periods)
        elif state <= t_ns:
            if state - i[L.KT_LAST] > SILENT_NS:
                i[L.KT_NEXT_STATE] = (t_ns // STATE_STEP_NS + 1) * STATE_STEP_NS
                continue
            _write(twins, s, out, state, False)
            i[L.KT_NEXT_STATE] = state + STATE_STEP_NS
        else:
            break
    due = i[L.KT_NEXT_STATE]
    if i[L.KT_SHOT_DUE] != L.NONE_NS:
        due = min(due, i[L.KT_SHOT_DUE])
    i[L.KT_NEXT_DUE] = due


@njit(cache=True)
def _write(twins: Twins, s: int, out: Outputs, t_ns: int, final: bool) -> None:
    """One row of `BALL_COLUMNS` as of `t_ns`."""
    f, i = twins.f[s], twins.i[s]
    r = next_row(out, final, t_ns, s)
    seen = i[L.KT_POS] != L.NONE_NS
    r[0] = f[L.KX] if seen else nan
    r[1] = f[L.KY] if seen else nan
    r[2] = f[L.KZ] if seen else nan
    r[3] = f[L.K_SPEED] if seen else nan
    r[4], r[5], r[6], r[7] = f[L.K_MAX], f[L.K_DIST], i[L.K_KICK_N], i[L.K_TOUCH_N]
    r[8], r[9], r[10], r[11] = i[L.K_TEAM], i[L.K_OWNER], f[L.K_HOME_S], f[L.K_AWAY_S]
    r[12], r[13], r[14], r[15] = i[L.K_PASS_N], i[L.K_STEAL_N], i[L.K_SHOT_N], i[L.K_OUT_N]
    r[16], r[17], r[18] = i[L.K_GOAL_N], f[L.K_IN_PLAY], f[L.K_NEAR]
    since = max(t_ns - i[L.KT_FIRST], 1) * 1e-9
    r[19] = min(f[L.K_COVER] / since, 1.0)
    r[20], r[21] = age_ms(t_ns, i[L.KT_POS]), age_ms(t_ns, i[L.KT_IMU])
    r[22] = i[L.K_REFUSED_N]
    for kind in range(6):
        r[23 + kind] = i[L.K_KICK_OFF_N + kind]
    r[29], r[30], r[31] = f[L.K_DEAD_S], i[L.K_CARRY_N], f[L.K_CARRIED_M]
    r[32] = i[L.K_LOSS_N]
