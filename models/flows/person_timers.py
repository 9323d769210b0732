"""What happens at a time rather than at a sample of a person: impact verdicts, falls, man-down,
fatigue, state rows.

A timer due at d sees exactly the rows before d, however the stream is cut: it fires before the
first row at or after d, or when a record ends at or after d.
"""

from math import hypot, isnan, nan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.events import catalog as C  # noqa: N812
from models.flows import layout as L  # noqa: N812
from models.flows.config import STATE_STEP_NS, FlowConfig
from models.flows.emit import NO_METRIC, emit
from models.flows.person_motion import tag_window, tilt_deg
from models.flows.person_position import TURN_OVER_NS, velocity_before
from models.flows.person_rows import write_fatigue, write_person
from models.flows.person_seconds import SECOND_NS, roll_second
from models.flows.rest import at_rest
from models.flows.tables import Outputs, Positions, Rest, Twins
from models.metrics.fatigue import (
    BALANCE_MIDDLE,
    BALANCE_SD,
    DECLINE_SD,
    DRIFT_SD,
    LOAD_SD,
    fatigue_index,
)
from models.signal import kalman as K  # noqa: N812

SILENT_NS = 60_000_000_000
"""After so long without a row of a subject its states stop until data comes back."""
NEAR_AGE_NS = 1_000_000_000
GYRO_NS = 250_000_000
FELL_WITHIN_NS = 2_000_000_000
"""The hit and the tilt of a fall are at most so far apart, and no more than this lies a hit after
somebody went down: who is bumped while lying has not fallen."""
UPRIGHT_DEG = 40.0
TILTED_NS = 500_000_000
DOWN_MPS = 0.3
DOWN_WITHIN_NS = 15_000_000_000
FATIGUE_AFTER_S = 120.0
FATIGUE_EVERY_NS = 30_000_000_000


@njit(cache=True, forceinline=True)
def fire_person(
    twins: Twins, s: int, p: NDArray[np.float64], cfg: FlowConfig, out: Outputs, pos: Positions,
    params: NDArray[np.float64], rest: Rest, t_ns: int,
) -> None:
    """Fire every timer of flow `s` that is due at or before `t_ns`."""
    i = twins.i[s]
    while True:
        impact, state = i[L.IMPACT_DUE], i[L.NEXT_STATE]
        if impact != L.NONE_NS and impact <= state and impact <= t_ns:
            _judge_impact(twins, s, cfg, out, pos, params, impact)
            i[L.IMPACT_DUE] = L.NONE_NS
        elif state <= t_ns:
            if state - i[L.T_LAST] > SILENT_NS:
                i[L.NEXT_STATE] = (t_ns // STATE_STEP_NS + 1) * STATE_STEP_NS
                continue
            _posture(twins, s, cfg, out, state)
            if state % SECOND_NS == 0:
                roll_second(twins, s, state)
            if state % L.BIN_NS == 0:
                _fatigue(twins, s, p, cfg, out, state)
            if state % SECOND_NS == 0 or not at_rest(rest, s, state):
                write_person(twins, s, p, out, state, False)
            i[L.NEXT_STATE] = state + STATE_STEP_NS
        else:
            break
    due = i[L.NEXT_STATE]
    if i[L.IMPACT_DUE] != L.NONE_NS:
        due = min(due, i[L.IMPACT_DUE])
    i[L.NEXT_DUE] = due


@njit(cache=True)
def nearest_other(
    twins: Twins, s: int, pos: Positions, params: NDArray[np.float64], t_ns: int
) -> tuple[int, float]:
    """(subject, metres) of the person nearest to `s` by the last positions before `t_ns`; -1 if
    none.

    A position counts for a second. Rows of this call are searched; older ones are in `near_xy`.
    """
    k = twins.kalman[s]
    best, best_m = -1, np.inf
    for other in range(pos.begin.shape[0] - 1):
        if other == s or params[other, L.P_PERSON] == 0.0:
            continue
        begin, end = pos.begin[other], pos.begin[other + 1]
        row = begin + np.searchsorted(pos.t_ns[begin:end], t_ns) - 1
        if row >= begin:
            then, x, y = pos.t_ns[row], np.float64(pos.x_m[row]), np.float64(pos.y_m[row])
        else:
            then = twins.near_t[s, other]
            x, y = twins.near_xy[s, other, 0], twins.near_xy[s, other, 1]
        if then == L.NONE_NS or t_ns - then > NEAR_AGE_NS:
            continue
        metres = hypot(x - k[K.X], y - k[K.Y])
        if metres < best_m:
            best, best_m = other, metres
    return best, best_m


@njit(cache=True)
def _judge_impact(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, pos: Positions,
    params: NDArray[np.float64], due_ns: int,
) -> None:
    """An impact changes velocity or twists the body; with somebody near it is a collision."""
    f, i, k = twins.f[s], twins.i[s], twins.kalman[s]
    found, ox, oy = velocity_before(f, i, due_ns - TURN_OVER_NS)
    dv = hypot(k[K.VX] - ox, k[K.VY] - oy) if found else nan
    twisted = abs(i[L.T_GYRO] - i[L.T_PEAK]) <= GYRO_NS
    if not twisted and not (found and dv >= cfg.impact_dv_mps):
        return
    # Bodies that collide part again within the quarter second: the nearer of both moments counts.
    other, metres = nearest_other(twins, s, pos, params, due_ns)
    if i[L.NEAR_WHO] >= 0 and f[L.NEAR_M] < metres:
        other, metres = i[L.NEAR_WHO], f[L.NEAR_M]
    fresh = due_ns - i[L.T_POS] <= NEAR_AGE_NS
    met = fresh and other >= 0 and metres <= cfg.collision_m
    i[L.T_IMPACT] = i[L.T_PEAK]
    i[L.T_DOWN_ARMED] = due_ns
    i[L.COLLISION_N if met else L.IMPACT_N] += 1
    if not fresh or other < 0:
        metres = nan
    seq = emit(
        out, i, L.EVENT_SEQ, s, C.COLLISION if met else C.IMPACT, 0, i[L.T_PEAK], due_ns,
        other if met else -1, (k[K.X], k[K.Y], NO_METRIC, NO_METRIC), 0.8 if twisted else 0.6,
        (f[L.PEAK_G], f[L.SPEED], dv, 1.0 if twisted else 0.0, metres, NO_METRIC),
    )
    tag_window(i, i[L.T_PEAK], seq)


@njit(cache=True)
def _lies(i: NDArray[np.int64], tilted: bool, t_ns: int) -> bool:
    """Whether the trunk is tilted and has been for `TILTED_NS`.

    A hard knock swings the felt vertical for a moment: it neither throws somebody down who stands,
    nor does it lift somebody up who lies.
    """
    if tilted:
        i[L.T_UPRIGHT] = L.NONE_NS
        if i[L.T_TILTED] == L.NONE_NS:
            i[L.T_TILTED] = t_ns
        return bool(t_ns - i[L.T_TILTED] >= TILTED_NS)
    if i[L.T_UPRIGHT] == L.NONE_NS:
        i[L.T_UPRIGHT] = t_ns
    lay = i[L.T_TILTED] != L.NONE_NS and i[L.T_UPRIGHT] - i[L.T_TILTED] >= TILTED_NS
    if not lay or t_ns - i[L.T_UPRIGHT] >= TILTED_NS:
        i[L.T_TILTED] = L.NONE_NS
    return False


@njit(cache=True, forceinline=True)
def _posture(twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int) -> None:
    """Falls, and somebody who stays down after a hit or a fall."""
    f, i, k = twins.f[s], twins.i[s], twins.kalman[s]
    if i[L.T_IMU] == L.NONE_NS or t_ns - i[L.T_IMU] > NEAR_AGE_NS:
        i[L.T_DOWN_FROM] = L.NONE_NS
        return
    tilt = tilt_deg(f)
    if tilt < UPRIGHT_DEG:
        i[L.FELL] = 0
    place = (k[K.X], k[K.Y], NO_METRIC, NO_METRIC)
    lies = _lies(i, tilt >= cfg.fall_tilt_deg, t_ns)
    if lies and i[L.FELL] == 0 and abs(i[L.T_TILTED] - i[L.T_WINDOW]) <= FELL_WITHIN_NS:
        i[L.FELL] = 1
        i[L.FALL_N] += 1
        i[L.T_DOWN_ARMED] = t_ns
        seq = emit(
            out, i, L.EVENT_SEQ, s, C.FALL, 0, i[L.T_WINDOW], t_ns, -1, place, 0.8,
            (f[L.FELL_G], tilt, NO_METRIC, NO_METRIC, NO_METRIC, NO_METRIC),
        )
        tag_window(i, i[L.T_WINDOW], seq)
    moves = f[L.SPEED] >= DOWN_MPS and t_ns - i[L.T_POS] <= 2 * NEAR_AGE_NS
    if i[L.T_TILTED] == L.NONE_NS or moves:
        i[L.T_DOWN_FROM] = L.NONE_NS
        return
    if i[L.T_DOWN_FROM] == L.NONE_NS:
        i[L.T_DOWN_FROM] = t_ns
    armed = -FELL_WITHIN_NS <= i[L.T_DOWN_FROM] - i[L.T_DOWN_ARMED] <= DOWN_WITHIN_NS
    if armed and tilt >= cfg.fall_tilt_deg and t_ns - i[L.T_DOWN_FROM] >= int(cfg.man_down_s * 1e9):
        i[L.T_DOWN_ARMED] = L.NONE_NS
        emit(
            out, i, L.EVENT_SEQ, s, C.MAN_DOWN, 0, i[L.T_DOWN_FROM], t_ns, -1, place, 0.8,
            ((t_ns - i[L.T_DOWN_FROM]) * 1e-9, tilt, f[L.SPEED], NO_METRIC, NO_METRIC, NO_METRIC),
        )


@njit(cache=True)
def _decline(now: float, now_time: float, all_: float, all_time: float, least: float) -> float:
    """How far a rate has fallen below the own mean, in `DECLINE_SD`; NaN without enough of it."""
    if all_ < least or all_time <= 0.0 or now_time <= 0.0:
        return nan
    return (1.0 - (now / now_time) / (all_ / all_time)) / DECLINE_SD


@njit(cache=True)
def fatigue_scores(bins: NDArray[np.float64], z: NDArray[np.float64]) -> float:
    """Fill z (5,) from the bins of one person; the mean share of D' left in the last 5 minutes."""
    all_ = bins[L.BINS - 1]
    now = np.zeros(L.BIN_WIDTH)
    for row in range(L.BINS - 1):
        for column in range(L.BIN_WIDTH):
            now[column] += bins[row, column]
    z[:] = nan
    if all_[L.B_TIME] < FATIGUE_AFTER_S or now[L.B_TIME] < 0.5 * FATIGUE_AFTER_S:
        return nan
    span, whole = now[L.B_TIME], all_[L.B_TIME]
    z[0] = _decline(now[L.B_HSR], span, all_[L.B_HSR], whole, 20.0)
    if all_[L.B_LOAD] > 0.0 and all_[L.B_DIST] > 100.0 and now[L.B_DIST] > 50.0:
        own = all_[L.B_LOAD] / all_[L.B_DIST]
        z[1] = ((now[L.B_LOAD] / now[L.B_DIST]) / own - 1.0) / LOAD_SD
    left = now[L.B_DBAL] / span
    z[2] = (BALANCE_MIDDLE - left) / BALANCE_SD
    if now[L.B_HR] > 0.0 and now[L.B_WORK] > 0.0 and now[L.B_HR_TIME] > 0.5 * span:
        own = (all_[L.B_WORK] / whole) / (all_[L.B_HR] / all_[L.B_HR_TIME])
        cur = (now[L.B_WORK] / span) / (now[L.B_HR] / now[L.B_HR_TIME])
        z[3] = (1.0 - cur / own) / DRIFT_SD
    z[4] = _decline(now[L.B_EFFORTS], span, all_[L.B_EFFORTS], whole, 3.0)
    return left


@njit(cache=True)
def _fatigue(
    twins: Twins, s: int, p: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int
) -> None:
    """Every ten seconds: index and band, level with hysteresis, features for the net; next bin."""
    f, i, bins = twins.f[s], twins.i[s], twins.bins[s]
    z = np.empty(5)
    left = fatigue_scores(bins, z)
    since = max(t_ns - i[L.T_FIRST], 1) * 1e-9
    cover = min(f[L.POS_COVER] / since, 1.0)
    index, low, high = fatigue_index(z, since / 60.0, cover)
    f[L.FI], f[L.FI_LOW], f[L.FI_HIGH] = index, low, high
    if t_ns % FATIGUE_EVERY_NS == 0 and not isnan(index):
        write_fatigue(out, s, t_ns, z, left, since / 60.0, cover, index)
    at = (i[L.BIN_AT] + 1) % (L.BINS - 1)
    i[L.BIN_AT] = at
    bins[at, :] = 0.0
    if not isnan(index):
        _level(twins, s, cfg, out, t_ns, (index, low, high, since / 60.0, cover, left))


@njit(cache=True)
def _level(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int,
    metrics: tuple[float, float, float, float, float, float],
) -> None:
    i, k, index = twins.i[s], twins.kalman[s], metrics[0]
    hold = int(cfg.fatigue_hold_s * 1e9)
    if index < cfg.fatigue_amber:
        i[L.T_ABOVE] = L.NONE_NS
    elif i[L.T_ABOVE] == L.NONE_NS:
        i[L.T_ABOVE] = t_ns
    if index < cfg.fatigue_red:
        i[L.T_RED_ABOVE] = L.NONE_NS
    elif i[L.T_RED_ABOVE] == L.NONE_NS:
        i[L.T_RED_ABOVE] = t_ns
    was = i[L.FATIGUE_LEVEL]
    level = was
    if i[L.T_RED_ABOVE] != L.NONE_NS and t_ns - i[L.T_RED_ABOVE] >= hold:
        level = 2
    elif i[L.T_ABOVE] != L.NONE_NS and t_ns - i[L.T_ABOVE] >= hold:
        level = max(was, 1)
    if level == 2 and index < cfg.fatigue_red - cfg.fatigue_clear:
        level = 1
    if level >= 1 and index < cfg.fatigue_amber - cfg.fatigue_clear:
        level = 0
    if level == was:
        return
    i[L.FATIGUE_LEVEL] = level
    code = C.FATIGUE_CLEAR if level == 0 else (C.FATIGUE_AMBER if level == 1 else C.FATIGUE_RED)
    sub = 1 if code == C.FATIGUE_AMBER and was == 2 else 0
    emit(
        out, i, L.EVENT_SEQ, s, code, sub, t_ns, t_ns, -1,
        (k[K.X], k[K.Y], NO_METRIC, NO_METRIC), metrics[4], metrics,
    )
