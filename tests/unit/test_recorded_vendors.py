"""Vendors' tracking formats: one canonical frame from every feed. Real samples."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from actors.sources.recorded import Recording, open_recording
from models.errors import SchemaError
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Role

SECOND = 1_000_000_000
SAMPLES = [
    # file, format, position rows, ball rows, subjects of the two periods' playing directions
    ("tracab_raw.dat", "tracab", 154, 7, (-1, 1)),
    ("tracab_raw.json", "tracab", 154, 7, (-1, 1)),
    ("epts_metrica_tracking.txt", "epts", 1900, 100, (1, -1)),
    ("metrica_home.csv", "metrica", 132, 3, (1, -1)),
    ("sportec_positional.xml", "sportec", 285, 202, (1, -1)),
    ("skillcorner_v3_raw_data.jsonl", "skillcorner", 132, 6, (-1, 1)),
    ("second_spectrum_fake_data.jsonl.gz", "secondspectrum", 8272, 376, (-1, 1)),
    ("second_spectrum_fake_data_utf8sig.jsonl", "secondspectrum", 286, 13, (-1,)),
    ("statsperform_tracking_ma25.txt", "statsperform", 2024, 92, (-1, 1)),
    ("signality_p1_raw_data_subset.json", "signality", 110, 3, (1,)),
    ("pff_10517.jsonl.gz", "pff", 4377, 148, (1, -1, 1, -1)),
    ("pff_3812.jsonl.gz", "pff", 2178, 50, (-1, 1)),
]


@pytest.fixture(scope="module")
def folder(recordings: Path) -> Path:
    return recordings / "vendor_samples" / "kloppy"


def rows_of(recording: Recording, chunk_ns: int = 60 * SECOND) -> dict[Kind, SampleBlock]:
    parts: dict[Kind, list[SampleBlock]] = {}
    for _, blocks in recording.chunks(0, chunk_ns):
        for kind, block in blocks.items():
            parts.setdefault(kind, []).append(block)
    return {kind: concat_blocks(some) for kind, some in parts.items()}


@pytest.mark.parametrize(
    ("file", "name", "positions", "ball", "directions"), SAMPLES, ids=[s[0] for s in SAMPLES]
)
def test_a_vendor_sample_reads_into_the_canonical_frame(
    folder: Path, file: str, name: str, positions: int, ball: int, directions: tuple[int, ...]
) -> None:
    recording = open_recording(folder / file)
    roster = recording.roster
    assert recording.format == name
    assert recording.rows == {Kind.LPS: positions, Kind.BALL_POS: ball}
    assert tuple(p.home_attacks for p in roster.periods) == directions
    found = rows_of(recording)
    for kind, block in found.items():
        assert len(block) == recording.rows[kind]
        x, y = np.abs(block.values[:2])
        # Players and ball leave the field of play by some metres, not by more.
        assert x.max() <= roster.pitch_length_m / 2 + 6
        assert y.max() <= roster.pitch_width_m / 2 + 6
        assert (np.diff(block.t_event_ns) >= 0).all()
        assert (block.t_ingest_ns == block.t_event_ns).all()
        assert not np.isnan(block.values[:2]).any()
        keys = np.stack([block.device, block.boot, block.seq])
        assert np.unique(keys, axis=1).shape[1] == len(block), "a counter stands twice"
    assert x.max() > 3, "coordinates are metres, not shares of the pitch"
    teams = {s.team for s in roster.subjects if s.role is not Role.BALL}
    assert teams == {"home", "away"}
    assert [s.subject_id for s in roster.subjects if s.role is Role.BALL] == ["ball"]


def test_our_rows_and_directions_agree_with_kloppys_own_flip(folder: Path) -> None:
    from kloppy import tracab

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = tracab.load(
            meta_data=folder / "tracab_meta.json", raw_data=folder / "tracab_raw.dat",
            coordinates="secondspectrum",
        ).transform(to_orientation="STATIC_HOME_AWAY")
    theirs = sorted(
        (frame.frame_id, player.player_id, round(c.x, 3), round(c.y, 3))
        for frame in dataset.frames for player, c in frame.players_coordinates.items() if c
    )
    recording = open_recording(
        folder / "tracab_raw.dat", meta=[folder / "tracab_meta.json"]
    )
    block = rows_of(recording)[Kind.LPS]
    first, second = recording.roster.periods
    attacks = {1: first.home_attacks, 2: second.home_attacks}
    sign = np.array([attacks[int(boot)] for boot in block.boot])
    flipped = block.values[:2] * sign
    ours = sorted(
        (int(seq), recording.roster.devices[device].subject, round(float(x), 3), round(float(y), 3))
        for seq, device, x, y in zip(block.seq, block.device, *flipped, strict=True)
    )
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    np.testing.assert_allclose([r[2:] for r in ours], [r[2:] for r in theirs], atol=2e-3)
    np.testing.assert_array_equal(flipped * sign, block.values[:2])


def test_hawk_eye_keeps_every_sample_of_the_ball(folder: Path) -> None:
    recording = open_recording(folder / "hawkeye_1_1.football.samples.ball.gz")
    assert recording.rows == {Kind.BALL_POS: 2969}
    assert (recording.roster.pitch_length_m, recording.roster.pitch_width_m) == (104.0, 67.0)
    block = rows_of(recording)[Kind.BALL_POS]
    assert abs(np.median(np.diff(block.t_event_ns)) - 20_000_000) < 10_000
    assert set(np.unique(block.values[KINDS[Kind.BALL_POS].index("in_play")])) <= {0.0, 1.0}
    second = open_recording(folder / "hawkeye_2_46.football.samples.ball.gz")
    assert set(rows_of(second)[Kind.BALL_POS].boot.tolist()) == {2}


def test_a_folder_of_one_recording_is_read_with_its_metadata(folder: Path, tmp_path: Path) -> None:
    for file in ("signality_meta_data.json", "signality_p1_raw_data_subset.json",
                 "signality_p2_raw_data_subset.json", "signality_venue_information.json"):
        shutil.copy(folder / file, tmp_path / file)
    recording = open_recording(tmp_path)
    assert recording.rows == {Kind.LPS: 215, Kind.BALL_POS: 7}
    assert [p.name for p in recording.roster.periods] == ["first_half", "second_half"]


def test_a_folder_of_several_recordings_asks_for_one(folder: Path) -> None:
    with pytest.raises(SchemaError, match="several recordings"):
        open_recording(folder)


def test_missing_metadata_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "tracab_raw.dat", tmp_path / "match.dat")
    with pytest.raises(SchemaError, match="expected TRACAB metadata"):
        open_recording(tmp_path / "match.dat")


def test_metadata_given_for_samples_says_to_name_the_samples(folder: Path) -> None:
    with pytest.raises(SchemaError, match="name the file with the samples"):
        open_recording(folder / "sportec_meta.xml")


def test_a_cut_vendor_file_is_a_schema_error_with_the_decoders_reason(
    folder: Path, tmp_path: Path
) -> None:
    whole = (folder / "sportec_positional.xml").read_bytes()
    (tmp_path / "cut.xml").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SchemaError, match=r"decoder: .*XMLSyntaxError"):
        open_recording(tmp_path / "cut.xml", meta=[folder / "sportec_meta.xml"])
