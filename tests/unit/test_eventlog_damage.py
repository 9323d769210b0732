"""Damaged segment files: nothing wrong is ever returned, what is lost is told exactly."""

import logging
import random
import shutil
from pathlib import Path

import pytest

from cluster.eventlog.port import Record
from cluster.eventlog.sqlite import SqliteLog
from cluster.eventlog.sqlite_pages import SMALL_BYTES as PAGE_BYTES
from models.errors import LogError
from tests.e2e.faults_record import note
from tests.unit.eventlog_conformance import TOPIC, fill, read_all, record

SEGMENT_BYTES = 16_384
RECORDS = 36
RECORD_BYTES = 1500


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A log of several closed segments, all of it in the database files."""
    root = tmp_path / "whole"
    log = SqliteLog(root, SEGMENT_BYTES)
    fill(log, RECORDS, RECORD_BYTES)
    log.close()
    assert not list(root.rglob("*-wal"))
    return root


def segments(root: Path) -> list[Path]:
    return sorted(root.glob("*/seg-*.db"))


def ranges(root: Path, records: int = RECORDS) -> list[tuple[int, int]]:
    begins = [int(path.stem.removeprefix("seg-")) for path in segments(root)]
    return list(zip(begins, [*begins[1:], records], strict=True))


def check(root: Path, records: int = RECORDS, size: int = RECORD_BYTES) -> set[int]:
    """The damaged offsets, after checking that all others come back as they were written."""
    log = SqliteLog(root, SEGMENT_BYTES)
    found, offset = {}, 0
    while batch := log.read(TOPIC, offset):
        found.update({stored.offset: stored.record for stored in batch})
        offset = batch[-1].offset + 1
    info = log.describe(TOPIC)
    log.close()
    damaged = {at for low, high in info.damaged for at in range(low, high)}
    assert all(found[at] == record(at, size=size) for at in found)
    assert set(found) | damaged == set(range(records))
    assert not set(found) & damaged
    assert log.skipped.total() == len(damaged)
    return damaged


@pytest.mark.parametrize("part", range(4))
def test_a_flipped_bit_anywhere_in_an_older_segment_is_skipped_exactly(
    whole: Path, tmp_path: Path, part: int
) -> None:
    (_, victim, *_), (_, hit, *_) = segments(whole), ranges(whole)
    content = victim.read_bytes()
    rng = random.Random(part)
    places = range(rng.randrange(211), len(content), 211)
    first = [*range(part * 25, part * 25 + 25)]  # The file header, byte by byte.
    lost = 0
    for run, place in enumerate([*first, *places[part::4]]):
        root = tmp_path / f"run-{run}"
        shutil.copytree(whole, root)
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        (root / victim.relative_to(whole)).write_bytes(flipped)
        damaged = check(root)
        assert damaged <= set(range(*hit)), place
        lost += bool(damaged)
        shutil.rmtree(root)
    assert lost > 10


def test_a_flipped_bit_in_the_newest_segment_never_gives_a_wrong_record(
    whole: Path, tmp_path: Path
) -> None:
    victim, content = segments(whole)[-1], segments(whole)[-1].read_bytes()
    rng = random.Random(7)
    skipped = 0
    for run, place in enumerate(range(50, len(content), 307)):
        root = tmp_path / f"run-{run}"
        shutil.copytree(whole, root)
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        (root / victim.relative_to(whole)).write_bytes(flipped)
        try:
            skipped += bool(check(root))
        except LogError:
            # Its header is gone, and with it where the log ends: refused, not guessed.
            assert place < PAGE_BYTES
        shutil.rmtree(root)
    assert skipped > 5


@pytest.mark.parametrize("keep", [
    0, 1, 99, 4096, 5000, PAGE_BYTES, PAGE_BYTES + 904, 0.3, 0.5, 0.9, 0.999,
])
def test_a_truncated_segment_loses_only_its_own_records(whole: Path, keep: float) -> None:
    victim = segments(whole)[1]
    content = victim.read_bytes()
    size = int(keep * len(content)) if keep < 1 else int(keep)
    victim.write_bytes(content[:size])
    damaged = check(whole)
    assert damaged
    assert damaged <= set(range(*ranges(whole)[1]))


def test_a_missing_segment_is_reported_as_damage_of_its_neighbour(whole: Path) -> None:
    low, high = ranges(whole)[1]
    segments(whole)[1].unlink()
    assert check(whole) == set(range(low, high))


def test_damage_is_logged_once_and_told_by_every_later_opener(
    whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    low, high = ranges(whole)[1]
    segments(whole)[1].write_bytes(b"not a database" * 500)
    log = SqliteLog(whole, SEGMENT_BYTES)
    with caplog.at_level(logging.WARNING, "touchline.eventlog"):
        for _ in range(3):
            assert log.read(TOPIC, low)[0].offset == high
    assert [r.getMessage() for r in caplog.records] == [
        f"topic {TOPIC}: offsets [{low}, {high}) are damaged (unreadable) and are skipped"
    ]
    assert dict(log.skipped) == {"unreadable": high - low}
    assert SqliteLog(whole, SEGMENT_BYTES).describe(TOPIC).damaged == ((low, high),)
    log.trim(TOPIC, high)
    assert SqliteLog(whole, SEGMENT_BYTES).describe(TOPIC).damaged == ()


def test_verifying_finds_all_damage_without_a_consumer(whole: Path) -> None:
    low, high = ranges(whole)[2]
    segments(whole)[2].write_bytes(b"")
    assert SqliteLog(whole, SEGMENT_BYTES).verify(TOPIC).damaged == ((low, high),)


def test_the_log_goes_on_after_damage_at_its_tail(whole: Path) -> None:
    newest = segments(whole)[-1]
    content = newest.read_bytes()
    wanted = record(RECORDS - 1, size=RECORD_BYTES).payload[-64:]
    newest.write_bytes(content.replace(wanted, bytes(64)))
    log = SqliteLog(whole, SEGMENT_BYTES)
    assert log.read(TOPIC, RECORDS - 1) == []
    assert log.read(TOPIC, RECORDS - 1) == []
    assert log.append(TOPIC, [record(RECORDS)], 0) == [RECORDS]
    assert [s.offset for s in log.read(TOPIC, RECORDS - 1)] == [RECORDS]
    assert log.describe(TOPIC).damaged == ((RECORDS - 1, RECORDS),)


def test_a_damaged_state_refuses_writers_but_not_readers(whole: Path) -> None:
    newest = segments(whole)[-1]
    content = newest.read_bytes()
    assert content.count(b"seq/edge") == 1
    newest.write_bytes(content.replace(b"seq/edge", b"seq/edgf").replace(b"end", b"enc"))
    log = SqliteLog(whole, SEGMENT_BYTES)
    with pytest.raises(LogError, match="state"):
        log.append(TOPIC, [Record("edge", RECORDS, 0, b"")], 0)
    assert len(read_all(log)) == RECORDS


SMALL, SMALL_BYTES = 9, 300


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A log of several closed segments, as small as they come."""
    root = tmp_path / "small"
    log = SqliteLog(root, 1_000)
    fill(log, SMALL, SMALL_BYTES)
    log.close()
    assert len(segments(root)) > 2
    return root


def damage(root: Path, content: bytes) -> set[int]:
    """The damaged offsets with this content in the second segment; they are all of its own."""
    segments(root)[1].write_bytes(content)
    for path in root.glob("*/control.db*"):
        path.unlink()  # what earlier readers have found is of another content
    damaged = check(root, SMALL, SMALL_BYTES)
    assert damaged <= set(range(*ranges(root, SMALL)[1]))
    return damaged


@pytest.mark.faults
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("part", range(4))
def test_a_flipped_bit_at_every_offset_of_a_segment_is_skipped_exactly(
    small: Path, part: int
) -> None:
    content, rng = segments(small)[1].read_bytes(), random.Random(part)
    lost = 0
    for place in range(part, len(content), 4):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        lost += bool(damage(small, bytes(flipped)))
    # Every record of the segment is either told as damaged, by its exact offset, or whole.
    note(f"segment with a flipped bit, every 4th offset from {part}", 0.0, 0, 0,
         files=len(range(part, len(content), 4)), with_damage=lost)
    assert lost > 100


@pytest.mark.faults
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("part", range(4))
def test_torn_at_every_offset_a_segment_loses_only_its_own_records(
    small: Path, part: int
) -> None:
    content = segments(small)[1].read_bytes()
    sizes = range(part, len(content), 4)
    lost = sum(bool(damage(small, content[:size])) for size in sizes)
    note(f"segment torn, every 4th offset from {part}", 0.0, 0, 0,
         files=len(sizes), with_damage=lost)
    assert lost > 100


def test_a_schema_that_cannot_even_be_quoted_is_damage(whole: Path) -> None:
    victim = segments(whole)[1]
    content = victim.read_bytes()
    assert content.count(b"CREATE TABLE records (") == 1
    victim.write_bytes(content.replace(b"CREATE TABLE records (", b"CREATE \xffABLE records ("))
    assert check(whole) == set(range(*ranges(whole)[1]))
