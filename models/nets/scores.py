"""Scores of nets and rules: precision, recall, PR-AUC, calibration, pinball loss. Numpy only."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

QUANTILES: Final = (0.1, 0.5, 0.9)
Array = NDArray[np.float64]


def pr_auc(truth: NDArray[np.bool_], score: Array) -> float:
    """Average precision: the area under the precision-recall staircase. NaN without positives."""
    if not truth.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = truth[order].astype(np.float64)
    # Rows of equal score enter together: their order says nothing.
    last = np.append(np.diff(score[order]) != 0, True)
    found = np.cumsum(hits)[last]
    precision = found / (np.flatnonzero(last) + 1)
    recall = found / hits.sum()
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def precision_recall(truth: NDArray[np.bool_], alarm: NDArray[np.bool_]) -> tuple[float, float]:
    """(precision, recall); NaN where undefined."""
    hit = float((truth & alarm).sum())
    return _ratio(hit, float(alarm.sum())), _ratio(hit, float(truth.sum()))


def f1(truth: NDArray[np.bool_], alarm: NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall, 0 when nothing is found."""
    hit = float((truth & alarm).sum())
    return _ratio(2 * hit, float(truth.sum() + alarm.sum()))


def macro_f1(truth: NDArray[np.intp], chosen: NDArray[np.intp], classes: int) -> float:
    """Mean F1 over the classes that occur in `truth`."""
    each = [f1(truth == c, chosen == c) for c in range(classes) if (truth == c).any()]
    return float(np.mean(each))


def calibration_error(truth: NDArray[np.bool_], score: Array, bins: int = 10) -> float:
    """Expected calibration error: mean |observed share - mean score| over equal-width bins."""
    place = np.minimum((score * bins).astype(np.intp), bins - 1)
    error = 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            error += inside.mean() * abs(float(truth[inside].mean()) - float(score[inside].mean()))
    return float(error)


def brier(truth: NDArray[np.bool_], score: Array) -> float:
    """Mean squared error of a probability."""
    return float(((score - truth) ** 2).mean())


def pinball(truth: Array, quantiles: Array) -> float:
    """Mean pinball loss of (n, 3) quantiles 0.1, 0.5, 0.9 of truth (n,)."""
    gap = truth[:, None] - quantiles
    level = np.array(QUANTILES)
    return float(np.maximum(level * gap, (level - 1) * gap).mean())


def coverage80(truth: Array, quantiles: Array) -> float:
    """Share of truths inside [q0.1, q0.9]; 0.8 when calibrated."""
    return float(((truth >= quantiles[:, 0]) & (truth <= quantiles[:, 2])).mean())


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's rho (ties by order)."""
    ranks = [np.argsort(np.argsort(v, kind="stable"), kind="stable") for v in (a, b)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom else float("nan")
