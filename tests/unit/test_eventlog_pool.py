"""Connections that are kept: within a bound, and no longer than anybody asks for them."""

import resource
import sqlite3
from pathlib import Path

import pytest

from cluster.eventlog.sqlite_pool import IDLE_S, LEAST_IDLE, MOST_IDLE, ConnectionPool, idle_bound


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"seg-{n}.db" for n in range(6)]
    for path in paths:
        sqlite3.connect(path).close()
    return paths


def use(pool: ConnectionPool, path: Path) -> sqlite3.Connection:
    with pool.lease(path, "read") as connection:
        connection.execute("SELECT 1")
    return connection


def closed(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_a_file_that_nobody_asks_for_any_more_is_closed(files: list[Path]) -> None:
    now_s = [0.0]
    pool = ConnectionPool(clock_s=lambda: now_s[0])
    old, other = use(pool, files[0]), use(pool, files[1])
    for _ in range(4):
        now_s[0] += IDLE_S / 2
        assert use(pool, files[1]) is other
    assert closed(old)
    assert not closed(other)
    assert use(pool, files[0]) is not old
    pool.close()


def test_what_is_kept_has_a_bound_and_the_longest_unused_goes(files: list[Path]) -> None:
    pool = ConnectionPool(max_idle=3)
    made = [use(pool, path) for path in files]
    assert [closed(one) for one in made] == [True] * 3 + [False] * 3
    pool.forget(files[4])
    pool.close()
    assert all(closed(one) for one in made)
    assert not closed(use(pool, files[0]))


@pytest.mark.parametrize(("files", "bound"), [
    (64, LEAST_IDLE), (1024, 128), (20_000, MOST_IDLE), (resource.RLIM_INFINITY, MOST_IDLE),
])
def test_the_bound_follows_the_files_that_a_process_may_have(
    monkeypatch: pytest.MonkeyPatch, files: int, bound: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (files, files))
    assert idle_bound() == bound


def test_a_round_over_the_topics_of_fifty_venues_opens_each_file_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"seg-{n}.db" for n in range(120)]
    for path in paths:
        sqlite3.connect(path).close()
    pool = ConnectionPool()
    first = [use(pool, path) for path in paths]
    assert [use(pool, path) for path in paths] == first
    pool.close()


def test_a_connection_comes_back_unless_its_block_has_failed(files: list[Path]) -> None:
    pool = ConnectionPool()
    kept = use(pool, files[0])
    with pytest.raises(sqlite3.OperationalError), pool.lease(files[0], "read") as connection:
        connection.execute("SELECT nothing")
    assert closed(kept)
    with pool.lease(files[0], "read") as first, pool.lease(files[0], "read") as second:
        assert first is not second
        pool.close()
    assert closed(first)
    assert closed(second)
