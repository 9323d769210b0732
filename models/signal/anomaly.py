"""Streaming anomaly score of univariate series: how unusual the newest value is by its own past.

Four views of a value are each turned into a surprise (`surprise`: -log10 of a tail probability):

    place      distance from a slow mean
    season     distance from what is usual at this time of day and week (`season`)
    roughness  log of short over long mean of absolute steps: too calm surprises like too wild
    shape      distance of the last six values from the nearest earlier six (`shape`)

Their mean counts in standard deviations from the row's own usual mean surprise (as the anomaly
likelihood of Lavin & Ahmad 2015 judges errors by their own past). `onset` is that score where an
anomaly begins or grows, else 0: one that goes on is said once. No scale, no training, no
look-ahead, one set of constants for all series. A value that is not finite, or the first after a
gap, breaks no other row and no later value. Times ns UTC; values in any unit, up to 1e30 in size.

State: 23 kB a row by default (12.6 kB with a past of 256 and no season), which does not grow; the
work per value is bounded: a scan of the past, about 10 microseconds.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.errors import SchemaError
from models.signal.season import SEASON_WIDTH, season_step
from models.signal.shape import LENGTH, SHAPE_HEAD, forget_run, shape_step
from models.signal.surprise import SURPRISE_WIDTH, quantile, surprise_step
from models.state_bytes import pack_state, unpack_state

Row = int | np.int64
_N, _LAST, _SLOW, _SHORT, _LONG, _STEP_NS, _MEAN, _VAR, _WEIGHT, _HELD, _LEFT = range(11)
_VIEWS: Final = 11
_SHAPE: Final = _VIEWS + 4 * SURPRISE_WIDTH
"""Then the shape's ring, then the season, if there is one."""
_LARGEST: Final = 1e30


@dataclass(frozen=True, slots=True)
class AnomalyConfig:
    """All in values (samples). half_life: after it a value weighs half in surprises; likelihood:
    the same for the usual mean surprise; slow, long, short: memory of the means; warm_up: no score
    before; rest: for how long an onset must rise by `rise` to be said again; `floor` is added to
    the variance of the surprise; a pause longer than `gap` usual steps cuts shapes; `past`: values
    that shapes are looked for in. Not `seasonal`: the slow mean takes the season's place."""

    half_life: float = 2000.0
    likelihood: float = 10_000.0
    slow: float = 2000.0
    long: float = 1000.0
    short: float = 40.0
    warm_up: int = 60
    rest: int = 100
    rise: float = 0.75
    floor: float = 0.05
    gap: float = 10.0
    past: int = 1024
    seasonal: bool = True

    @property
    def state_width(self) -> int:
        """Numbers of state a row."""
        return _SHAPE + SHAPE_HEAD + self.past + SEASON_WIDTH * self.seasonal

    def numbers(self) -> NDArray[np.float64]:
        """For the kernel: keep per step of the surprises and of the likelihood, then the rest."""
        assert self.past >= 4 * LENGTH, self
        assert min(self.half_life, self.likelihood, self.slow, self.long, self.short) >= 1, self
        return np.array([
            0.5 ** (1.0 / self.half_life), 0.5 ** (1.0 / self.likelihood), 1.0 / self.slow,
            1.0 / self.long, 1.0 / self.short, self.warm_up, self.rest, self.rise, self.floor,
            self.gap, self.seasonal, _SHAPE + SHAPE_HEAD + self.past,
        ])


@njit(cache=True)
def _roughness(s: NDArray[np.float64], step: float, c: NDArray[np.float64]) -> float:
    """Log of the short over the long mean of steps, the long one as it was before."""
    count = s[_N]
    long = s[_LONG]
    s[_SHORT] += max(c[4], 1.0 / count) * (step - s[_SHORT])
    s[_LONG] += max(c[3], 1.0 / count) * (step - s[_LONG])
    if long <= 0.0:
        return 0.0
    little = 1e-3 * long
    return np.log((s[_SHORT] + little) / (long + little))


@njit(cache=True)
def _views(
    s: NDArray[np.float64], t_ns: int | np.int64, x: float, c: NDArray[np.float64]
) -> float:
    """Mean surprise of the four views."""
    slow = s[_SLOW] if s[_N] > 0.0 else x
    step = abs(x - s[_LAST]) if s[_N] > 0.0 else 0.0
    s[_N] += 1.0
    end = int(c[11])
    usual = season_step(s[end:], t_ns, x, slow) if c[10] > 0.0 else x - slow
    rough = _roughness(s, step, c)
    form = shape_step(s[_SHAPE:end], x)
    s[_SLOW] += max(c[2], 1.0 / s[_N]) * (x - s[_SLOW])
    s[_LAST] = x
    w, v = SURPRISE_WIDTH, _VIEWS
    total = surprise_step(s[v : v + w], x - slow, c[0], True)
    total += surprise_step(s[v + w : v + 2 * w], usual, c[0], True)
    total += surprise_step(s[v + 2 * w : v + 3 * w], rough, c[0], True)
    total += surprise_step(s[v + 3 * w : v + 4 * w], form, c[0], False)
    return 0.25 * total


@njit(cache=True)
def _standing(s: NDArray[np.float64], surprise: float, c: NDArray[np.float64]) -> float:
    """Standard deviations of the surprise from what it was so far, at least 0."""
    score = (surprise - s[_MEAN]) / np.sqrt(s[_VAR] + c[8])
    s[_WEIGHT] = s[_WEIGHT] * c[1] + 1.0
    share = 1.0 / s[_WEIGHT]
    off = surprise - s[_MEAN]
    s[_MEAN] += share * off
    s[_VAR] += share * (off * (surprise - s[_MEAN]) - s[_VAR])
    s[_VAR] = max(s[_VAR], 0.0)
    return max(score, 0.0) if s[_N] > c[5] else 0.0


@njit(cache=True)
def _onset(s: NDArray[np.float64], score: float, c: NDArray[np.float64]) -> float:
    """The score where it begins or grows. Every new height is held, with the rise, for the rest."""
    if s[_LEFT] > 0.0:
        s[_LEFT] -= 1.0
    else:
        s[_HELD] = 0.0
    if score <= s[_HELD]:
        return 0.0
    s[_HELD] = score + c[7]
    s[_LEFT] = c[6]
    return score


@njit(cache=True)
def anomaly_steps(
    state: NDArray[np.float64], last_ns: NDArray[np.int64], row: NDArray[np.int32],
    t_ns: NDArray[np.int64], value: NDArray[np.float64], c: NDArray[np.float64],
    score: NDArray[np.float64], onset: NDArray[np.float64],
) -> None:
    """Take n values in order; writes score (n,) and onset (n,)."""
    for i in range(len(row)):
        x = value[i]
        score[i] = 0.0
        onset[i] = 0.0
        if not np.isfinite(x):
            continue
        s = state[row[i]]
        x = min(max(x, -_LARGEST), _LARGEST)
        if s[_N] > 0.0:
            pause = float(t_ns[i] - last_ns[row[i]])
            if s[_STEP_NS] > 0.0 and pause > c[9] * s[_STEP_NS]:
                forget_run(s[_SHAPE : int(c[11])])
            elif pause > 0.0:
                s[_STEP_NS] += max(0.02, 1.0 / s[_N]) * (pause - s[_STEP_NS])
        last_ns[row[i]] = t_ns[i]
        score[i] = _standing(s, _views(s, t_ns[i], x, c), c)
        onset[i] = _onset(s, score[i], c)


@njit(cache=True)
def expected_ranges(
    state: NDArray[np.float64], row: NDArray[np.int32], rare: float
) -> NDArray[np.float64]:
    """(2, n): quantiles `rare` and 1 - `rare` of what each row has seen, by its slow mean."""
    found = np.empty((2, len(row)))
    for i in range(len(row)):
        s = state[row[i]]
        place = s[_VIEWS : _VIEWS + SURPRISE_WIDTH]
        found[0, i] = s[_SLOW] + quantile(place, rare)
        found[1, i] = s[_SLOW] + quantile(place, 1.0 - rare)
    return found


class AnomalyDetector:
    """`rows` independent series."""

    def __init__(self, rows: int, config: AnomalyConfig | None = None) -> None:
        self.rows, self.config = rows, config or AnomalyConfig()
        self._numbers = self.config.numbers()
        self._state = np.zeros((rows, self.config.state_width))
        self._last_ns = np.zeros(rows, np.int64)

    def handle(
        self, row: NDArray[np.int32], t_ns: NDArray[np.int64], value: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(score, onset), each (n,) >= 0, for n values: row (n,) in 0..rows - 1, each row's values
        in time order. NaN is "no value" and scores 0."""
        assert row.shape == t_ns.shape == value.shape, (row.shape, t_ns.shape, value.shape)
        assert not len(row) or 0 <= row.min() <= row.max() < self.rows, self.rows
        score, onset = np.empty(len(row)), np.empty(len(row))
        anomaly_steps(
            self._state, self._last_ns, row.astype(np.int32), t_ns.astype(np.int64),
            value.astype(np.float64), self._numbers, score, onset,
        )
        return score, onset

    def expected(self, row: NDArray[np.int32], share: float = 0.98) -> NDArray[np.float64]:
        """(2, n): between which values `share` of each row's weight lies; NaN where new."""
        return expected_ranges(self._state, row.astype(np.int32), (1.0 - share) / 2.0)

    def state_bytes(self) -> int:
        """Bytes of state of all rows."""
        return self._state.nbytes + self._last_ns.nbytes

    def snapshot(self) -> bytes:
        """All state, exact."""
        return pack_state(
            {"what": "anomaly", "rows": self.rows},
            {"state": self._state, "last_ns": self._last_ns},
        )

    def restore(self, payload: bytes) -> None:
        """Take the state of `snapshot`. Raises SchemaError when it is not of this size."""
        scalars, arrays = unpack_state(payload)
        if scalars.get("what") != "anomaly" or arrays["state"].shape != self._state.shape:
            raise SchemaError("wrong_format", "not the state of this anomaly detector")
        self._state, self._last_ns = arrays["state"], arrays["last_ns"]
