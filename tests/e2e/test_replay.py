"""Recordings through the whole system, as a user replays them."""

from collections.abc import Callable
from pathlib import Path

import pytest

LIMIT_S = 200
VENDORS = (
    "tracab_raw.dat", "epts_metrica_tracking.txt", "sportec_positional.xml",
    "skillcorner_v3_raw_data.jsonl", "second_spectrum_fake_data.jsonl.gz",
    "hawkeye_1_1.football.samples.ball.gz",
)


@pytest.mark.timeout(600)
def test_a_replay_is_byte_identical_with_one_worker_and_with_three(
    touchline: Callable[..., object], recordings: Path
) -> None:
    match = str(recordings / "soccer_tracab25")
    one = touchline("replay", match, "--workers", "1", "--no-nets", name="one").wait(LIMIT_S)
    three = touchline(
        "replay", match, "--workers", "3", "--no-nets", "--speed", "60", name="three"
    ).wait(LIMIT_S)
    assert (one.code, three.code) == (0, 0), one.output[-2000:] + three.output[-2000:]
    assert one.report["digest"] == three.report["digest"]
    assert one.report["samples"] == three.report["samples"]
    assert three.report["pool"]["max"] == 3
    assert one.report["conservation"]["holds"]
    assert one.report["events"]["pass"] > 20
    assert len([a for a in one.report["athletes"] if a["distance_m"] > 100]) >= 22


@pytest.mark.timeout(300)
def test_every_vendor_format_goes_through_the_whole_system(
    touchline: Callable[..., object], recordings: Path
) -> None:
    folder = recordings / "vendor_samples" / "kloppy"
    paths = [str(folder / name) for name in VENDORS]
    ended = touchline("replay", *paths, "--no-nets").wait(LIMIT_S)
    assert ended.code == 0, ended.output[-3000:]
    assert ended.report["conservation"]["holds"]
    assert ended.report["samples"]["in"] > 1_000
    assert ended.report["tiers"]["warm"]["rows"] > 0


@pytest.mark.timeout(300)
def test_broken_device_files_end_in_quarantine_and_the_rest_is_played(
    touchline: Callable[..., object], recordings: Path
) -> None:
    ended = touchline("replay", str(recordings / "fit_hr1" / "raw"), "--no-nets").wait(LIMIT_S)
    assert ended.code == 0, ended.output[-3000:]
    assert ended.report["samples"]["rejected"]["decoder"] >= 1
    assert ended.report["samples"]["forwarded"] > 10_000


@pytest.mark.timeout(120)
def test_a_file_of_random_bytes_is_refused_with_a_clear_reason(
    touchline: Callable[..., object], tmp_path: Path
) -> None:
    noise = tmp_path / "noise.parquet"
    noise.write_bytes(b"\x93\x17" * (5 << 20))
    ended = touchline("replay", str(noise)).wait(90)
    assert ended.code == 2
    assert "noise.parquet" in ended.output
    assert "Traceback" not in ended.output
