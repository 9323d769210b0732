"""The simulated match: determinism, random access, believable play, faults as planned."""

import hashlib
import time

import numpy as np
import pytest

from models.simulator.match import Faults, MatchConfig, MatchSimulator, PlannedFault
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Role, Roster

GRAVITY = 9.80665


def fingerprint(blocks: dict[Kind, SampleBlock]) -> str:
    state = hashlib.sha256()
    for kind, block in blocks.items():
        state.update(kind.encode())
        for column in (
            block.device, block.boot, block.seq, block.t_event_ns, block.t_ingest_ns, block.flags,
            block.values,
        ):
            state.update(np.ascontiguousarray(column).tobytes())
    return state.hexdigest()


@pytest.fixture(scope="module")
def match() -> MatchSimulator:
    return MatchSimulator(MatchConfig(seed=3, duration_s=240))


@pytest.fixture(scope="module")
def clean() -> MatchSimulator:
    return MatchSimulator(MatchConfig(seed=8, duration_s=90, faults=Faults.none(), contact_rate=3))


@pytest.fixture(scope="module")
def clean_rows(clean: MatchSimulator) -> dict[Kind, SampleBlock]:
    return everything(clean)


def everything(simulator: MatchSimulator) -> dict[Kind, SampleBlock]:
    parts: dict[Kind, list[SampleBlock]] = {}
    for k in range(simulator.chunks):
        for kind, block in simulator.chunk(k).items():
            parts.setdefault(kind, []).append(block)
    return {kind: concat_blocks(blocks) for kind, blocks in parts.items()}


def rows_of(rows: SampleBlock, simulator: MatchSimulator, device_id: str) -> SampleBlock:
    wanted = [i for i, d in enumerate(simulator.roster.devices) if d.device_id == device_id]
    return rows.take(np.isin(rows.device, wanted))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    one, two, other = (
        MatchSimulator(MatchConfig(seed=seed, duration_s=12)) for seed in (5, 5, 6)
    )
    for k in range(one.chunks):
        assert fingerprint(one.chunk(k)) == fingerprint(two.chunk(k))
    assert fingerprint(one.chunk(4)) != fingerprint(other.chunk(4))


def test_a_chunk_does_not_depend_on_the_order_of_calls() -> None:
    config = MatchConfig(seed=11, duration_s=15)
    forward, shuffled = MatchSimulator(config), MatchSimulator(config)
    expected = [fingerprint(forward.chunk(k)) for k in range(15)]
    for k in (9, 2, 14, 2, 0, 8, 9, 1):
        assert fingerprint(shuffled.chunk(k)) == expected[k]


def test_chunks_are_in_arrival_order_and_hold_only_their_second(match: MatchSimulator) -> None:
    start = match.config.start_ns
    for k in (0, 1, 100, match.chunks - 2):
        for kind, block in match.chunk(k).items():
            assert (np.diff(block.t_ingest_ns) >= 0).all(), kind
            assert block.t_ingest_ns[0] >= start + k * 10**9
            assert block.t_ingest_ns[-1] < start + (k + 1) * 10**9
    with pytest.raises(IndexError):
        match.chunk(match.chunks)


def test_every_value_is_within_the_bounds_of_its_channel(match: MatchSimulator) -> None:
    seen = set()
    for k in range(0, match.chunks, 7):
        for kind, block in match.chunk(k).items():
            seen.add(kind)
            for channel, values in zip(KINDS[kind].channels, block.values, strict=True):
                known = values[np.isfinite(values)]
                assert channel.nullable or len(known) == len(values), channel
                assert ((known >= channel.low) & (known <= channel.high)).all(), channel
    assert seen >= {
        Kind.LPS, Kind.IMU, Kind.HEART, Kind.HEALTH, Kind.BALL_POS, Kind.BALL_IMU, Kind.GOAL_LINE,
        Kind.ANCHOR,
    }


def test_the_roster_names_22_players_3_officials_a_ball_and_survives_json() -> None:
    roster = MatchSimulator(MatchConfig(seed=1, duration_s=1)).roster
    roles = [subject.role for subject in roster.subjects]
    assert roles.count(Role.ATHLETE) == 20
    assert roles.count(Role.GOALKEEPER) == 2
    assert roles.count(Role.OFFICIAL) == 3
    assert roles.count(Role.BALL) == 1
    assert len({(d.device_id, d.kind) for d in roster.devices}) == len(roster.devices)
    assert {d.subject for d in roster.devices} <= {s.subject_id for s in roster.subjects}
    assert Roster.from_json(roster.to_json()) == roster


def test_without_faults_every_sample_arrives_once_with_consecutive_counters(
    clean_rows: dict[Kind, SampleBlock],
) -> None:
    for kind, hz in ((Kind.IMU, 100), (Kind.LPS, 20), (Kind.BALL_IMU, 500), (Kind.BALL_POS, 50)):
        rows = clean_rows[kind]
        for device in np.unique(rows.device):
            own = rows.take(rows.device == device)
            assert (own.seq == np.arange(90 * hz)).all(), (kind, device)
            assert (np.diff(own.t_event_ns) > 0).all()


def test_losses_duplicates_and_overtaking_are_there_at_their_rates(match: MatchSimulator) -> None:
    imu = concat_blocks([match.chunk(k)[Kind.IMU] for k in range(60, 120)])
    key = imu.device.astype(np.int64) << 32 | imu.seq
    unique = np.unique(key)
    doubled = len(key) / len(unique) - 1
    assert 0.003 < doubled < 0.008
    lost = 1 - len(unique) / (25 * 100 * 60)
    assert 0.0005 < lost < 0.012
    own = imu.take(imu.device == imu.device[0])
    assert (np.diff(own.seq.astype(np.int64)) < 0).any()
    assert (imu.t_ingest_ns - imu.t_event_ns).max() < 0.35e9


def test_players_run_like_players() -> None:
    truth = MatchSimulator(MatchConfig(seed=21, duration_s=900)).truth
    field = np.r_[1:11, 12:22]
    per_match = (truth.distance_m[-1] - truth.distance_m[0])[field] * 6
    assert 8_500 < per_match.mean() < 13_500
    steps = np.diff(truth.positions[:9000:1], axis=0)
    speed = np.hypot(steps[..., 0], steps[..., 1]) * 10
    assert speed.max() < 10.5
    assert 0.015 < (speed[:, field] > 5.5).mean() < 0.07
    sprints = truth.of("sprint")
    assert 15 < len(sprints) * 6 / 20 < 70
    assert all(e.values["peak_mps"] >= 7.0 for e in sprints)


def test_transitions_make_many_sprint_together() -> None:
    truth = MatchSimulator(MatchConfig(seed=22, duration_s=900)).truth
    starts = np.array([e.t_ns for e in truth.of("transition")])
    assert 3 <= len(starts) <= 25
    sprints = np.array([e.t_ns for e in truth.of("sprint")])
    near = [int(((sprints - s > 0) & (sprints - s < 4e9)).sum()) for s in starts]
    assert np.median(near) >= 3


def test_the_ball_is_passed_and_shot_at_believable_rates() -> None:
    truth = MatchSimulator(MatchConfig(seed=23, duration_s=1200)).truth
    passes = truth.of("pass")
    assert 250 < len(passes) / 20 * 45 < 600
    assert 0.5 < np.mean([p.sub_type == "complete" for p in passes]) < 0.9
    assert 3 <= len(truth.of("shot")) <= 30
    assert all(12 < s.values["speed_mps"] < 36 for s in truth.of("shot"))
    assert len(truth.of("ball_out")) > 3


def test_motion_has_gravity_steps_and_contacts(
    clean: MatchSimulator, clean_rows: dict[Kind, SampleBlock]
) -> None:
    imu = clean_rows[Kind.IMU]
    collision = clean.truth.of("collision")[0]
    own = rows_of(imu, clean, f"tag-{collision.subject_id}")
    size = np.sqrt((own.values[:3] ** 2).sum(0)) / GRAVITY
    assert abs(np.median(size) - 1.0) < 0.25
    near = np.abs(own.t_event_ns - collision.t_ns) < 0.2e9
    assert size[near].max() > 4.5


def test_a_jump_has_free_fall_and_a_landing(
    clean: MatchSimulator, clean_rows: dict[Kind, SampleBlock]
) -> None:
    jump = next(e for e in clean.truth.of("jump") if e.values["duration_s"] > 0.35)
    own = rows_of(clean_rows[Kind.IMU], clean, f"tag-{jump.subject_id}")
    size = np.sqrt((own.values[:3] ** 2).sum(0)) / GRAVITY
    air = (own.t_event_ns > jump.t_ns + 0.03e9) & (own.t_event_ns < jump.t_end_ns - 0.03e9)
    assert size[air].max() < 0.6
    land = (own.t_event_ns >= jump.t_end_ns) & (own.t_event_ns < jump.t_end_ns + 0.1e9)
    assert size[land].max() > 2.0


def test_running_gives_about_ten_units_of_player_load_a_minute(
    clean: MatchSimulator, clean_rows: dict[Kind, SampleBlock]
) -> None:
    imu = clean_rows[Kind.IMU]
    loads = []
    for device in np.unique(imu.device)[1:11]:
        acc = imu.values[:3, imu.device == device] / GRAVITY
        loads.append(np.sqrt((np.diff(acc, axis=1) ** 2).sum(0)).sum() / 100 / 1.5)
    assert 5 < np.mean(loads) < 20


def test_kicks_are_pulses_that_clip_when_hard(
    clean: MatchSimulator, clean_rows: dict[Kind, SampleBlock]
) -> None:
    ball = clean_rows[Kind.BALL_IMU]
    size = np.sqrt((ball.values[:3] ** 2).sum(0))
    for kick in clean.truth.of("kick"):
        near = np.abs(ball.t_event_ns - kick.t_ns - 5_000_000) < 8_000_000
        assert size[near].max() > 90 * kick.values["dv_mps"] * 0.5, kick
    hard = [k for k in clean.truth.of("kick") if k.values["dv_mps"] > 15]
    near = np.abs(ball.t_event_ns - hard[0].t_ns - 5_000_000) < 8_000_000
    assert ball.values[6, near].max() == 1.0
    assert ball.values[6].mean() < 0.01


def test_positions_match_the_truth_within_the_noise(
    clean: MatchSimulator, clean_rows: dict[Kind, SampleBlock]
) -> None:
    lps = clean_rows[Kind.LPS]
    own = lps.take(lps.device == lps.device.min())
    t = (own.t_event_ns - clean.config.start_ns) / 1e9
    grid = np.arange(len(clean.truth.positions)) / 10
    for axis in range(2):
        error = own.values[axis] - np.interp(t, grid, clean.truth.positions[:, 0, axis])
        assert 0.03 < error.std() < 0.15


def test_heart_rates_are_those_of_a_match(clean_rows: dict[Kind, SampleBlock]) -> None:
    heart = clean_rows[Kind.HEART]
    late = heart.values[0, heart.t_event_ns > heart.t_event_ns[0] + 60e9]
    assert 100 < late.mean() < 180


def test_the_standard_faults_happen_when_planned() -> None:
    simulator = MatchSimulator(MatchConfig(seed=31, duration_s=500))
    by_fault = {fault.fault: fault for fault in simulator.truth.faults}
    assert set(by_fault) == {"stuck", "battery", "clock", "dropout", "hiccup"}
    start = simulator.config.start_ns

    def at(fault: str, kind: Kind, second: int) -> SampleBlock:
        rows = simulator.chunk(second).get(kind)
        assert rows is not None
        return rows_of(rows, simulator, by_fault[fault].device_id)

    stuck = [at("stuck", Kind.HEART, s).values[0] for s in range(200, 260)]
    assert len(np.unique(np.concatenate(stuck))) == 1
    alive = [at("stuck", Kind.HEART, s).values[0] for s in range(60)]
    assert len(np.unique(np.concatenate(alive))) > 5
    assert len(at("battery", Kind.IMU, 200)) > 90
    assert 40 < len(at("battery", Kind.IMU, 370)) < 60
    again = at("battery", Kind.IMU, 410)
    assert set(again.boot) == {2}
    assert len(at("battery", Kind.IMU, 430)) == 0
    volts = [float(at("battery", Kind.HEALTH, s).values[0, 0]) for s in (230, 300, 400)]
    assert volts[0] > volts[1] > volts[2]
    before, after = at("clock", Kind.IMU, 140), at("clock", Kind.IMU, 160)
    step = np.median(after.t_ingest_ns - after.t_event_ns) - np.median(
        before.t_ingest_ns - before.t_event_ns
    )
    assert step == pytest.approx(0.6e9, abs=0.03e9)
    assert len(at("dropout", Kind.IMU, 470)) == 0
    assert by_fault["dropout"].failed_ns == start + 450 * 10**9
    silent = simulator.chunk(420)
    assert all(block.t_ingest_ns[0] >= start + 421.5e9 for block in simulator.chunk(421).values())
    assert all(block.t_ingest_ns[-1] < start + 420e9 for block in silent.values() if len(block))


def test_counters_of_a_dying_device_stay_consecutive_within_a_boot() -> None:
    plan = (PlannedFault("battery", 4, 5.0, 20.0),)
    faults = Faults(**{**clean_settings(), "extra": plan})
    simulator = MatchSimulator(MatchConfig(seed=2, duration_s=30, faults=faults))
    rows = everything(simulator)[Kind.IMU]
    own = rows_of(rows, simulator, simulator.truth.faults[0].device_id)
    for boot in (1, 2):
        seq = own.seq[own.boot == boot]
        assert (seq == np.arange(len(seq))).all()
    assert own.t_event_ns.max() < simulator.config.start_ns + 25.1e9


def clean_settings() -> dict[str, float]:
    none = Faults.none()
    return {name: getattr(none, name) for name in Faults.__dataclass_fields__}


def test_planned_noise_spikes_and_saturation_grow() -> None:
    plan = tuple(
        PlannedFault(name, agent, 10.0, 20.0)
        for agent, name in enumerate(("noise", "spikes", "saturation"), start=3)
    )
    faults = Faults(**{**clean_settings(), "extra": plan})
    simulator = MatchSimulator(MatchConfig(seed=4, duration_s=40, faults=faults))
    for fault in simulator.truth.faults:
        early, late = (
            rows_of(simulator.chunk(s)[Kind.IMU], simulator, fault.device_id).values[:3]
            for s in (5, 35)
        )
        assert np.abs(np.diff(late)).max() > 2 * np.abs(np.diff(early)).max(), fault.fault


def test_rates_up_to_1000_hz_and_a_ten_minute_match_are_cheap() -> None:
    begun = time.perf_counter()
    MatchSimulator(MatchConfig(seed=1, duration_s=600))
    assert time.perf_counter() - begun < 6
    fast = MatchSimulator(MatchConfig(seed=1, duration_s=4, imu_hz=1000))
    begun = time.perf_counter()
    rows = sum(len(block) for k in range(4) for block in fast.chunk(k).values())
    assert rows > 95_000
    assert rows / (time.perf_counter() - begun) > 200_000


def test_a_long_match_has_two_halves_and_changes_ends() -> None:
    simulator = MatchSimulator(MatchConfig(seed=5, duration_s=3000))
    first, second = simulator.roster.periods
    assert (first.home_attacks, second.home_attacks) == (1, -1)
    keeper = simulator.truth.positions[:, 0, 0]
    assert keeper[5000] < -20
    assert keeper[25000] > 20
