"""The twins on real recordings: speed against the vendor's, possession and passes against
annotation."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.flows.kernel import FlowKernel
from models.telemetry.kinds import Kind
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Device, Role, Roster, Subject
from tests.unit.flow_world import TICK_NS, of_type, rows

ZERO_NS = 10**18
FRAME_NS = 40_000_000


def columns(path):
    table = pq.read_table(path)
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.schema.names}


def stacked(kind, blocks):
    """Rows of several devices as one block in device order."""
    parts = [
        np.concatenate([getattr(b, name) for b in blocks])
        for name in ("device", "boot", "seq", "t_event_ns", "t_ingest_ns", "flags")
    ]
    return type(blocks[0])(kind, *parts, np.concatenate([b.values for b in blocks], axis=1))


def effects_of(roster, blocks):
    first = min(int(b.t_event_ns.min()) for b in blocks.values()) // TICK_NS * TICK_NS
    last = max(int(b.t_event_ns.max()) for b in blocks.values()) // TICK_NS * TICK_NS + TICK_NS
    record = TelemetryRecord("v", "m", 0, first, last, blocks, final=True)
    return FlowKernel(roster).handle([record], np.arange(len(roster.subjects), dtype=np.int32))


def test_live_speed_agrees_with_the_vendor_within_a_tenth_of_a_metre_per_second(recordings):
    data = columns(recordings / "soccer_zxy20" / "tracking.parquet")
    t_ns = (data["ts_ms"] * 1e6).astype(np.int64)
    names = sorted(set(data["id"].tolist()))
    blocks, vendor = [], {}
    for row, name in enumerate(names):
        mine = np.flatnonzero(data["id"] == name)
        mine = mine[np.argsort(t_ns[mine], kind="stable")]
        vendor[row] = t_ns[mine], data["speed"][mine]
        x, y = data["x"][mine] - 52.5, data["y"][mine] - 34.0
        blocks.append(rows(Kind.LPS, row, t_ns[mine], pos_x_m=x, pos_y_m=y))
    roster = Roster(
        "v", "m", subjects=tuple(Subject(n, Role.ATHLETE, "home") for n in names),
        devices=tuple(Device(f"belt-{n}", Kind.LPS, n, 20.0) for n in names),
    )
    states = next(s for s in effects_of(roster, {Kind.LPS: stacked(Kind.LPS, blocks)}).states)
    off = []
    for row, (when, speed) in vendor.items():
        mine = (states.subject == row) & (states.columns["age_ms"] <= 50.0)
        seen = states.t_ns[mine] - (states.columns["age_ms"][mine] * 1e6).astype(np.int64)
        nearest = np.clip(np.searchsorted(when, seen - 1000), 0, len(when) - 1)
        off.append(states.columns["speed_mps"][mine] - speed[nearest])
    error = np.concatenate(off)
    assert len(error) > 20_000
    assert np.sqrt(np.mean(error**2)) < 0.10


@pytest.fixture(scope="module")
def league(recordings):
    """(effects, frame states, annotated events) of the six minutes with 22 players and ball."""
    folder = recordings / "soccer_tracab25"
    data, frames = columns(folder / "tracking.parquet"), columns(folder / "frame_state.parquet")
    people = sorted(set(data["entity"].tolist()) - {"ball"})
    t_ns = ZERO_NS + data["ts_ms"].astype(np.int64) * 1_000_000
    tracks = []
    for row, name in enumerate(people):
        mine = data["entity"] == name
        x, y = data["x"][mine], data["y"][mine]
        tracks.append(rows(Kind.LPS, row, t_ns[mine], pos_x_m=x, pos_y_m=y))
    ball = data["entity"] == "ball"
    fixes = rows(
        Kind.BALL_POS, len(people), t_ns[ball], pos_x_m=data["x"][ball], pos_y_m=data["y"][ball],
        pos_z_m=data["z"][ball], in_play=frames["ball_status"] == "alive",
    )
    roster = Roster(
        "v", "m", pitch_length_m=104.9, pitch_width_m=67.8,
        subjects=(*(Subject(n, Role.ATHLETE, n[:4]) for n in people), Subject("ball", Role.BALL)),
        devices=(
            *(Device(f"cam-{n}", Kind.LPS, n, 25.0) for n in people),
            Device("cam-ball", Kind.BALL_POS, "ball", 25.0),
        ),
    )
    effects = effects_of(roster, {Kind.LPS: stacked(Kind.LPS, tracks), Kind.BALL_POS: fixes})
    return effects, frames, columns(folder / "events_opta.parquet")


def test_possession_agrees_with_the_annotation_in_88_of_100_live_frames(league):
    effects, frames, _ = league
    gains = of_type(effects, "possession_gain")
    since = np.array([event.t_event_ns for event in gains])
    teams = np.array([event.team for event in gains] + ["none"])
    when = ZERO_NS + np.arange(len(frames["frame"])) * FRAME_NS
    ours = teams[np.searchsorted(since, when, "right") - 1]
    alive = frames["ball_status"] == "alive"
    assert np.mean((ours == frames["team_possession"])[alive]) > 0.88


def test_seven_of_ten_annotated_passes_are_found_after_estimating_the_clock_offset(league):
    effects, _, annotated = league
    is_pass = annotated["databallpy_event"] == "pass"
    raw_ms = annotated["ts_ms_raw"][is_pass]
    team = np.where(annotated["team_id"][is_pass] == "T-3f505904", "home", "away")
    ours = of_type(effects, "pass")
    found_ms = np.array([(event.t_event_ns - ZERO_NS) / 1e6 for event in ours])
    found_team = np.array([event.team for event in ours])

    def matched(offset_ms):
        free, count = np.ones(len(ours), bool), 0
        for t_ms, side in zip(raw_ms + offset_ms, team, strict=True):
            near = np.where(free & (found_team == side), np.abs(found_ms - t_ms), np.inf)
            if near.min() < 1500:
                free[near.argmin()] = False
                count += 1
        return count

    offsets = np.arange(-6000, 6001, 200)
    best = max(offsets, key=matched)
    inside = np.sum((raw_ms + best >= 0) & (raw_ms + best < 360_000))
    assert matched(best) / inside > 0.70
    assert matched(best) / len(ours) > 0.70
