"""Where the newest segment ends is remembered only as long as its files say the same."""

import os
import time
from pathlib import Path

import pytest

from cluster.eventlog.port import Record
from cluster.eventlog.sqlite import SqliteLog
from cluster.eventlog.sqlite_folder import stamp_of
from cluster.eventlog.sqlite_reader import BELIEVED_S, MOST_ENDS, SegmentReader, _Known
from models.errors import LogError

SECOND_NS = 1_000_000_000


class Counted:
    """Counts how often a reader had to open a newest segment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n = 0
        real = SegmentReader._newest_end

        def counted(reader: SegmentReader, segment: object) -> int:
            self.n += 1
            return real(reader, segment)

        monkeypatch.setattr(SegmentReader, "_newest_end", counted)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def append(log: SqliteLog, seq: int) -> None:
    log.append("t", [Record("edge", seq, seq, b"x" * 40)], 0)


def aged(root: Path, age_ns: int) -> None:
    """As if all files had been written so long ago."""
    for path in root.rglob("seg-*"):
        mtime_ns = time.time_ns() - age_ns
        os.utime(path, ns=(mtime_ns, mtime_ns))


def test_a_quiet_topic_is_not_opened_again(tmp_path: Path, looked: Counted) -> None:
    log = SqliteLog(tmp_path)
    append(log, 0)
    aged(tmp_path, SECOND_NS + 7)
    log._mine().reader._monotonic_s = lambda: 5.0
    log.read("t", 0)
    before = looked.n
    assert [log.read("t", 1) for _ in range(50)] == [[]] * 50
    assert looked.n == before


def test_what_another_writes_is_seen_at_once(tmp_path: Path, looked: Counted) -> None:
    log, other = SqliteLog(tmp_path), SqliteLog(tmp_path)
    for seq in range(100):
        append(other, seq)
        aged(tmp_path, SECOND_NS + 7 + seq * 1000)
        assert [one.offset for one in log.read("t", seq)] == [seq]
        assert log.read("t", seq + 1) == []
        assert log.read("t", seq + 1) == []


def test_a_commit_that_became_durable_long_after_its_write_is_seen_soon(tmp_path: Path) -> None:
    log, other, now_s = SqliteLog(tmp_path), SqliteLog(tmp_path), [5.0]
    append(other, 0)
    log._mine().reader._monotonic_s = lambda: now_s[0]
    append(other, 1)
    aged(tmp_path, SECOND_NS + 7)
    # Looked at after the write and before the commit appeared: the stamp is of both.
    reader, segment = log._mine().reader, log._folder("t").segments()[-1]
    stamp = stamp_of(segment.path)
    assert stamp is not None
    reader._ends[segment.path] = _Known(stamp, 1, now_s[0] + BELIEVED_S)
    assert log.read("t", 1) == []
    now_s[0] += BELIEVED_S
    assert [one.offset for one in log.read("t", 1)] == [1]


def test_a_young_file_is_looked_into_every_time(tmp_path: Path, looked: Counted) -> None:
    log, other = SqliteLog(tmp_path), SqliteLog(tmp_path)
    for seq in range(50):
        # Written within one step of the clock of the files, for all that they say.
        append(other, seq)
        mtime_ns = time.time_ns() // SECOND_NS * SECOND_NS + SECOND_NS // 2
        for path in tmp_path.rglob("seg-*"):
            os.utime(path, ns=(mtime_ns + SECOND_NS, mtime_ns + SECOND_NS))
        assert [one.offset for one in log.read("t", seq)] == [seq]


def test_time_stamps_of_whole_seconds_are_not_trusted(tmp_path: Path, looked: Counted) -> None:
    log = SqliteLog(tmp_path)
    append(log, 0)
    old_ns = (time.time_ns() // SECOND_NS - 100) * SECOND_NS
    for path in tmp_path.rglob("seg-*"):
        os.utime(path, ns=(old_ns, old_ns))
    before = looked.n
    for _ in range(5):
        log.read("t", 1)
    assert looked.n == before + 5


def test_an_offset_beyond_the_remembered_end_is_refused(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path)
    append(log, 0)
    aged(tmp_path, SECOND_NS + 7)
    for _ in range(3):
        with pytest.raises(LogError):
            log.read("t", 5)


def test_the_number_of_remembered_ends_is_bounded(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path)
    append(log, 0)
    aged(tmp_path, SECOND_NS + 7)
    local = log._mine()
    many = {tmp_path / str(n): _Known((1,), n, 0.0) for n in range(MOST_ENDS)}
    local.reader._ends.update(many)
    log.read("t", 1)
    assert len(local.reader._ends) <= MOST_ENDS
