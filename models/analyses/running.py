"""Running analysis (DEBS 2013, query 1): how long and how far each player runs at which intensity.

Classes and thresholds are the challenge's: standing to 1 km/h, trot to 11, low speed run to 14,
medium to 17, high to 24, sprint above. A class counts once it has been held for a second; a
shorter run belongs to the class held before it. Speed is that of the position filter of the live
path, on the mean of a person's main sensors (both feet, where feet are tracked). Aggregates are
over the last 1, 5 and 20 minutes and over the whole game.
"""

from math import hypot
from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from models.analyses.samples import PERSON, Samples
from models.analyses.seconds import Seconds, add_seconds, new_seconds, window_sum
from models.analyses.state import Analysis
from models.signal.kalman import STEP_GATED, VX, VY, kalman_step, new_kalman

CLASSES: Final = ("standing", "trot", "low", "medium", "high", "sprint")
THRESHOLDS_KMH: Final = (1.0, 11.0, 14.0, 17.0, 24.0)
WINDOWS_S: Final = (60, 300, 1200, 0)
"""0 is the whole game."""
HOLD_NS: Final = 1_000_000_000
LONGEST_STEP_NS: Final = 1_000_000_000
STEP_NS: Final = 18_000_000
"""A person's position is filtered at most every 18 ms (50 Hz)."""
FRESH_NS: Final = 100_000_000
STILL_MPS: Final = 0.3
ONE_SENSOR_R_M: Final = 0.08
TWO_FEET_R_M: Final = 0.30
"""Feet swing: the mean of two of them wanders about the body."""
T_LAST, CLASS, RUN, T_RUN, T_CHANGE, CHANGES = range(6)
PEND_S, PEND_M, SPEED = range(3)


@njit(cache=True)
def class_of(speed_mps: float) -> int:
    """The challenge's intensity class of a speed: 0 standing ... 5 sprint."""
    kmh = speed_mps * 3.6
    found = 0
    for limit in THRESHOLDS_KMH:
        if kmh > limit:
            found += 1
    return found


@njit(cache=True)
def _walk(
    rows: Samples, owner: NDArray[np.int64], main: NDArray[np.int64], place: NDArray[np.float64],
    seen: NDArray[np.int64], kalman: NDArray[np.float64], whole: NDArray[np.int64],
    part: NDArray[np.float64], seconds: Seconds,
) -> None:
    for row in range(rows.t_ns.shape[0]):
        if rows.what[row] != PERSON or rows.main[row] == 0:
            continue
        s, t_ns, device = rows.subject[row], rows.t_ns[row], rows.device[row]
        place[device, 0], place[device, 1] = rows.x_m[row], rows.y_m[row]
        seen[device] = t_ns
        last = whole[s, T_LAST]
        if last >= 0 and t_ns - last < STEP_NS:
            continue
        x, y, n = 0.0, 0.0, 0
        for other in range(owner.shape[0]):
            if owner[other] == s and main[other] == 1 and 0 <= t_ns - seen[other] <= FRESH_NS:
                x, y, n = x + place[other, 0], y + place[other, 1], n + 1
        r_m = ONE_SENSOR_R_M if n < 2 else TWO_FEET_R_M
        if kalman_step(kalman, s, t_ns, x / n, y / n, r_m) == STEP_GATED:
            continue
        whole[s, T_LAST] = t_ns
        if last >= 0 and 0 < t_ns - last <= LONGEST_STEP_NS:
            speed = hypot(kalman[s, VX], kalman[s, VY])
            _count(whole, part, seconds, s, t_ns, (t_ns - last) * 1e-9, speed)


@njit(cache=True)
def _count(
    whole: NDArray[np.int64], part: NDArray[np.float64], seconds: Seconds, s: int, t_ns: int,
    dt_s: float, speed: float,
) -> None:
    """`dt_s` seconds at `speed`, to the class that they belong to, as soon as that is known."""
    part[s, SPEED] = speed
    found = class_of(speed)
    metres = speed * dt_s if speed >= STILL_MPS else 0.0
    if whole[s, CLASS] < 0:
        whole[s, CLASS], whole[s, T_CHANGE] = found, t_ns
    current = whole[s, CLASS]
    if found == current:
        _settle(part, seconds, s, t_ns, current)
        whole[s, RUN] = found
        add_seconds(seconds, s, t_ns, current, dt_s)
        add_seconds(seconds, s, t_ns, 6 + current, metres)
        return
    if found != whole[s, RUN]:
        _settle(part, seconds, s, t_ns, current)
        whole[s, RUN], whole[s, T_RUN] = found, t_ns - np.int64(dt_s * 1e9)
    part[s, PEND_S] += dt_s
    part[s, PEND_M] += metres
    if t_ns - whole[s, T_RUN] >= HOLD_NS:
        whole[s, CLASS], whole[s, T_CHANGE] = found, whole[s, T_RUN]
        whole[s, CHANGES] += 1
        _settle(part, seconds, s, t_ns, found)


@njit(cache=True)
def _settle(
    part: NDArray[np.float64], seconds: Seconds, s: int, t_ns: int, into: int
) -> None:
    """What was waiting for a second to pass belongs to class `into`."""
    if part[s, PEND_S] > 0.0:
        add_seconds(seconds, s, t_ns, into, part[s, PEND_S])
        add_seconds(seconds, s, t_ns, 6 + into, part[s, PEND_M])
    part[s, PEND_S], part[s, PEND_M] = 0.0, 0.0


class RunningAnalysis(Analysis):
    """Of `subjects` persons wearing `owner` (D,) devices, `main` (D,) of which say where they are.

    State: 117 kB a subject. What waits for its second to pass is in no aggregate yet.
    """

    name = "running"

    def __init__(
        self, subjects: int, owner: NDArray[np.int64], main: NDArray[np.int64]
    ) -> None:
        self._owner, self._main = owner, main
        self._place = np.zeros((len(owner), 2))
        self._seen = np.full(len(owner), -1, np.int64)
        self._kalman = new_kalman(subjects)
        self._whole = np.full((subjects, 6), -1, np.int64)
        self._whole[:, CHANGES] = 0
        self._part = np.zeros((subjects, 3))
        self._seconds = new_seconds(subjects, max(WINDOWS_S), 12)
        self._now = np.zeros(1, np.int64)

    def handle(self, samples: Samples) -> None:
        """Take rows; they go on where the last ones ended."""
        if samples.rows:
            self._now[0] = max(int(self._now[0]), int(samples.t_ns[-1]))
            _walk(
                samples, self._owner, self._main, self._place, self._seen, self._kalman,
                self._whole, self._part, self._seconds,
            )

    def current(self) -> pa.Table:
        """One row per person seen: `subject` (roster row), `intensity`, `since_ns`, `speed_kmh`."""
        seen = np.flatnonzero(self._whole[:, CLASS] >= 0)
        return pa.table({
            "subject": seen, "intensity": [CLASSES[c] for c in self._whole[seen, CLASS]],
            "since_ns": self._whole[seen, T_CHANGE], "speed_kmh": self._part[seen, SPEED] * 3.6,
        })

    def table(self, window_s: int = 0) -> pa.Table:
        """Time and distance per class in the last `window_s` s (0: the whole game); one row per
        person and class with time in it: `subject`, `window_s`, `intensity`, `time_s`,
        `distance_m`. Raises ValueError for a window beyond 20 minutes."""
        sums = window_sum(self._seconds, int(self._now[0]), window_s)
        s, c = np.nonzero(sums[:, :6] > 0.0)
        return pa.table({
            "subject": s, "window_s": np.full(len(s), window_s),
            "intensity": [CLASSES[k] for k in c], "time_s": sums[s, c],
            "distance_m": sums[s, c + 6],
        })

    def _arrays(self) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        return {
            "place": self._place, "seen": self._seen, "kalman": self._kalman,
            "whole": self._whole, "part": self._part, "now": self._now,
            **{f"seconds_{k}": a for k, a in self._seconds._asdict().items()},
        }
