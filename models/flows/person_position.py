"""One position of a person: speed, distances, loads of movement, sprints, efforts, turns."""

from math import acos, degrees, exp, hypot

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.events import bouts as B  # noqa: N812
from models.events import catalog as C  # noqa: N812
from models.flows import layout as L  # noqa: N812
from models.flows.config import FlowConfig
from models.flows.emit import NO_METRIC, emit
from models.flows.person_bands import count_bands, note_rest
from models.flows.tables import Outputs, Twins
from models.metrics.balance import balance_step
from models.metrics.metabolic import power_wkg
from models.metrics.zones import STANDING_MPS, zone_of
from models.signal import kalman as K  # noqa: N812

COVER_S = 0.3
"""How long one position stands for its time: a longer silence is missing coverage."""
INTENSITY_TAU_S = 1.0
DEPLETED = 0.25
"""Share of D' under which it counts as depleted (DOMAIN B9)."""
TURN_OVER_NS = 500_000_000
HISTORY_NS = 45_000_000
SOURCE_LOST_NS = 1_000_000_000
SETTLE_NS = 300_000_000
FAR = -1e18
IGNORED = -1
SPRINT_ENDED, BOUT_ENDED, UP_ENDED, DOWN_ENDED, TURN_ENDED, TRACK_LOST = 1, 2, 4, 8, 16, 32


@njit(cache=True)
def take_position(
    f: NDArray[np.float64], i: NDArray[np.int64], kalman: NDArray[np.float64], s: int,
    bins: NDArray[np.float64], p: NDArray[np.float64], cfg: FlowConfig, t_ns: int, x_m: float,
    y_m: float, r_m: float, doppler_mps: float, rank: int,
) -> int:
    """Take one position row into flow `s`; returns which of its bouts and turns have just ended,
    as a sum of the `*_ENDED` bits. A source of worse rank counts only once the better one has been
    silent for a second. f, i and bins are the flow's own rows."""
    code, dt_s = admit_position(i, kalman, s, t_ns, x_m, y_m, r_m, rank)
    if code == IGNORED or code == K.STEP_GATED:
        return 0
    vx, vy = kalman[s, K.VX], kalman[s, K.VY]
    speed = hypot(vx, vy) if doppler_mps != doppler_mps else doppler_mps
    speed = min(speed, cfg.max_speed_mps)
    if code == K.STEP_RESET:
        return start_track(f, i, t_ns, speed)
    if dt_s <= 0.0:
        return 0
    # A track that starts finds its speed within a few samples: that is no acceleration.
    share = 1.0 - exp(-dt_s / cfg.accel_tau_s)
    if t_ns < i[L.T_SETTLED]:
        f[L.LAG1], f[L.LAG2] = speed, speed
    f[L.LAG1] += share * (speed - f[L.LAG1])
    change = share * (f[L.LAG1] - f[L.LAG2])
    f[L.LAG2] += change
    f[L.ACCEL] = min(max(change / dt_s, -cfg.max_accel_mps2), cfg.max_accel_mps2)
    return go_on(f, i, kalman[s], bins, p, cfg, t_ns, dt_s, speed)


@njit(cache=True)
def admit_position(
    i: NDArray[np.int64], kalman: NDArray[np.float64], s: int, t_ns: int, x_m: float, y_m: float,
    r_m: float, rank: int,
) -> tuple[int, float]:
    """Let the filter of flow `s` take a position: (its `K.STEP_*`, or IGNORED for a source of worse
    rank; seconds since the one before)."""
    if rank > i[L.POS_RANK] and t_ns - i[L.T_POS] <= SOURCE_LOST_NS:
        return IGNORED, 0.0
    if rank != i[L.POS_RANK]:
        K.kalman_shift(kalman, s, t_ns, x_m, y_m)
    code = K.kalman_step(kalman, s, t_ns, x_m, y_m, r_m)
    if code == K.STEP_GATED:
        i[L.GATED_N] += 1
        return K.STEP_GATED, 0.0
    dt_s = (t_ns - i[L.T_POS]) * 1e-9
    i[L.T_POS] = t_ns
    i[L.POS_RANK] = rank
    return code, dt_s


@njit(cache=True)
def start_track(f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int, speed: float) -> int:
    """A track begins: nothing is known of what was before."""
    f[L.SPEED] = speed
    f[L.LAG1] = speed
    f[L.LAG2] = speed
    f[L.ACCEL] = 0.0
    i[L.T_HIST] = L.NONE_NS
    i[L.T_SETTLED] = t_ns + SETTLE_NS
    return TRACK_LOST


@njit(cache=True)
def go_on(
    f: NDArray[np.float64], i: NDArray[np.int64], k: NDArray[np.float64], bins: NDArray[np.float64],
    p: NDArray[np.float64], cfg: FlowConfig, t_ns: int, dt_s: float, speed: float,
) -> int:
    """What the last `dt_s` add, now that speed, acceleration (in f) and place (in k) are known;
    returns what `take_position` does."""
    _cover(f, bins[i[L.BIN_AT]], bins[L.BINS - 1], p, cfg, speed, dt_s)
    count_bands(f, cfg, speed, dt_s)
    note_rest(f, i, cfg, t_ns, speed, k[K.VX], k[K.VY], dt_s)
    f[L.SPEED] = speed
    ended = _efforts(f, i, p, cfg, t_ns, dt_s, k[K.X], k[K.Y])
    vx, vy = k[K.VX], k[K.VY]
    if t_ns - i[L.T_HIST] >= HISTORY_NS and _turn(f, i, cfg, t_ns, vx, vy):
        ended += TURN_ENDED
    return ended


@njit(cache=True)
def _cover(
    f: NDArray[np.float64], now: NDArray[np.float64], all_: NDArray[np.float64],
    p: NDArray[np.float64], cfg: FlowConfig, speed: float, dt_s: float,
) -> None:
    """Distances, power and balances of the last `dt_s`; now and all_ are rows of the bins."""
    accel = f[L.ACCEL]
    if speed >= STANDING_MPS:
        step_m = 0.5 * (f[L.SPEED] + speed) * dt_s
        zone = zone_of(speed, p[L.P_E1], p[L.P_E2], p[L.P_E3], p[L.P_E4])
        f[L.DIST] += step_m
        f[L.Z1 + zone] += step_m
        fast = speed >= p[L.P_E3]
        if fast or abs(accel) >= cfg.hmld_accel_mps2:
            f[L.HMLD] += step_m
        now[L.B_DIST] += step_m
        all_[L.B_DIST] += step_m
        if fast:
            now[L.B_HSR] += step_m
            all_[L.B_HSR] += step_m
    f[L.MAX_SPEED] = max(f[L.MAX_SPEED], speed)
    power = power_wkg(f[L.LAG2], accel, cfg.metabolic_model)
    f[L.POWER] = power
    f[L.WORK] += power * dt_s
    f[L.DBAL] = balance_step(f[L.DBAL], p[L.P_DPRIME], speed, p[L.P_CS], dt_s)
    if f[L.DBAL] < DEPLETED * p[L.P_DPRIME]:
        f[L.DBAL_LOW] += dt_s
    f[L.WBAL] = balance_step(f[L.WBAL], p[L.P_WPRIME], power, p[L.P_CP], dt_s)
    f[L.POS_COVER] += min(dt_s, COVER_S)
    left = f[L.DBAL] / p[L.P_DPRIME] * dt_s
    now[L.B_TIME] += dt_s
    now[L.B_WORK] += power * dt_s
    now[L.B_DBAL] += left
    all_[L.B_TIME] += dt_s
    all_[L.B_WORK] += power * dt_s
    all_[L.B_DBAL] += left
    effort = max(speed / p[L.P_E4], max(power / 60.0, abs(accel) / 5.0))
    f[L.INTENSITY] += (1.0 - exp(-dt_s / INTENSITY_TAU_S)) * (min(effort, 1.0) - f[L.INTENSITY])


@njit(cache=True)
def _efforts(
    f: NDArray[np.float64], i: NDArray[np.int64], p: NDArray[np.float64], cfg: FlowConfig,
    t_ns: int, dt_s: float, x: float, y: float,
) -> int:
    """Step the four bouts; returns the bits of those that have just ended."""
    v, a = f[L.SPEED], f[L.ACCEL]
    sprint, high = p[L.P_E4], p[L.P_E3]
    under = cfg.sprint_leave_mps
    wait = int(cfg.sprint_leave_s * 1e9)
    rest = int(cfg.effort_leave_s * 1e9)
    gap = int(cfg.effort_gap_s * 1e9)
    enter, leave = cfg.effort_enter_mps2, cfg.effort_leave_mps2
    ended = 0
    if v >= high or i[L.SPRINT_I] + i[L.BOUT_BOUT_I] > 0:
        if B.bout_step(f, L.SPRINT, i, L.SPRINT_I, t_ns, dt_s, v, sprint, sprint - under, FAR, wait,
                       0, x, y, v):
            ended += SPRINT_ENDED
        if B.bout_step(f, L.BOUT, i, L.BOUT_BOUT_I, t_ns, dt_s, v, high, high - under, FAR, wait,
                       0, x, y, v):
            ended += BOUT_ENDED
    if abs(a) >= enter or i[L.EFFORT_UP_I] + i[L.EFFORT_DOWN_I] > 0:
        if B.bout_step(f, L.EFFORT_UP, i, L.EFFORT_UP_I, t_ns, dt_s, a, enter, leave, 0.0, rest,
                       gap, x, y, v):
            ended += UP_ENDED
        if B.bout_step(f, L.EFFORT_DOWN, i, L.EFFORT_DOWN_I, t_ns, dt_s, -a, enter, leave, 0.0,
                       rest, gap, x, y, v):
            ended += DOWN_ENDED
    return ended


@njit(cache=True)
def give_ended(
    twins: Twins, s: int, p: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    ended: int,
) -> None:
    """Emit the events of the bits that `take_position` returned."""
    if ended & TRACK_LOST:
        close_bouts(twins, s, p, cfg, out, t_ns)
    if ended & SPRINT_ENDED:
        _end_run(twins, s, L.SPRINT, L.SPRINT_I, C.SPRINT, p[L.P_E4], cfg, out, t_ns)
    if ended & BOUT_ENDED:
        _end_run(twins, s, L.BOUT, L.BOUT_BOUT_I, C.BOUT, p[L.P_E3], cfg, out, t_ns)
    if ended & UP_ENDED:
        _end_effort(twins, s, L.EFFORT_UP, L.EFFORT_UP_I, C.ACCELERATION, cfg, out, t_ns)
    if ended & DOWN_ENDED:
        _end_effort(twins, s, L.EFFORT_DOWN, L.EFFORT_DOWN_I, C.DECELERATION, cfg, out, t_ns)
    if ended & TURN_ENDED:
        f, i, k = twins.f[s], twins.i[s], twins.kalman[s]
        i[L.TURN_N] += 1
        emit(
            out, i, L.EVENT_SEQ, s, C.TURN, 0, t_ns - TURN_OVER_NS // 2, t_ns, -1,
            (k[K.X], k[K.Y], NO_METRIC, NO_METRIC), 1.0,
            (f[L.TURN_DEG], f[L.TURN_OLD], f[L.TURN_NOW], NO_METRIC, NO_METRIC, NO_METRIC),
        )


@njit(cache=True)
def _end_run(
    twins: Twins, s: int, o: int, q: int, code: int, threshold: float, cfg: FlowConfig,
    out: Outputs, t_ns: int,
) -> None:
    f, i = twins.f[s], twins.i[s]
    if f[o + B.HELD] < cfg.sprint_hold_s:
        return
    duration = (i[q + B.T_OK] - i[q + B.T_START]) * 1e-9
    if code == C.SPRINT:
        i[L.SPRINT_N] += 1
        f[L.SPRINT_DIST] += f[o + B.DIST]
    else:
        i[L.BOUT_N] += 1
    emit(
        out, i, L.EVENT_SEQ, s, code, 0, i[q + B.T_START], t_ns, -1,
        (f[o + B.X0], f[o + B.Y0], f[o + B.X1], f[o + B.Y1]), 1.0,
        (duration, f[o + B.PEAK], f[o + B.DIST] / duration, f[o + B.DIST], f[o + B.HELD],
         threshold),
    )


@njit(cache=True)
def _end_effort(
    twins: Twins, s: int, o: int, q: int, code: int, cfg: FlowConfig, out: Outputs, t_ns: int
) -> None:
    f, i = twins.f[s], twins.i[s]
    up = code == C.ACCELERATION
    if f[o + B.HELD] >= cfg.effort_short_s:
        i[L.ACC_SHORT_N if up else L.DEC_SHORT_N] += 1
    if f[o + B.HELD] < cfg.effort_hold_s:
        return
    i[L.ACC_N if up else L.DEC_N] += 1
    twins.bins[s, i[L.BIN_AT], L.B_EFFORTS] += 1.0
    twins.bins[s, L.BINS - 1, L.B_EFFORTS] += 1.0
    emit(
        out, i, L.EVENT_SEQ, s, code, 0, i[q + B.T_START], t_ns, -1,
        (f[o + B.X0], f[o + B.Y0], f[o + B.X1], f[o + B.Y1]), 1.0,
        ((i[q + B.T_OK] - i[q + B.T_START]) * 1e-9, f[o + B.PEAK], f[o + B.V0], f[o + B.V1],
         f[o + B.DIST], f[o + B.HELD]),
    )


@njit(cache=True)
def close_bouts(
    twins: Twins, s: int, p: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int
) -> None:
    """End what is running: the track was lost, or the stream ends."""
    i = twins.i[s]
    if B.bout_close(i, L.SPRINT_I):
        _end_run(twins, s, L.SPRINT, L.SPRINT_I, C.SPRINT, p[L.P_E4], cfg, out, t_ns)
    if B.bout_close(i, L.BOUT_BOUT_I):
        _end_run(twins, s, L.BOUT, L.BOUT_BOUT_I, C.BOUT, p[L.P_E3], cfg, out, t_ns)
    if B.bout_close(i, L.EFFORT_UP_I):
        _end_effort(twins, s, L.EFFORT_UP, L.EFFORT_UP_I, C.ACCELERATION, cfg, out, t_ns)
    if B.bout_close(i, L.EFFORT_DOWN_I):
        _end_effort(twins, s, L.EFFORT_DOWN, L.EFFORT_DOWN_I, C.DECELERATION, cfg, out, t_ns)


@njit(cache=True)
def velocity_before(
    f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int
) -> tuple[bool, float, float]:
    """(found, vx, vy) of the newest history entry at or before `t_ns`, not older than 0.3 s."""
    at = i[L.HIST_AT]
    for back in range(L.HISTORY):
        slot = (at - back) % L.HISTORY
        then = i[L.HIST_T + slot]
        if then == L.NONE_NS:
            break
        if then <= t_ns:
            fresh = t_ns - then <= 300_000_000
            return fresh, f[L.HIST_X + 2 * slot], f[L.HIST_X + 2 * slot + 1]
    return False, 0.0, 0.0


@njit(cache=True)
def _turn(
    f: NDArray[np.float64], i: NDArray[np.int64], cfg: FlowConfig, t_ns: int, vx: float, vy: float
) -> bool:
    """Keep the velocity history; a turn is a large angle between now and half a second ago."""
    if i[L.T_HIST] == L.NONE_NS:
        i[L.HIST_T : L.HIST_T + L.HISTORY] = L.NONE_NS
    found, ox, oy = velocity_before(f, i, t_ns - TURN_OVER_NS)
    i[L.T_HIST] = t_ns
    at = (i[L.HIST_AT] + 1) % L.HISTORY
    i[L.HIST_AT] = at
    i[L.HIST_T + at] = t_ns
    f[L.HIST_X + 2 * at] = vx
    f[L.HIST_X + 2 * at + 1] = vy
    now, old = hypot(vx, vy), hypot(ox, oy)
    if not found or now < cfg.turn_min_mps or old < cfg.turn_min_mps:
        return False
    if t_ns - i[L.T_TURN] < 1_000_000_000:
        return False
    angle = degrees(acos(min(max((vx * ox + vy * oy) / (now * old), -1.0), 1.0)))
    if angle < cfg.turn_deg:
        return False
    i[L.T_TURN] = t_ns
    f[L.TURN_DEG], f[L.TURN_OLD], f[L.TURN_NOW] = angle, old, now
    return True
