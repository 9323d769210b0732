"""The benchmark's score by hand, its invariants, and the detector on the recording."""

from math import exp
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.nab import robust_scores, scores_of
from tests.bench.nab_baselines import rested, robust_z
from tests.bench.nab_score import (
    LOW_FN,
    LOW_FP,
    PROFILES,
    STANDARD,
    Profile,
    Series,
    best_threshold,
    judge_at,
    load_series,
    probation_rows,
    row_worth,
    scaled_sigmoid,
)

WEIGHTS = st.sampled_from(PROFILES)


def sigmoid(position: float) -> float:
    return 2.0 / (1.0 + exp(5.0 * position)) - 1.0


def series_of(rows: int, *windows: tuple[int, int]) -> Series:
    return Series("s", np.arange(rows, dtype=np.int64), np.zeros(rows), windows)


def detections(rows: int, *at: int) -> np.ndarray:
    score = np.zeros(rows)
    score[list(at)] = 1.0
    return score


def test_the_sigmoid_has_its_published_values() -> None:
    found = scaled_sigmoid(np.array([-1.0, -0.5, 0.0, 1.0, 3.0, 3.01]))
    assert found == pytest.approx([0.98661, 0.84828, 0.0, -0.98661, -0.9999994, -1.0], abs=1e-5)


def test_fifteen_per_cent_of_at_most_five_thousand_rows_are_probation() -> None:
    assert [probation_rows(n) for n in (99, 100, 4032, 18050)] == [14, 15, 604, 750]


def test_what_a_detection_is_worth_by_hand() -> None:
    worth = row_worth(200, [(100, 109)], STANDARD)
    assert worth[50] == -0.11
    assert worth[100] == pytest.approx(1.0)
    assert worth[105] == pytest.approx(sigmoid(-0.5) / sigmoid(-1.0))
    assert worth[109] == pytest.approx(sigmoid(-0.1) / sigmoid(-1.0))
    assert worth[110] == pytest.approx(0.11 * sigmoid(1 / 9))
    assert worth[109 + 28] == pytest.approx(-0.11)


def test_only_the_first_detection_in_a_window_counts() -> None:
    series = series_of(200, (100, 109))
    one = judge_at([series], [detections(200, 105)], 1.0, STANDARD)
    more = judge_at([series], [detections(200, 105, 106, 109)], 1.0, STANDARD)
    assert one == more
    assert one.raw == pytest.approx(sigmoid(-0.5) / sigmoid(-1.0))


def test_false_positives_and_misses_weigh_as_the_profile_says() -> None:
    corpus, scores = [series_of(200, (100, 109), (150, 159))], [detections(200, 5, 60, 61, 100)]
    raw = {p.name: judge_at(corpus, scores, 1.0, p).raw for p in PROFILES}
    assert raw[STANDARD.name] == pytest.approx(1.0 - 1.0 - 2 * 0.11)
    assert raw[LOW_FP.name] == pytest.approx(1.0 - 1.0 - 2 * 0.22)
    assert raw[LOW_FN.name] == pytest.approx(1.0 - 2.0 - 2 * 0.11)
    found = judge_at(corpus, scores, 1.0, STANDARD)
    assert (found.hit_n, found.window_n, found.false_n, found.false_run_n) == (1, 2, 2, 1)
    assert found.score == pytest.approx(100.0 * (found.raw + 2) / 4)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_detecting_nothing_is_0_and_every_window_at_once_is_100(profile: Profile) -> None:
    corpus = [series_of(300, (100, 120), (200, 230)), series_of(150), series_of(90, (40, 60))]
    none = [np.zeros(len(s.t_ns)) for s in corpus]
    all_at_once = [detections(len(s.t_ns), *(first for first, _ in s.windows)) for s in corpus]
    assert judge_at(corpus, none, 1.0, profile).score == pytest.approx(0.0)
    assert judge_at(corpus, all_at_once, 1.0, profile).score == pytest.approx(100.0)
    assert best_threshold(corpus, all_at_once, profile).score == pytest.approx(100.0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), profile=WEIGHTS, levels=st.integers(1, 9))
def test_the_best_threshold_is_that_of_trying_all(
    seed: int, profile: Profile, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    corpus = [series_of(120, (40, 52), (70, 90)), series_of(60, (30, 34)), series_of(50)]
    scores = [rng.integers(0, levels, len(s.t_ns)).astype(np.float64) for s in corpus]
    tried = [judge_at(corpus, scores, at, profile).raw for at in (*range(levels), np.inf)]
    assert best_threshold(corpus, scores, profile).raw == pytest.approx(max(tried))


def test_robust_z_counts_from_the_median_of_what_came_before() -> None:
    value = np.tile([0.0, 1.0, 2.0], 20)
    value[50] = 30.0
    score = robust_z(value, 30)
    assert score.argmax() == 50
    assert score[50] == pytest.approx(29.0 / 1.4826)
    assert rested(score, 100, 1.5)[51:].max() == 0.0


def test_the_detector_beats_robust_z_clearly_on_the_recording(recordings: Path) -> None:
    """25 series with 40 windows, one threshold for all, every profile."""
    corpus = load_series(recordings / "anomaly_nab")
    assert (len(corpus), sum(len(s.windows) for s in corpus)) == (25, 40)
    ours, z = scores_of(corpus), robust_scores(corpus, True)
    found = {p.name: best_threshold(corpus, ours, p) for p in PROFILES}
    score = {name: result.score for name, result in found.items()}
    assert score[STANDARD.name] > 66.0
    assert score[LOW_FP.name] > 58.0
    assert score[LOW_FN.name] > 70.0
    assert found[STANDARD.name].hit_n >= 31
    assert found[STANDARD.name].false_n <= 80
    for profile in PROFILES:
        assert score[profile.name] > best_threshold(corpus, z, profile).score + 25.0
