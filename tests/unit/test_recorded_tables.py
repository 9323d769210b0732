"""Tables by mapping: the real recordings, and mapping files."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.sources.recorded import Recording, open_recording, read_mapping
from actors.sources.recorded.counters import by_rate
from models.errors import SchemaError
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import Kind
from models.telemetry.roster import Role

SECOND = 1_000_000_000


def rows_of(recording: Recording, kind: Kind) -> SampleBlock:
    return concat_blocks(
        [blocks[kind] for _, blocks in recording.chunks(0, 10 * SECOND) if kind in blocks]
    )


def lost(block: SampleBlock) -> int:
    """Counts missing between the first and the last row of each (device, boot)."""
    key = block.device.astype(np.int64) << 32 | block.boot
    total = 0
    for one in np.unique(key):
        seq = block.seq[key == one].astype(np.int64)
        total += int(seq.max() - seq.min() + 1 - len(seq))
    return total


def test_the_lost_packets_of_body_imus_are_counted_exactly(recordings: Path) -> None:
    recording = open_recording(recordings / "gait_imu100")
    block, feet = rows_of(recording, Kind.IMU), rows_of(recording, Kind.BOOT)
    assert lost(block) + lost(feet) == 18_617
    assert len(block) + len(feet) + lost(block) + lost(feet) == 379_821
    assert len(np.unique(block.boot)) == 40
    assert len(recording.roster.subjects) == 7
    kinds = Counter((device.kind, device.side) for device in recording.roster.devices)
    assert kinds == {(Kind.IMU, ""): 7, (Kind.BOOT, "left"): 7, (Kind.BOOT, "right"): 7}
    assert 9 < np.median(np.linalg.norm(block.values[:3], axis=0)) < 11, "gravity is in m/s^2"
    for boot in (1, 7):
        mine = block.take((block.boot == boot) & (block.device == 0))
        steps = np.diff(mine.t_event_ns) / np.diff(mine.seq.astype(np.int64))
        np.testing.assert_allclose(steps, 1e7, atol=1)


def test_a_league_match_has_22_players_a_ball_with_height_and_its_own_pitch(
    recordings: Path,
) -> None:
    recording = open_recording(recordings / "soccer_tracab25")
    roster = recording.roster
    assert recording.rows == {Kind.LPS: 198_000, Kind.BALL_POS: 9_000}
    assert (roster.pitch_length_m, roster.pitch_width_m) == (104.9, 67.8)
    sides = [s.team for s in roster.subjects if s.role is Role.ATHLETE]
    assert (sides.count("home"), sides.count("away")) == (11, 11)
    assert {s.number for s in roster.subjects if s.team == "home"} == set(range(1, 12))
    ball, players = rows_of(recording, Kind.BALL_POS), rows_of(recording, Kind.LPS)
    assert float(np.nansum(ball.values[4])) == 5_892
    assert 14 < ball.values[2].max() < 15
    assert np.diff(ball.t_event_ns).tolist() == [40_000_000] * 8_999
    assert np.diff(ball.seq.astype(int)).tolist() == [1] * 8_999
    assert lost(players) == 0
    assert np.abs(players.values[0]).max() < 104.9 / 2 + 4
    assert np.abs(players.values[1]).max() < 67.8 / 2 + 4
    (period,) = roster.periods
    assert period.home_attacks == 1


def test_radio_belts_keep_their_staggered_clocks_and_show_their_drop_outs(
    recordings: Path,
) -> None:
    recording = open_recording(recordings / "soccer_zxy20")
    assert recording.rows == {Kind.LPS: 132_000}
    block = rows_of(recording, Kind.LPS)
    ids = [device.device_id for device in recording.roster.devices]
    assert len(ids) == 12
    assert len(np.unique(block.t_event_ns % 50_000_000)) > 1000
    one = block.take(block.device == ids.index("1"))
    gaps = np.diff(one.t_event_ns)
    steps = np.diff(one.seq.astype(np.int64))
    assert sorted(int(s) for s in steps if s > 100) == sorted(
        round(int(g) / 50_000_000) for g in gaps if g > 5 * SECOND
    )
    assert (gaps > 5 * SECOND).sum() == 5
    # A system-wide hole of 381 s is passed through, not jumped.
    cursors = [cursor for cursor, _ in recording.chunks(0, 10 * SECOND)]
    assert cursors == list(range(len(cursors)))
    assert np.abs(block.values[0]).max() < 55


def test_a_ball_feed_and_a_handball_feed_are_recognised_by_their_columns(recordings: Path) -> None:
    ball = open_recording(recordings / "vendor_samples" / "hawkeye_ball50.parquet")
    assert (ball.format, ball.rows) == ("hawkeye-ball", {Kind.BALL_POS: 5_888})
    assert set(rows_of(ball, Kind.BALL_POS).boot.tolist()) == {1, 2}
    court = open_recording(
        recordings / "vendor_samples" / "floodlight" / "kinexon_anonymized_data.csv"
    )
    assert (court.format, court.rows) == ("kinexon", {Kind.LPS: 5_727, Kind.BALL_POS: 772})
    assert court.roster.pitch_length_m == 40.0
    block = rows_of(court, Kind.LPS)
    assert np.abs(block.values[0]).max() < 22
    assert {s.team for s in court.roster.subjects} == {"home", "away", ""}


MAPPING = """
name = "mine"
kind = "lps"
device = ["sensor"]
rate_hz = 10.0
seq = "n"
time = {column = "when", unit = "s", start = "2024-05-01T18:00:00Z"}
team = {column = "who", pattern = "^(home|away)"}
[channels.lps]
pos_x_m = {column = "x cm", scale = 0.01, offset = -1}
pos_y_m = {column = "y cm", scale = 0.01}
"""
TABLE = "when;n;sensor;who;x cm;y cm\n0.1;7;a;home7;100;200\n0.2;9;a;home7;;\n0.05;0;b;away1;0;5\n"


def test_a_mapping_file_reads_a_foreign_csv(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)
    (tmp_path / "t.csv").write_text(TABLE)
    recording = open_recording(tmp_path / "t.csv", read_mapping(tmp_path / "m.toml"))
    block = rows_of(recording, Kind.LPS)
    ids = [recording.roster.devices[row].device_id for row in block.device]
    assert ids == ["b", "a"]
    assert block.seq.tolist() == [0, 7]
    np.testing.assert_allclose(block.values[:2], [[-1, 0], [0.05, 2]], atol=1e-6)
    assert block.t_event_ns.tolist() == [1_714_586_400_000_000_000, 1_714_586_400_050_000_000]
    assert [s.team for s in recording.roster.subjects] == ["home", "away"]
    assert recording.notes == ("1 rows without a value are absent",)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ('kind = "lps"', "soul"), ("rate_hz = 10.0", "rate_hz"),
        ('pos_y_m = {column = "y cm", scale = 0.01}', "needs"), ('unit = "s"', "time unit"),
        ("^(home|away)", "no group"), ("[channels.lps]", "mapping"),
    ],
)
def test_a_wrong_mapping_is_refused_with_what_is_wrong(
    tmp_path: Path, change: str, complaint: str
) -> None:
    swaps = {
        'kind = "lps"': 'kind = "soul"', "rate_hz = 10.0": "rate_hz = 0.0",
        'unit = "s"': 'unit = "fortnight"', "^(home|away)": "^home", "[channels.lps]": "[channels",
    }
    (tmp_path / "m.toml").write_text(MAPPING.replace(change, swaps.get(change, "")))
    with pytest.raises(SchemaError, match=complaint):
        read_mapping(tmp_path / "m.toml")


def test_a_mapping_that_misses_its_columns_names_them(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)
    (tmp_path / "t.csv").write_text("a;b\n1;2\n")
    with pytest.raises(SchemaError, match="x cm"):
        open_recording(tmp_path / "t.csv", read_mapping(tmp_path / "m.toml"))


def test_json_mappings_read_too(tmp_path: Path) -> None:
    raw = {
        "device": "d", "rate_hz": 1, "kind": "heart", "seq": "*",
        "time": {"column": "t", "unit": "ms", "epoch": True},
        "channels": {"heart": {"hr_bpm": "bpm"}},
    }
    (tmp_path / "m.json").write_text(json.dumps(raw))
    table = pa.table({"d": ["a", "a"], "t": [1_000, 9_000], "bpm": [60.0, 61.0]})
    pq.write_table(table, tmp_path / "t.parquet")
    recording = open_recording(tmp_path / "t.parquet", read_mapping(tmp_path / "m.json"))
    block = rows_of(recording, Kind.HEART)
    assert block.seq.tolist() == [0, 1]
    assert block.t_event_ns.tolist() == [SECOND, 9 * SECOND]


def test_unknown_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("left,right\n1,2\n")
    with pytest.raises(SchemaError, match=r"expected columns that are known.*left"):
        open_recording(tmp_path / "t.csv")


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400)), min_size=1, max_size=60))
def test_counters_by_rate_rise_by_device_and_show_gaps(rows: list[tuple[int, int]]) -> None:
    device = np.array([d for d, _ in rows], np.int64)
    t_ns = np.cumsum([ms for _, ms in rows]) * 1_000_000
    seq = by_rate(device, np.zeros(len(rows), np.int64), t_ns, 20.0)
    for one in np.unique(device):
        mine = device == one
        assert seq[mine][0] == 0
        steps = np.maximum(1, np.rint(np.diff(t_ns[mine]) / 5e7))
        np.testing.assert_array_equal(np.diff(seq[mine]), steps)
