"""Truth source, intensity, thinning with pre-roll and post-roll: what goes on, at which rate."""

import numpy as np

from models.edge.config import EdgeConfig
from models.edge.tables import Tables
from models.flows.subjects import DeviceMap
from models.signal.player_load import GRAVITY_MPS2
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Device
from tests.unit.edge_lab import MS, SECOND, T0, block_of, play, roster_of, walk

IMU = KINDS[Kind.IMU]
LOAD, PEAK, MERGED = (IMU.index(n) for n in ("load_au", "peak_mps2", "merged_n"))


def _motion(seconds: float, seed: int = 0, hz: int = 100):
    n = int(seconds * hz)
    seq = np.arange(n)
    channels = walk(n, np.random.default_rng(seed), 1.0)
    return seq, T0 + (seq * SECOND / hz).astype(np.int64), channels


def _imu(seconds: float, **given):
    seq, t_ns, channels = _motion(seconds, **given)
    return block_of(Kind.IMU, 0, seq, t_ns, channels)


def _run(seconds: float, speed, hz: int = 20, row: int = 1):
    """Positions of somebody who runs along x at speed(t)."""
    t = np.arange(int(seconds * hz)) / hz
    x = -40.0 + np.cumsum(speed(t)) / hz
    channels = {"pos_x_m": x, "pos_y_m": np.zeros(len(t))}
    return block_of(
        Kind.LPS, row, np.arange(len(t)), T0 + (t * SECOND).astype(np.int64), channels
    )


ATHLETE = roster_of(Device("d", Kind.IMU, "a0", 100.0), Device("p", Kind.LPS, "a0", 20.0))


def test_calm_motion_is_halved_and_its_sums_survive() -> None:
    block = _imu(20.0)
    kernel, thinned = play(ATHLETE, [block])
    _, full = play(ATHLETE, [block], (), EdgeConfig(thin=False))
    rows, raw = thinned.rows(Kind.IMU), full.rows(Kind.IMU)
    assert len(rows) == 1000
    assert (rows.values[MERGED] == 2).all()
    assert (rows.flags & int(Flag.MERGED)).all()
    assert np.isclose(rows.values[LOAD].sum(), raw.values[LOAD].sum(), rtol=1e-6)
    assert np.allclose(rows.values[PEAK], raw.values[PEAK].reshape(-1, 2).max(1))
    assert kernel.account().thinned == 1000


def test_thinning_is_anti_aliased() -> None:
    seq, t_ns, channels = _motion(20.0)
    t = seq / 100.0
    for hz, wanted in ((5.0, 0.95), (40.0, 0.05)):
        channels |= {"acc_x_mps2": 3.0 * np.sin(2 * np.pi * hz * t)}
        block = block_of(Kind.IMU, 0, seq, t_ns, channels)
        _, result = play(ATHLETE, [block])
        x = result.rows(Kind.IMU).values[0, 100:]
        gain = x.std() * np.sqrt(2) / 3.0
        assert gain > wanted if hz < 20 else gain < wanted, (hz, gain)


def test_a_flow_that_turns_hot_keeps_its_full_rate_with_pre_roll_and_post_roll() -> None:
    block = _imu(30.0)
    run = _run(30.0, lambda t: np.where((t > 10) & (t < 14), 8.0, 1.0))
    _, result = play(ATHLETE, [block, run], [T0 + i * 370 * MS for i in range(80)])
    rows = result.rows(Kind.IMU)
    whole = rows.t_event_ns[rows.values[MERGED] == 1]
    begin_s, end_s = (whole[0] - T0) / SECOND, (whole[-1] - T0) / SECOND
    # 8 m/s is beyond the threshold (6.1 m/s) soon after 10 s and until shortly after 14 s; then
    # 2 s until the flow is calm, and 5 s of post-roll.
    assert 9.9 < begin_s < 10.8
    assert 20.5 < end_s < 22.5
    pre = result.supplements(Kind.IMU)
    assert (pre.flags & int(Flag.PRE_ROLL)).all()
    assert len(pre) == 200
    assert pre.t_event_ns.max() < whole[0]
    assert (pre.values[MERGED] == 1).all()
    gap = np.diff(np.concatenate([np.sort(pre.t_event_ns), whole]))
    assert gap.max() == 10 * MS, "pre-roll and full rate join without a hole"


def test_load_is_complete_across_changes_of_rate() -> None:
    block = _imu(30.0)
    run = _run(30.0, lambda t: np.where((t > 10) & (t < 14), 8.0, 1.0))
    _, thinned = play(ATHLETE, [block, run])
    _, full = play(ATHLETE, [block, run], (), EdgeConfig(thin=False))
    ours, theirs = thinned.rows(Kind.IMU).values, full.rows(Kind.IMU).values
    assert np.isclose(ours[LOAD].sum(), theirs[LOAD].sum(), rtol=1e-4)
    assert ours[MERGED].sum() == theirs[MERGED].sum()


def test_an_impact_makes_a_flow_hot() -> None:
    seq, t_ns, channels = _motion(10.0)
    channels["acc_z_mps2"][500:510] += 110.0 * np.sin(np.pi * np.arange(10) / 10)
    _, result = play(ATHLETE, [block_of(Kind.IMU, 0, seq, t_ns, channels)])
    hot = [bool(record.flows.hot.any()) for record in result.records]
    rows = result.rows(Kind.IMU)
    assert (rows.values[MERGED] == 1).any()
    assert len(result.supplements(Kind.IMU)) == 200
    assert hot[-1] is False, "calm again at the end"
    felt = result.rows(Kind.IMU).values[:3]
    assert np.sqrt((felt**2).sum(0)).max() > 11 * GRAVITY_MPS2, "the impact itself is no spike"


def test_ball_and_positions_are_thinned_without_lag() -> None:
    roster = roster_of(
        Device("chip", Kind.BALL_POS, "ball", 50.0), Device("p", Kind.LPS, "a0", 100.0)
    )
    t50, t100 = np.arange(500) / 50, np.arange(1000) / 100
    ball = block_of(
        Kind.BALL_POS, 0, np.arange(500), T0 + (t50 * SECOND).astype(np.int64),
        {"pos_x_m": -40 + 8.0 * t50, "pos_y_m": np.full(500, 20.0), "pos_z_m": 1 + 0.1 * t50},
    )
    lps = block_of(
        Kind.LPS, 1, np.arange(1000), T0 + (t100 * SECOND).astype(np.int64),
        {"pos_x_m": -40 + 3.0 * t100, "pos_y_m": np.zeros(1000)},
    )
    _, result = play(roster, [ball, lps])
    for kind, speed, n in ((Kind.BALL_POS, 8.0, 250), (Kind.LPS, 3.0, 250)):
        rows = result.rows(kind)
        assert len(rows) == n
        where = -40 + speed * (rows.t_event_ns - T0) / SECOND
        assert np.abs(rows.values[0] - where).max() < 1e-3
    assert np.isnan(result.rows(Kind.LPS).values[2]).all()


def test_a_shot_makes_the_ball_hot_and_a_pass_does_not() -> None:
    roster = roster_of(Device("chip", Kind.BALL_POS, "ball", 50.0))
    t = np.arange(250) / 50

    def played(vx: float, vy: float) -> bool:
        moving = np.maximum(t - 3.0, 0.0)
        ball = block_of(
            Kind.BALL_POS, 0, np.arange(250), T0 + (t * SECOND).astype(np.int64),
            {"pos_x_m": 25 + vx * moving, "pos_y_m": vy * moving},
        )
        _, result = play(roster, [ball])
        return bool((result.rows(Kind.BALL_POS).flags & int(Flag.MERGED) == 0).any())

    assert played(22.0, 0.5)
    assert not played(-3.0, 18.0)


def test_the_best_healthy_source_is_believed_and_the_other_steps_in() -> None:
    roster = roster_of(
        Device("lps", Kind.LPS, "a0", 20.0), Device("gps", Kind.GNSS, "a0", 10.0, source_rank=1)
    )
    lps = _run(20.0, lambda t: np.full(len(t), 2.0), row=0)
    t = np.arange(200) / 10
    gps = block_of(
        Kind.GNSS, 1, np.arange(200), T0 + (t * SECOND).astype(np.int64),
        {"pos_x_m": -40 + 2 * t, "pos_y_m": np.ones(200)},
    )
    away = (lps.t_event_ns < T0 + 8 * SECOND) | (lps.t_event_ns > T0 + 12 * SECOND)
    kernel, result = play(roster, [lps.take(away), gps], [T0 + 9 * SECOND, T0 + 13 * SECOND])
    believed = (result.rows(Kind.GNSS).t_event_ns - T0) / SECOND
    assert believed.min() > 8.9
    assert 12.9 < believed.max() < 13.2, "the better source is trusted again after a second"
    refused = kernel.account().rejected
    assert set(refused) == {"not_truth_source"}
    first = result.rows(Kind.LPS).t_event_ns
    assert not ((first > T0 + 12 * SECOND) & (first < T0 + 13 * SECOND)).any()


def test_a_source_that_doubts_itself_is_not_believed() -> None:
    roster = roster_of(
        Device("lps", Kind.LPS, "a0", 20.0), Device("gps", Kind.GNSS, "a0", 10.0, source_rank=1)
    )
    lps = _run(20.0, lambda t: np.full(len(t), 2.0), row=0)
    lps.values[KINDS[Kind.LPS].index("residual_m"), 100:] = 2.5
    t = np.arange(200) / 10
    gps = block_of(
        Kind.GNSS, 1, np.arange(200), T0 + (t * SECOND).astype(np.int64),
        {"pos_x_m": -40 + 2 * t, "pos_y_m": np.ones(200)},
    )
    _, result = play(roster, [lps, gps])
    assert result.rows(Kind.GNSS).t_event_ns.max() == gps.t_event_ns.max()
    assert result.rows(Kind.LPS).t_event_ns.max() < T0 + 6.2 * SECOND


def test_what_a_sender_puts_into_the_channels_of_the_edge_does_not_survive() -> None:
    """Neither in live rows, thinned or not, nor in copies from before a flow turned hot."""
    plain, run = _imu(20.0), _run(20.0, lambda t: np.where(t < 10.0, 1.0, 8.0))
    forged = _imu(20.0)
    forged.values[[LOAD, PEAK, MERGED]] = np.array([[1e30], [3e3], [7.0]], np.float32)
    for thin in (True, False):
        config = EdgeConfig(thin=thin)
        _, clean = play(ATHLETE, [plain, run], (), config)
        _, result = play(ATHLETE, [forged, run], (), config)
        assert bool(clean.late) is thin
        assert result.canonical() == clean.canonical()


def test_late_rows_keep_nothing_of_a_sender_in_the_channels_of_the_edge() -> None:
    forged = _imu(2.0)
    forged.values[[LOAD, PEAK, MERGED]] = np.array([[1e30], [3e3], [7.0]], np.float32)
    late = np.arange(len(forged)) >= 150
    forged.t_ingest_ns[late] = T0 + 10 * SECOND
    _, result = play(ATHLETE, [forged])
    rows = result.supplements(Kind.IMU)
    assert len(rows) == 50
    assert np.isnan(rows.values[LOAD]).all()
    assert (rows.values[MERGED] == 1).all()
    assert np.allclose(rows.values[PEAK], np.sqrt((rows.values[:3] ** 2).sum(0)))


def test_edge_and_flows_rank_position_sources_in_one_order() -> None:
    devices = (
        Device("a", Kind.GNSS, "a0", 10.0, source_rank=0),
        Device("b", Kind.LPS, "a0", 20.0, source_rank=1),
        Device("c", Kind.LPS, "a0", 20.0, source_rank=0),
    )
    roster = roster_of(*devices)
    flows, edge = DeviceMap(roster).places.rank, Tables(roster, EdgeConfig()).streams.rank
    assert np.argsort(flows).tolist() == np.argsort(edge).tolist() == [2, 0, 1]
