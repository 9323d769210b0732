"""Rows of a call in one piece, and the tables that compiled code makes of them, against numpy."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.flows import arrange
from models.flows.inputs import CHANNELS, MOST_TABLES, ORDER, Gatherer
from models.flows.kernel import FlowKernel
from models.flows.subjects import DeviceMap
from models.signal.position_noise import GNSS_LEAST_M, GNSS_M, GNSS_PER_HDOP_M, LPS_M
from models.simulator.match import MatchConfig, MatchSimulator
from models.telemetry.block import SampleBlock
from models.telemetry.devices import index_of
from models.telemetry.flags import Flag
from models.telemetry.flow_records import RecordDecoder
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.record import TelemetryRecord, encode_record
from models.telemetry.roster import Device, Role, Roster, Subject
from models.telemetry.wire_block import Plan, WireBlock

STUCK = int(Flag.STUCK)
IDS = [f"d{k}" for k in range(6)]
SUBJECT_OF = np.array([0, 1, 1, -1, 2, 0], np.int32)
ROWS_OF = {(name, kind): row for row, name in enumerate(IDS) for kind in Kind}


def block_of(kind: Kind, rows: int, rng: np.random.Generator) -> SampleBlock:
    values = rng.normal(size=(len(KINDS[kind].channels), rows)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    small = rng.integers(0, 9, (2, rows)).astype(np.uint32)
    return SampleBlock(
        kind, rng.integers(0, len(IDS), rows).astype(np.int32), small[0], small[1],
        rng.integers(0, 30, rows), rng.integers(0, 30, rows),
        np.where(rng.random(rows) < 0.1, STUCK, 0).astype(np.uint32), values,
    )


def record_of(sizes: dict[Kind, int], seed: int, seq: int = 0) -> TelemetryRecord:
    rng = np.random.default_rng(seed)
    blocks = {kind: block_of(kind, rows, rng) for kind, rows in sizes.items()}
    return TelemetryRecord("v", "m", seq, 0, 30, blocks)


def as_bytes(records: list[TelemetryRecord], decoder: RecordDecoder) -> list[TelemetryRecord]:
    return [decoder.decode(encode_record(record, IDS)) for record in records]


def table(records: list[TelemetryRecord], kind: Kind, gatherer: Gatherer) -> arrange.Table:
    places = DeviceMap(Roster("v", "m")).places
    return arrange.table_of(
        gatherer.gather(records), places, ORDER.index(kind), SUBJECT_OF, 3
    )


def reference(records: list[TelemetryRecord], kind: Kind) -> list[np.ndarray]:
    blocks = [r.blocks[kind] for r in records if kind in r.blocks]
    names = KINDS[kind].names
    device = np.concatenate([b.device for b in blocks])
    flags = np.concatenate([b.flags for b in blocks])
    t_ns = np.concatenate([b.t_event_ns for b in blocks])
    values = np.concatenate([b.values for b in blocks], axis=1)
    rows = np.flatnonzero((SUBJECT_OF[device] >= 0) & (flags & STUCK == 0))
    rows = rows[np.lexsort((t_ns[rows], SUBJECT_OF[device[rows]]))]
    owner = SUBJECT_OF[device[rows]]
    wanted = [
        values[names.index(n), rows] if n in names else np.full(len(rows), np.nan)
        for n in CHANNELS[ORDER.index(kind)]
    ]
    begin = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=3))])
    return [t_ns[rows], np.array(wanted), device[rows], begin]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(ORDER), st.integers(1, 30)), min_size=1, max_size=4),
    st.integers(0, 1000), st.booleans(), st.sampled_from(ORDER),
)
def test_tables_are_the_rows_by_subject_and_time_whatever_the_blocks_are_made_of(
    sizes: list[dict[Kind, int]], seed: int, wire: bool, kind: Kind
) -> None:
    records = [record_of(one, seed + n, n) for n, one in enumerate(sizes)]
    held = as_bytes(records, RecordDecoder(ROWS_OF)) if wire else records
    # Every other record as arrays: parts of both sorts may stand beside each other.
    held[1::2] = records[1::2]
    found = table(held, kind, Gatherer())
    if not any(kind in record.blocks for record in records):
        assert found.begin.tolist() == [0, 0, 0, 0]
        return
    for mine, theirs in zip(found, reference(records, kind), strict=True):
        assert np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")


def test_blocks_that_come_as_bytes_stay_bytes_until_they_are_asked() -> None:
    (record,) = as_bytes([record_of({Kind.IMU: 7, Kind.LPS: 3}, 5)], RecordDecoder(ROWS_OF))
    assert all(isinstance(block, WireBlock) for block in record.blocks.values())
    assert record.rows == 10
    block = record.blocks[Kind.IMU]
    again = pickle.loads(pickle.dumps(block))
    assert type(again) is SampleBlock
    assert np.array_equal(again.device, block.device)
    assert np.array_equal(again.values, block.values, equal_nan=True)


def test_a_device_number_outside_its_table_is_a_device_that_nobody_knows() -> None:
    kind, count = Kind.HEART, 4
    body = bytearray(176)
    body[64:80] = np.array([0, 1, 2, 0xFFFFFFFF], np.uint32).tobytes()
    plan = Plan(count, len(body), (64, 80, 96, 0, 32, 112), 128, 16)
    block = WireBlock(kind, bytes(body), plan, np.array([4, 0], np.int32))
    assert block.device.tolist() == [4, 0, -1, -1]
    record = TelemetryRecord("v", "m", 0, 0, 30, {kind: block})
    assert table([record], kind, Gatherer()).device.tolist() == [0, 4]
    nobody = WireBlock(kind, bytes(body), plan, np.empty(0, np.int32))
    record = TelemetryRecord("v", "m", 0, 0, 30, {kind: nobody})
    assert nobody.device.tolist() == [-1] * 4
    assert table([record], kind, Gatherer()).device.tolist() == []


def test_records_without_rows_give_empty_tables() -> None:
    record = TelemetryRecord("v", "m", 0, 0, 30, {})
    assert table([record], Kind.IMU, Gatherer()).begin.tolist() == [0, 0, 0, 0]
    assert len(Gatherer().gather([record]).longs) == 0


def test_tables_of_device_numbers_have_a_bound_and_do_not_change_what_is_found() -> None:
    gatherer, wanted = Gatherer(), None
    for _ in range(2 * MOST_TABLES + 3):
        # A decoder of its own learns its tables anew.
        held = as_bytes([record_of({Kind.LPS: 9}, 1)], RecordDecoder(ROWS_OF))
        found = table(held, Kind.LPS, gatherer)
        wanted = wanted or found
        assert np.array_equal(found.device, wanted.device)
        assert np.array_equal(found.values, wanted.values, equal_nan=True)
    assert len(gatherer._tables) <= MOST_TABLES + 1


def test_positions_of_two_sources_are_one_course_the_better_one_first_at_equal_times() -> None:
    devices = (Device("g", Kind.GNSS, "a", 10.0), Device("l", Kind.LPS, "a", 20.0))
    roster = Roster("v", "m", devices=devices, subjects=(Subject("a", Role.ATHLETE, "home"),))
    nan = np.nan
    blocks = {
        Kind.GNSS: [[1, 2, 3], [[10, 11, 12], [0, 0, 0], [5, 6, 7], [0, 0, 0], [2, 0.1, nan],
                                [9, 9, 9], [90, 90, 90]]],
        Kind.LPS: [[2, 3, 4], [[20, 21, 22], [1, 1, 1], [0, 0, 0], [0.01, 0.3, nan], [6, 6, 6],
                               [0, 0.9, 0]]],
    }
    made = {}
    for row, kind in enumerate(blocks):
        t_ns, values = blocks[kind]
        zero = np.zeros(3, np.uint32)
        made[kind] = SampleBlock(
            kind, np.full(3, row, np.int32), zero, zero, np.array(t_ns), np.array(t_ns), zero,
            np.array(values, np.float32),
        )
    record = TelemetryRecord("v", "m", 0, 0, 9, made)
    found = arrange.positions_of([record], DeviceMap(roster), 1)
    assert found.t_ns.tolist() == [1, 2, 2, 3, 3, 4]
    assert found.x_m.tolist() == [10, 20, 11, 21, 12, 22]
    assert found.doppler_mps[[0, 2, 4]].tolist() == [5, 6, 7]
    assert np.isnan(found.doppler_mps[[1, 3, 5]]).all()
    assert found.rank.tolist() == [1, 0, 1, 0, 1, 0]
    spread = [2 * GNSS_PER_HDOP_M, LPS_M, GNSS_LEAST_M, 0.9, GNSS_M, LPS_M]
    assert found.r_m.tolist() == pytest.approx(spread, rel=1e-6)
    assert found.begin.tolist() == [0, 6]


def test_a_match_that_comes_as_bytes_gives_what_the_arrays_give() -> None:
    config = MatchConfig(seed=4, duration_s=6)
    simulator = MatchSimulator(config)
    ids = [device.device_id for device in simulator.roster.devices]
    decoder = RecordDecoder(index_of(simulator.roster).rows_of)
    one, other = FlowKernel(simulator.roster), FlowKernel(simulator.roster)
    rows = np.arange(len(simulator.roster.subjects), dtype=np.int32)
    for seq in range(6):
        blocks = {kind: block for kind, block in simulator.chunk(seq).items() if len(block)}
        start_ns = config.start_ns + seq * 1_000_000_000
        record = TelemetryRecord(
            simulator.roster.venue_id, simulator.roster.match_id, seq, start_ns,
            start_ns + 1_000_000_000, blocks,
        )
        found = one.handle([record], rows)
        again = other.handle([decoder.decode(encode_record(record, ids))], rows)
        assert found.events == again.events
        assert [len(s) for s in found.states] == [len(s) for s in again.states] != []
        assert one.snapshot(rows) == other.snapshot(rows)
