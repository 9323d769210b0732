"""The twins on real recordings: speed against the vendor's, possession and passes against
annotation."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.flows.kernel import FlowKernel
from models.signal.alignment import Marks, estimate_offset, match_marks
from models.telemetry.kinds import Kind
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Device, Role, Roster, Subject
from tests.unit.flow_world import TICK_NS, of_type, rows

ZERO_NS = 10**18
FRAME_NS = 40_000_000
HOME_ID = "T-3f505904"


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


def test_possession_agrees_with_the_annotation_in_94_of_100_live_frames(league):
    effects, frames, _ = league
    gains = of_type(effects, "possession_gain")
    since = np.array([event.t_event_ns for event in gains])
    teams = np.array([event.team for event in gains] + ["none"])
    when = ZERO_NS + np.arange(len(frames["frame"])) * FRAME_NS
    ours = teams[np.searchsorted(since, when, "right") - 1]
    alive = frames["ball_status"] == "alive"
    assert np.mean((ours == frames["team_possession"])[alive]) > 0.94


def annotated_marks(annotated, rows):
    t_ns = ZERO_NS + np.rint(annotated["ts_ms_raw"][rows] * 1e6).astype(np.int64)
    home = annotated["team_id"][rows] == HOME_ID
    places = np.stack([annotated["start_x"][rows], annotated["start_y"][rows]], axis=1)
    return Marks(t_ns, home.astype(np.int64), places.astype(np.float64))


def marks_of(events):
    return Marks(
        np.array([e.t_event_ns for e in events], np.int64),
        np.array([e.team == "home" for e in events]).astype(np.int64),
        np.array([(e.x_m, e.y_m) for e in events]),
    )


@pytest.fixture(scope="module")
def clocks(league):
    """(our passes, the annotated ones, the estimated offset of the annotators' clock)."""
    effects, _, annotated = league
    ours = marks_of(of_type(effects, "pass"))
    theirs = annotated_marks(annotated, annotated["databallpy_event"] == "pass")
    return ours, theirs, estimate_offset(ours, theirs)


def test_the_annotators_clock_is_two_and_a_half_seconds_ahead_whatever_it_is_told_by(clocks):
    ours, theirs, found = clocks
    assert found.offset_ns * 1e-9 == pytest.approx(-2.59, abs=0.1)
    assert found.confidence > 0.2
    blind = [replace(m, xy_m=np.full_like(m.xy_m, np.nan)) for m in (ours, theirs)]
    for spread_ns in (300_000_000, 800_000_000):
        again = estimate_offset(*blind, spread_ns=spread_ns)
        assert abs(again.offset_ns - found.offset_ns) < 100_000_000


def test_passes_agree_with_the_annotated_ones_at_that_offset(clocks):
    """Recall and precision over 0.80, within 1.5 s and of the same team, each pass used once."""
    ours, theirs, found = clocks
    t_ns = theirs.t_ns + found.offset_ns - ZERO_NS
    inside = int(((t_ns >= 0) & (t_ns < 360_000_000_000)).sum())
    matched = len(match_marks(ours, theirs, found.offset_ns, 1_500_000_000)[0])
    assert matched / inside > 0.80
    assert matched / len(ours) > 0.80


RESTARTS = ("kick_off", "throw_in", "corner", "goal_kick", "free_kick", "penalty")


def test_every_restart_of_the_recording_is_found_and_is_what_was_annotated(league, clocks):
    """Ten restarts: what the annotators call the first pass after an out, a foul or a miss."""
    effects, _, annotated = league
    ours = [event for event in effects.events if event.type in RESTARTS]
    expected = (
        "kick_off", "throw_in", "free_kick", "goal_kick", "throw_in", "throw_in", "throw_in",
        "throw_in", "free_kick", "throw_in",
    )
    assert tuple(event.type for event in ours) == expected
    passes = np.flatnonzero(annotated["databallpy_event"] == "pass")
    t_ns = annotated_marks(annotated, passes).t_ns + clocks[2].offset_ns
    takers = []
    for event in ours:
        first = passes[np.abs(t_ns - event.t_event_ns).argmin()]
        takers.append(annotated["player_name"][first] == event.subject_id)
    assert sum(takers) >= 8


def test_the_ball_is_out_where_play_dies_but_for_the_fouls(league):
    """Alive turns to dead nine times: seven outs, each within half a second, and two fouls."""
    effects, frames, _ = league
    alive = frames["ball_status"] == "alive"
    died = ZERO_NS + (np.flatnonzero(alive[:-1] & ~alive[1:]) + 1) * FRAME_NS
    outs = np.array([event.t_event_ns for event in of_type(effects, "ball_out")])
    near = np.abs(outs[:, None] - died[None, :]).min(axis=0) < 500_000_000
    assert (len(died), len(outs), int(near.sum())) == (9, 7, 7)
