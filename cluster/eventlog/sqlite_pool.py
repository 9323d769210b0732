"""Connections to SQLite files: opened when needed, lent to one user at a time, kept within a bound.

Owns how a connection is opened (durability, permissions, salvage), not what is asked of it.
"""

import os
import resource
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

BUSY_TIMEOUT_S: Final = 10.0
CHECKPOINT_BYTES: Final = 4 << 20
LEAST_IDLE: Final = 48
MOST_IDLE: Final = 1024
FILES_AN_IDLE: Final = 8
"""A connection holds three files. A process may have some thousand, and needs most of them."""
WRITE_CACHE_KB: Final = 1024
READ_CACHE_KB: Final = 256
"""Of each connection. A reader goes through a segment once, and many segments lie open."""
IDLE_S: Final = 60.0
"""A file that nobody has asked for so long is closed: a log leaves its older segments behind."""

Key = tuple[str, str]


class ConnectionPool:
    """Lends connections. Roles: "write" (durable commits), "read", "salvage" (damaged files).

    Thread-safe; belongs to the process that made it.
    """

    def __init__(
        self, max_idle: int | None = None, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_idle = idle_bound() if max_idle is None else max_idle
        self._clock_s = clock_s
        self._used_s: dict[Key, float] = {}
        self._lock = threading.Lock()
        self._idle: OrderedDict[Key, list[sqlite3.Connection]] = OrderedDict()
        self._count = 0
        self._generation = 0

    def lease(self, path: Path, role: str) -> "Lease":
        """A connection for a `with` block only; thrown away if the block raises."""
        return Lease(self, (str(path), role))

    def forget(self, path: Path) -> None:
        """Close the idle connections of a file."""
        with self._lock:
            gone = [key for key in self._idle if key[0] == str(path)]
            closing = [c for key in gone for c in self._idle.pop(key)]
            for key in gone:
                del self._used_s[key]
            self._count -= len(closing)
        _close(closing)

    def close(self) -> None:
        """Close all idle connections; those on lease are closed when they come back."""
        with self._lock:
            closing = [c for kept in self._idle.values() for c in kept]
            self._idle.clear()
            self._used_s.clear()
            self._count = 0
            self._generation += 1
        _close(closing)

    def take(self, key: Key) -> tuple[sqlite3.Connection, int]:
        with self._lock:
            generation = self._generation
            kept = self._idle.get(key)
            if kept:
                self._count -= 1
                connection = kept.pop()
                if not kept:
                    del self._idle[key], self._used_s[key]
                return connection, generation
        return open_database(Path(key[0]), key[1]), generation

    def give_back(self, key: Key, connection: sqlite3.Connection, generation: int) -> None:
        closing: list[sqlite3.Connection] = []
        now_s = self._clock_s()
        with self._lock:
            if generation != self._generation:
                closing.append(connection)
            else:
                self._idle.setdefault(key, []).append(connection)
                self._idle.move_to_end(key)
                self._used_s[key] = now_s
                self._count += 1
            closing += self._surplus(now_s)
        _close(closing)

    def _surplus(self, now_s: float) -> list[sqlite3.Connection]:
        """Take out what is too much or has not been asked for, the longest unused first."""
        closing: list[sqlite3.Connection] = []
        since_s = now_s - IDLE_S
        while self._idle:
            oldest, kept = next(iter(self._idle.items()))
            if self._count <= self._max_idle and self._used_s[oldest] >= since_s:
                break
            closing.append(kept.pop(0))
            self._count -= 1
            if not kept:
                del self._idle[oldest], self._used_s[oldest]
        return closing


class Lease:
    """What `ConnectionPool.lease` gives. A class, since every append passes through one."""

    __slots__ = ("_connection", "_generation", "_key", "_pool")

    def __init__(self, pool: ConnectionPool, key: Key) -> None:
        self._pool, self._key = pool, key

    def __enter__(self) -> sqlite3.Connection:
        self._connection, self._generation = self._pool.take(self._key)
        return self._connection

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._pool.give_back(self._key, self._connection, self._generation)
        else:
            _close([self._connection])


def idle_bound() -> int:
    """How many connections may lie idle. Who goes round more files than that, as a reader of all
    venues does, opens one for each look."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_IDLE
    return min(max(files // FILES_AN_IDLE, LEAST_IDLE), MOST_IDLE)


def open_database(path: Path, role: str) -> sqlite3.Connection:
    """An existing database file, in autocommit mode. Raises sqlite3.Error; never makes a file.

    Text comes back as bytes: damaged text must reach the checksum, not a decoder.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None,
        check_same_thread=False, timeout=BUSY_TIMEOUT_S,
    )
    writes = role == "write"
    try:
        connection.text_factory = bytes
        connection.execute(f"PRAGMA cache_size={-WRITE_CACHE_KB if writes else -READ_CACHE_KB}")
        connection.execute("PRAGMA mmap_size=0")
        if writes:
            connection.execute("PRAGMA synchronous=FULL")
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_BYTES // page_bytes}")
            connection.execute(f"PRAGMA journal_size_limit={CHECKPOINT_BYTES}")
        else:
            connection.execute("PRAGMA query_only=1")
            connection.execute("PRAGMA cell_size_check=1")
        if role == "salvage":
            # Lets SQLite open a file that is shorter than its header says.
            connection.execute("PRAGMA writable_schema=1")
    except BaseException:
        connection.close()
        raise
    return connection


def create_database(path: Path, script: str, page_bytes: int) -> sqlite3.Connection:
    """A new database in WAL mode, file mode 0600, with `script` run; the caller closes it.

    The file is made before SQLite sees it, since SQLite gives its -wal and -shm the mode of the
    database. Raises FileExistsError, sqlite3.Error.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S)
    try:
        connection.text_factory = bytes
        connection.execute(f"PRAGMA page_size={page_bytes}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(script)
    except BaseException:
        connection.close()
        raise
    return connection


def _close(connections: list[sqlite3.Connection]) -> None:
    for connection in connections:
        with suppress(sqlite3.Error):
            connection.close()
