"""Nets, rules, trackers and scores: contracts, determinism, threads, honest arithmetic."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from cluster.model_store import default_store
from models.errors import ModelError
from models.nets.contract import (
    EVENT_CLASSES,
    EVENT_PEAK_INDEX,
    EVENT_WINDOW,
    FAILURE_FEATURES,
    FATIGUE_FEATURES,
    FAULT_CLASSES,
    HEALTH_COLUMNS,
    INPUT_SHAPES,
    NET_NAMES,
    OUTPUT_NAMES,
)
from models.nets.fallback import fallback_predict
from models.nets.modules import EventNet, new_module
from models.nets.net import Net
from models.nets.registry import load_net
from models.nets.scores import (
    calibration_error,
    coverage80,
    macro_f1,
    pinball,
    pr_auc,
    precision_recall,
)
from models.nets.tracker import FailureTracker
from models.nets.windows import GRAVITY, event_window


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def some_input(name: str, rows: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, *INPUT_SHAPES[name]))
    return values.astype(np.float32)


@pytest.mark.parametrize("name", NET_NAMES)
def test_a_shipped_net_and_its_rule_keep_the_contract(name: str) -> None:
    for predict in (load_net(name, default_store()).predict, lambda x: fallback_predict(name, x)):
        answer = predict(some_input(name, 7))
        assert answer.shape == (7, len(OUTPUT_NAMES[name]))
        assert answer.dtype == np.float32
        assert ((answer >= 0) & (answer <= 1)).all()
        if name == "event":
            assert np.allclose(answer.sum(1), 1, atol=1e-5)
        if name == "failure":
            assert np.allclose(answer[:, 1:].sum(1), 1, atol=1e-5)
        if name == "fatigue":
            assert (np.diff(answer, axis=1) >= 0).all()
        assert predict(some_input(name, 0)).shape == (0, len(OUTPUT_NAMES[name]))


@pytest.mark.parametrize("name", NET_NAMES)
def test_a_wrong_shape_is_an_error(name: str) -> None:
    wrong = np.zeros((2, 3), np.float32)
    with pytest.raises(ModelError):
        load_net(name, default_store()).predict(wrong)
    with pytest.raises(ModelError):
        fallback_predict(name, wrong)


@pytest.mark.parametrize("name", ["fatigue", "failure"])
def test_unknown_inputs_still_give_an_answer(name: str) -> None:
    blank = np.full((3, *INPUT_SHAPES[name]), np.nan, np.float32)
    for predict in (load_net(name, default_store()).predict, lambda x: fallback_predict(name, x)):
        assert np.isfinite(predict(blank)).all()


@pytest.mark.parametrize("name", NET_NAMES)
def test_a_row_gets_the_same_answer_in_any_batch(name: str) -> None:
    net, rows = load_net(name, default_store()), some_input(name, 33)
    alone = np.concatenate([net.predict(rows[i : i + 1]) for i in range(33)])
    assert np.allclose(net.predict(rows), alone, atol=2e-5)


@pytest.mark.parametrize("name", NET_NAMES)
def test_many_threads_get_what_one_gets_from_read_only_arrays(name: str) -> None:
    net, rows = load_net(name, default_store()), some_input(name, 16)
    rows.flags.writeable = False
    expected = net.predict(rows)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: net.predict(rows), range(24)))
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_the_event_net_is_small_and_causal_up_to_its_pooling() -> None:
    module = new_module("event")
    assert isinstance(module, EventNet)
    assert 20_000 < sum(p.numel() for p in module.parameters()) < 60_000
    one = torch.from_numpy(some_input("event", 1))
    other = one.clone()
    other[:, :, 200:] += 1.0

    def inner(x: torch.Tensor) -> torch.Tensor:
        size = x[:, 0:3].norm(dim=1, keepdim=True) / 3
        twist = x[:, 3:6].norm(dim=1, keepdim=True) / 5
        joined = torch.nn.functional.pad(torch.cat([x / module.scale, size, twist], 1), (6, 0))
        return module.stem(joined)

    assert torch.equal(inner(one)[:, :, :100], inner(other)[:, :, :100])


def test_answers_that_are_not_finite_are_an_error() -> None:
    module = new_module("fatigue")
    with torch.no_grad():
        module.body[0].weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="finite"):
        Net("fatigue", module, "", {}).predict(some_input("fatigue", 1))


# ---- windows and rules ----


def still_window() -> np.ndarray:
    window = np.zeros((1, *EVENT_WINDOW), np.float32)
    window[:, 2] = 1.0
    return window


def named(window: np.ndarray) -> str:
    return EVENT_CLASSES[int(fallback_predict("event", window).argmax())]


def test_the_rule_tells_the_five_classes_of_clear_windows() -> None:
    peak = EVENT_PEAK_INDEX
    assert named(still_window()) == "none"
    hit = still_window()
    hit[:, 0, peak - 4 : peak + 5] = 8.0
    assert named(hit) == "impact"
    hit[:, 6, : peak] = 5.0
    assert named(hit) == "collision"
    jump = still_window()
    jump[:, 2, peak - 40 : peak] = 0.05
    jump[:, 2, peak : peak + 6] = 4.0
    assert named(jump) == "jump"
    fall = still_window()
    fall[:, 0, peak - 4 : peak + 5] = 6.0
    fall[:, 2, peak + 20 :] = 0.05
    fall[:, 0, peak + 20 :] = 1.0
    assert named(fall) == "fall"


def test_a_window_holds_samples_of_other_rates_on_the_100_hz_grid() -> None:
    peak_ns = 10_000_000_000
    imu_ns = np.arange(peak_ns - 2_000_000_000, peak_ns + 2_000_000_000, 20_000_000)
    imu = np.zeros((6, len(imu_ns)), np.float32)
    imu[2] = GRAVITY
    imu[0, imu_ns == peak_ns] = 5 * GRAVITY
    track_ns = np.array([peak_ns - 3_000_000_000, peak_ns])
    track = np.array([[1.0, 3.0], [0.5, -0.5]], np.float32)
    far = np.array([250.0], np.float32)
    window = event_window(peak_ns, imu_ns, imu, track_ns, track, np.array([peak_ns]), far)
    assert window.shape == EVENT_WINDOW
    assert window[0, EVENT_PEAK_INDEX] == pytest.approx(5.0)
    assert window[0, EVENT_PEAK_INDEX - 1] == 0
    assert window[0, EVENT_PEAK_INDEX + 1] == pytest.approx(5.0)
    assert np.allclose(window[2], 1.0)
    assert window[6, EVENT_PEAK_INDEX] == 3.0
    assert window[6, 0] == 0.0
    assert (window[8] == 60.0).all()


def test_a_window_without_samples_is_finite() -> None:
    none, no_rows = np.empty(0, np.int64), np.empty((6, 0), np.float32)
    window = event_window(5, none, no_rows, none, no_rows[:2], none, no_rows[0])
    assert np.isfinite(window).all()


# ---- tracker ----


def health_rows(seconds: int, devices: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.random((len(HEALTH_COLUMNS), seconds, devices)).astype(np.float32)
    rows[HEALTH_COLUMNS.index("batt_v"), :, 0] = np.nan
    return rows


def test_the_tracker_does_not_depend_on_how_rows_are_cut() -> None:
    devices, seconds = 5, 95
    rows = health_rows(seconds, devices)
    device = np.tile(np.arange(devices, dtype=np.int32), seconds)
    t_ns = np.repeat(np.arange(1, seconds + 1) * 10**9, devices)
    flat = rows.reshape(len(HEALTH_COLUMNS), -1)
    whole, cut = FailureTracker(devices), FailureTracker(devices)
    whole.push(device, t_ns, flat)
    at = 0
    for size in (1, 7, 100, 3, 200, 1000):
        cut.push(device[at : at + size], t_ns[at : at + size], flat[:, at : at + size])
        at += size
    everyone = np.arange(devices, dtype=np.int32)
    assert np.array_equal(whole.features(everyone), cut.features(everyone), equal_nan=True)


def test_the_tracker_finds_levels_and_slopes() -> None:
    tracker = FailureTracker(2)
    rows = np.zeros((len(HEALTH_COLUMNS), 300, 2), np.float32)
    rows[HEALTH_COLUMNS.index("batt_v")] = 4.0 - 0.06 * np.arange(300)[:, None] / 60
    rows[HEALTH_COLUMNS.index("reboot_n"), 200:, 1] = 2
    for second in range(300):
        t_ns = np.full(2, (second + 1) * 10**9)
        tracker.push(np.arange(2, dtype=np.int32), t_ns, rows[:, second])
    features = tracker.features(np.arange(2, dtype=np.int32))
    column = FAILURE_FEATURES.index
    assert features[:, column("batt_v_slope_pmin")] == pytest.approx(-0.06, abs=2e-3)
    assert features[:, column("minutes")] == pytest.approx(299 / 60)
    assert features[0, column("reboots_recent")] == 0
    assert features[1, column("reboots_recent")] == pytest.approx(2, abs=0.3)
    assert np.isnan(FailureTracker(1).features(np.zeros(1, np.int32))).all()


def test_old_rows_do_not_turn_the_tracker_back() -> None:
    tracker, rows = FailureTracker(1), health_rows(3, 1)
    who = np.zeros(1, np.int32)
    for t in (1, 5):
        tracker.push(who, np.array([t * 10**9]), rows[:, 0])
    before = tracker.features(who)
    tracker.push(who, np.array([3 * 10**9]), rows[:, 1])
    assert np.array_equal(before, tracker.features(who), equal_nan=True)


def test_the_edge_writes_the_health_columns_that_the_contract_names() -> None:
    from models.edge.effects import HEALTH_FEATURES

    assert HEALTH_FEATURES == HEALTH_COLUMNS


def test_the_rule_raises_an_alarm_on_battery_and_on_loss_only() -> None:
    rows = np.zeros((3, len(FAILURE_FEATURES)), np.float32)
    rows[:, FAILURE_FEATURES.index("batt_pct")] = (90, 12, 90)
    rows[:, FAILURE_FEATURES.index("loss_ewma")] = (0.01, 0.01, 0.3)
    answer = fallback_predict("failure", rows)
    assert (answer[:, 0] > 0.5).tolist() == [False, True, True]
    faults = [FAULT_CLASSES[i] for i in answer[:, 1:].argmax(1)]
    assert faults == ["none", "battery", "dropout"]


def test_the_fatigue_rule_gives_the_index_with_a_wider_band_for_less_coverage() -> None:
    rows = np.zeros((2, len(FATIGUE_FEATURES)), np.float32)
    rows[:, FATIGUE_FEATURES.index("rule_index")] = 0.6
    rows[:, FATIGUE_FEATURES.index("coverage")] = (1.0, 0.5)
    low, mid, high = fallback_predict("fatigue", rows).T
    assert mid == pytest.approx(0.6)
    assert high[1] - low[1] > high[0] - low[0]


# ---- scores ----


def test_scores_agree_with_cases_worked_by_hand() -> None:
    truth = np.array([True, False, True, False])
    assert pr_auc(truth, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx((1 + 2 / 3) / 2)
    assert pr_auc(truth, np.full(4, 0.5)) == pytest.approx(0.5)
    assert np.isnan(pr_auc(np.zeros(3, bool), np.ones(3)))
    assert precision_recall(truth, np.array([True, True, False, False])) == (0.5, 0.5)
    assert macro_f1(np.array([0, 1]), np.array([0, 0]), 2) == pytest.approx(1 / 3)
    assert calibration_error(truth, np.full(4, 0.5)) == 0.0
    assert calibration_error(truth, np.full(4, 0.9)) == pytest.approx(0.4)
    assert pinball(np.array([1.0]), np.array([[0.0, 1.0, 1.0]])) == pytest.approx(0.1 / 3)
    assert coverage80(np.array([0.5, 2.0]), np.array([[0.0, 0.5, 1.0]] * 2)) == 0.5
