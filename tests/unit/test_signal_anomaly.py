"""The streaming anomaly detector: cuts, restarts, bad values, bounds, and what it finds."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.signal.anomaly import AnomalyConfig, AnomalyDetector
from models.signal.season import DAY_NS, SEASON_WIDTH, season_step
from models.signal.shape import LENGTH, SHAPE_HEAD, forget_run, shape_step
from models.signal.surprise import SURPRISE_WIDTH, quantile, surprise_step

S = 1_000_000_000
CONFIG = AnomalyConfig(
    half_life=50.0, slow=40.0, long=40.0, short=5.0, warm_up=10, rest=8, past=48
)
ANYTHING = st.floats(width=64) | st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, 1.0])
ROWS = st.lists(
    st.tuples(st.integers(0, 2), ANYTHING, st.integers(0, 40)), min_size=1, max_size=150
)


def columns(rows: list[tuple[int, float, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row, value, step = (np.array(column) for column in zip(*rows, strict=True))
    t_ns = 1_767_376_800 * S + np.cumsum(step.astype(np.int64)) * S
    return row.astype(np.int32), t_ns, value.astype(np.float64)


def run_of(
    values: np.ndarray, config: AnomalyConfig | None = None, step_s: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    t_ns = np.arange(len(values), dtype=np.int64) * step_s * S
    return AnomalyDetector(1, config).handle(np.zeros(len(values), np.int32), t_ns, values)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 150), max_size=6), seasonal=st.booleans())
def test_scores_do_not_depend_on_cuts_or_restarts(
    rows: list[tuple[int, float, int]], cuts: list[int], seasonal: bool
) -> None:
    config = AnomalyConfig(**{**_fields(CONFIG), "seasonal": seasonal})
    row, t_ns, value = columns(rows)
    whole = AnomalyDetector(3, config).handle(row, t_ns, value)
    edges = sorted({0, len(row), *(min(cut, len(row)) for cut in cuts)})
    detector, parts = AnomalyDetector(3, config), []
    for low, high in pairwise(edges):
        fresh = AnomalyDetector(3, config)
        fresh.restore(detector.snapshot())
        detector = fresh
        parts.append(detector.handle(row[low:high], t_ns[low:high], value[low:high]))
    for k in range(2):
        assert np.concatenate([part[k] for part in parts]).tobytes() == whole[k].tobytes()


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_scores_are_finite_and_state_does_not_grow(rows: list[tuple[int, float, int]]) -> None:
    detector = AnomalyDetector(3, CONFIG)
    before = detector.state_bytes()
    for _ in range(3):
        score, onset = detector.handle(*columns(rows))
        assert np.isfinite(score).all()
        assert np.isfinite(onset).all()
        assert (score >= 0.0).all()
        assert ((onset == 0.0) | (onset == score)).all()
    assert detector.state_bytes() == before == 3 * (8 * CONFIG.state_width + 8)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS)
def test_rows_do_not_touch_each_other(rows: list[tuple[int, float, int]]) -> None:
    row, t_ns, value = columns(rows)
    together = AnomalyDetector(3, CONFIG).handle(row, t_ns, value)[0]
    for k in range(3):
        mine = row == k
        alone = AnomalyDetector(1, CONFIG).handle(
            np.zeros(mine.sum(), np.int32), t_ns[mine], value[mine]
        )[0]
        assert alone.tobytes() == together[mine].tobytes()


def test_values_that_are_missing_leave_no_trace() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, 400)
    holes = np.insert(values, range(0, 400, 7), np.nan)
    t_ns = np.cumsum(np.where(np.isnan(holes), 0, 1)).astype(np.int64) * S
    row = np.zeros(len(holes), np.int32)
    with_holes = AnomalyDetector(1).handle(row, t_ns, holes)[0]
    whole = AnomalyDetector(1).handle(row[:400], t_ns[~np.isnan(holes)], values)[0]
    assert with_holes[~np.isnan(holes)].tobytes() == whole.tobytes()
    assert (with_holes[np.isnan(holes)] == 0.0).all()


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e9])
def test_the_unit_of_a_series_does_not_matter(factor: float) -> None:
    """Powers of two apart the numbers are the same; else up to the edges of bins."""
    values = np.random.default_rng(4).normal(0, 1, 800)
    values[600] = 12.0
    scale = 2.0 ** np.round(np.log2(factor))
    plain, scaled = run_of(values)[0], run_of(values * scale)[0]
    assert np.allclose(plain, scaled, rtol=1e-6, atol=1e-6)
    assert plain.argmax() == 600


def test_a_constant_series_never_surprises() -> None:
    score, _ = run_of(np.full(3000, 45.0))
    assert score.max() == 0.0


def test_an_anomaly_that_goes_on_is_said_once() -> None:
    values = np.random.default_rng(5).normal(0, 1, 1200)
    values[1000:1050] += 15.0
    score, onset = run_of(values)
    assert (score[1000:1005] > 3.0).all()
    assert 1 <= np.count_nonzero(onset[1000:1050] > 3.0) <= 2
    assert onset[1000] > 3.0


def test_a_night_that_is_like_a_day_is_found_by_its_time() -> None:
    """The value is usual, the time is not."""
    t = np.arange(14 * 288)
    rng = np.random.default_rng(6)
    values = np.where((t % 288) // 12 >= 12, 80.0, 20.0) + rng.normal(0, 1, len(t))
    values[12 * 288 + 20 : 12 * 288 + 40] += 60.0
    t_ns = t.astype(np.int64) * 300 * S
    onset = AnomalyDetector(1).handle(np.zeros(len(t), np.int32), t_ns, values)[1]
    quiet = onset[8 * 288 : 12 * 288]
    assert onset[12 * 288 + 20 : 12 * 288 + 40].max() > max(3.0, quiet.max())


def test_a_series_that_grows_rough_around_the_same_mean_is_found() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(0, 1, 2000)
    values[1500:] *= 4.0
    onset = run_of(values)[1]
    assert onset[1500:1520].max() > max(3.0, onset[500:1500].max())


def test_a_snapshot_of_another_size_is_refused() -> None:
    with pytest.raises(SchemaError):
        AnomalyDetector(2).restore(AnomalyDetector(1).snapshot())


def test_expected_ranges_hold_what_was_seen() -> None:
    detector = AnomalyDetector(2)
    values = np.random.default_rng(8).normal(100.0, 5.0, 2000)
    t_ns = np.arange(2000, dtype=np.int64) * S
    detector.handle(np.zeros(2000, np.int32), t_ns, values)
    low, high = detector.expected(np.array([0, 1], np.int32))
    inside = np.mean((values > low[0]) & (values < high[0]))
    assert 0.93 < inside < 1.0
    assert np.isnan([low[1], high[1]]).all()


def test_surprise_is_the_rank_among_earlier_values() -> None:
    state = np.zeros(SURPRISE_WIDTH)
    for _ in range(99):
        surprise_step(state, 1.0, 1.0, False)
    # Nothing was higher; half a value in a hundred is granted.
    assert surprise_step(state, 1.5, 1.0, False) == pytest.approx(
        -np.log10(0.5 / 100) + np.log2(1.5)
    )
    assert surprise_step(state, 0.1, 1.0, False) < 0.01
    assert quantile(state, 0.5) == pytest.approx(1.0, rel=0.1)


def test_what_is_usual_at_this_time_is_taken_off() -> None:
    state = np.zeros(SEASON_WIDTH)
    assert season_step(state, 0, 5.0, 3.0) == 2.0
    assert season_step(state, DAY_NS, 5.0, 3.0) == 0.0
    assert season_step(state, DAY_NS // 2, 5.0, 3.0) == 2.0
    assert season_step(state, 7 * DAY_NS, 9.0, 3.0) == 4.0


def test_a_shape_that_was_seen_is_at_no_distance_and_none_reaches_over_a_gap() -> None:
    state = np.zeros(SHAPE_HEAD + 64)
    wave = np.tile([0.0, 1.0, 4.0, 2.0, 1.0, 3.0, 5.0, 0.5], 8)
    found = [shape_step(state, value) for value in wave]
    assert found[-1] == 0.0
    assert shape_step(state, 9.0) > 1.0
    forget_run(state)
    after = [shape_step(state, value) for value in np.full(LENGTH, 50.0)]
    assert after[:-1] == [0.0] * (LENGTH - 1)
    assert after[-1] > 40.0


def _fields(config: AnomalyConfig) -> dict[str, float]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
