"""The reader of DEBS 2013 raw records, on files made from a simulated match (`debs_world`)."""

import numpy as np
import pytest

from actors.sources.recorded import open_recording
from actors.sources.recorded.debs import LENGTH_M, PUBLISHED, WIDTH_M
from models.analyses.suite import Suite
from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.errors import SchemaError
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.raw import RawBatch
from models.telemetry.reasons import Reason
from models.telemetry.roster import Role
from tests.unit import debs_world as world

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("debs")
    text, meta, _ = world.simulated()
    (root / "full-game").write_text(text)
    (root / "metadata.json").write_text(meta)
    return root


@pytest.fixture(scope="module")
def recording(folder):
    return open_recording(folder / "full-game")


def rows_of(recording, kind):
    (lane,) = (lane for lane in recording.lanes if lane.kind == kind)
    return lane.read(0, 2**62)


def test_raw_records_are_recognised_with_their_metadata_beside_them(recording):
    roster = recording.roster
    assert recording.format == "debs2013"
    assert (roster.pitch_length_m, roster.pitch_width_m) == (LENGTH_M, WIDTH_M) == (67.925, 52.483)
    roles = [subject.role for subject in roster.subjects]
    assert roles.count(Role.GOALKEEPER) == 2
    assert roles.count(Role.BALL) == 1
    feet = [d for d in roster.devices if d.kind == Kind.LPS and d.source_rank == 0]
    arms = [d for d in roster.devices if d.source_rank == 1]
    assert (len(feet), len(arms)) == (50, 4)
    assert {d.rate_hz for d in feet} == {200.0}
    assert recording.refusals == ()
    assert "not in the game" in recording.notes[0]


def test_places_are_a_quarter_turn_and_a_shift_of_the_data_sets(folder, recording):
    """Kick-off spot, goals and axes: x here is y there, and y here runs against x there."""
    first = np.loadtxt(folder / "full-game", delimiter=",", max_rows=400, dtype=np.int64)
    block = rows_of(recording, Kind.LPS)
    names = [device.device_id for device in recording.roster.devices]
    for line in first[:200]:
        if f"s{line[0]}" not in names:
            continue
        t_ns = int(line[1] - world.ZERO_PS) // 1000
        row = (block.device == names.index(f"s{line[0]}")) & (
            block.t_event_ns - recording.t_start_ns == t_ns - 200_000_000
        )
        x, y = block.values[:2, row][:, 0]
        assert x == pytest.approx(line[3] / 1000 - 0.0025, abs=1e-4)
        assert y == pytest.approx(26.2415 - line[2] / 1000, abs=1e-4)
    assert np.abs(block.values[0]).max() < 40
    assert np.abs(block.values[1]).max() < 32


def test_the_ball_in_the_game_is_the_one_inside_the_lines(recording):
    ball = rows_of(recording, Kind.BALL_POS)
    assert np.abs(ball.values[0]).max() < LENGTH_M / 2 + 1
    assert len(ball) == pytest.approx(5.6 * 2000, abs=5)
    assert (np.diff(ball.seq.astype(np.int64)) == 1).mean() > 0.99


def test_the_balls_acceleration_is_its_size_times_its_direction(recording, folder):
    acc = rows_of(recording, Kind.BALL_IMU)
    size = np.linalg.norm(acc.values[:3], axis=0)
    table = np.loadtxt(folder / "full-game", delimiter=",", dtype=np.int64)
    mine = table[table[:, 0] == world.BALL]
    np.testing.assert_allclose(size, mine[:, 6] / 1e6, rtol=2e-3, atol=2e-3)
    channel = KINDS[Kind.BALL_IMU].index("acc_x_mps2")
    expected = mine[:, 6] / 1e6 * mine[:, 11] / 10_000
    np.testing.assert_allclose(acc.values[channel], expected, rtol=1e-4, atol=1e-3)


def test_the_edge_takes_every_row(recording):
    """At 200 Hz a sensor and 2,000 Hz the ball: nothing is refused for its rate or bounds."""
    kernel = EdgeKernel(recording.roster, EdgeConfig())
    now = 0
    for cursor, blocks in recording.chunks(0, SECOND):
        now = recording.chunk_start_ns(cursor, SECOND) + SECOND
        kernel.handle(RawBatch("debs", cursor, now, blocks))
    kernel.finish(now + 60 * SECOND)
    account = kernel.account().to_dict()
    assert account["in"] == sum(recording.rows.values())
    assert set(account["rejected"]) <= {"not_truth_source"}


def test_analyses_run_over_it(recording):
    suite = Suite(recording.roster)
    running, possession = suite.running(), suite.possession()
    for _, blocks in recording.chunks(0, SECOND):
        samples = suite.merger.merge(blocks)
        running.handle(samples)
        possession.handle(samples)
    seen = set(running.table().column("subject").to_pylist())
    assert len(seen) == 25
    per_head = sum(running.table().column("time_s").to_pylist()) / 25
    assert per_head == pytest.approx(5.6, abs=0.4)


def test_without_metadata_the_published_sensors_are_taken(tmp_path):
    t = np.arange(0, 1, 0.005)
    text = [world.lines(sid, t, t * 2, t * 0, t * 0) for sid in (13, 14, 97, 47, 16, 105, 999)]
    text.append(world.lines(10, np.arange(0, 1, 0.0005), np.zeros(2000), np.zeros(2000),
                            np.zeros(2000)))
    table = np.concatenate(text)
    (tmp_path / "game.csv").write_text(
        "\n".join(",".join(map(str, row)) for row in table.tolist()) + "\n"
    )
    recording = open_recording(tmp_path / "game.csv")
    ids = [subject.subject_id for subject in recording.roster.subjects]
    assert ids == ["home_1", "home_2", "referee", "ball"]
    assert recording.roster.subjects[0].role == Role.GOALKEEPER
    (refused,) = recording.refusals
    assert (refused.reason, refused.rows) == (Reason.UNKNOWN_DEVICE, 200)
    assert len({s for one in PUBLISHED["players"] for s in one["feet"]}) == 32


@pytest.mark.parametrize(
    "text", ["4,10753295594424116,1,2,3,4,5,6,7,8,9,10,11\n4,1,x\n", ""], ids=["torn", "empty"],
)
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "game").write_text(text)
    with pytest.raises(SchemaError):
        open_recording(tmp_path / "game")


def test_metadata_that_names_no_sensors_is_refused(folder, tmp_path):
    (tmp_path / "full-game").write_text((folder / "full-game").read_text())
    (tmp_path / "metadata.json").write_text('{"balls": [4], "players": [{"feet": []}]}')
    with pytest.raises(SchemaError, match="sensors of a game"):
        open_recording(tmp_path / "full-game")
