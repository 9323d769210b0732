"""Faults that the edge must see, and things that look like faults and are none."""

import numpy as np

from models.edge.config import EdgeConfig
from models.edge.effects import HEALTH_FEATURES
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Device
from tests.unit.edge_lab import MS, SECOND, T0, Result, block_of, play, roster_of, walk

FULL = EdgeConfig(thin=False)
G = 9.80665


def _named(result: Result, kind: str) -> list[tuple[str, str]]:
    return [(e.subject_id, e.sub_type) for e in result.events if e.type == kind]


def _at(result: Result, kind: str, fault: str) -> float:
    """Seconds from the start at which the first such event was detected."""
    return min(
        (e.t_detected_ns - T0) / SECOND for e in result.events
        if (e.type, e.sub_type) == (kind, fault)
    )


def _imu(seconds: float, seed: int = 0, hz: int = 100, kind: Kind = Kind.IMU):
    n = int(seconds * hz)
    t_ns = T0 + (np.arange(n) * SECOND / hz).astype(np.int64)
    return block_of(kind, 0, np.arange(n), t_ns, walk(n, np.random.default_rng(seed), 1.0))


ATHLETE = roster_of(
    Device("d", Kind.IMU, "a0", 100.0, full_scale=16 * G), Device("hr", Kind.HEART, "a0", 1.0),
    Device("p", Kind.LPS, "a0", 20.0), Device("d", Kind.HEALTH, "a0", 1.0),
)


def _heart(seconds: int, bpm):
    t_ns = T0 + np.arange(seconds) * SECOND
    return block_of(Kind.HEART, 1, np.arange(seconds), t_ns, {"hr_bpm": bpm})


def _position(seconds: int, speed):
    t = np.arange(seconds * 20) / 20
    x = -50 + np.cumsum(speed(t)) / 20
    return block_of(
        Kind.LPS, 2, np.arange(len(t)), T0 + (t * SECOND).astype(np.int64),
        {"pos_x_m": x, "pos_y_m": np.zeros(len(t))},
    )


def test_single_spikes_are_repaired_and_flagged() -> None:
    block = _imu(20.0)
    clean = block.values.copy()
    hit = np.arange(50, 1950, 97)
    block.values[0, hit] += 120.0
    _, result = play(ATHLETE, [block], (), FULL)
    rows = result.rows(Kind.IMU)
    flagged = np.flatnonzero(rows.flags & int(Flag.SPIKE_REPAIRED))
    assert flagged.tolist() == hit.tolist()
    assert np.abs(rows.values[0] - clean[0])[hit].max() < 5.0


def test_a_position_spike_is_replaced_by_the_prediction() -> None:
    run = _position(20, lambda t: np.full(len(t), 4.0))
    truth = run.values[0].copy()
    hit = np.array([100, 150, 151, 200])
    run.values[0, hit] += np.array([8.0, -6.0, -6.0, 15.0], np.float32)
    _, result = play(ATHLETE, [run], (), FULL)
    rows = result.rows(Kind.LPS)
    assert np.flatnonzero(rows.flags & int(Flag.SPIKE_REPAIRED)).tolist() == hit.tolist()
    assert np.abs(rows.values[0] - truth).max() < 0.5


def test_a_person_who_really_is_elsewhere_is_believed_after_a_moment() -> None:
    run = _position(20, lambda t: np.full(len(t), 1.0))
    run.values[0, 200:] += 30.0
    _, result = play(ATHLETE, [run], (), FULL)
    rows = result.rows(Kind.LPS)
    repaired = np.flatnonzero(rows.flags & int(Flag.SPIKE_REPAIRED))
    assert 1 <= len(repaired) <= 7
    assert repaired.max() < 210


def test_a_heart_rate_that_stands_still_while_its_wearer_moves_is_stuck() -> None:
    bpm = 130 + np.arange(120) % 7
    bpm[60:] = 142
    run = _position(120, lambda t: 4.0 + 3.0 * np.sin(2 * np.pi * t / 10))
    kernel, result = play(ATHLETE, [_heart(120, bpm), run], [T0 + i * SECOND for i in range(120)])
    assert _named(result, "device_failed") == [("hr", "stuck")]
    assert 80 <= _at(result, "device_failed", "stuck") <= 82
    assert 35 <= kernel.account().rejected["stuck"] <= 41
    block = next(block for kind, block, _ in result.rejected if kind == Kind.HEART)
    assert (block.flags & int(Flag.STUCK)).all()


def test_a_steady_heart_rate_at_rest_is_no_fault() -> None:
    rest = _position(120, lambda t: 0.1 * np.sin(t))
    kernel, result = play(ATHLETE, [_heart(120, np.full(120, 62)), rest])
    assert not _named(result, "device_failed")
    assert kernel.account().rejected == {}


def test_a_motion_sensor_that_repeats_itself_is_failed_within_two_seconds() -> None:
    block = _imu(20.0)
    block.values[:6, 1000:] = block.values[:6, [1000]]
    kernel, result = play(ATHLETE, [block], (), FULL)
    assert kernel.account().rejected == {"stuck": 980}
    assert _named(result, "device_failed") == [("d", "stuck")]
    assert _at(result, "device_failed", "stuck") <= 12.0


def test_clipping_of_a_tag_is_a_fault_and_of_a_ball_it_is_a_kick() -> None:
    limit = 16 * G
    tag = _imu(20.0)
    tag.values[0, 1000:] = np.where(np.arange(1000) % 20 < 4, limit, tag.values[0, 1000:])
    _, result = play(ATHLETE, [tag], (), FULL)
    rows = result.rows(Kind.IMU)
    assert (rows.flags & int(Flag.CLIPPED) != 0).sum() == 200
    assert ("d", "saturation") in _named(result, "device_degraded")

    roster = roster_of(Device("chip", Kind.BALL_IMU, "ball", 500.0, full_scale=200 * G))
    ball = _imu(20.0, hz=500, kind=Kind.BALL_IMU)
    for kick in range(500, 9500, 400):
        ball.values[0, kick : kick + 5] = 200 * G
    kernel, result = play(roster, [ball], (), FULL)
    assert (result.rows(Kind.BALL_IMU).flags & int(Flag.CLIPPED) != 0).sum() == 23 * 5
    assert result.events == []
    assert kernel.account().rejected == {}


def test_a_silent_device_fails_after_two_seconds_and_recovers_when_it_is_back() -> None:
    block = _imu(30.0)
    keep = (block.t_event_ns < T0 + 10 * SECOND) | (block.t_event_ns >= T0 + 20 * SECOND)
    run = _position(30, lambda t: np.full(len(t), 1.0))
    _, result = play(ATHLETE, [block.take(keep), run], (), FULL)
    assert _named(result, "device_failed") == [("d", "dropout")]
    assert _named(result, "device_recovered") == [("d", "dropout")]
    assert 11.9 < _at(result, "device_failed", "dropout") <= 12.2
    failed = next(e for e in result.events if e.type == "device_failed")
    assert (failed.context, failed.policy_class, failed.priority) == (("imu",), "device", "high")


def test_ten_devices_that_stop_together_are_one_gap_of_the_feed() -> None:
    roster = roster_of(*(Device(f"p{n}", Kind.LPS, f"a{n}", 20.0) for n in range(12)))
    t = np.arange(600) / 20
    seq, device = np.repeat(np.arange(600), 12), np.tile(np.arange(12), 600)
    t_ns = T0 + np.repeat((t * SECOND).astype(np.int64), 12) + device * 3 * MS
    block = block_of(Kind.LPS, device, seq, t_ns)
    away = (t_ns > T0 + 10 * SECOND) & (t_ns < T0 + 15 * SECOND) & (device < 10)
    _, result = play(roster, [block.take(~away)], [T0 + i * 700 * MS for i in range(40)])
    assert [e.type for e in result.events] == ["feed_gap", "feed_restored"]


def test_loss_battery_and_noise_degrade_a_device() -> None:
    rng = np.random.default_rng(3)
    block = _imu(120.0)
    lossy = (block.t_event_ns < T0 + 60 * SECOND) | (rng.random(len(block)) > 0.3)
    block.values[:3, 9000:] += rng.normal(0, 15.0, (3, 3000))
    t_ns = T0 + np.arange(120) * SECOND
    health = block_of(Kind.HEALTH, 3, np.arange(120), t_ns, {
        "batt_v": 4.0 - 0.005 * np.arange(120), "batt_pct": np.linspace(40, 10, 120),
        "rssi_dbm": np.full(120, -60.0),
    })
    _, result = play(ATHLETE, [block.take(lossy), health], (), FULL)
    degraded = {(e.subject_id, e.sub_type, e.context) for e in result.events}
    assert {("d", "dropout", ("imu",)), ("d", "battery", ("imu",)), ("d", "noise", ("imu",))} <= (
        degraded
    )
    assert 62 < _at(result, "device_degraded", "dropout") < 70
    rows = np.concatenate([h.values[:, h.device == 0] for h in result.health], axis=1)
    told = dict(zip(HEALTH_FEATURES, rows, strict=True))
    assert 0.2 < told["loss_ewma"][-1] < 0.4
    assert np.isclose(told["batt_slope_vph"][-1], -18.0, rtol=0.02)
    assert np.isclose(told["batt_pct"][-1], 10.0, atol=0.3)
    assert told["noise_ratio"][80] < 2 < 4 < told["noise_ratio"][-1]
    low = result.rows(Kind.IMU)
    assert (low.flags[-100:] & int(Flag.LOW_BATT)).all()
    assert not (low.flags[:100] & int(Flag.LOW_BATT)).any()


def test_the_gap_flag_stands_on_the_first_row_after_a_gap() -> None:
    block = _imu(3.0)
    keep = np.ones(300, bool)
    keep[[100, 101, 200]] = False
    _, result = play(ATHLETE, [block.take(keep)], (), FULL)
    rows = result.rows(Kind.IMU)
    assert rows.seq[np.flatnonzero(rows.flags & int(Flag.GAP_BEFORE))].tolist() == [102, 201]
    assert KINDS[Kind.IMU].index("load_au") == 10
