"""Stops and restarts: when the ball is dead, and with what the game goes on. Metres, ns.

Two ways to know. A source that flags its ball says when it is dead and when it is alive again; the
restart is that moment. Without a flag the ball is dead when it has left by a line, and when it has
lain still for long (at the centre for 2 s, elsewhere for 10 s); the game goes on when it leaves a
place where the laws let it begin (`models.metrics.setpiece`), or comes in from the touchline. Two
players who touch it in the field one after the other mean that the game goes on, whatever was
missed.
"""

from math import hypot, nan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.events import catalog as C  # noqa: N812
from models.flows import ball_play as play
from models.flows import layout as L  # noqa: N812
from models.flows.ball_carry import STOPPED, carry_end
from models.flows.config import FlowConfig
from models.flows.emit import NO_METRIC, emit
from models.flows.layout import ALIVE, BY_PLACE, BY_SOURCE, NOT_BEGUN
from models.flows.tables import Outputs, Twins
from models.metrics import setpiece as law

SENSED_NS = 1_000_000_000
"""A ball whose own sensor is silent for longer is taken for one without."""
BY_FLAG, FROM_PLACE, WITH_TOUCH = range(3)
SHORTEST_NS = 1_000_000_000
"""A flag that says dead for less is taken for a slip."""
LEFT_BEFORE_NS = 3_000_000_000
TAKER_M = 3.0
TAKER_NS = 2_000_000_000
STILL_M = 0.5
STILL_NS = 500_000_000
CENTRE_STILL_NS = 2_000_000_000
LONG_STILL_NS = 10_000_000_000
GONE_M = 1.0
GONE_MPS = 3.0
FRESH_NS = 2_000_000_000
INWARD_M = 1.0
FIELD_M = 2.0


@njit(cache=True)
def begin(twins: Twins, s: int, t_ns: int, nearest: int, metres: float) -> None:
    """The first position of a ball that was never seen: at the centre it waits for the kick-off."""
    f, i = twins.f[s], twins.i[s]
    i[L.K_DEAD] = ALIVE
    i[L.KT_DEAD] = t_ns
    _rest(f, i, t_ns)
    if hypot(f[L.K_OLD_X], f[L.K_OLD_Y]) <= law.CENTRE_M:
        i[L.K_DEAD] = NOT_BEGUN
        i[L.K_LEFT] = law.INSIDE
        _spot(f, i, t_ns, nearest if metres <= TAKER_M else -1)


@njit(cache=True)
def sensed(i: NDArray[np.int64], t_ns: int) -> bool:
    """Whether the ball's own sensor is heard."""
    return bool(t_ns - i[L.KT_IMU] <= SENSED_NS)


@njit(cache=True)
def _rest(f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int) -> None:
    """The ball may lie still from now on, where it is now."""
    i[L.KT_REST] = t_ns
    f[L.K_REST_X], f[L.K_REST_Y] = f[L.K_OLD_X], f[L.K_OLD_Y]


@njit(cache=True)
def _spot(f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int, who: int) -> None:
    """The ball lies still here, beside `who` (or nobody, then whoever was beside it before)."""
    moved = hypot(f[L.K_SPOT_X] - f[L.K_REST_X], f[L.K_SPOT_Y] - f[L.K_REST_Y]) > STILL_M
    i[L.KT_SPOT] = t_ns
    f[L.K_SPOT_X], f[L.K_SPOT_Y] = f[L.K_REST_X], f[L.K_REST_Y]
    if who >= 0 or moved:
        i[L.K_SPOT_WHO] = who


@njit(cache=True)
def stop_by_source(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int, half: tuple[float, float]
) -> None:
    """The source says that the ball is dead; it may leave the field a moment after."""
    f, i = twins.f[s], twins.i[s]
    i[L.K_TOUCHER], i[L.K_NEAREST] = -1, -1
    if i[L.K_DEAD] != BY_SOURCE:
        carry_end(twins, s, cfg, out, t_ns, STOPPED)
        fresh = i[L.K_LEFT] != law.INSIDE and t_ns - i[L.KT_BOUND] <= LEFT_BEFORE_NS
        if not fresh:
            _left(f, i, law.INSIDE, f[L.K_OLD_X], f[L.K_OLD_Y])
        i[L.K_DEAD], i[L.KT_DEAD] = BY_SOURCE, t_ns
        i[L.K_PENDING] = -1
    elif i[L.K_LEFT] == law.INSIDE and t_ns - i[L.KT_DEAD] <= SHORTEST_NS:
        x, y = f[L.K_OLD_X], f[L.K_OLD_Y]
        if abs(y) > half[1]:
            _left(f, i, law.TOUCHLINE, x, y)
        elif abs(x) > half[0]:
            _left(f, i, law.GOAL_LINE, x, y)


@njit(cache=True)
def _left(f: NDArray[np.float64], i: NDArray[np.int64], how: int, x: float, y: float) -> None:
    i[L.K_LEFT], i[L.K_LEFT_TEAM] = how, i[L.K_TEAM]
    f[L.K_LEFT_X], f[L.K_LEFT_Y] = x, y


@njit(cache=True)
def leave(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int, flagged: bool,
    half: tuple[float, float],
) -> None:
    """The ball has just left by a line (`check_lines` has said where)."""
    f, i = twins.f[s], twins.i[s]
    carry_end(twins, s, cfg, out, t_ns, STOPPED)
    x, y = f[L.K_OLD_X], f[L.K_OLD_Y]
    how = law.GOAL_LINE if abs(x) - half[0] > abs(y) - half[1] else law.TOUCHLINE
    _left(f, i, law.GOAL if i[L.K_GOAL_SENT] == 1 else how, x, y)
    if not flagged:
        i[L.K_DEAD], i[L.KT_DEAD] = BY_PLACE, i[L.KT_BOUND]
        i[L.KT_SPOT], i[L.KT_LINE], i[L.K_STRAY_N] = L.NONE_NS, L.NONE_NS, 0
        _rest(f, i, t_ns)


@njit(cache=True)
def resume_by_source(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    who: int, metres: float, half: tuple[float, float], periods: NDArray[np.int64],
) -> None:
    """The source says that the ball is alive again."""
    f, i = twins.f[s], twins.i[s]
    i[L.K_DEAD] = ALIVE
    _rest(f, i, t_ns)
    if t_ns - i[L.KT_DEAD] < SHORTEST_NS:
        return
    if i[L.K_GOAL_SENT] == 1:
        i[L.K_LEFT] = law.GOAL
    i[L.K_PENDING], i[L.KT_PENDING] = 1, t_ns
    f[L.K_SPOT_X], f[L.K_SPOT_Y] = f[L.K_OLD_X], f[L.K_OLD_Y]
    if who >= 0 and metres <= TAKER_M:
        restart(twins, s, params, cfg, out, t_ns, t_ns, who, half, periods, BY_FLAG)


@njit(cache=True)
def restart(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    when_ns: int, who: int, half: tuple[float, float], periods: NDArray[np.int64], how: int,
) -> bool:
    """The game goes on from the spot: an event of the restart that it is, if it is one; whether it
    was one. how: BY_FLAG, FROM_PLACE, or WITH_TOUCH when its touch is told by the caller."""
    f, i = twins.f[s], twins.i[s]
    left, x, y = i[L.K_LEFT], f[L.K_SPOT_X], f[L.K_SPOT_Y]
    attacks = 0
    if i[L.K_LEFT_TEAM] >= 0:
        way = play.attack_sign(periods, i[L.KT_DEAD], i[L.K_LEFT_TEAM])
        attacks = way if f[L.K_LEFT_X] > 0.0 else -way
    asked = law.lawful(left, attacks)
    seen = law.placed(x, y, left, f[L.K_LEFT_X], half[0], half[1])
    kind = seen if seen != law.NOTHING else asked
    i[L.K_PENDING] = -1
    i[L.K_DEAD] = ALIVE
    i[L.K_LEFT] = law.INSIDE
    i[L.KT_REST] = t_ns
    if kind == law.NOTHING or (how != BY_FLAG and seen == law.NOTHING):
        return False
    sure = 0.6 if asked == law.NOTHING else 0.9
    if seen == law.NOTHING or (asked != law.NOTHING and seen != asked):
        sure = 0.5
    if how != BY_FLAG and left == law.INSIDE and kind != law.KICK_OFF:
        sure = 0.5
    i[L.K_KICK_OFF_N + kind] += 1
    was_out = left != law.INSIDE
    off = hypot(x - f[L.K_LEFT_X], y - f[L.K_LEFT_Y]) if was_out else nan
    emit(
        out, i, L.K_SEQ, s, C.KICK_OFF + kind, min(how, 1), when_ns, t_ns, who,
        (x, y, NO_METRIC, NO_METRIC), sure, (
            (when_ns - i[L.KT_DEAD]) * 1e-9, f[L.K_LEFT_X] if was_out else nan,
            f[L.K_LEFT_Y] if was_out else nan, off, NO_METRIC, NO_METRIC,
        ),
    )
    if who >= 0 and how != WITH_TOUCH:
        by = play.BY_CONTROL if sensed(i, t_ns) or kind == law.THROW_IN else play.BY_POSITION
        play.touch(twins, s, params, cfg, out, t_ns, who, by, nan, nan)
    return True


@njit(cache=True)
def pending(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    who: int, metres: float, half: tuple[float, float], periods: NDArray[np.int64],
) -> None:
    """A restart that the source has told but that nobody was near to: the first who is takes it."""
    i = twins.i[s]
    near = who >= 0 and metres <= cfg.touch_m
    if near or t_ns - i[L.KT_PENDING] > TAKER_NS:
        taker = who if near else -1
        restart(twins, s, params, cfg, out, t_ns, i[L.KT_PENDING], taker, half, periods, BY_FLAG)


@njit(cache=True)
def follow(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    who: int, metres: float, half: tuple[float, float], periods: NDArray[np.int64],
) -> None:
    """One more position of a ball whose source does not flag it."""
    f, i = twins.f[s], twins.i[s]
    x, y = f[L.K_OLD_X], f[L.K_OLD_Y]
    if hypot(x - f[L.K_REST_X], y - f[L.K_REST_Y]) > STILL_M:
        _rest(f, i, t_ns)
    still = t_ns - i[L.KT_REST]
    if i[L.K_DEAD] == ALIVE:
        centre = hypot(x, y) <= law.CENTRE_M and still >= CENTRE_STILL_NS
        if not centre and still < LONG_STILL_NS:
            return
        carry_end(twins, s, cfg, out, t_ns, STOPPED)
        _left(f, i, law.INSIDE, x, y)
        i[L.K_TOUCHER] = -1
        i[L.K_DEAD], i[L.KT_DEAD], i[L.K_STRAY_N] = BY_PLACE, i[L.KT_REST], 0
        i[L.KT_LINE] = L.NONE_NS
    if i[L.K_GOAL_SENT] == 1:
        i[L.K_LEFT] = law.GOAL
    if still >= STILL_NS:
        _spot(f, i, t_ns, who if metres <= TAKER_M else -1)
    if abs(y) >= half[1] - law.LINE_M * 0.25:
        i[L.KT_LINE], i[L.K_LINE_WHO] = t_ns, who if metres <= TAKER_M else -1
        f[L.K_LINE_X], f[L.K_LINE_Y] = x, y
    _moves(twins, s, params, cfg, out, t_ns, half, periods)


@njit(cache=True)
def _moves(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    half: tuple[float, float], periods: NDArray[np.int64],
) -> None:
    """Whether the dead ball has left its spot, or has come in from the touchline."""
    f, i = twins.f[s], twins.i[s]
    x, y, speed = f[L.K_OLD_X], f[L.K_OLD_Y], f[L.K_SPEED]
    if i[L.K_LEFT] == law.TOUCHLINE:
        entered = abs(y) <= half[1] - INWARD_M and speed >= GONE_MPS
        if entered and t_ns - i[L.KT_LINE] <= FRESH_NS and i[L.K_LINE_WHO] >= 0:
            f[L.K_SPOT_X], f[L.K_SPOT_Y] = f[L.K_LINE_X], f[L.K_LINE_Y]
            who, when = i[L.K_LINE_WHO], i[L.KT_LINE]
            if _lawful_spot(f, i, half):
                restart(twins, s, params, cfg, out, t_ns, when, who, half, periods, FROM_PLACE)
        return
    if t_ns - i[L.KT_SPOT] > FRESH_NS or not _lawful_spot(f, i, half):
        return
    gone = hypot(x - f[L.K_SPOT_X], y - f[L.K_SPOT_Y])
    if gone >= GONE_M and speed >= GONE_MPS:
        who, when = i[L.K_SPOT_WHO], i[L.KT_SPOT]
        restart(twins, s, params, cfg, out, t_ns, when, who, half, periods, FROM_PLACE)


@njit(cache=True)
def _lawful_spot(
    f: NDArray[np.float64], i: NDArray[np.int64], half: tuple[float, float]
) -> bool:
    x, y = f[L.K_SPOT_X], f[L.K_SPOT_Y]
    return law.placed(x, y, i[L.K_LEFT], f[L.K_LEFT_X], half[0], half[1]) != law.NOTHING


@njit(cache=True)
def allows(
    twins: Twins, s: int, params: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    who: int, hit: bool, half: tuple[float, float], periods: NDArray[np.int64],
) -> bool:
    """Whether a touch by `who` is one of the game. A hit that the ball feels on a lawful spot is
    the restart (one that is only seen may be noise: then the ball has to leave the spot); others
    are not of the game until two players have touched it in the field."""
    f, i = twins.f[s], twins.i[s]
    if i[L.K_DEAD] == ALIVE:
        return True
    x, y = f[L.K_OLD_X], f[L.K_OLD_Y]
    on_spot = hypot(x - f[L.K_SPOT_X], y - f[L.K_SPOT_Y]) <= GONE_M
    fresh = t_ns - i[L.KT_SPOT] <= FRESH_NS
    if fresh and on_spot and i[L.K_LEFT] != law.TOUCHLINE and _lawful_spot(f, i, half):
        i[L.K_SPOT_WHO] = who
        if not hit:
            return False
        return restart(twins, s, params, cfg, out, t_ns, t_ns, who, half, periods, WITH_TOUCH)
    if abs(x) > half[0] - FIELD_M or abs(y) > half[1] - FIELD_M:
        return False
    if i[L.K_STRAY_N] == 0 or i[L.K_STRAY] == who:
        i[L.K_STRAY], i[L.K_STRAY_N] = who, 1
        return False
    i[L.K_DEAD], i[L.K_LEFT] = ALIVE, law.INSIDE
    return True

