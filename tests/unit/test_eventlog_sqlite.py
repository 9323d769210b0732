"""The SQLite event log: conformance, and what is its own: files, processes, threads, limits."""

import os
import pickle
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest

from cluster.eventlog.open import open_log
from cluster.eventlog.port import Record
from cluster.eventlog.sqlite import SqliteLog
from cluster.eventlog.sqlite_pool import FILES_AN_IDLE
from models.errors import ConfigError, LogError
from tests.unit.eventlog_conformance import (
    TOPIC,
    EventLogConformance,
    OpenStore,
    fill,
    read_all,
    record,
)

ROOT = Path(__file__).resolve().parents[2]
SEGMENT_BYTES = 16_384

WRITER = """
import sys
from cluster.eventlog.port import Record
from cluster.eventlog.sqlite import SqliteLog
from models.errors import FencedError
root, stream, epoch = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = SqliteLog(root, 16_384)
seq = log.last_seq("telemetry/wembley", stream) + 1
while True:
    batch = [Record(stream, s, s, b"%d|" % s * 300) for s in range(seq, seq + 3)]
    try:
        log.append("telemetry/wembley", batch, epoch)
    except FencedError:
        print("fenced", flush=True)
        break
    seq += 3
    print(seq - 1, flush=True)
"""


@pytest.fixture
def open_store(tmp_path: Path) -> OpenStore:
    return lambda: SqliteLog(tmp_path / "log", SEGMENT_BYTES)


def test_topics_that_others_begin_are_listed_from_their_first_record(tmp_path: Path) -> None:
    reader, writer = SqliteLog(tmp_path / "log"), SqliteLog(tmp_path / "log")
    assert reader.topics() == []
    fill(writer, 1)
    assert reader.topics() == [TOPIC]
    (tmp_path / "log" / "later").mkdir()
    _settle(reader)
    assert reader.topics() == [TOPIC], "a folder without a segment is no topic"
    writer.append("later", [record(0)], 0)
    assert reader.topics() == ["later", TOPIC]
    _settle(reader)
    writer.append("raw/another", [record(0)], 0)
    assert reader.topics() == ["later", "raw/another", TOPIC]
    pickled = pickle.loads(pickle.dumps(reader))
    assert pickled.topics() == reader.topics()


def _settle(log: SqliteLog) -> None:
    """Make the root old enough for what is listed to be kept."""
    before_ns = time.time_ns() - 10**9
    os.utime(log._root, ns=(before_ns, before_ns))
    log.topics()


@pytest.fixture
def log(open_store: OpenStore) -> SqliteLog:
    log = open_store()
    assert isinstance(log, SqliteLog)
    return log


class TestSqliteConformance(EventLogConformance):
    """The whole specification."""


def writer(root: Path, stream: str = "edge", epoch: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), stream, str(epoch)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )


def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged = -1
    for lines in (1, 4, 9, 23, 40):
        process = writer(tmp_path)
        assert process.stdout
        for _ in range(lines):
            acknowledged = int(process.stdout.readline())
        process.kill()
        # What was printed before the kill landed was acknowledged too.
        for line in process.stdout.read().split():
            acknowledged = int(line)
        process.wait()
        found = read_all(SqliteLog(tmp_path, SEGMENT_BYTES))
        seqs = [r.seq for r in found]
        assert seqs == list(range(len(seqs)))
        assert len(seqs) > acknowledged
        assert len(seqs) % 3 == 0
        assert all(r.payload == b"%d|" % r.seq * 300 for r in found)


def test_an_old_epoch_cannot_slip_in_from_another_process(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, SEGMENT_BYTES)
    process = writer(tmp_path, epoch=log.fence(TOPIC, "edge"))
    assert process.stdout
    for _ in range(20):
        process.stdout.readline()
    log.fence(TOPIC, "edge")
    end = log.describe(TOPIC).end
    rest = process.stdout.read().split()
    process.wait()
    assert rest[-1] == "fenced"
    assert log.describe(TOPIC).end == end
    assert [r.seq for r in read_all(log)] == list(range(end))


def test_several_processes_append_to_one_topic(tmp_path: Path) -> None:
    streams = ("a", "b", "c")
    processes = [writer(tmp_path, stream) for stream in streams]
    counts = {}
    for stream, process in zip(streams, processes, strict=True):
        assert process.stdout
        for _ in range(15):
            counts[stream] = int(process.stdout.readline())
    for process in processes:
        process.kill()
        process.wait()
    found = read_all(SqliteLog(tmp_path, SEGMENT_BYTES))
    for stream in streams:
        seqs = [r.seq for r in found if r.stream == stream]
        assert seqs == list(range(len(seqs)))
        assert len(seqs) > counts[stream]


def test_threads_share_one_log(log: SqliteLog) -> None:
    def work(stream: str) -> None:
        for seq in range(40):
            log.append(TOPIC, [record(seq, stream, 500)], 0)
            log.read(TOPIC, 0, 5)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_all(log)
    assert len(found) == 160
    assert all([r.seq for r in found if r.stream == name] == list(range(40)) for name in "abcd")


def test_a_crash_between_sealing_and_the_next_segment_heals(
    log: SqliteLog, open_store: OpenStore, tmp_path: Path
) -> None:
    fill(log, 3)
    log.fence(TOPIC, "edge", 2)
    log.close()
    (segment,) = (tmp_path / "log").glob("*/seg-*.db")
    database = sqlite3.connect(segment)
    database.execute("INSERT INTO state VALUES ('sealed', 1, ?)", (zlib.crc32(b"sealed=1"),))
    database.commit()
    database.close()
    again = open_store()
    assert again.append(TOPIC, [record(3)], 2) == [3]
    assert again.describe(TOPIC).segments == 2
    assert [r.seq for r in read_all(again)] == [0, 1, 2, 3]


def test_files_are_private(log: SqliteLog, tmp_path: Path) -> None:
    fill(log, 30)
    log.commit(TOPIC, "twins", 1)
    entries = [tmp_path / "log", *(tmp_path / "log").rglob("*")]
    assert any(path.name.endswith("-wal") for path in entries)
    for path in entries:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    assert not [path for path in entries if path.name.startswith(".new")]


def test_a_log_travels_by_pickle_and_across_a_fork(log: SqliteLog) -> None:
    fill(log, 5)
    copy = pickle.loads(pickle.dumps(log))
    assert len(read_all(copy)) == 5
    child = os.fork()
    if child == 0:
        ok = log.append(TOPIC, [record(5, size=1000)], 0) == [5] and len(read_all(log)) == 6
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert log.append(TOPIC, [record(5), record(6)], 0) == [-1, 6]


def test_a_closed_log_opens_again_when_used(log: SqliteLog) -> None:
    fill(log, 2)
    log.close()
    assert len(read_all(log)) == 2


def test_connections_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (48 * FILES_AN_IDLE,) * 2)
    log = SqliteLog(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for topic in range(80):
        log.append(f"t/{topic}", [record(0)], 0)
        log.read(f"t/{topic}", 0)
    assert len(os.listdir("/proc/self/fd")) - before <= 48 * 3 + 8
    log.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_a_write_that_fails_leaves_nothing_and_the_log_goes_on(
    log: SqliteLog, open_store: OpenStore
) -> None:
    fill(log, 3)
    child = os.fork()
    if child == 0:
        # Writing beyond this size fails in the kernel, as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            open_store().append(TOPIC, [record(3), record(4, size=1_000_000)], 0)
        except LogError:
            again = len(read_all(open_store())) == 3
            os._exit(0 if again else 2)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(read_all(log)) == 3
    assert log.append(TOPIC, [record(3)], 0) == [3]


@pytest.mark.parametrize("bad", [Record("s", 2**70, 0, b""), Record("\ud800", 1, 0, b"")])
def test_a_record_that_cannot_be_written_is_a_log_error(log: SqliteLog, bad: Record) -> None:
    fill(log, 1)
    with pytest.raises(LogError):
        log.append(TOPIC, [record(1), bad], 0)
    assert log.describe(TOPIC).end == 1


@pytest.mark.parametrize("topic", ["", "x" * 300, "\ud800"])
def test_a_name_that_cannot_be_a_topic_is_refused(log: SqliteLog, topic: str) -> None:
    with pytest.raises(LogError):
        log.append(topic, [record(0)], 0)


def test_polling_at_the_end_is_cheap(log: SqliteLog) -> None:
    fill(log, 20)
    log.read(TOPIC, 20)
    best = min(_timed(lambda: log.read(TOPIC, 20)) for _ in range(200))
    assert best < 1e-4


def test_the_url_chooses_the_log(tmp_path: Path) -> None:
    log = open_log(f"sqlite:{tmp_path}/log")
    log.append(TOPIC, [record(0)], 0)
    assert SqliteLog(tmp_path / "log").topics() == [TOPIC]
    for bad in ("", "sqlite:", "smoke:/x", "/x"):
        with pytest.raises(ConfigError, match=r"log\.url"):
            open_log(bad)


def _timed(call: object) -> float:
    start = time.perf_counter()
    assert callable(call)
    call()
    return time.perf_counter() - start
