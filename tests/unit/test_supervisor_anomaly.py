"""The supervisor says device anomalies as events, once, and pipeline anomalies as actions."""

import json

import numpy as np
import pytest

from cluster.eventlog.port import Record
from models.edge.effects import HEALTH_FEATURES, DeviceHealthRows, encode_health
from models.edge.tables import KIND_LIST
from models.events.envelope import Event
from tests.unit.fakes_log import T0_NS
from tests.unit.test_supervisor import ROSTER, Bench, S

DROP_S = 200
END_S = 260


@pytest.fixture
def bench() -> Bench:
    return Bench()


def play(bench: Bench, low: int, high: int) -> None:
    """Health of seconds low..high - 1, in records of five; tag-2 loses 15 dB at `DROP_S`."""
    kinds = np.array([KIND_LIST.index(device.kind) for device in ROSTER.devices], np.int32)
    rssi = -60.0 + np.random.default_rng(9).normal(0, 1.0, (END_S, 3)).round()
    rssi[DROP_S:, 2] -= 15.0
    for first in range(low, high, 5):
        values = np.zeros((len(HEALTH_FEATURES), 15), np.float32)
        values[HEALTH_FEATURES.index("rate_ratio")] = 1.0
        values[HEALTH_FEATURES.index("batt_pct")] = 90.0
        values[HEALTH_FEATURES.index("rssi_dbm")] = rssi[first : first + 5].ravel()
        rows = DeviceHealthRows(
            np.tile(np.arange(3, dtype=np.int32), 5), np.tile(kinds, 5),
            T0_NS + np.repeat(np.arange(first, first + 5), 3) * S, values,
        )
        payload = encode_health(rows, [device.device_id for device in ROSTER.devices])
        bench.log.append("device-health/v", [Record("edge/m1", first, T0_NS, payload)], 0)


def anomalies(bench: Bench) -> list[Event]:
    return [event for event in bench.alarms() if event.type == "device_anomaly"]


def test_a_device_whose_signal_drops_is_said_with_value_and_expectation(bench: Bench) -> None:
    play(bench, 0, END_S)
    bench.turns(40)
    first = anomalies(bench)[0]
    assert (first.subject_id, first.sub_type, first.policy_class) == (
        "tag-2", "rssi_dbm_low", "device"
    )
    assert 0 <= first.t_event_ns - (T0_NS + DROP_S * S) <= 10 * S
    assert first.metrics["value"] < first.metrics["expected_low"] < first.metrics["expected_high"]
    assert first.metrics["score"] > 0
    assert "lps" in first.context
    assert bench.supervisor.stats()["anomalies"] == len(anomalies(bench))


def test_a_supervisor_that_is_started_again_says_no_anomaly_twice(bench: Bench) -> None:
    play(bench, 0, END_S)
    bench.turns(40)
    said = anomalies(bench)
    assert said
    second = bench.new(2)
    bench.turns(40, second)
    assert anomalies(bench) == said
    assert second.stats()["anomalies"] == 0


def test_one_that_takes_over_before_the_drop_learns_from_the_past(bench: Bench) -> None:
    play(bench, 0, DROP_S - 10)
    bench.turns(40)
    second = bench.new(2)
    play(bench, DROP_S - 10, END_S)
    bench.turns(40, second)
    assert anomalies(bench)[0].sub_type == "rssi_dbm_low"


def test_a_pool_that_is_unlike_itself_is_an_action_with_its_reason(bench: Bench) -> None:
    rng = np.random.default_rng(4)
    for second in range(400):
        lag = int(rng.integers(0, 5)) + (120 if second >= 300 else 0)
        bench.facts = {"lag_records": lag, "scale": {"reason": "steady"}}
        bench.turns(4)
    assert ("pipeline_anomaly", "lag_records_high") in bench.actions()
    details = [json.loads(r.payload)["detail"] for r in bench.log.all("actions")]
    assert details[0]["target"] == "coordinator"
    assert details[0]["expected"][1] < details[0]["value"]
