"""Training from the simulator: labelled data, lives of devices, alarms, and the job end to end."""

import json
from pathlib import Path

import numpy as np
import pytest

from cluster.model_store import ModelStore, default_store
from jobs.train import main
from models.nets.contract import (
    EVENT_CLASSES,
    EVENT_PEAK_INDEX,
    FAULT_CLASSES,
    HEALTH_COLUMNS,
    NET_NAMES,
)
from models.nets.event_data import EventExamples, event_examples
from models.nets.failure_data import FailureExamples, alarm_score, failure_examples
from models.nets.fallback import fallback_predict
from models.nets.judging import judge_event, judge_failure, stressed
from models.nets.registry import load_net
from models.simulator.devices import device_lives
from models.simulator.match import MatchConfig

SEED = 987_654


@pytest.fixture(scope="module")
def examples() -> EventExamples:
    config = MatchConfig(SEED, 150, contact_rate=4.0)
    return event_examples(config, np.random.default_rng(0), 3)


def test_windows_are_centred_on_their_peak_and_all_classes_occur(examples: EventExamples) -> None:
    size = np.sqrt((examples.windows[:, :3] ** 2).sum(1))
    near = size[:, EVENT_PEAK_INDEX - 2 : EVENT_PEAK_INDEX + 3].max(1)
    assert (near >= 0.8 * examples.peak_g).mean() > 0.95
    assert set(examples.labels.tolist()) == set(range(len(EVENT_CLASSES)))
    assert np.isfinite(examples.windows).all()


def test_the_shipped_event_net_beats_its_rule_on_people_it_never_saw(
    examples: EventExamples,
) -> None:
    net = load_net("event", default_store())
    mine = judge_event(examples, "net", net.predict)
    rule = judge_event(examples, "rule", lambda x: fallback_predict("event", x))
    assert mine["net_macro_f1"] > rule["rule_macro_f1"]
    assert mine["net_macro_f1"] > 0.85
    worse = stressed(examples.windows, "thinned", np.random.default_rng(0))
    assert (net.predict(worse).argmax(1) == examples.labels).mean() > 0.8


def test_lives_hold_failing_and_healthy_devices_with_finite_readings() -> None:
    lives = device_lives(60, 900, np.random.default_rng(1))
    assert lives.values.shape == (len(HEALTH_COLUMNS), 900, 60)
    healthy = lives.fault == 0
    assert 0.3 < healthy.mean() < 0.8
    assert np.isinf(lives.failed_s[healthy]).all()
    assert np.isfinite(lives.failed_s[~healthy]).all()
    battery = lives.fault == FAULT_CLASSES.index("battery")
    volts = lives.values[HEALTH_COLUMNS.index("batt_v")]
    assert np.isfinite(volts[:, battery]).mean() > 0.5
    missing = {name for i, name in enumerate(HEALTH_COLUMNS) if np.isnan(lives.values[i]).any()}
    assert missing <= {
        "batt_v", "batt_pct", "batt_slope_vph", "rssi_dbm", "rssi_slope", "clock_offset_ns",
        "clock_ppm",
    }


def test_the_shipped_failure_net_beats_its_rule_on_devices_it_never_saw() -> None:
    held = failure_examples(150, 2400, SEED)
    net = load_net("failure", default_store())
    mine = judge_failure(held, "net", net.predict)
    rule = judge_failure(held, "rule", lambda x: fallback_predict("failure", x))
    assert mine["net_pr_auc"] > rule["rule_pr_auc"]
    assert mine["net_alarm_f1"] > rule["rule_alarm_f1"]
    assert mine["net_median_lead_s"] >= 60


def one_device(failed_s: float, seconds: int = 2000) -> FailureExamples:
    t = np.arange(10.0, min(seconds, failed_s + 60) + 1, 10.0)
    blank = np.zeros((len(t), 1), np.float32)
    return FailureExamples(
        blank, failed_s - t <= 600, np.zeros(len(t), np.int64), np.zeros(len(t), np.int64), t,
        np.array([failed_s]), seconds,
    )


def alarm_at(examples: FailureExamples, *times: float) -> np.ndarray:
    return np.isin(examples.t_s, times).astype(float)


def test_an_alarm_is_true_only_from_one_to_eleven_minutes_ahead() -> None:
    held = one_device(1500.0)
    in_time = alarm_score(held, alarm_at(held, 1200.0, 1250.0), 0.5)
    assert (in_time.precision, in_time.recall, in_time.median_lead_s) == (1.0, 1.0, 300.0)
    early = alarm_score(held, alarm_at(held, 500.0), 0.5)
    assert (early.precision, early.recall) == (0.0, 0.0)
    late = alarm_score(held, alarm_at(held, 1470.0), 0.5)
    assert (late.alarms, late.recall) == (0, 0.0)


def test_alarms_on_a_healthy_device_are_false_unless_the_record_ends_too_soon() -> None:
    held = one_device(np.inf)
    assert alarm_score(held, alarm_at(held, 500.0), 0.5).precision == 0.0
    assert alarm_score(held, alarm_at(held, 1900.0), 0.5).alarms == 0


def test_the_job_trains_registers_and_writes_cards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--store", str(tmp_path), "--seed", "3"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["net"] for line in lines] == list(NET_NAMES)
    store = ModelStore(tmp_path)
    for line in lines:
        assert store.read(line["sha256"])
        assert line["sha256"] in (tmp_path / "cards" / f"{line['net']}.md").read_text()
        if line["champion"]:
            assert load_net(line["net"], store).version == line["sha256"]
        else:
            assert line["net"] not in store.aliases()


def test_training_again_gives_the_same_weights(tmp_path: Path) -> None:
    shas = []
    for folder in ("a", "b"):
        main(["--quick", "--net", "failure", "--store", str(tmp_path / folder)])
        shas.append(sorted(p.name for p in (tmp_path / folder).glob("*.pt")))
    assert shas[0] == shas[1]
