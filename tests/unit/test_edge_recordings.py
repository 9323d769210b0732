"""The edge on real recordings: exact loss by counter, and an outage told from single failures."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.flags import Flag
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device
from tests.unit.edge_lab import MS, SECOND, T0, block_of, play, roster_of


def _gait(folder: Path) -> SampleBlock:
    """Trials one after the other, each a boot of its sensor; time from the packet counter."""
    table = pq.read_table(folder / "gait_imu100" / "imu.parquet").to_pydict()
    trials = np.array(table["trial"])
    names = np.array(table["sensor"])
    counter = np.array(table["PacketCounter"], np.int64)
    order = {trial: n for n, trial in enumerate(dict.fromkeys(trials.tolist()))}
    number = np.array([order[trial] for trial in trials.tolist()])
    t_ns = T0 + number * 60 * SECOND + counter * 10 * MS
    device = np.searchsorted(["lb", "lf", "rf"], names)
    channels = {f"acc_{a}_mps2": np.array(table[f"Acc_{a.upper()}"]) for a in "xyz"}
    channels |= {f"gyr_{a}_radps": np.array(table[f"Gyr_{a.upper()}"]) for a in "xyz"}
    block = block_of(Kind.IMU, device, counter, t_ns, channels, boot=number + 1)
    return block.take(np.argsort(t_ns, kind="stable"))


def test_the_loss_of_the_gait_recording_is_exact(recordings: Path) -> None:
    block = _gait(recordings)
    roster = roster_of(*(Device(f"imu-{n}", Kind.IMU, f"a{n}", 100.0) for n in range(3)))
    cuts = [int(block.t_ingest_ns[i]) for i in range(0, len(block), 40_000)]
    kernel, result = play(roster, [block], cuts)
    account = kernel.account()
    assert account.lost_by_counter == 18_617
    assert account.rows_in == 361_204
    assert account.rows_in + account.lost_by_counter == 379_821
    told = sum(float(health.values[1].sum()) for health in result.health)
    assert told > 0.99 * 18_617, "the health rows tell the same loss, second by second"


def test_foot_strikes_are_not_taken_for_spikes(recordings: Path) -> None:
    block = _gait(recordings)
    roster = roster_of(*(Device(f"imu-{n}", Kind.IMU, f"a{n}", 100.0) for n in range(3)))
    _, result = play(roster, [block])
    repaired = sum(
        int(((b.flags & int(Flag.SPIKE_REPAIRED)) != 0).sum()) for b in result.live[Kind.IMU]
    )
    assert repaired < 0.002 * len(block)


def _zxy(folder: Path) -> tuple[list[str], SampleBlock]:
    table = pq.read_table(folder / "soccer_zxy20" / "tracking.parquet").to_pydict()
    ids = sorted(set(table["id"]), key=int)
    t_ns = (np.array(table["ts_ms"]) * 1e6).astype(np.int64)
    device = np.array([ids.index(i) for i in table["id"]])
    channels = {"pos_x_m": np.array(table["x"]) - 52.5, "pos_y_m": np.array(table["y"]) - 34.0}
    parts = []
    for row in range(len(ids)):
        mine = np.flatnonzero(device == row)
        chosen = {name: values[mine] for name, values in channels.items()}
        parts.append(block_of(Kind.LPS, row, np.arange(len(mine)), t_ns[mine], chosen))
    joined = concat_blocks(parts)
    return ids, joined.take(np.argsort(joined.t_ingest_ns, kind="stable"))


def test_a_dead_gateway_is_told_from_single_dead_sensors(recordings: Path) -> None:
    ids, block = _zxy(recordings)
    roster = roster_of(*(Device(f"zxy-{i}", Kind.LPS, f"a{i}", 20.0) for i in ids))
    kernel, result = play(roster, [block])
    start_ns = int(block.t_event_ns.min())

    def at(event_t_ns: int) -> float:
        return round((event_t_ns - start_ns) / 1e9, 1)

    feed = [(e.type, at(e.t_event_ns)) for e in result.events if e.type.startswith("feed_")]
    assert [name for name, _ in feed] == ["feed_gap", "feed_restored"]
    assert abs(feed[0][1] - 284.6) < 0.2
    assert abs(feed[1][1] - 665.6) < 0.3
    gap, restored = (e for e in result.events if e.type.startswith("feed_"))
    assert gap.sub_type == restored.sub_type == "system_wide"
    assert gap.t_detected_ns - gap.t_event_ns < 1.3 * SECOND
    assert restored.metrics["devices"] >= 10
    failed = [
        (e.subject_id, at(e.t_event_ns)) for e in result.events
        if e.type == "device_failed" and e.sub_type == "dropout"
    ]
    assert {device for device, _ in failed} == {"zxy-1", "zxy-3", "zxy-8"}
    assert [t for d, t in failed if d == "zxy-1"] == [10.9, 74.6, 103.3, 109.1, 146.5, 164.5]
    assert [t for d, t in failed if d == "zxy-3"] == [302.7]
    assert [t for d, t in failed if d == "zxy-8"] == [679.9, 845.1]
    assert kernel.account().forwarded == len(block)


def test_real_positions_are_hardly_ever_repaired(recordings: Path) -> None:
    ids, block = _zxy(recordings)
    roster = roster_of(*(Device(f"zxy-{i}", Kind.LPS, f"a{i}", 20.0) for i in ids))
    _, result = play(roster, [block])
    repaired = sum(
        int(((b.flags & int(Flag.SPIKE_REPAIRED)) != 0).sum()) for b in result.live[Kind.LPS]
    )
    assert repaired < 0.001 * len(block)
