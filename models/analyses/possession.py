"""Ball possession (DEBS 2013, query 2): per player and per team, as time, hits and share.

A player has the ball from a hit of theirs (`models.analyses.hits`) until another player hits it, it
leaves the field, or the game is stopped (the source says that the ball is dead). A team's
possession is the sum of its players'; shares are of the time that either team had it. Windows are
the last 1, 5 and 20 minutes and the whole game.
"""

from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from models.analyses.hits import NO_FIX, NOBODY, REACH_M, Watch, is_ball, new_watch, watch_row
from models.analyses.samples import Samples
from models.analyses.seconds import Seconds, add_seconds, new_seconds, window_sum
from models.analyses.state import Analysis
from models.flows import layout as L  # noqa: N812
from models.metrics.goal import BALL_RADIUS_M

WINDOWS_S: Final = (60, 300, 1200, 0)
LONGEST_STEP_NS: Final = 1_000_000_000
TEAMS: Final = ("home", "away")
OWNER, T_BALL, NOW = range(3)


@njit(cache=True)
def _walk(
    rows: Samples, watch: Watch, owner: NDArray[np.int64], plays: NDArray[np.int64],
    reach_m: float, half: tuple[float, float], whole: NDArray[np.int64], seconds: Seconds,
) -> None:
    for row in range(rows.t_ns.shape[0]):
        t_ns = rows.t_ns[row]
        hitter = watch_row(watch, rows, row, owner, plays, reach_m)
        if is_ball(rows, row) and hitter != NO_FIX:
            step = t_ns - whole[T_BALL]
            if whole[OWNER] >= 0 and 0 < step <= LONGEST_STEP_NS:
                add_seconds(seconds, whole[OWNER], t_ns, 0, step * 1e-9)
            whole[T_BALL] = t_ns
            x, y = watch.f[L.K_OLD_X], watch.f[L.K_OLD_Y]
            outside = abs(x) > half[0] + BALL_RADIUS_M or abs(y) > half[1] + BALL_RADIUS_M
            if outside or rows.in_play[row] < 0.5:
                whole[OWNER] = NOBODY
                continue
        if hitter >= 0:
            whole[OWNER] = hitter
            add_seconds(seconds, hitter, t_ns, 1, 1.0)


class PossessionAnalysis(Analysis):
    """Of `teams` (S,) "home", "away" or "" per subject, `plays` (S,) 1 for players, who wear
    `owner` (D,) devices, on a pitch of that size. `reach_m` is 1 m for sensors in shoes; where the
    body is tracked, 1.5 m."""

    name = "possession"

    def __init__(
        self, teams: tuple[str, ...], plays: NDArray[np.int64], owner: NDArray[np.int64],
        half: tuple[float, float], reach_m: float = REACH_M,
    ) -> None:
        self._teams, self._plays, self._owner = teams, plays, owner
        self._half, self._reach_m = half, reach_m
        self._watch = new_watch(len(owner))
        self._whole = np.array([NOBODY, L.NONE_NS, 0], np.int64)
        self._seconds = new_seconds(len(teams), max(WINDOWS_S), 2)

    def handle(self, samples: Samples) -> None:
        """Take rows; they go on where the last ones ended."""
        if samples.rows:
            self._whole[NOW] = max(int(self._whole[NOW]), int(samples.t_ns[-1]))
            _walk(
                samples, self._watch, self._owner, self._plays, self._reach_m, self._half,
                self._whole, self._seconds,
            )

    @property
    def player(self) -> int:
        """Roster row of who has the ball now, -1 for nobody."""
        return int(self._whole[OWNER])

    def players(self, window_s: int = 0) -> pa.Table:
        """One row per player with time or hits in the last `window_s` s (0: the whole game):
        `subject`, `window_s`, `time_s`, `hits`. Raises ValueError beyond 20 minutes."""
        sums = window_sum(self._seconds, int(self._whole[NOW]), window_s)
        s = np.flatnonzero(sums.any(axis=1))
        return pa.table({
            "subject": s, "window_s": np.full(len(s), window_s), "time_s": sums[s, 0],
            "hits": sums[s, 1].astype(np.int64),
        })

    def teams(self, window_s: int = 0) -> pa.Table:
        """One row per team: `team`, `window_s`, `time_s`, `hits`, `percent` (NaN while nobody had
        the ball)."""
        sums = window_sum(self._seconds, int(self._whole[NOW]), window_s)
        mine = np.array([[t == team for t in self._teams] for team in TEAMS], np.float64)
        by_team = mine @ sums
        both = by_team[:, 0].sum()
        share = by_team[:, 0] / both * 100.0 if both > 0.0 else np.full(2, np.nan)
        return pa.table({
            "team": list(TEAMS), "window_s": [window_s] * 2, "time_s": by_team[:, 0],
            "hits": by_team[:, 1].astype(np.int64), "percent": share,
        })

    def _arrays(self) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        return {
            **{f"watch_{k}": a for k, a in self._watch._asdict().items()}, "whole": self._whole,
            **{f"seconds_{k}": a for k, a in self._seconds._asdict().items()},
        }
