"""Intervals between beats: known artefacts in a clean series are found, and corrected."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.metrics.heart import rmssd_ms
from models.metrics.rr import (
    ECTOPIC,
    EXTRA,
    GOOD,
    MISPLACED,
    MISSED,
    classify_rr,
    correct_rr,
    median_of_five,
)


def calm(n=300, seed=4):
    """A clean series: breathing, slow waves, noise; ms."""
    k = np.arange(n)
    waves = 30 * np.sin(2 * np.pi * k / 5.7) + 20 * np.sin(2 * np.pi * k / 31.0)
    return 850.0 + waves + np.random.default_rng(seed).normal(0, 8, n)


def missed(rr, at):
    """The beat between `at` and `at` + 1 was not seen."""
    return np.concatenate([rr[:at], [rr[at] + rr[at + 1]], rr[at + 2 :]])


def extra(rr, at, part=0.4):
    """A beat is seen that was none."""
    return np.concatenate([rr[:at], [part * rr[at], (1 - part) * rr[at]], rr[at + 1 :]])


def ectopic(rr, at):
    """A beat comes 35 % early, the next waits so much longer."""
    rr = rr.copy()
    early = 0.35 * rr[at]
    rr[at] -= early
    rr[at + 1] += early
    return rr


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_series_is_left_as_it_is(seed):
    rr = calm(seed=seed)
    found = correct_rr(rr)
    assert (found.kind == GOOD).mean() > 0.99
    assert rmssd_ms(found.rr_ms) == pytest.approx(rmssd_ms(rr), rel=0.01)


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [(missed, {MISSED}), (extra, {EXTRA}), (ectopic, {ECTOPIC, MISPLACED})],
)
@pytest.mark.parametrize("at", [40, 150, 260])
def test_an_artefact_is_found_where_it_is(harm, kinds, at):
    kind = classify_rr(harm(calm(), at))
    assert kind[at] in kinds
    assert (kind[: at - 2] == GOOD).all()
    assert (kind[at + 3 :] == GOOD).all()


@pytest.mark.parametrize("harm", [missed, extra, ectopic])
def test_correction_brings_the_variability_back(harm):
    clean = calm()
    dirty = clean
    for at in (280, 210, 130, 60):
        dirty = harm(dirty, at)
    fixed = correct_rr(dirty).rr_ms
    wanted = rmssd_ms(clean)
    assert rmssd_ms(dirty) > 1.4 * wanted
    assert rmssd_ms(fixed) == pytest.approx(wanted, rel=0.03)
    assert fixed.sum() == pytest.approx(clean.sum(), rel=1e-3)
    assert len(fixed) == len(clean)


def test_too_few_beats_say_nothing():
    assert not classify_rr(np.array([800.0, 300.0, 1400.0])).any()
    assert correct_rr(np.empty(0)).rr_ms.size == 0


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=5, max_size=5))
def test_the_median_of_five_is_the_median(values):
    assert median_of_five(np.array(values, float)) == np.median(values)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(200.0, 2500.0), min_size=0, max_size=80))
def test_whatever_comes_is_classified_and_corrected(values):
    rr = np.array(values)
    found = correct_rr(rr)
    assert found.kind.shape == rr.shape
    assert np.isfinite(found.rr_ms).all()
    assert found.rr_ms.sum() >= 0.0
