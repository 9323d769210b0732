"""Intensity: how much happens around a subject, tick by tick, and which flows are hot (DOMAIN D3).

    I = max(clip((v - 4) / 3), clip((|a| - 2) / 2), clip((|a_imu| / g - 4) / 6), ball, suspicion)

The limits 4-7 m/s, 2-4 m/s^2 and 4-10 g are defaults: a roster sets others for an athlete or a
group (`hot_*`, `models.telemetry.thresholds`).

ball: 1 for the ball when it flies at 15 m/s or more towards a goal, and for persons within 3 m of
it then; 0.5 within 3 m of the ball otherwise. suspicion: 0.7 while a device of the subject has just
turned bad. While the ball is out of play everything but the felt impact counts half: an impact may
be the beginning of a man down. Hot from `hot_enter` on, calm after `hot_hold_ns` below `hot_leave`;
full rate from the tick that turns hot until `post_roll_ns` after it turns calm.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow
from models.columns import frozen
from models.edge import cells as grid
from models.edge.cells import Cells
from models.edge.config import EdgeConfig
from models.edge.tables import Tables, Whole
from models.signal.player_load import GRAVITY_MPS2
from models.telemetry.roster import Roster
from models.telemetry.thresholds import hot_limits

NEAR_M: Final = 3.0
SHOT_MPS: Final = 15.0
GOAL_HALF_M: Final = 3.66
GOAL_MARGIN_M: Final = 2.0
GOAL_WITHIN_S: Final = 2.0
HOLD_NS: Final = 300_000_000
PLACE_NS: Final = 1_000_000_000
PLAY_NS: Final = 2_000_000_000
STOPPAGE: Final = 0.5
SUSPICION: Final = 0.7

FLOW_WIDTH: Final = 6
HOT, HOT_SINCE, CALM_SINCE, WHOLE_UNTIL, SEEN, T_PLACE = range(FLOW_WIDTH)
LAST_WIDTH: Final = 7
SPEED, ACCEL, X, Y, VX, VY, SCORE = range(LAST_WIDTH)


class FlowState(NamedTuple):
    """flows (S, FLOW_WIDTH) int64; last (S, LAST_WIDTH) float64 newest movement; play (2,) int64:
    whether the ball is in play, and since when that is known."""

    flows: NDArray[np.int64]
    last: NDArray[np.float64]
    play: NDArray[np.int64]


class FlowRule(NamedTuple):
    """Scalars: the ball's subject row (-1 none), half the pitch's length in metres, thresholds.
    limits (S, 6): where speed, acceleration and felt impact of each subject begin and are full."""

    ball: int
    half_length_m: float
    enter: float
    leave: float
    hold_ns: int
    post_ns: int
    limits: NDArray[np.float64]


class Heat(NamedTuple):
    """Output: whole (K, S) uint8 full rate in that tick; turned (K, S) uint8 turned hot in it,
    coming from thinned rows."""

    whole: NDArray[np.uint8]
    turned: NDArray[np.uint8]


def new_flows(subject_n: int) -> FlowState:
    """Nothing has happened."""
    return FlowState(
        np.zeros((subject_n, FLOW_WIDTH), np.int64), np.zeros((subject_n, LAST_WIDTH)),
        np.array([1, 0], np.int64),
    )


def flow_rule(roster: Roster, tables: Tables, config: EdgeConfig) -> FlowRule:
    """Raises ConfigError when the roster sets a limit that cannot be used."""
    limits = [hot_limits(roster, subject) for subject in roster.subjects]
    return FlowRule(
        tables.ball, 0.5 * roster.pitch_length_m, config.hot_enter, config.hot_leave,
        config.hot_hold_ns, config.post_roll_ns,
        frozen(np.array(limits, np.float64).reshape(-1, 6)),
    )


def roll_intensity(
    cells: Cells, suspect: NDArray[np.uint8], rule: FlowRule, state: FlowState,
    less_ns: int = 0,
) -> Heat:
    """Score every subject in every tick of the stretch, in order. less_ns: how much sooner the full
    rate ends after a flow has turned calm."""
    shape = suspect.shape
    heat = Heat(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    _roll(cells, suspect, rule, state, less_ns, heat)
    return heat


@njit(cache=True)
def _clip(x: float) -> float:
    # NaN compares false: what is not known does not count.
    return 1.0 if x >= 1.0 else (x if x > 0.0 else 0.0)


@njit(cache=True)
def _update_place(cells: Cells, tick: Whole, s: Whole, state: FlowState) -> None:
    """Take over the newest movement of the tick; forget what is too old."""
    cell, last, flow = cells.tick[tick, s], state.last[s], state.flows[s]
    begin_ns = cells.tick_begin_ns + tick * cells.tick_ns
    if cell[grid.T_S] == cell[grid.T_S]:
        last[X], last[Y] = cell[grid.X_M], cell[grid.Y_M]
        last[VX], last[VY] = cell[grid.VX], cell[grid.VY]
        flow[T_PLACE] = begin_ns
        flow[SEEN] = 1
    if cell[grid.SPEED] == cell[grid.SPEED]:
        last[SPEED] = cell[grid.SPEED]
        last[ACCEL] = cell[grid.ACCEL] if cell[grid.ACCEL] == cell[grid.ACCEL] else 0.0
    elif begin_ns - flow[T_PLACE] > HOLD_NS:
        last[SPEED] = 0.0
        last[ACCEL] = 0.0
    if cell[grid.IMPACT] == cell[grid.IMPACT]:
        flow[SEEN] = 1


@njit(cache=True)
def _is_shot(rule: FlowRule, last: NDArray[np.float64]) -> bool:
    """Whether the ball flies at a goal: its line meets the mouth within two seconds."""
    if np.hypot(last[VX], last[VY]) < SHOT_MPS or last[VX] == 0.0:
        return False
    goal = rule.half_length_m if last[VX] > 0.0 else -rule.half_length_m
    in_s = (goal - last[X]) / last[VX]
    if in_s < 0.0 or in_s > GOAL_WITHIN_S:
        return False
    return abs(last[Y] + in_s * last[VY]) <= GOAL_HALF_M + GOAL_MARGIN_M


@njit(cache=True)
def _heat(
    flow: NDArray[np.int64], score: float, begin_ns: Whole, end_ns: Whole, rule: FlowRule
) -> bool:
    """Hysteresis of one flow over one tick; True when it turns hot from calm."""
    if score >= rule.enter:
        turned = flow[HOT] == 0
        if turned:
            flow[HOT] = 1
            flow[HOT_SINCE] = begin_ns
        flow[CALM_SINCE] = 0
        return turned
    if flow[HOT] == 1:
        if score >= rule.leave:
            flow[CALM_SINCE] = 0
        elif flow[CALM_SINCE] == 0:
            flow[CALM_SINCE] = begin_ns
        calm = flow[CALM_SINCE] > 0 and end_ns - flow[CALM_SINCE] >= rule.hold_ns
        if calm and end_ns - flow[HOT_SINCE] >= rule.hold_ns:
            flow[HOT] = 0
            flow[CALM_SINCE] = 0
            flow[WHOLE_UNTIL] = end_ns + rule.post_ns
    return False


@njit(cache=True)
def _roll(
    cells: Cells, suspect: NDArray[np.uint8], rule: FlowRule, state: FlowState, less_ns: Whole,
    heat: Heat,
) -> None:
    cells, suspect, state, heat = borrow((cells, suspect, state, heat))
    for tick in range(suspect.shape[0]):
        begin_ns = cells.tick_begin_ns + tick * cells.tick_ns
        end_ns = begin_ns + cells.tick_ns
        for s in range(suspect.shape[1]):
            _update_place(cells, tick, s, state)
        ball_known, shot, stopped = False, False, False
        if rule.ball >= 0:
            ball, told = state.last[rule.ball], cells.tick[tick, rule.ball, grid.IN_PLAY]
            if told == told:
                state.play[0] = 1 if told > 0.5 else 0
                state.play[1] = begin_ns
            stopped = state.play[0] == 0 and begin_ns - state.play[1] <= PLAY_NS
            seen_ns = state.flows[rule.ball, T_PLACE]
            ball_known = seen_ns > 0 and begin_ns - seen_ns <= PLACE_NS
            shot = ball_known and _is_shot(rule, ball)
        for s in range(suspect.shape[1]):
            flow, last = state.flows[s], state.last[s]
            limit = rule.limits[s]
            score = max(
                _clip((last[SPEED] - limit[0]) / (limit[1] - limit[0])),
                _clip((last[ACCEL] - limit[2]) / (limit[3] - limit[2])),
            )
            if s == rule.ball:
                score = 1.0 if shot else 0.0
            elif ball_known and flow[T_PLACE] > 0 and begin_ns - flow[T_PLACE] <= PLACE_NS:
                ball = state.last[rule.ball]
                if np.hypot(last[X] - ball[X], last[Y] - ball[Y]) <= NEAR_M:
                    score = max(score, 1.0 if shot else 0.5)
            if suspect[tick, s] == 1:
                score = max(score, SUSPICION)
            if stopped:
                score *= STOPPAGE
            felt = cells.tick[tick, s, grid.IMPACT] / GRAVITY_MPS2
            score = max(score, _clip((felt - limit[4]) / (limit[5] - limit[4])))
            last[SCORE] = score
            calm_before = flow[HOT] == 0 and begin_ns >= flow[WHOLE_UNTIL] - less_ns
            if _heat(flow, score, begin_ns, end_ns, rule) and calm_before:
                heat.turned[tick, s] = 1
            # Asked anew: who turns calm in this tick has just been given its post-roll.
            whole = flow[HOT] == 1 or begin_ns < flow[WHOLE_UNTIL] - less_ns
            heat.whole[tick, s] = 1 if whole else 0
