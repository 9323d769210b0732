"""The score of the Numenta Anomaly Benchmark, and the recording that it is applied to.

Lavin & Ahmad 2015, "Evaluating Real-time Anomaly Detection Algorithms - the Numenta Anomaly
Benchmark", and their scorer. It is a judge of detectors and no part of the product, so it lives
with the benches; tests import it from here.

Rows count from 0; a window is (first, last) row, both inside. A row whose score is at or above the
threshold is a detection. In a window only the first one counts; it is worth the scaled sigmoid of
its relative position, so that early is better. Outside windows each costs, the less the nearer it
follows a window. The first 15 % of the rows (of at most 5000) count for nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PROBATION: Final = 0.15
PROBATION_ROWS: Final = 5000
FAR: Final = 3.0
"""Relative position behind a window from which on a false positive costs all of its weight."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a hit, a false positive and a missed window weigh."""

    name: str
    tp: float
    fp: float
    fn: float


STANDARD: Final = Profile("standard", 1.0, 0.11, 1.0)
LOW_FP: Final = Profile("reward_low_FP_rate", 1.0, 0.22, 1.0)
LOW_FN: Final = Profile("reward_low_FN_rate", 1.0, 0.11, 2.0)
PROFILES: Final = (STANDARD, LOW_FP, LOW_FN)


@dataclass(frozen=True, slots=True)
class Series:
    """t_ns (n,) int64 UTC, not falling; value (n,) float64; windows in order, apart."""

    name: str
    t_ns: NDArray[np.int64]
    value: Array
    windows: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """At one threshold: normalised `score` (100 perfect, 0 detects nothing), the raw one, windows
    hit of all, rows that are false positives, and how many runs of such rows there are."""

    threshold: float
    score: float
    raw: float
    hit_n: int
    window_n: int
    false_n: int
    false_run_n: int


def load_series(folder: Path) -> list[Series]:
    """The recording `anomaly_nab`: 25 series with 40 windows."""
    import pandas as pd

    labels = json.loads((folder / "labels.json").read_text())
    found = []
    for name, rows in pd.read_parquet(folder / "series.parquet").groupby("series", sort=False):
        t_ns = rows["timestamp"].to_numpy().astype("datetime64[ns]").astype(np.int64)
        edges = [_rows_of(t_ns, window) for window in labels[str(name)]["windows"]]
        found.append(Series(str(name), t_ns, rows["value"].to_numpy(np.float64), tuple(edges)))
    return found


def _rows_of(t_ns: NDArray[np.int64], window: Sequence[Any]) -> tuple[int, int]:
    first, last = (np.datetime64(edge, "ns").astype(np.int64) for edge in window)
    return int(np.searchsorted(t_ns, first)), int(np.searchsorted(t_ns, last, "right")) - 1


def scaled_sigmoid(position: Array) -> Array:
    """2 / (1 + e^(5 p)) - 1; -1 beyond `FAR`. p: -1 left edge of a window, 0 its right edge."""
    near = np.minimum(np.asarray(position, np.float64), FAR)
    value = 2.0 / (1.0 + np.exp(5.0 * near)) - 1.0
    return np.where(np.asarray(position) > FAR, -1.0, value)


def probation_rows(rows: int) -> int:
    """How many rows at the beginning do not count."""
    return min(int(PROBATION * rows), int(PROBATION * PROBATION_ROWS))


def row_worth(rows: int, windows: Sequence[tuple[int, int]], profile: Profile) -> Array:
    """(rows,) what a detection at each row adds to the raw score."""
    worth = np.full(rows, -profile.fp)
    most = scaled_sigmoid(np.array(-1.0))
    for k, (first, last) in enumerate(windows):
        width = last - first + 1
        inside = -(last - np.arange(first, last + 1) + 1) / width
        worth[first : last + 1] = scaled_sigmoid(inside) * profile.tp / most
        until = windows[k + 1][0] if k + 1 < len(windows) else rows
        behind = np.arange(1, until - last) / max(width - 1.0, 1.0)
        worth[last + 1 : until] = scaled_sigmoid(behind) * profile.fp
    return worth


def judge_at(
    corpus: Sequence[Series], scores: Sequence[Array], threshold: float, profile: Profile
) -> Result:
    """The corpus at one threshold for all series. NaN scores detect nothing."""
    raw = 0.0
    hit_n = window_n = false_n = run_n = 0
    for series, score in zip(corpus, scores, strict=True):
        worth = row_worth(len(score), series.windows, profile)
        found = score >= threshold
        found[: probation_rows(len(score))] = False
        for first, last in _counted(series):
            window_n += 1
            rows = np.flatnonzero(found[first : last + 1])
            hit_n += len(rows) > 0
            raw += worth[first + rows[0]] if len(rows) else -profile.fn
        for first, last in series.windows:
            found[first : last + 1] = False
        raw += worth[found].sum()
        false_n += int(found.sum())
        run_n += int((np.diff(found.astype(np.int8), prepend=0) == 1).sum())
    return Result(
        threshold, normalised(raw, window_n, profile), raw, hit_n, window_n, false_n, run_n
    )


def normalised(raw: float, windows: int, profile: Profile) -> float:
    """100 (raw - null) / (perfect - null): null misses all windows, perfect hits all at once. NaN
    without windows."""
    if windows == 0:
        return float("nan")
    null, perfect = -profile.fn * windows, profile.tp * windows
    return 100.0 * (raw - null) / (perfect - null)


def best_threshold(
    corpus: Sequence[Series], scores: Sequence[Array], profile: Profile
) -> Result:
    """The result at the one threshold for all series that has the largest raw score.

    Every threshold that makes a difference is tried, in one pass from high to low.
    """
    at, gain, steps = np.inf, 0.0, []
    for series, score in zip(corpus, scores, strict=True):
        steps.append(_gains(series, np.where(np.isfinite(score), score, -np.inf), profile))
    level = np.concatenate([one[0] for one in steps])
    total = np.concatenate([one[1] for one in steps])
    order = np.argsort(-level, kind="stable")
    level, total = level[order], np.cumsum(total[order])
    ends = np.flatnonzero(np.diff(level, append=-np.inf) < 0)
    if len(ends):
        top = ends[np.argmax(total[ends])]
        at, gain = float(level[top]), float(total[top])
    return judge_at(corpus, scores, at if gain > 0 else np.inf, profile)


def _gains(series: Series, score: Array, profile: Profile) -> tuple[Array, Array]:
    """Per row that counts: its score, and by how much the raw score changes when the threshold
    comes down to it, the rows above it being detections already."""
    begin = probation_rows(len(score))
    change = row_worth(len(score), series.windows, profile)
    for first, last in _counted(series):
        rows = np.arange(max(first, begin), last + 1)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        best = np.maximum.accumulate(np.append(-profile.fn, change[rows]))
        change[rows] = np.diff(best)
    return score[begin:], change[begin:]


def _counted(series: Series) -> list[tuple[int, int]]:
    """Windows that are not wholly within the probation."""
    begin = probation_rows(len(series.t_ns))
    return [window for window in series.windows if window[1] >= begin]
