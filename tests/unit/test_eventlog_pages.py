"""Pages as large as a topic's records want them; segments of either size beside each other."""

from pathlib import Path

import pytest

from cluster.eventlog import sqlite_plan
from cluster.eventlog.port import Record
from cluster.eventlog.sqlite import SqliteLog
from cluster.eventlog.sqlite_pages import (
    LARGE_BYTES,
    LARGE_FROM_BYTES,
    SAMPLE_BYTES,
    SMALL_BYTES,
    suiting,
)
from cluster.eventlog.sqlite_pool import CHECKPOINT_BYTES, open_database
from models.errors import FencedError
from tests.unit.eventlog_conformance import TOPIC, read_all, record


def page_sizes(root: Path, name: str = "seg-*.db") -> list[int]:
    heads = [path.read_bytes()[16:18] for path in sorted(root.glob(f"*/{name}"))]
    return [int.from_bytes(head, "big") for head in heads]


@pytest.mark.parametrize("now", [SMALL_BYTES, LARGE_BYTES])
def test_pages_follow_the_mean_size_with_a_margin_on_the_way_back(now: int) -> None:
    assert suiting(now, 0, 0) == now
    assert suiting(now, 10, 10 * LARGE_FROM_BYTES) == LARGE_BYTES
    assert suiting(now, 10, 10 * LARGE_FROM_BYTES - 1) == now
    assert suiting(now, 10, 5 * LARGE_FROM_BYTES) == now
    assert suiting(now, 10, 5 * LARGE_FROM_BYTES - 1) == SMALL_BYTES


def fill(log: SqliteLog, first: int, sizes: list[int], epoch: int = 0) -> list[Record]:
    made = [record(first + n, size=size) for n, size in enumerate(sizes)]
    for seq, one in enumerate(made, first):
        assert log.append(TOPIC, [one], epoch) == [seq]
    return made


def test_a_topic_of_large_records_gets_large_pages_and_keeps_its_state(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path)
    assert log.fence(TOPIC, "edge", 3) == 3
    size = 256 << 10
    large = SAMPLE_BYTES // size + 4
    made = fill(log, 0, [size] * large, 3)
    assert page_sizes(tmp_path) == [SMALL_BYTES, LARGE_BYTES]
    assert log.append(TOPIC, [made[1]], 3) == [-1]
    with pytest.raises(FencedError):
        log.append(TOPIC, [record(large)], 2)
    log.commit(TOPIC, "reader", 2)
    # Small ones again: not before there are some megabytes of them.
    log = SqliteLog(tmp_path)
    small = 3 * SAMPLE_BYTES // 8192
    made += fill(log, large, [8192] * small, 3)
    assert page_sizes(tmp_path) == [SMALL_BYTES, LARGE_BYTES, SMALL_BYTES]
    assert log.cursor(TOPIC, "reader") == 2
    assert log.fence(TOPIC, "edge", 0) == 4
    assert read_all(SqliteLog(tmp_path)) == made
    assert log.verify(TOPIC).damaged == ()
    assert page_sizes(tmp_path, "control.db") == [SMALL_BYTES]


def test_records_of_middling_size_change_nothing(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path)
    size = 30 << 10
    made = fill(log, 0, [size] * (2 * SAMPLE_BYTES // size))
    assert page_sizes(tmp_path) == [SMALL_BYTES]
    assert read_all(log) == made


def test_a_segment_that_says_nothing_of_its_pages_is_filled_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As they were made before.
    monkeypatch.setattr(
        "cluster.eventlog.sqlite.first_state", lambda: {"end": 0, "bytes": 0}
    )
    segment_bytes, size = 3 * SAMPLE_BYTES, 256 << 10
    log = SqliteLog(tmp_path, segment_bytes)
    made = fill(log, 0, [size] * 2)
    log.close()
    monkeypatch.undo()
    log = SqliteLog(tmp_path, segment_bytes)
    made += fill(log, 2, [size] * (2 * segment_bytes // size))
    # Its successor knows what it holds, and has a successor of its own after a few megabytes.
    assert page_sizes(tmp_path) == [SMALL_BYTES, SMALL_BYTES, LARGE_BYTES]
    assert read_all(SqliteLog(tmp_path)) == made


@pytest.mark.parametrize("page_bytes", [SMALL_BYTES, LARGE_BYTES])
def test_a_checkpoint_comes_after_as_many_bytes_whatever_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page_bytes: int
) -> None:
    monkeypatch.setattr(sqlite_plan, "FIRST_BYTES", page_bytes)
    log = SqliteLog(tmp_path)
    log.append(TOPIC, [record(0)], 0)
    (path,) = tmp_path.glob("*/seg-*.db")
    connection = open_database(path, "write")
    (pages,) = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
    connection.close()
    assert pages * page_bytes == CHECKPOINT_BYTES
    monkeypatch.setattr(sqlite_plan, "SAMPLE_BYTES", 1 << 40)
    for seq in range(1, 12):
        log.append(TOPIC, [record(seq, size=CHECKPOINT_BYTES // 4)], 0)
    # Begun anew after each checkpoint, the log holds no more than what brought it about.
    size = path.with_name(f"{path.name}-wal").stat().st_size
    assert CHECKPOINT_BYTES <= size < 1.5 * CHECKPOINT_BYTES
    log.close()
