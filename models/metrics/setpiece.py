"""Which restart the laws of football ask for: where the ball left, who touched it last, where it
lies.

Metres, pitch-centred. Distances are the laws' (goal area 5.5 m deep and 18.32 m wide, penalty mark
11 m, corner arc 1 m), widened by tolerances of ours for where a tracked ball is seen.
"""

from math import hypot
from typing import Final

from numba import njit

NOTHING: Final = -1
KICK_OFF: Final = 0
THROW_IN: Final = 1
CORNER: Final = 2
GOAL_KICK: Final = 3
FREE_KICK: Final = 4
PENALTY: Final = 5

INSIDE: Final = 0
TOUCHLINE: Final = 1
GOAL_LINE: Final = 2
GOAL: Final = 3

CENTRE_M: Final = 1.5
LINE_M: Final = 2.0
ALONG_M: Final = 12.0
CORNER_M: Final = 2.5
GOAL_AREA_M: Final = 5.5
GOAL_AREA_HALF_M: Final = 9.16
AREA_SLACK_M: Final = 1.5
MARK_M: Final = 11.0
MARK_SLACK_M: Final = 0.6


@njit(cache=True)
def lawful(left: int, last_attacks: int) -> int:
    """The restart after the ball left by a line. last_attacks: 1 when the team that touched last
    attacks the goal line that was crossed, -1 when it defends it, 0 when that is not known."""
    if left == TOUCHLINE:
        return THROW_IN
    if left == GOAL:
        return KICK_OFF
    if left == GOAL_LINE and last_attacks != 0:
        return GOAL_KICK if last_attacks > 0 else CORNER
    return NOTHING


@njit(cache=True)
def placed(
    x_m: float, y_m: float, left: int, left_x_m: float, half_length_m: float, half_width_m: float
) -> int:
    """The restart that fits a ball at (x, y), after it left by line `left` at x = `left_x_m`;
    NOTHING when no law lets play begin there."""
    ax, ay = abs(x_m), abs(y_m)
    if hypot(x_m, y_m) <= CENTRE_M and left in (INSIDE, GOAL):
        return KICK_OFF
    if left == TOUCHLINE:
        near = ay >= half_width_m - LINE_M and abs(x_m - left_x_m) <= ALONG_M
        return THROW_IN if near else NOTHING
    if left == GOAL_LINE:
        if x_m * left_x_m <= 0.0:
            return NOTHING
        if hypot(half_length_m - ax, half_width_m - ay) <= CORNER_M:
            return CORNER
        deep = ax >= half_length_m - GOAL_AREA_M - AREA_SLACK_M
        return GOAL_KICK if deep and ay <= GOAL_AREA_HALF_M + AREA_SLACK_M else NOTHING
    if left == GOAL:
        return NOTHING
    if abs(half_length_m - MARK_M - ax) <= MARK_SLACK_M and ay <= MARK_SLACK_M:
        return PENALTY
    return FREE_KICK
