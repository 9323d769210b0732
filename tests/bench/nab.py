"""`python -m tests.bench.nab`: detectors on the Numenta Anomaly Benchmark's 25 series, as a table.

Each detector has one threshold for all series, the best one for the profile. `--split` chooses the
detector's settings and threshold on half of the series and judges them on the other half.
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from models.signal.anomaly import AnomalyConfig, AnomalyDetector
from tests.bench.nab_baselines import rested, robust_z
from tests.bench.nab_score import (
    PROFILES,
    STANDARD,
    Array,
    Series,
    best_threshold,
    judge_at,
    load_series,
    normalised,
)
from tests.local_data import data_folder

WINDOWS: Final = (50, 100, 288, 576)
GRID: Final[dict[str, tuple[Any, ...]]] = {
    "half_life": (1000.0, 2000.0, 4000.0), "short": (20.0, 40.0), "rise": (0.5, 0.75, 1.0),
}
SPLITS: Final = 10


def scores_of(corpus: Sequence[Series], config: AnomalyConfig | None = None) -> list[Array]:
    """The detector's onsets, every series by itself."""
    found = []
    for series in corpus:
        detector = AnomalyDetector(1, config)
        row = np.zeros(len(series.value), np.int32)
        found.append(detector.handle(row, series.t_ns, series.value)[1])
    return found


def robust_scores(corpus: Sequence[Series], rest: bool) -> list[Array]:
    """Robust z with the window, of `WINDOWS`, that is best for it on the standard profile."""
    tried = []
    for window in WINDOWS:
        scores = [robust_z(series.value, window) for series in corpus]
        if rest:
            scores = [rested(score, 100, 1.5) for score in scores]
        tried.append((best_threshold(corpus, scores, STANDARD).score, window, scores))
    return max(tried, key=lambda one: one[:2])[2]


def table(corpus: Sequence[Series]) -> list[str]:
    """Lines: detector by profile."""
    rng = np.random.default_rng(1)
    rows = {
        "touchline": scores_of(corpus),
        "robust z, rested": robust_scores(corpus, True),
        "robust z": robust_scores(corpus, False),
        "random": [rng.random(len(series.value)) for series in corpus],
        "null": [np.zeros(len(series.value)) for series in corpus],
    }
    lines = [f"{'detector':18s}{'profile':22s}{'score':>7s}{'hit':>8s}{'false':>7s}{'at':>9s}"]
    for name, scores in rows.items():
        for profile in PROFILES:
            best = best_threshold(corpus, scores, profile)
            hit = f"{best.hit_n}/{best.window_n}"
            lines.append(
                f"{name:18s}{profile.name:22s}{best.score:7.1f}{hit:>8s}{best.false_n:7d}"
                f"{best.threshold:9.2f}"
            )
    return lines


def split(corpus: Sequence[Series]) -> list[str]:
    """Lines: settings and threshold chosen on one half, judged on the other, both ways."""
    names = list(GRID)
    grid = [dict(zip(names, one, strict=True)) for one in itertools.product(*GRID.values())]
    runs = [scores_of(corpus, replace(AnomalyConfig(), **one)) for one in grid]
    base = robust_scores(corpus, True)
    lines = []
    for profile in PROFILES:
        chosen, held, z = [], [], []
        for seed in range(SPLITS):
            order = np.random.default_rng(seed).permutation(len(corpus))
            parts = (order[: len(order) // 2], order[len(order) // 2 :])
            kept, judged = _both_ways(corpus, runs, parts, profile)
            chosen.append(kept)
            held.append(judged)
            z.append(_both_ways(corpus, [base], parts, profile)[1])
        lines.append(
            f"{profile.name:22s} on the chosen half {np.mean(chosen):5.1f}, on the other "
            f"{np.mean(held):5.1f} (sd {np.std(held):.1f}); robust z, rested {np.mean(z):5.1f}"
        )
    return lines


def _both_ways(
    corpus: Sequence[Series], runs: list[list[Array]], parts: Sequence[Any], profile: Any
) -> tuple[float, float]:
    """Normalised scores over both halves: where chosen, and where judged."""
    seen = raw = 0.0
    for mine, other in (parts, parts[::-1]):
        here = [corpus[k] for k in mine]
        best = max(
            ((best_threshold(here, [run[k] for k in mine], profile), n)
             for n, run in enumerate(runs)), key=lambda one: one[0].raw,
        )
        seen += best[0].raw
        there = [runs[best[1]][k] for k in other]
        raw += judge_at([corpus[k] for k in other], there, best[0].threshold, profile).raw
    windows = sum(len(series.windows) for series in corpus)
    return normalised(seen, windows, profile), normalised(raw, windows, profile)


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", action="store_true", help="chosen on half, judged on half")
    options = parser.parse_args(argv)
    corpus = load_series(data_folder() / "anomaly_nab")
    print("\n".join(split(corpus) if options.split else table(corpus)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
