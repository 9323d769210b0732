"""Tables of one schema straight from columns: what pyarrow writes, to the byte."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.stadium_journal import Journal
from cluster.eventlog.sqlite import SqliteLog
from models.edge.effects import (
    HEALTH_DTYPES,
    HEALTH_FEATURES,
    DeviceHealthRows,
    EdgeEffects,
    encode_health,
)
from models.edge.tables import KIND_LIST
from models.telemetry.ipc_columns import ColumnWriter
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device, Role, Roster, Subject

IDS = [f"device-{row}" for row in range(7)]


def health(count: int, seed: int = 1) -> DeviceHealthRows:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(HEALTH_FEATURES), count)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    return DeviceHealthRows(
        rng.integers(0, len(IDS), count).astype(np.int32),
        rng.integers(0, len(KIND_LIST), count).astype(np.int32),
        rng.integers(0, 1 << 62, count), values,
    )


def columns(rows: DeviceHealthRows) -> list[np.ndarray]:
    return [rows.device, rows.kind, rows.t_ns, *rows.values]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 1000))
def test_it_writes_what_pyarrow_writes(first: int, count: int, seed: int) -> None:
    writer = ColumnWriter(encode_health(health(first), IDS), HEALTH_DTYPES)
    rows = health(count, seed)
    assert writer.write(columns(rows)) == encode_health(rows, IDS)


def test_columns_may_be_cut_from_larger_ones() -> None:
    whole, writer = health(20), ColumnWriter(encode_health(health(3), IDS), HEALTH_DTYPES)
    cut = DeviceHealthRows(
        whole.device[::2], whole.kind[::2], whole.t_ns[::2], whole.values[:, ::2]
    )
    assert writer.write(columns(cut)) == encode_health(cut, IDS)


def test_other_columns_than_those_of_the_sample_are_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError):
        ColumnWriter(encode_health(health(3), IDS), HEALTH_DTYPES[1:])


def test_a_journal_appends_health_as_it_is_encoded(tmp_path: Path) -> None:
    devices = tuple(Device(one, Kind.IMU, "a", 100.0) for one in IDS)
    roster = Roster("v", "m", subjects=(Subject("a", Role.ATHLETE),), devices=devices)
    log = SqliteLog(str(tmp_path / "log"))
    journal = Journal(log, roster)
    journal.fence()
    sent = [health(0), health(4, 1), health(0), health(9, 2), health(4, 3)]
    journal.stage(EdgeEffects(health=sent), 1, [], 1)
    journal.flush(lambda: 1)
    held = [one.record.payload for one in log.read(journal.topics["health"], 0, 10)]
    assert held == [encode_health(rows, IDS) for rows in sent]
    log.close()
