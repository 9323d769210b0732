"""A write-ahead log that is damaged while nobody has it open: what a crash leaves, and then decay.

The log of a killed process is hit at every offset: what comes back is what was written, what does
not is told with its exact range, and only a torn last write may vanish unheard. All of it with
small pages, and with those of topics whose records are large.
"""

import gc
import logging
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.eventlog import sqlite_plan
from cluster.eventlog.sqlite import SqliteLog
from cluster.eventlog.sqlite_lock import DAMAGED, mend_file
from cluster.eventlog.sqlite_pages import LARGE_BYTES, SMALL_BYTES
from cluster.eventlog.sqlite_wal import (
    DATABASE_HEAD_BYTES,
    FRAME_HEAD_BYTES,
    HEAD_BYTES,
    PAGE_SIZES,
    mend,
)
from tests.e2e.faults_record import note
from tests.unit.eventlog_conformance import TOPIC, record

RECORDS, RECORD_BYTES = 8, 300


def killed_after_writing(root: Path, count: int = RECORDS) -> Path:
    """The WAL of a process that was killed when its last record was acknowledged."""
    pid = os.fork()
    if pid == 0:
        log = SqliteLog(root)
        for seq in range(count):
            log.append(TOPIC, [record(seq, size=RECORD_BYTES)], 0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    (wal,) = root.glob("*/seg-*-wal")
    return wal


@pytest.fixture(scope="module", params=[SMALL_BYTES, LARGE_BYTES])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("left") / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_plan, "FIRST_BYTES", request.param)
        wal = killed_after_writing(root)
    assert page_bytes_of(wal.read_bytes()) == request.param
    return root


def page_bytes_of(content: bytes) -> int:
    return int.from_bytes(content[8:12], "big")


def content_of(root: Path) -> bytes:
    (wal,) = root.glob("*/seg-*-wal")
    return wal.read_bytes()


def check(root: Path) -> tuple[set[int], set[int], int]:
    """(offsets found, damaged, end) after checking that what is found is what was written."""
    log = SqliteLog(root)
    found, offset = set(), 0
    while batch := log.read(TOPIC, offset):
        assert all(s.record == record(s.offset, size=RECORD_BYTES) for s in batch)
        found |= {stored.offset for stored in batch}
        offset = batch[-1].offset + 1
    info = log.describe(TOPIC)
    log.close()
    damaged = {at for low, high in info.damaged for at in range(low, high)}
    assert not found & damaged
    assert found | damaged == set(range(info.end))
    return found, damaged, info.end


@pytest.fixture
def hit(left: Path, tmp_path: Path) -> Callable[[bytes], Path]:
    """A copy of the log with another WAL in it."""

    def make(content: bytes) -> Path:
        root = tmp_path / "hit"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(left, root)
        (wal,) = root.glob("*/seg-*-wal")
        wal.write_bytes(content)
        return root

    return make


def flipped(content: bytes, place: int, bit: int) -> bytes:
    made = bytearray(content)
    made[place] ^= 1 << bit
    return bytes(made)


def test_a_whole_wal_is_left_alone(left: Path) -> None:
    assert mend(content_of(left)) is None


@pytest.mark.parametrize("place", range(HEAD_BYTES))
def test_a_bit_of_the_header_is_put_right(left: Path, place: int) -> None:
    content = content_of(left)
    mended = mend(flipped(content, place, place % 8))
    assert mended is not None
    assert mended.content[HEAD_BYTES:] == content[HEAD_BYTES:]
    assert mended.content[:12] == content[:12]


def without_head(content: bytes) -> bytes:
    return bytes(HEAD_BYTES) + content[HEAD_BYTES:]


def database_head(root: Path) -> bytes:
    (database,) = root.glob("*/seg-*.db")
    return database.read_bytes()[:DATABASE_HEAD_BYTES]


def test_a_lost_header_is_made_anew_and_costs_no_record(
    left: Path, hit: Callable[[bytes], Path]
) -> None:
    root = hit(without_head(content_of(left)))
    assert check(root) == (set(range(RECORDS)), set(), RECORDS)
    log = SqliteLog(root)
    assert log.append(TOPIC, [record(RECORDS, size=RECORD_BYTES)], 0) == [RECORDS]
    log.close()


def test_the_page_size_of_a_lost_header_is_that_of_the_database(left: Path) -> None:
    # The second frame's salts are wrong, too, so that the frames alone do not tell.
    content, head = content_of(left), database_head(left)
    page_bytes = page_bytes_of(content)
    second = HEAD_BYTES + FRAME_HEAD_BYTES + page_bytes
    mended = mend(without_head(flipped(content, second + 8, 3)), head)
    assert mended is not None
    assert page_bytes_of(mended.content) == page_bytes
    assert len(mended.content) == len(content)
    for other in set(PAGE_SIZES) - {page_bytes}:
        said = (1 if other == 1 << 16 else other).to_bytes(2, "big")
        wrong = mend(without_head(content), head[:16] + said + head[18:])
        assert wrong is None or page_bytes_of(wrong.content) == other


@pytest.mark.parametrize("place", range(16, 18))
@pytest.mark.parametrize("bit", range(8))
def test_frames_tell_their_size_where_both_headers_are_lost(
    left: Path, place: int, bit: int
) -> None:
    content = content_of(left)
    for head in (b"", bytes(DATABASE_HEAD_BYTES), flipped(database_head(left), place, bit)):
        mended = mend(without_head(content), head)
        assert mended is not None
        assert page_bytes_of(mended.content) == page_bytes_of(content)
        assert len(mended.content) == len(content)


@pytest.mark.parametrize("size", [HEAD_BYTES, HEAD_BYTES + 100, HEAD_BYTES + 1024])
def test_a_wal_without_a_whole_frame_is_nothing_to_mend(left: Path, size: int) -> None:
    content = content_of(left)[:size]
    for bad in (content, flipped(content, 9, 4), without_head(content)):
        assert mend(bad, database_head(left)) is None


def test_a_bit_of_a_page_is_put_right_where_only_one_explains_the_checksum(left: Path) -> None:
    content, rng = content_of(left), random.Random(4)
    places = range(HEAD_BYTES, len(content), 41)
    mended = [mend(flipped(content, place, rng.randrange(8))) for place in places]
    right = sum(one is not None and one.content == content for one in mended)
    assert all(one is not None for one in mended)
    assert right > 0.75 * len(places)


def test_a_bit_of_a_frames_head_is_always_put_right(left: Path) -> None:
    """A page in the wrong place would cost more than its own records."""
    content, head = content_of(left), database_head(left)
    frame_bytes = FRAME_HEAD_BYTES + page_bytes_of(content)
    for frame in range(HEAD_BYTES, len(content), frame_bytes):
        for place in (*range(8), *range(16, 24)):
            for bit in range(8):
                mended = mend(flipped(content, frame + place, bit), head)
                assert mended is not None, (frame, place, bit)
                assert mended.content == content, (frame, place, bit)


def flip_at(hit: Callable[[bytes], Path], content: bytes, places: range) -> None:
    """What is put right to the last byte needs no further look."""
    rng = random.Random(9)
    for place in places:
        bad = flipped(content, place, rng.randrange(8))
        mended = mend(bad)
        if mended is not None and mended.content == content:
            continue
        found, damaged, end = check(hit(bad))
        assert end == RECORDS, place
        assert len(found) + len(damaged) == RECORDS


def test_a_flipped_bit_anywhere_loses_no_record_unheard(
    left: Path, hit: Callable[[bytes], Path]
) -> None:
    content = content_of(left)
    flip_at(hit, content, range(3, len(content), 101))


@pytest.mark.faults
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("part", range(4))
def test_a_flipped_bit_at_every_offset_loses_no_record_unheard(
    left: Path, hit: Callable[[bytes], Path], part: int
) -> None:
    content = content_of(left)
    places = range(part, len(content), 4)
    flip_at(hit, content, places)
    note(f"write-ahead log with a flipped bit, every 4th offset from {part}", 0.0, 0, 0,
         files=len(places))


def test_a_lost_sector_in_the_middle_costs_its_own_records_and_is_told(
    left: Path, hit: Callable[[bytes], Path]
) -> None:
    content = content_of(left)
    frame_bytes = FRAME_HEAD_BYTES + page_bytes_of(content)
    frames = (len(content) - HEAD_BYTES) // frame_bytes
    told = 0
    for frame in range(frames // 2):
        # Pages fill from their end.
        at = HEAD_BYTES + (frame + 1) * frame_bytes - 2048
        found, damaged, end = check(hit(content[:at] + bytes(512) + content[at + 512 :]))
        assert end == RECORDS
        assert len(found) + len(damaged) == RECORDS
        told += bool(damaged)
    assert told < frames // 2, "later pages replace what an earlier one has lost"


def test_torn_anywhere_a_prefix_is_left_and_the_log_goes_on(
    left: Path, hit: Callable[[bytes], Path]
) -> None:
    content = content_of(left)
    ends = set()
    for size in [*range(0, len(content), 1361), len(content)]:
        root = hit(content[:size])
        found, damaged, end = check(root)
        assert (found, damaged) == (set(range(end)), set())
        ends.add(end)
        log = SqliteLog(root)
        assert log.append(TOPIC, [record(end, size=RECORD_BYTES)], 0) == [end]
        log.close()
    assert ends == set(range(RECORDS + 1))


def test_the_damaged_file_is_kept_and_told_of(
    left: Path, hit: Callable[[bytes], Path], caplog: pytest.LogCaptureFixture
) -> None:
    bad = flipped(content_of(left), 300, 0)
    root = hit(bad)
    with caplog.at_level(logging.WARNING, "touchline.eventlog"):
        check(root)
    (kept,) = root.glob(f"*/*{DAMAGED}")
    assert kept.read_bytes() == bad
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "1 places corrected" in caplog.text


def test_nothing_is_mended_under_a_process_that_has_the_log_open(
    left: Path, hit: Callable[[bytes], Path]
) -> None:
    root = hit(content_of(left))
    user = SqliteLog(root)
    assert user.append(TOPIC, [record(RECORDS, size=RECORD_BYTES)], 0) == [RECORDS]
    (wal,) = root.glob("*/seg-*-wal")
    inode = wal.stat().st_ino
    other = SqliteLog(root)
    assert other.describe(TOPIC).end == RECORDS + 1
    assert wal.stat().st_ino == inode
    assert not list(root.glob(f"*/*{DAMAGED}"))
    user.close()
    other.close()


def test_a_log_that_goes_without_a_word_closes_its_connections_before_others_may_mend(
    tmp_path: Path,
) -> None:
    user = SqliteLog(tmp_path)
    user.append(TOPIC, [record(0, size=RECORD_BYTES)], 0)
    # As the traceback of an error does, something holds on to what the log was made of.
    assert user._local is not None
    pool = user._local.pool
    assert list(tmp_path.glob("*/seg-*-wal"))
    del user
    gc.collect()
    assert not list(tmp_path.glob("*/seg-*-wal"))
    assert not pool._idle
    successor = SqliteLog(tmp_path)
    assert successor.describe(TOPIC).end == 1
    successor.close()


def test_a_wal_that_vanishes_while_it_is_looked_for_is_nothing_to_mend(tmp_path: Path) -> None:
    mend_file(tmp_path / "seg-0.db-wal")
    assert not list(tmp_path.iterdir())
