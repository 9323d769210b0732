"""The embedded event log: SQLite databases as segments, durable before ack, many processes at once.

Each topic is a folder of segment files (`sqlite_folder`); a segment holds its records under a
checksum each, and the newest one also the writers' state: epochs, newest seq per stream, next
offset (`sqlite_rows`). So the fencing check, the idempotence check and the insert are one
transaction on one file, and whatever a crash leaves is a prefix of acknowledged calls.

Rotation: the newest segment, when it is large enough or its records want other pages
(`sqlite_pages`), is sealed in a transaction of its own, after which its state cannot change; its
successor is built from that state aside, then linked into place. Any writer that meets a sealed
newest segment does the same: a crash between the two steps heals at the next append.

Damage: a record that does not verify is never returned; it is skipped, counted, logged and
remembered in `control.db`, where consumer cursors live too. An object of this class may be pickled
and may cross a fork: connections are opened anew in each process. Files are 0600, folders 0700.
"""

import os
import sqlite3
import struct
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cluster.eventlog.port import Record, StoredRecord, TopicInfo
from cluster.eventlog.sqlite_control import Control
from cluster.eventlog.sqlite_folder import Segment, TopicFolder, TopicList, segment_name
from cluster.eventlog.sqlite_lock import LogLock
from cluster.eventlog.sqlite_pages import pages_of
from cluster.eventlog.sqlite_plan import (
    Plan,
    epoch_key,
    first_state,
    is_full,
    plan_append,
    plan_fence,
    seq_key,
    successor_state,
)
from cluster.eventlog.sqlite_pool import ConnectionPool, create_database
from cluster.eventlog.sqlite_reader import Limits, SegmentReader
from cluster.eventlog.sqlite_rows import (
    INSERT,
    RECORDS_SCRIPT,
    STATE_SCRIPT,
    DamageError,
    read_state,
    write_state,
)
from models.errors import FencedError, LogError, OffsetError

SEGMENT_BYTES: Final = 64 << 20
# Each time round another writer has filled a whole segment: this many in a row means trouble.
_MAX_ROTATIONS: Final = 256
_MAX_TOPICS_CACHED: Final = 1024
_TROUBLE = (sqlite3.Error, DamageError, OSError, OverflowError, UnicodeError, struct.error)

Change = Callable[[Mapping[str, int]], Plan]
"""What a call makes of the state that it asked for, within the transaction."""

_INHERITED: Final[list[object]] = []


class _Local:
    """What belongs to one process: connections, listings, locks."""

    def __init__(self, root: Path) -> None:
        self.pid = os.getpid()
        self.lock = LogLock(root)
        self.pool = ConnectionPool()
        self.reader = SegmentReader(self.pool)
        self.control = Control(self.pool)
        self.folders: dict[str, TopicFolder] = {}
        self.topics = TopicList(root)
        self.locks: dict[str, threading.Lock] = {}
        self.guard = threading.Lock()

    def close(self) -> None:
        """Connections first, then the lock that says that there are some."""
        self.pool.close()
        self.lock.leave()

    def __del__(self) -> None:
        # After a fork the connections are the parent's; the copy of the lock goes with the process.
        if self.pid == os.getpid():
            with suppress(Exception):
                self.close()


class SqliteLog:
    """See `EventLog`. `skipped` counts damaged records met by this object, by reason."""

    def __init__(
        self,
        root: Path | str,
        segment_bytes: int = SEGMENT_BYTES,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._root = Path(root).absolute()
        self._segment_bytes = segment_bytes
        self._clock = clock
        self._local: _Local | None = None
        self.skipped: Counter[str] = Counter()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_local": None, "skipped": Counter()}

    def fence(self, topic: str, stream: str, epoch: int = 0) -> int:
        """See `EventLog.fence`."""

        def change(state: Mapping[str, int]) -> Plan:
            return plan_fence(state, stream, epoch)

        return self._write(topic, [epoch_key(stream)], change).answer[0]

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        """See `EventLog.append`. All records of a call share one transaction and one fsync."""
        if not records:
            return []
        streams = {record.stream for record in records}
        keys = [*map(epoch_key, streams), *map(seq_key, streams)]

        def change(state: Mapping[str, int]) -> Plan:
            return plan_append(state, records, epoch, self._clock())

        return self._write(topic, keys, change).answer

    def read(
        self, topic: str, offset: int, max_records: int = 256, max_bytes: int = 8 << 20
    ) -> list[StoredRecord]:
        """See `EventLog.read`. Damaged records are skipped: offsets in the answer may have gaps."""
        limits = Limits(max(1, max_records), max_bytes)
        for last_try in (False, True):
            try:
                with _AsLogError(topic):
                    return self._read(topic, offset, limits)
            except LogError as error:
                # A segment may be trimmed between listing and opening it: look once more.
                if last_try or isinstance(error, OffsetError) or not _cannot_open(error):
                    raise
                self._folder(topic).forget_listing()
        raise AssertionError("unreachable")

    def last_seq(self, topic: str, stream: str) -> int:
        """See `EventLog.last_seq`."""
        with _AsLogError(topic):
            segments = self._folder(topic).segments()
            if not segments:
                return -1
            with self._mine().pool.lease(segments[-1].path, "read") as connection:
                return read_state(connection, [seq_key(stream)]).get(seq_key(stream), -1)

    def commit(self, topic: str, group: str, offset: int) -> None:
        """See `EventLog.commit`. OffsetError beyond the end of the topic."""
        with _AsLogError(topic):
            end = self._end(topic)
            if not 0 <= offset <= end:
                raise OffsetError(topic, offset, 0, end)
            with self._writing(topic):
                self._mine().control.set_cursor(self._folder(topic), group, offset)

    def cursor(self, topic: str, group: str) -> int:
        """See `EventLog.cursor`. A cursor below the begin is returned as it was committed."""
        with _AsLogError(topic):
            found = self._mine().control.cursor(self._folder(topic), group)
            return self._begin(topic) if found is None else found

    def trim(self, topic: str, before: int) -> int:
        """See `EventLog.trim`. The newest segment always stays."""
        folder = self._folder(topic)
        with _AsLogError(topic), self._writing(topic):
            for segment in folder.segments()[:-1]:
                if segment.end is None or segment.end > before:
                    break
                folder.remove(segment)
                self._mine().pool.forget(segment.path)
            return self._begin(topic)

    def describe(self, topic: str) -> TopicInfo:
        """See `EventLog.describe`. `damaged` is what any reader has met so far."""
        folder = self._folder(topic)
        with _AsLogError(topic):
            segments = folder.segments()
            if not segments:
                return TopicInfo(topic, 0, 0, 0, 0)
            begin = segments[0].begin
            damaged = self._mine().control.damaged(folder, begin)
            return TopicInfo(
                topic, begin, self._end(topic), folder.size_bytes(), len(segments), damaged
            )

    def verify(self, topic: str) -> TopicInfo:
        """Read the whole topic once, so that `damaged` of the answer is complete."""
        info = self.describe(topic)
        offset = info.begin
        while found := self.read(topic, offset):
            offset = found[-1].offset + 1
        return self.describe(topic)

    def topics(self) -> list[str]:
        """See `EventLog.topics`."""
        with _AsLogError("topics"):
            return self._mine().topics.topics()

    def close(self) -> None:
        """See `EventLog.close`. A later call opens what it needs again."""
        self._mine().close()

    # ------------------------------------------------------------------ writing

    def _write(self, topic: str, keys: Iterable[str], change: Change) -> Plan:
        """Carry out the change that follows from the state values of `keys`."""
        asked = ["begin", "bytes", "end", "pages", "sealed", *keys]
        with _AsLogError(topic), self._writing(topic):
            for _ in range(_MAX_ROTATIONS):
                newest = self._newest(topic)
                plan = self._transact(newest.path, asked, change)
                if plan is not None:
                    return plan
                self._rotate(topic, newest)
        raise LogError(f"{topic}: the newest segment stays sealed")

    def _transact(self, path: Path, asked: Sequence[str], change: Change) -> Plan | None:
        """Carry out a change in one transaction; None when the segment is full and now sealed."""
        refusal: FencedError
        with self._mine().pool.lease(path, "write") as connection:
            connection.execute("BEGIN IMMEDIATE")
            state = read_state(connection, asked)
            if "sealed" in state:
                connection.execute("ROLLBACK")
                return None
            if is_full(state, self._segment_bytes):
                write_state(connection, {"sealed": 1})
                connection.execute("COMMIT")
                return None
            try:
                plan = change(state)
            except FencedError as error:
                connection.execute("ROLLBACK")
                refusal = error
            else:
                connection.executemany(INSERT, plan.rows)
                write_state(connection, plan.state)
                connection.execute("COMMIT" if plan.state else "ROLLBACK")
                return plan
        raise refusal

    def _newest(self, topic: str) -> Segment:
        folder = self._folder(topic)
        segments = folder.segments()
        if not segments:
            self._add_segment(folder, first_state())
            segments = folder.segments()
        return segments[-1]

    def _rotate(self, topic: str, sealed: Segment) -> None:
        """Give a sealed newest segment its successor, unless another writer has done so."""
        folder, pool = self._folder(topic), self._mine().pool
        folder.forget_listing()
        if folder.segments()[-1].path != sealed.path:
            return
        with pool.lease(sealed.path, "read") as connection:
            state = read_state(connection)
        self._add_segment(folder, successor_state(state))
        # Not needed for safety: the sealed segment's log is folded in while it is still warm.
        with suppress(sqlite3.Error), pool.lease(sealed.path, "write") as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        pool.forget(sealed.path)

    def _add_segment(self, folder: TopicFolder, state: dict[str, int]) -> None:
        def build(path: Path) -> None:
            connection = create_database(path, RECORDS_SCRIPT + STATE_SCRIPT, pages_of(state))
            try:
                connection.execute("BEGIN")
                write_state(connection, state)
                connection.execute("COMMIT")
            finally:
                connection.close()

        folder.add_database(segment_name(state["end"]), build)

    def _writing(self, topic: str) -> threading.Lock:
        """To be held while a topic is written to: threads of one process queue there, where waiting
        is cheap, and not in SQLite's back-off."""
        local = self._mine()
        local.lock.enter(create=True)
        lock = local.locks.get(topic)
        if lock is None:
            with local.guard:
                lock = local.locks.setdefault(topic, threading.Lock())
        return lock

    # ------------------------------------------------------------------ reading

    def _read(self, topic: str, offset: int, limits: Limits) -> list[StoredRecord]:
        local, folder = self._mine(), self._folder(topic)
        segments = folder.segments()
        if not segments or offset < segments[0].begin:
            if not segments and offset == 0:
                return []
            raise OffsetError(topic, offset, self._begin(topic), self._end(topic))
        first = bisect_right(segments, offset, key=lambda segment: segment.begin) - 1
        for segment in segments[first:]:
            end = local.reader.end(segment)
            if offset > end:
                raise OffsetError(topic, offset, segments[0].begin, end)
            offset = min(local.control.past_damage(topic, offset), end)
            if offset == end:
                continue
            records, damages = local.reader.take(segment, offset, end, limits)
            if damages:
                self.skipped.update(local.control.report(folder, damages))
            if records:
                return records
            offset = end
        return []

    def _begin(self, topic: str) -> int:
        segments = self._folder(topic).segments()
        return segments[0].begin if segments else 0

    def _end(self, topic: str) -> int:
        segments = self._folder(topic).segments()
        return self._mine().reader.end(segments[-1]) if segments else 0

    def _folder(self, topic: str) -> TopicFolder:
        folders = self._mine().folders
        folder = folders.get(topic)
        if folder is None:
            if len(folders) >= _MAX_TOPICS_CACHED:
                folders.clear()
            folder = folders[topic] = TopicFolder(self._root, topic)
        return folder

    def _mine(self) -> _Local:
        if self._local is None or self._local.pid != os.getpid():
            # Closing inherited connections here would meddle with the locks of the parent.
            _INHERITED.append(self._local)
            self._local = _Local(self._root)
        if not self._local.lock.held:
            with _AsLogError("lock"):
                self._local.lock.enter()
        return self._local


class _AsLogError:
    """Tells what goes wrong in a block as LogError. A class, since every call passes through it."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _TROUBLE):
            raise LogError(f"{self._what}: {error or type(error).__name__}") from error


def _cannot_open(error: LogError) -> bool:
    cause = error.__cause__
    return (
        isinstance(cause, sqlite3.Error)
        and getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN
    )
