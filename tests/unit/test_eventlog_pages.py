"""Segments that were made with smaller pages go on working, and new ones come beside them."""

from pathlib import Path

import pytest

from cluster.eventlog import sqlite
from cluster.eventlog.sqlite import SqliteLog
from cluster.eventlog.sqlite_pool import (
    CHECKPOINT_BYTES,
    CONTROL_PAGE_BYTES,
    PAGE_BYTES,
    open_database,
)
from models.errors import FencedError
from tests.unit.eventlog_conformance import TOPIC, fill, read_all, record

OLD_PAGE_BYTES = 4096
SEGMENT_BYTES = 30_000
RECORD_BYTES = 7_000


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A log as it was made before: a segment that is not full, and a cursor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "PAGE_BYTES", OLD_PAGE_BYTES)
        log = SqliteLog(tmp_path / "log", SEGMENT_BYTES)
        fill(log, 3, RECORD_BYTES)
        assert log.fence(TOPIC, "edge", 3) == 3
        log.commit(TOPIC, "reader", 2)
        log.close()
    return tmp_path / "log"


def page_sizes(root: Path, name: str = "seg-*.db") -> list[int]:
    heads = [path.read_bytes()[16:18] for path in sorted(root.glob(f"*/{name}"))]
    return [int.from_bytes(head, "big") for head in heads]


def test_an_old_segment_is_filled_and_its_successors_have_the_new_pages(old: Path) -> None:
    log = SqliteLog(old, SEGMENT_BYTES)
    for seq in range(3, 12):
        assert log.append(TOPIC, [record(seq, size=RECORD_BYTES)], 3) == [seq]
    assert log.append(TOPIC, [record(1, size=RECORD_BYTES)], 3) == [-1]
    with pytest.raises(FencedError):
        log.append(TOPIC, [record(12, size=RECORD_BYTES)], 2)
    assert log.cursor(TOPIC, "reader") == 2
    log.close()
    assert page_sizes(old) == [OLD_PAGE_BYTES, PAGE_BYTES, PAGE_BYTES]
    found = read_all(SqliteLog(old, SEGMENT_BYTES))
    assert found == [record(n, size=RECORD_BYTES) for n in range(12)]
    assert SqliteLog(old, SEGMENT_BYTES).describe(TOPIC).damaged == ()


def test_what_holds_cursors_only_keeps_small_pages(old: Path) -> None:
    assert page_sizes(old, "control.db") == [CONTROL_PAGE_BYTES]


@pytest.mark.parametrize("page_bytes", [OLD_PAGE_BYTES, PAGE_BYTES])
def test_a_checkpoint_comes_after_as_many_bytes_whatever_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page_bytes: int
) -> None:
    monkeypatch.setattr(sqlite, "PAGE_BYTES", page_bytes)
    log = SqliteLog(tmp_path)
    log.append(TOPIC, [record(0)], 0)
    (path,) = tmp_path.glob("*/seg-*.db")
    connection = open_database(path, "write")
    (pages,) = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
    connection.close()
    assert pages * page_bytes == CHECKPOINT_BYTES
    for seq in range(1, 12):
        log.append(TOPIC, [record(seq, size=CHECKPOINT_BYTES // 4)], 0)
    # Begun anew after each checkpoint, the log holds no more than what brought it about.
    size = path.with_name(f"{path.name}-wal").stat().st_size
    assert CHECKPOINT_BYTES <= size < 1.5 * CHECKPOINT_BYTES
    log.close()
