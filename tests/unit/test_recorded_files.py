"""Canonical files, sessions, chunks, and everything that is not a recording."""

import gzip
import json
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sources.recorded import Recording, open_recording
from actors.sources.recorded.canonical import GroupLane
from actors.sources.recorded.recognise import label_of_head
from actors.sources.recorded.recording import MemoryLane
from models.errors import SchemaError
from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.decoded import count_refused
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason
from models.telemetry.roster import Device, Role, Roster, Subject

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def block(kind: Kind, n: int, step_ns: int = SECOND // 20, devices: int = 3) -> SampleBlock:
    device = (np.arange(n) % devices).astype(np.int32)
    t_ns = START + np.arange(n) * step_ns
    values = np.zeros((len(KINDS[kind].channels), n), np.float32)
    values[0] = np.arange(n)
    return SampleBlock(
        kind, device, np.zeros(n, np.uint32), (np.arange(n) // devices).astype(np.uint32),
        t_ns, t_ns + 7, np.zeros(n, np.uint32), values,
    )


def write(path: Path, one: SampleBlock, rows_per_group: int = 100) -> None:
    batch = to_arrow(one, [f"d{i}" for i in range(3)])
    pq.write_table(pa.Table.from_batches([batch]), path, row_group_size=rows_per_group)


def all_rows(recording: Recording, chunk_ns: int) -> dict[Kind, SampleBlock]:
    parts: dict[Kind, list[SampleBlock]] = {}
    for _, blocks in recording.chunks(0, chunk_ns):
        for kind, one in blocks.items():
            parts.setdefault(kind, []).append(one)
    return {kind: concat_blocks(some) for kind, some in parts.items()}


def same(one: SampleBlock, other: SampleBlock) -> None:
    for name in ("device", "boot", "seq", "t_event_ns", "t_ingest_ns", "flags", "values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(st.integers(1, 100), st.integers(1, 10**11), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_chunks_hold_every_row_once_however_they_are_cut(
    n: int, chunk_ns: int, restart: int
) -> None:
    one = block(Kind.LPS, n, step_ns=SECOND)
    chunk_ns = max(chunk_ns, SECOND // 4)
    recording = Recording("test", Roster("v", "m"), (MemoryLane(one),))
    same(all_rows(recording, chunk_ns)[Kind.LPS], one)
    from_start = list(recording.chunks(0, chunk_ns))
    resumed = list(recording.chunks(restart, chunk_ns))
    assert [c for c, _ in resumed] == [c for c, _ in from_start if c >= restart]
    for cursor, blocks in resumed:
        assert {k: len(b) for k, b in blocks.items()} == {
            k: len(b) for k, b in recording.chunk(cursor, chunk_ns).items()
        }


def test_a_silence_of_years_is_jumped() -> None:
    one = block(Kind.HEART, 4, step_ns=400 * 86_400 * SECOND)
    cursors = [c for c, _ in Recording("t", Roster("v", "m"), (MemoryLane(one),)).chunks(0, SECOND)]
    assert len(cursors) == 4
    assert cursors[1] == 400 * 86_400


def test_canonical_parquet_streams_row_group_by_row_group(tmp_path: Path) -> None:
    sent = {Kind.LPS: block(Kind.LPS, 1000), Kind.HEART: block(Kind.HEART, 50, SECOND)}
    for kind, one in sent.items():
        write(tmp_path / f"{kind}.parquet", one)
    recording = open_recording(tmp_path)
    assert all(isinstance(lane, GroupLane) for lane in recording.lanes)
    assert recording.rows == {Kind.LPS: 1000, Kind.HEART: 50}
    for kind, found in all_rows(recording, 3 * SECOND).items():
        ids = [recording.roster.devices[row].device_id for row in found.device]
        assert ids == [f"d{row}" for row in sent[kind].device]
        np.testing.assert_array_equal(found.values, sent[kind].values)
        np.testing.assert_array_equal(found.seq, sent[kind].seq)


def test_parquet_in_any_other_order_is_sorted(tmp_path: Path) -> None:
    sent = block(Kind.LPS, 1000)
    write(tmp_path / "x.parquet", sent.take(np.random.default_rng(1).permutation(1000)))
    recording = open_recording(tmp_path / "x.parquet")
    found = all_rows(recording, SECOND)[Kind.LPS]
    np.testing.assert_array_equal(found.t_ingest_ns, sent.t_ingest_ns)
    np.testing.assert_array_equal(found.values, sent.values)


@pytest.mark.parametrize("form", ["file", "stream", "gzip", "zip"])
def test_canonical_arrow_reads_from_every_wrapping(tmp_path: Path, form: str) -> None:
    sent = block(Kind.LPS, 60)
    batch = to_arrow(sent, ["d0", "d1", "d2"])
    sink = pa.BufferOutputStream()
    make = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    with make(sink, batch.schema) as writer:
        writer.write_batch(batch)
    payload = sink.getvalue().to_pybytes()
    path = tmp_path / "match.arrow"
    if form == "gzip":
        path = tmp_path / "match.arrow.gz"
        payload = gzip.compress(payload)
    path.write_bytes(payload)
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "match.zip", "w") as archive:
            archive.write(path, "match.arrow")
        path = tmp_path / "match.zip"
    same(all_rows(open_recording(path), SECOND)[Kind.LPS], sent)


@pytest.mark.parametrize("shuffled", [False, True])
def test_an_arrow_file_is_read_batch_by_batch_if_its_batches_are_in_order(
    tmp_path: Path, shuffled: bool
) -> None:
    sent = block(Kind.LPS, 1000)
    order = np.random.default_rng(2).permutation(1000) if shuffled else np.arange(1000)
    batch = to_arrow(sent.take(order), ["d0", "d1", "d2"])
    with pa.ipc.new_file(str(tmp_path / "match.arrow"), batch.schema) as writer:
        for at in range(0, 1000, 40):
            writer.write_batch(batch.slice(at, 40))
    recording = open_recording(tmp_path / "match.arrow")
    assert isinstance(recording.lanes[0], MemoryLane if shuffled else GroupLane)
    same(all_rows(recording, SECOND)[Kind.LPS], sent)


def test_what_has_been_read_is_not_held(tmp_path: Path) -> None:
    sent = block(Kind.LPS, 1000)
    batch = to_arrow(sent, ["d0", "d1", "d2"])
    with pa.ipc.new_file(str(tmp_path / "match.arrow"), batch.schema) as writer:
        for at in range(0, 1000, 40):
            writer.write_batch(batch.slice(at, 40))
    (lane,) = open_recording(tmp_path / "match.arrow").lanes
    assert isinstance(lane, GroupLane)
    span_ns = (lane.t_max_ns - lane.t_min_ns) // 200
    edges = [lane.t_min_ns + k * span_ns for k in range(202)]
    parts = []
    for from_ns, to_ns in pairwise(edges):
        parts.append(lane.read(from_ns, to_ns))
        assert len(lane._held) <= 2
    same(concat_blocks(parts), sent)
    # Whoever goes back finds it again.
    same(concat_blocks([lane.read(a, b) for a, b in pairwise(edges)]), sent)


def test_rows_that_are_held_do_not_change_with_their_file(tmp_path: Path) -> None:
    sent, path = block(Kind.LPS, 100), tmp_path / "match.arrow"
    batch = to_arrow(sent, ["d0", "d1", "d2"])
    with pa.ipc.new_file(str(path), batch.schema) as writer:
        writer.write_batch(batch)
    (lane,) = open_recording(path).lanes
    assert isinstance(lane, GroupLane)
    assert len(lane.read(lane.t_min_ns, lane.t_min_ns + 1)) == 1
    with path.open("r+b") as stream:
        stream.write(bytes(path.stat().st_size))
    same(lane.read(lane.t_min_ns, lane.t_max_ns + 1), sent)
    assert len(lane.read(lane.t_max_ns + 1, lane.t_max_ns + SECOND)) == 0


def test_a_roster_beside_the_files_counts_devices_that_it_does_not_know(tmp_path: Path) -> None:
    write(tmp_path / "lps.parquet", block(Kind.LPS, 90))
    roster = Roster(
        "v", "m", subjects=(Subject("a", Role.ATHLETE),),
        devices=tuple(Device(f"d{i}", Kind.LPS, "a", 20.0) for i in range(2)),
    )
    (tmp_path / "roster.json").write_text(roster.to_json())
    recording = open_recording(tmp_path)
    assert recording.roster == roster
    assert recording.rows == {Kind.LPS: 60}
    assert len(all_rows(recording, SECOND)[Kind.LPS]) == 60
    assert count_refused(recording.refusals) == {"unknown_device": 30}


def test_a_cut_file_among_good_ones_is_refused_and_the_others_read(tmp_path: Path) -> None:
    write(tmp_path / "lps.parquet", block(Kind.LPS, 90))
    write(tmp_path / "heart.parquet", block(Kind.HEART, 90))
    whole = (tmp_path / "heart.parquet").read_bytes()
    for end in (len(whole) - 1, len(whole) // 2, 9):
        (tmp_path / "heart.parquet").write_bytes(whole[:end])
        recording = open_recording(tmp_path)
        assert recording.rows == {Kind.LPS: 90}
    (tmp_path / "lps.parquet").unlink()
    with pytest.raises(SchemaError):
        open_recording(tmp_path)


def test_sessions_are_read_and_broken_ones_refused_with_the_decoders_reason(
    recordings: Path,
) -> None:
    recording = open_recording(recordings / "fit_hr1" / "raw")
    broken = [r for r in recording.refusals if r.reason is Reason.DECODER]
    assert [r.device_id for r in broken] == ["dtcooper__activity-settings-corruptheader.fit"]
    assert "FitHeaderError" in broken[0].detail
    assert recording.rows[Kind.HEART] == 36_359
    # Every fix is either a row or counted as beyond the bounds of a position.
    outside = count_refused(recording.refusals)["out_of_range"]
    assert recording.rows[Kind.GNSS] + outside == 27_460
    settings_only = [note for note in recording.notes if "no samples" in note]
    assert len(settings_only) > 5


def test_a_tcx_session_reads_from_gzip(tmp_path: Path) -> None:
    points = "".join(
        f"<Trackpoint><Time>2024-05-01T18:00:{i:02d}Z</Time><Position><LatitudeDegrees>51.5"
        f"</LatitudeDegrees><LongitudeDegrees>{i * 1e-5}</LongitudeDegrees></Position>"
        f"<HeartRateBpm><Value>{100 + i}</Value></HeartRateBpm><Extensions><TPX>"
        f"<Speed>2.5</Speed></TPX></Extensions></Trackpoint>" for i in range(10)
    )
    text = f'<?xml version="1.0"?><TrainingCenterDatabase xmlns="urn:x"><Track>{points}' \
        "</Track></TrainingCenterDatabase>"
    (tmp_path / "run.tcx.gz").write_bytes(gzip.compress(text.encode()))
    recording = open_recording(tmp_path / "run.tcx.gz")
    found = all_rows(recording, SECOND)
    assert found[Kind.HEART].values[0].tolist() == [100.0 + i for i in range(10)]
    gnss = found[Kind.GNSS]
    assert abs(gnss.values[0, -1] - 9 * 1e-5 * 111_320 * np.cos(np.radians(51.5))) < 0.05
    assert (gnss.values[2] == 2.5).all()
    (tmp_path / "cut.tcx").write_text(text[:-200])
    with pytest.raises(SchemaError, match="ParseError"):
        open_recording(tmp_path / "cut.tcx")


def test_hawk_eye_centroids_become_players(tmp_path: Path) -> None:
    people = [
        {"personId": {"heId": f"p{i}"}, "role": {"name": role},
         "centroid": [{"time": t / 50, "pos": [i, t]} for t in range(5)]}
        for i, role in enumerate(("Outfielder", "Goalkeeper", "Referee"))
    ]
    feed = {
        "details": {
            "teams": [{"id": {"heId": "t"}, "home": True}],
            "players": [{"id": {"heId": "p1"}, "teamId": {"heId": "t"}, "jerseyNumber": "1",
                         "role": {"name": "Goalkeeper"}}],
        },
        "sequences": {"segment": 2, "match-minute": 46},
        "segments": [{"segment": 2, "startTimeUTC": "2024-01-01T11:00:00.000Z"}],
        "samples": {"people": people},
    }
    (tmp_path / "f.json").write_text(json.dumps(feed))
    recording = open_recording(tmp_path / "f.json")
    assert recording.rows == {Kind.LPS: 15}
    assert recording.t_start_ns == 1_704_106_800 * SECOND
    roles = {s.subject_id: s.role for s in recording.roster.subjects}
    assert roles == {"p0": Role.ATHLETE, "p1": Role.GOALKEEPER, "p2": Role.OFFICIAL}


@pytest.mark.parametrize(
    "payload",
    [b"", b"\0", b"PAR1", b"ARROW1\0\0", b"{", b"[]", b"<", b"\x1f\x8b\x08", b"PK\x03\x04junk",
     b"1:0,1,2,3,4,0.0;", b"a,b\n1,2\n", b"\xff\xff\xff\xff\x10\0\0\0",
     b'{"frameIdx":1,"gameClock":',
     b"\x0e\x10\0\0\0\0\0\0.FIT", np.random.default_rng(5).bytes(10 << 20)],
    ids=range(15),
)
def test_what_is_no_recording_is_a_schema_error(tmp_path: Path, payload: bytes) -> None:
    (tmp_path / "file.bin").write_bytes(payload)
    for path in (tmp_path, tmp_path / "file.bin"):
        with pytest.raises(SchemaError):
            open_recording(path)


def test_a_path_that_is_not_there_and_an_empty_folder_are_schema_errors(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no file"):
        open_recording(tmp_path / "nothing")
    with pytest.raises(SchemaError, match="no files"):
        open_recording(tmp_path)


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_start_of_a_file_gets_a_label(head: bytes) -> None:
    assert isinstance(label_of_head(head), str)
