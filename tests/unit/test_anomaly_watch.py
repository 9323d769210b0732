"""What is said of device and pipeline anomalies: reasons, hygiene, bounds, cuts and restarts."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.nets.contract import HEALTH_COLUMNS
from models.policies.anomaly_watch import (
    AnomalyWatch,
    DeviceAnomaly,
    Side,
    WatchConfig,
)
from models.policies.pipeline_watch import SERIES, PipelineAnomaly, PipelineWatch

S = 1_000_000_000
T0_NS = 1_767_376_800 * S
UNIT = np.array([0, 0, 1, 2, 3, 4, 5, 6], np.int32)
RATE_HZ = np.array([20.0, 100.0, 20.0, 20.0, 20.0, 20.0, 20.0, 1.0])
D = len(UNIT)
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def health(seconds: int, seed: int = 1) -> dict[str, np.ndarray]:
    """(seconds, D) health of devices that are well."""
    rng = np.random.default_rng(seed)
    shape = (seconds, D)
    columns = {name: np.zeros(shape) for name in HEALTH_COLUMNS}
    columns["rssi_dbm"] = -60.0 + rng.normal(0, 1.5, shape).round()
    columns["rate_ratio"] = np.where(rng.random(shape) < 0.02, 0.95, 1.0)
    columns["noise_ratio"] = np.exp(rng.normal(0, 0.05, shape))
    columns["clock_offset_ns"] = rng.exponential(1e7, shape)
    columns["batt_v"] = np.full(shape, np.nan)
    return columns


def rows_of(columns: dict[str, np.ndarray]) -> Rows:
    """As the edge writes them: a row per second and device, by second."""
    seconds = len(columns["rx_n"])
    values = np.stack([columns[name].ravel() for name in HEALTH_COLUMNS]).astype(np.float32)
    device = np.tile(np.arange(D, dtype=np.int32), seconds)
    t_ns = T0_NS + np.repeat(np.arange(1, seconds + 1, dtype=np.int64), D) * S
    return device, t_ns, values


def watch_of(config: WatchConfig | None = None) -> AnomalyWatch:
    return AnomalyWatch(UNIT, RATE_HZ, config)


def said(columns: dict[str, np.ndarray], config: WatchConfig | None = None) -> list[DeviceAnomaly]:
    return watch_of(config).handle(*rows_of(columns))


def test_devices_that_are_well_are_not_mentioned() -> None:
    assert said(health(1800)) == []


def test_a_signal_that_drops_is_said_with_what_was_expected() -> None:
    columns = health(900)
    columns["rssi_dbm"][600:, 3] -= 12.0
    first = said(columns)[0]
    assert (first.row, first.reason, first.side) == (3, "rssi_dbm_low", Side.LOW)
    assert 0 < first.t_ns - (T0_NS + 600 * S) <= 10 * S
    assert first.value == pytest.approx(-72.0, abs=2.0)
    assert first.low == pytest.approx(-62.0, abs=1.5)
    assert first.low < -60.0 < first.high
    assert first.score >= WatchConfig().enter


def test_noise_far_under_the_fixed_limit_is_said() -> None:
    """The edge's rule waits for four times the base."""
    columns = health(900)
    columns["noise_ratio"][600:, 1] *= 2.0
    assert [(one.row, one.reason) for one in said(columns)] == [(1, "noise_ratio_high")]


def test_what_is_unusual_but_too_small_to_matter_is_not_said() -> None:
    columns = health(900)
    columns["spike_rate"][600:, 2] = 0.002
    assert said(columns) == []


def test_one_device_speaks_once_for_all_its_sensors_and_columns() -> None:
    columns = health(700)
    columns["noise_ratio"][600:, :2] = 9.0
    columns["rssi_dbm"][600:, :2] -= 20.0
    (one,) = said(columns)
    assert one.row in (0, 1)
    assert {one.column, *one.also} == {"noise_ratio", "rssi_dbm"}


def test_what_hits_many_at_once_is_of_the_feed() -> None:
    columns = health(900)
    columns["rate_ratio"][600:605, :6] = 0.3
    watch = watch_of()
    assert watch.handle(*rows_of(columns)) == []
    assert watch.counts["feed"] == 5


def test_the_rate_of_a_slow_device_is_not_watched() -> None:
    columns = health(900)
    columns["rate_ratio"][600:610, 7] = 0.0
    assert said(columns) == []


def test_the_same_of_the_same_device_is_not_said_again_for_two_minutes() -> None:
    columns = health(1500)
    for at in range(600, 1400, 40):
        columns["noise_ratio"][at : at + 5, 4] = 3.0 + (at - 600) / 20
    times = [one.t_ns for one in said(columns)]
    assert len(times) >= 1
    assert all(later - earlier >= 120 * S for earlier, later in pairwise(times))


def test_the_rate_of_anomalies_is_bounded_over_all_devices() -> None:
    columns = health(900)
    for k, device in enumerate((0, 2, 3, 4, 5, 6)):
        columns["noise_ratio"][600 + 10 * k :, device] = 6.0
    watch = watch_of(WatchConfig(most=2, most_s=60.0))
    assert len(watch.handle(*rows_of(columns))) == 2
    assert watch.counts["rate"] == 4


def test_rows_of_a_bucket_that_is_over_are_left_out_and_counted() -> None:
    device, t_ns, values = rows_of(health(60))
    watch = watch_of()
    watch.handle(device, t_ns, values)
    before = watch.snapshot()
    assert watch.handle(device[:D], t_ns[:D], values[:, :D] + 50) == []
    assert watch.counts["late"] == D
    watch.counts["late"] = 0
    assert watch.snapshot() == before


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 300 * D), max_size=8), seed=st.integers(0, 50))
def test_what_is_said_does_not_depend_on_cuts_or_restarts(cuts: list[int], seed: int) -> None:
    columns = health(300, seed)
    columns["noise_ratio"][200:, seed % D] = 7.0
    columns["rssi_dbm"][230:, (seed + 3) % D] -= 25.0
    columns["loss_ewma"][::17, 5] = np.nan
    device, t_ns, values = rows_of(columns)
    whole = watch_of().handle(device, t_ns, values)
    watch, parts = watch_of(), []
    for low, high in pairwise(sorted({0, len(device), *cuts})):
        fresh = watch_of()
        fresh.restore(watch.snapshot())
        watch = fresh
        parts += watch.handle(device[low:high], t_ns[low:high], values[:, low:high])
    assert parts == whole
    assert len(whole) >= 1


def test_the_state_of_another_roster_is_refused() -> None:
    with pytest.raises(SchemaError):
        watch_of().restore(AnomalyWatch(UNIT[:3], RATE_HZ[:3]).snapshot())


def probed(lag: np.ndarray, arrival: np.ndarray) -> tuple[PipelineWatch, list[PipelineAnomaly]]:
    watch, found = PipelineWatch(), []
    for second, (a, b) in enumerate(zip(lag.tolist(), arrival.tolist(), strict=True)):
        facts = {"lag_records": a, "arrival_per_s": b, "scale": {"reason": "steady"}}
        found += watch.handle("coordinator", facts, second * S)
    return watch, found


def test_a_lag_that_is_unlike_itself_is_said_once_with_its_reason() -> None:
    rng = np.random.default_rng(2)
    lag, arrival = rng.integers(0, 6, 900), rng.normal(250, 8, 900)
    assert probed(lag, arrival)[1] == []
    lag[700:] += 90
    _, (one,) = probed(lag, arrival)
    assert (one.target, one.reason) == ("coordinator", "lag_records_high")
    assert one.detail()["expected"][1] < 10 < one.value


def test_an_arrival_rate_that_collapses_is_said() -> None:
    rng = np.random.default_rng(3)
    lag, arrival = rng.integers(0, 6, 900), rng.normal(250, 8, 900)
    arrival[700:] = 20.0
    assert [one.reason for one in probed(lag, arrival)[1]] == ["arrival_per_s_low"]


def test_the_number_of_watched_series_is_bounded() -> None:
    watch = PipelineWatch()
    for k in range(3 * SERIES):
        assert watch.handle(f"t{k}", {"lag_records": 1}, 0) == []
    assert watch.handle("t0", {"lag_records": None}, S) == []
