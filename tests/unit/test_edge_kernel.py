"""The edge kernel: verdicts, order, watermark, counters, bounds, conservation."""

import json

import numpy as np
import pytest

from models.edge.config import EdgeConfig, Mount
from models.edge.effects import HEALTH_FEATURES, decode_health, encode_health
from models.edge.kernel import EdgeKernel
from models.errors import ConfigError, SchemaError
from models.nets.contract import HEALTH_COLUMNS
from models.state_bytes import pack_state, unpack_state
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.orders import Order, OrderVerb
from models.telemetry.raw import RawBatch
from models.telemetry.reasons import Reason
from models.telemetry.roster import Device
from tests.unit.edge_lab import (
    MS,
    SECOND,
    T0,
    Result,
    batch_of,
    block_of,
    play,
    roster_of,
    walk,
)

IMU = roster_of(Device("d0", Kind.IMU, "a0", 100.0), Device("d1", Kind.IMU, "a1", 100.0))
LPS = roster_of(Device("p0", Kind.LPS, "a0", 20.0))
FULL = EdgeConfig(thin=False)


def _imu(seq, rng_seed=0, **given):
    seq = np.asarray(seq)
    given.setdefault("t_ns", T0 + seq * 10 * MS)
    channels = given.pop("channels", walk(len(seq), np.random.default_rng(rng_seed)))
    return block_of(Kind.IMU, given.pop("device", 0), seq, given.pop("t_ns"), channels, **given)


def test_rows_come_out_in_device_boot_counter_order_whatever_order_they_came_in() -> None:
    rng = np.random.default_rng(1)
    seq = np.tile(np.arange(300), 2)
    device = np.repeat([0, 1], 300)
    t_ns = T0 + seq * 10 * MS
    arrival = t_ns + rng.integers(0, 200 * MS, 600)
    block = _imu(seq, device=device, t_ns=t_ns, t_ingest_ns=arrival)
    block = block.take(np.argsort(arrival))
    _, result = play(IMU, [block], [T0 + SECOND, T0 + 2 * SECOND], FULL)
    rows = result.rows(Kind.IMU)
    for row in (0, 1):
        mine = rows.take(rows.device == row)
        assert (np.diff(mine.seq.astype(int)) == 1).all()
    for record in result.records:
        order = list(zip(record.blocks[Kind.IMU].device, record.blocks[Kind.IMU].seq, strict=True))
        assert order == sorted(order)
        t_event = record.blocks[Kind.IMU].t_event_ns
        assert (t_event >= record.t_from_ns).all()
        assert (t_event < record.t_to_ns).all()


def test_records_follow_each_other_without_overlap_and_the_last_one_says_so() -> None:
    _, result = play(IMU, [_imu(np.arange(300))], [T0 + i * 70 * MS for i in range(40)])
    for before, after in zip(result.records[:-1], result.records[1:], strict=True):
        assert after.t_from_ns == before.t_to_ns
        assert after.seq == before.seq + 1
        assert not before.final
    assert result.records[-1].final


def test_a_stream_without_rows_still_ends_with_a_final_record() -> None:
    effects = EdgeKernel(IMU).finish(T0)
    assert [record.final for record in effects.records] == [True]


@pytest.mark.parametrize(("away_ns", "reason"), [
    (3600 * SECOND, Reason.FUTURE), (1200 * MS, Reason.FUTURE), (-31 * SECOND, Reason.TOO_LATE),
])
def test_a_packet_from_another_time_is_refused_and_moves_no_clock(
    away_ns: int, reason: Reason
) -> None:
    good = _imu(np.arange(200))
    odd = _imu(np.arange(200, 260), t_ns=T0 + 2 * SECOND + away_ns, t_ingest_ns=T0 + 2 * SECOND)
    more = _imu(np.arange(260, 400))
    kernel = EdgeKernel(IMU, FULL)
    verdicts = [
        kernel.handle(batch_of({Kind.IMU: block})).verdicts[Kind.IMU]
        for block in (good, odd, more)
    ]
    assert not verdicts[0].any()
    assert (verdicts[1] == int(reason)).all()
    assert not verdicts[2].any()
    assert kernel.account().rejected == {reason.label: 60}
    assert kernel.account().holds()


def test_a_late_row_is_forwarded_as_a_supplement() -> None:
    early, rest = _imu(np.arange(200)), _imu(np.arange(1000, 1100))
    late = _imu(np.arange(200, 210), t_ingest_ns=T0 + 10 * SECOND)
    kernel, result = EdgeKernel(IMU, FULL), Result()
    for block in (early, late, rest):
        result.take(kernel.handle(batch_of({Kind.IMU: block})))
    supplement = result.supplements(Kind.IMU)
    assert supplement.seq.tolist() == list(range(200, 210))
    assert (supplement.flags & int(Flag.LATE)).all()
    assert np.allclose(supplement.values[KINDS[Kind.IMU].index("merged_n")], 1.0)


def test_duplicates_are_refused_once_however_late_they_come() -> None:
    first = _imu(np.arange(500))
    again = first.take(np.arange(100, 200))
    again = block_of(
        Kind.IMU, 0, again.seq, again.t_event_ns, None, T0 + 5 * SECOND
    )
    kernel = EdgeKernel(IMU, FULL)
    kernel.handle(batch_of({Kind.IMU: first}))
    verdict = kernel.handle(batch_of({Kind.IMU: again})).verdicts[Kind.IMU]
    assert len(verdict) == 100
    assert (verdict == int(Reason.DUPLICATE)).all()
    assert kernel.account().lost_by_counter == 0


def test_a_corrected_retransmission_of_a_refused_row_is_taken() -> None:
    kernel = EdgeKernel(IMU, FULL)
    bad = _imu([5], channels={"acc_x_mps2": np.nan})
    verdict = kernel.handle(batch_of({Kind.IMU: bad})).verdicts[Kind.IMU]
    assert verdict.tolist() == [int(Reason.NOT_FINITE)]
    verdict = kernel.handle(batch_of({Kind.IMU: _imu([5])})).verdicts[Kind.IMU]
    assert verdict.tolist() == [0]


@pytest.mark.parametrize(("name", "value", "reason"), [
    ("acc_x_mps2", np.nan, Reason.NOT_FINITE), ("acc_y_mps2", np.inf, Reason.NOT_FINITE),
    ("acc_z_mps2", 2001.0, Reason.OUT_OF_RANGE), ("gyr_x_radps", -71.0, Reason.OUT_OF_RANGE),
    ("gyr_x_radps", np.nan, None),
])
def test_impossible_values_are_refused(name: str, value: float, reason: Reason | None) -> None:
    kernel = EdgeKernel(IMU, FULL)
    block = _imu([1], channels={name: value})
    verdict = kernel.handle(batch_of({Kind.IMU: block})).verdicts[Kind.IMU]
    assert verdict.tolist() == [int(reason or Reason.NONE)]


def test_rows_of_no_device_or_of_another_kind_are_refused() -> None:
    devices = Device("d0", Kind.IMU, "a0", 100.0), Device("p", Kind.LPS, "a0", 20.0)
    kernel = EdgeKernel(roster_of(*devices))
    block = _imu([1, 2, 3], device=np.array([-1, 1, 99]))
    verdict = kernel.handle(batch_of({Kind.IMU: block})).verdicts[Kind.IMU]
    assert verdict.tolist() == [int(Reason.UNKNOWN_DEVICE)] * 3


def test_a_swapped_device_follows_its_assignment_by_event_time() -> None:
    swap = T0 + SECOND
    roster = roster_of(
        Device("d", Kind.IMU, "a0", 100.0, valid_to_ns=swap),
        Device("d", Kind.IMU, "a1", 100.0, valid_from_ns=swap, valid_to_ns=swap + SECOND),
    )
    kernel, result = play(roster, [_imu(np.arange(300), device=1)], [T0 + 900 * MS], FULL)
    rows = result.rows(Kind.IMU)
    assert (rows.device == (rows.t_event_ns >= swap)).all()
    assert kernel.account().rejected == {"identity": 100}
    assert kernel.account().lost_by_counter == 0
    assert not (rows.flags & int(Flag.GAP_BEFORE)).any()


def test_a_sixteen_bit_counter_is_continued_over_its_end() -> None:
    roster = roster_of(Device("d0", Kind.IMU, "a0", 100.0, counter_bits=16))
    seq = np.arange(65_000, 66_200)
    keep = np.ones(len(seq), bool)
    keep[530:540] = False
    block = _imu((seq & 0xFFFF)[keep], t_ns=(T0 + (seq - 65_000) * 10 * MS)[keep])
    kernel, result = play(roster, [block], [T0 + 5360 * MS], FULL)
    assert result.rows(Kind.IMU).seq.tolist() == seq[keep].tolist()
    assert kernel.account().lost_by_counter == 10


def test_loss_is_exact_with_reordering_duplicates_and_reboots() -> None:
    rng = np.random.default_rng(5)
    seq = np.concatenate([np.arange(40, 900), np.arange(0, 700)])
    boot = np.concatenate([np.full(860, 3), np.full(700, 4)])
    t_ns = T0 + np.arange(1560) * 10 * MS + np.where(boot == 4, 2 * SECOND, 0)
    lost = np.zeros(1560, bool)
    lost[rng.choice(np.arange(1, 859), 100, replace=False)] = True
    lost[rng.choice(np.arange(861, 1559), 50, replace=False)] = True
    rows = np.flatnonzero(~lost)
    rows = np.concatenate([rows, rng.choice(rows, 60)])
    arrival = t_ns[rows] + rng.integers(0, 150 * MS, len(rows))
    block = _imu(seq[rows], t_ns=t_ns[rows], boot=boot[rows], t_ingest_ns=arrival)
    block = block.take(np.argsort(arrival, kind="stable"))
    kernel, _ = play(IMU, [block], [T0 + 3 * SECOND, T0 + 11 * SECOND], FULL)
    assert kernel.account().lost_by_counter == 150
    assert kernel.account().rejected == {"duplicate": 60}


def test_a_counter_that_restarts_without_a_new_boot_is_taken_up_again() -> None:
    first = _imu(np.arange(1000))
    second = _imu(np.arange(200), t_ns=T0 + (1000 + np.arange(200)) * 10 * MS)
    kernel = EdgeKernel(IMU, FULL)
    kernel.handle(batch_of({Kind.IMU: first}))
    verdict = kernel.handle(batch_of({Kind.IMU: second})).verdicts[Kind.IMU]
    assert (verdict[:15] == int(Reason.DUPLICATE)).all()
    assert not verdict[15:].any()
    assert kernel.account().lost_by_counter == 0


def test_a_corrupt_counter_or_boot_does_not_lock_a_device_out() -> None:
    kernel = EdgeKernel(IMU, FULL)
    kernel.handle(batch_of({Kind.IMU: _imu(np.arange(100))}))
    odd = _imu([3_000_000_000], t_ns=T0 + SECOND)
    kernel.handle(batch_of({Kind.IMU: odd}))
    for boot in (2**31, 2**32 - 1):
        kernel.handle(batch_of({Kind.IMU: _imu([0], t_ns=T0 + SECOND, boot=boot)}))
    verdict = kernel.handle(batch_of({Kind.IMU: _imu(np.arange(101, 400))})).verdicts[Kind.IMU]
    assert not verdict[40:].any()
    assert kernel.account().lost_by_counter < 100


def test_the_reorder_buffer_is_bounded() -> None:
    config = EdgeConfig(max_pending_rows=100, thin=False)
    kernel = EdgeKernel(IMU, config)
    block = _imu(np.arange(150), t_ns=T0 + np.arange(150) * MS, t_ingest_ns=T0 + 150 * MS)
    effects = kernel.handle(batch_of({Kind.IMU: block}))
    assert kernel.account().buffered == 100
    assert kernel.account().rejected == {"rate": 50}
    assert [len(r.block) for r in effects.rejected] == [50]
    assert kernel.account().holds()


def test_insertion_gives_up_on_hostile_order_and_the_result_is_the_same() -> None:
    block = _imu(np.arange(3000), t_ns=T0 + np.arange(3000) * MS // 50, t_ingest_ns=T0 + 60 * MS)
    backwards = block.take(np.arange(2999, -1, -1))
    _, straight = play(IMU, [block], (), FULL)
    _, hostile = play(IMU, [backwards], (), FULL)
    assert hostile.rows(Kind.IMU).seq.tolist() == straight.rows(Kind.IMU).seq.tolist()


def test_refused_payload_rows_are_in_the_account() -> None:
    kernel = EdgeKernel(IMU)
    kernel.handle(RawBatch("s", 0, T0, {}, {"crc": 3, "truncated": 2}))
    told = kernel.account().to_dict()
    assert told["in"] == 5
    assert told["rejected"] == {"crc": 3, "truncated": 2}
    assert kernel.account().holds()


def test_mounts_normalise_axes_units_and_origin() -> None:
    roster = roster_of(
        Device("d0", Kind.IMU, "a0", 100.0, model="g-tag"),
        Device("p0", Kind.LPS, "a0", 20.0, model="corner-lps"),
    )
    config = EdgeConfig(thin=False, mounts=(
        Mount("g-tag", axes=(3, -1, 2), scale=9.80665), Mount("corner-lps", origin="corner"),
    ))
    imu = _imu([1], channels={"acc_x_mps2": 1.0, "acc_y_mps2": 2.0, "acc_z_mps2": 3.0})
    lps = block_of(Kind.LPS, 1, [1], T0, {"pos_x_m": 0.0, "pos_y_m": 68.0})
    _, result = play(roster, [imu, lps], (), config)
    acc = result.rows(Kind.IMU).values[:3, 0] / 9.80665
    assert np.allclose(acc, [3.0, -1.0, 2.0])
    assert np.allclose(result.rows(Kind.LPS).values[:2, 0], [-52.5, 34.0])


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"tick_ns": 0}, {"hot_leave": 0.9}, {"imu_hz": 0.0}, {"late_bound_ns": 1}):
        with pytest.raises(ConfigError):
            EdgeConfig(**wrong)
    with pytest.raises(ConfigError):
        Mount("m", axes=(1, 1, 2))


def test_a_snapshot_of_something_else_is_refused_and_changes_nothing() -> None:
    kernel = EdgeKernel(IMU)
    kernel.handle(batch_of({Kind.IMU: _imu(np.arange(100))}))
    before = kernel.snapshot()
    for wrong in (b"", b"nonsense", before[:200], EdgeKernel(LPS).snapshot(),
                  EdgeKernel(IMU, FULL).snapshot()):
        with pytest.raises(SchemaError):
            kernel.restore(wrong)
    assert kernel.snapshot() == before


def test_a_snapshot_from_before_there_were_orders_is_taken_over() -> None:
    kernel, _ = play(IMU, [_imu(range(300))])
    scalars, arrays = unpack_state(kernel.snapshot())
    del scalars["orders"]
    older = {name: a for name, a in arrays.items() if not name.startswith("orders.")}
    assert len(older) == len(arrays) - 3
    fresh = EdgeKernel(IMU)
    fresh.restore(pack_state(json.loads(json.dumps(scalars)), older))
    assert fresh.snapshot() == kernel.snapshot()


def test_state_per_device_is_bounded() -> None:
    kernel = EdgeKernel(IMU)
    kernel.handle(batch_of({Kind.IMU: _imu(np.arange(2000))}))
    assert kernel.state_bytes_per_device() < 8_192
    assert len(kernel.snapshot()) < 100_000


def test_health_rows_travel_as_arrow_with_the_names_that_the_nets_know() -> None:
    assert HEALTH_FEATURES == HEALTH_COLUMNS
    _, result = play(IMU, [_imu(np.arange(400))])
    table = decode_health(encode_health(result.health[1], ["d0", "d1"]))
    assert table.column_names == ["device_id", "kind", "t_ns", *HEALTH_FEATURES]
    row = table.to_pylist()[0]
    assert (row["device_id"], row["kind"], row["rx_n"]) == ("d0", "imu", 100.0)
    assert row["t_ns"] % SECOND == 0
    with pytest.raises(SchemaError):
        decode_health(b"nonsense")


def test_a_higher_level_makes_longer_records() -> None:
    for level, ticks in ((0, 1), (1, 1), (2, 2), (3, 3)):
        kernel, found = EdgeKernel(IMU), []
        order = Order("thin", "m", OrderVerb.THIN, "test", T0, level=level)
        kernel.handle(RawBatch("orders", 1, T0, {}, orders=(order,)))
        block = _imu(range(600))
        for tick in range(60):
            now = block.take((block.t_event_ns >= T0 + tick * 100 * MS) & (
                block.t_event_ns < T0 + (tick + 1) * 100 * MS
            ))
            batch = RawBatch("s", tick, T0 + (tick + 1) * 100 * MS, {Kind.IMU: now})
            found += [r.t_to_ns - r.t_from_ns for r in kernel.handle(batch).records]
        assert set(found[5:]) == {ticks * kernel.config.tick_ns}
