"""Shots on goal (DEBS 2013, query 4): a hit after which the ball would cross the goal in 1.5 s.

The hit is that of `models.analyses.hits`. As soon as the ball is a metre away from where it was hit
its mean velocity is taken and its flight computed with gravity and drag (`models.metrics.flight`).
The goal is that of the other team where the periods say which one that is, else either goal.
"""

from math import hypot, sqrt
from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from models.analyses.hits import NO_FIX, REACH_M, Watch, is_ball, new_watch, watch_row
from models.analyses.samples import Samples
from models.analyses.state import Analysis
from models.flows import layout as L  # noqa: N812
from models.flows.ball_play import attack_sign
from models.metrics.flight import GRAVITY_MPS2, crossing
from models.metrics.goal import BALL_RADIUS_M, GOAL_HALF_WIDTH_M, GOAL_HEIGHT_M

WITHIN_S: Final = 1.5
AWAY_M: Final = 1.0
GIVE_UP_NS: Final = 500_000_000
MOST_SHOTS: Final = 4096
"""More shots than any match has; beyond them only `lost` counts."""
SHOOTER, T_HIT, SHOTS, LOST = range(4)
COLUMNS: Final = ("x_m", "y_m", "speed_mps", "arrives_s", "goal_x_m", "goal_y_m", "goal_z_m")


@njit(cache=True)
def _walk(
    rows: Samples, watch: Watch, owner: NDArray[np.int64], plays: NDArray[np.int64],
    reach_m: float, team: NDArray[np.int64], half_length_m: float, periods: NDArray[np.int64],
    whole: NDArray[np.int64], start: NDArray[np.float64], found_i: NDArray[np.int64],
    found_f: NDArray[np.float64],
) -> None:
    f = watch.f
    for row in range(rows.t_ns.shape[0]):
        hitter = watch_row(watch, rows, row, owner, plays, reach_m)
        if hitter >= 0 and not rows.in_play[row] < 0.5:
            whole[SHOOTER], whole[T_HIT] = hitter, rows.t_ns[row]
            start[0], start[1], start[2] = f[L.K_OLD_X], f[L.K_OLD_Y], f[L.K_OLD_Z]
        elif whole[SHOOTER] >= 0 and is_ball(rows, row) and hitter != NO_FIX:
            since = rows.t_ns[row] - whole[T_HIT]
            if since > GIVE_UP_NS:
                whole[SHOOTER] = -1
            elif since > 0 and _away(f, start) >= AWAY_M:
                _judge(f, since, team, half_length_m, periods, whole, start, found_i, found_f)
                whole[SHOOTER] = -1


@njit(cache=True)
def _away(f: NDArray[np.float64], start: NDArray[np.float64]) -> float:
    return sqrt(
        (f[L.K_OLD_X] - start[0]) ** 2 + (f[L.K_OLD_Y] - start[1]) ** 2
        + (f[L.K_OLD_Z] - start[2]) ** 2
    )


@njit(cache=True)
def _judge(
    f: NDArray[np.float64], since_ns: int, team: NDArray[np.int64], half_length_m: float,
    periods: NDArray[np.int64], whole: NDArray[np.int64], start: NDArray[np.float64],
    found_i: NDArray[np.int64], found_f: NDArray[np.float64],
) -> None:
    """Compute the flight from where the ball is now, and keep it if it meets the goal."""
    dt = since_ns * 1e-9
    x, y, z = f[L.K_OLD_X], f[L.K_OLD_Y], f[L.K_OLD_Z]
    vx, vy, vz = (x - start[0]) / dt, (y - start[1]) / dt, (z - start[2]) / dt
    if z > 2.0 * BALL_RADIUS_M:
        vz -= 0.5 * GRAVITY_MPS2 * dt
    plane = half_length_m if vx > 0.0 else -half_length_m
    side = team[whole[SHOOTER]]
    if side >= 0 and attack_sign(periods, whole[T_HIT], int(side)) * plane < 0.0:
        return
    arrives, goal_y, goal_z = crossing(x, y, z, vx, vy, vz, plane, WITHIN_S - dt)
    if arrives < 0.0 or abs(goal_y) > GOAL_HALF_WIDTH_M or goal_z > GOAL_HEIGHT_M:
        return
    n = whole[SHOTS]
    if n >= found_i.shape[0]:
        whole[LOST] += 1
        return
    whole[SHOTS] = n + 1
    found_i[n, 0], found_i[n, 1] = whole[T_HIT], whole[SHOOTER]
    values = found_f[n]
    values[0], values[1] = start[0], start[1]
    values[2] = hypot(hypot(vx, vy), vz)
    values[3], values[4], values[5], values[6] = arrives + dt, plane, goal_y, goal_z


class ShotAnalysis(Analysis):
    """Of `team` (S,) 0 home, 1 away, -1 for others; `plays` (S,) 1 for players, who wear `owner`
    (D,) devices; periods (P, 3) begin, end, the home team's end."""

    name = "shots"

    def __init__(
        self, team: NDArray[np.int64], plays: NDArray[np.int64], owner: NDArray[np.int64],
        half_length_m: float, periods: NDArray[np.int64], reach_m: float = REACH_M,
    ) -> None:
        self._team, self._plays, self._owner = team, plays, owner
        self._half_length_m, self._periods, self._reach_m = half_length_m, periods, reach_m
        self._watch = new_watch(len(owner))
        self._whole = np.array([-1, L.NONE_NS, 0, 0], np.int64)
        self._start = np.zeros(3)
        self._found_i = np.zeros((MOST_SHOTS, 2), np.int64)
        self._found_f = np.zeros((MOST_SHOTS, len(COLUMNS)))

    def handle(self, samples: Samples) -> None:
        """Take rows; they go on where the last ones ended."""
        _walk(
            samples, self._watch, self._owner, self._plays, self._reach_m, self._team,
            self._half_length_m, self._periods, self._whole, self._start, self._found_i,
            self._found_f,
        )

    @property
    def lost(self) -> int:
        """Shots beyond the bound of those that are kept."""
        return int(self._whole[LOST])

    def table(self) -> pa.Table:
        """One row per shot: `t_ns`, `subject`, where it was hit (`x_m`, `y_m`), `speed_mps`, after
        how long and where it meets the goal (`arrives_s`, `goal_x_m`, `goal_y_m`, `goal_z_m`)."""
        n = int(self._whole[SHOTS])
        return pa.table({
            "t_ns": self._found_i[:n, 0], "subject": self._found_i[:n, 1],
            **{name: self._found_f[:n, k] for k, name in enumerate(COLUMNS)},
        })

    def _arrays(self) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        return {
            **{f"watch_{k}": a for k, a in self._watch._asdict().items()}, "whole": self._whole,
            "start": self._start, "found_i": self._found_i, "found_f": self._found_f,
        }
