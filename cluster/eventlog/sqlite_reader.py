"""Reading segments: verified records, and the exact offsets of those that are damaged.

Offsets within a segment are without gaps, so a missing row is damage as much as a wrong checksum.
The quick path reads a range in one query and stops at the first record that does not verify; only
when that is the very first one does the slow path probe offset by offset for the next good one.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.eventlog.port import StoredRecord
from cluster.eventlog.sqlite_folder import Segment, Stamp, stamp_of
from cluster.eventlog.sqlite_pool import ConnectionPool
from cluster.eventlog.sqlite_rows import RANGE, DamageError, is_damage, read_end, record_of

ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What damaged content may raise; `is_damage` tells it from trouble with access."""
_PROBE_SCHEMA: Final = "SELECT offset FROM records LIMIT 0"
_NEWEST: Final = "SELECT max(offset) FROM records"
MOST_ENDS: Final = 4096
BELIEVED_S: Final = 0.1
"""So much later at the most is a commit seen that took long to become durable after its write."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Offsets [begin, end) cannot be returned, and why."""

    begin: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many records and bytes of payload; one record is given whatever its size."""

    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Known:
    """Where a segment ended when its files had this stamp, and until when that is believed."""

    stamp: Stamp
    end: int
    until_s: float


class SegmentReader:
    """Reads through leased connections. It remembers for a moment where the newest segments ended,
    as long as their files say that nothing was written since: who follows a topic asks far more
    often than anything comes."""

    def __init__(
        self, pool: ConnectionPool, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool, self._monotonic_s = pool, monotonic_s
        self._ends: dict[Path, _Known] = {}

    def end(self, segment: Segment) -> int:
        """The end of a segment's range. Raises sqlite3.Error, DamageError if it cannot be told."""
        if segment.end is not None:
            return segment.end
        stamp, now_s = stamp_of(segment.path), self._monotonic_s()
        known = self._ends.get(segment.path)
        if known is not None and known.stamp == stamp and now_s < known.until_s:
            return known.end
        end = self._newest_end(segment)
        if stamp is not None:
            if len(self._ends) >= MOST_ENDS:
                self._ends.clear()
            self._ends[segment.path] = _Known(stamp, end, now_s + BELIEVED_S)
        return end

    def _newest_end(self, segment: Segment) -> int:
        try:
            with self._pool.lease(segment.path, "read") as connection:
                return read_end(connection)
        except (*ERRORS, DamageError) as error:
            if not is_damage(error):
                raise
        # The state is damaged: the records themselves still tell.
        with self._pool.lease(segment.path, "salvage") as connection:
            (newest,) = connection.execute(_NEWEST).fetchone()
        return segment.begin if newest is None else max(segment.begin, int(newest) + 1)

    def take(
        self, segment: Segment, offset: int, end: int, limits: Limits
    ) -> tuple[list[StoredRecord], list[Damage]]:
        """Verified records of [offset, end), from the first good one on up to the next bad one.

        No record means that all of [offset, end) is damaged. Raises sqlite3.Error.
        """
        damages: list[Damage] = []
        while offset < end:
            records, reason = self._quick(segment, offset, end, limits)
            if records:
                return records, damages
            good = self._next_good(segment, offset + 1, end)
            damages.append(Damage(offset, good, reason))
            offset = good
        return [], damages

    def _quick(
        self, segment: Segment, offset: int, end: int, limits: Limits
    ) -> tuple[list[StoredRecord], str]:
        records: list[StoredRecord] = []
        try:
            with self._pool.lease(segment.path, "read") as connection:
                try:
                    _collect(connection, records, (offset, end, limits.records), limits.bytes)
                except DamageError as error:
                    return records, str(error)
        except ERRORS as error:
            if not is_damage(error):
                raise
            return records, "unreadable"
        return records, "missing"

    def _next_good(self, segment: Segment, offset: int, end: int) -> int:
        try:
            with self._pool.lease(segment.path, "salvage") as connection:
                connection.execute(_PROBE_SCHEMA)
                while offset < end:
                    rows = _attempt(connection, RANGE, (offset, offset + 1, 1))
                    if rows and _is_good(rows[0], offset):
                        break
                    offset += 1
        except ERRORS as error:
            if not is_damage(error):
                raise
            return end
        return offset


def _collect(
    connection: sqlite3.Connection,
    into: list[StoredRecord],
    bounds: tuple[int, int, int],
    max_bytes: int,
) -> None:
    """Append verified records until one is out of place or the bytes are used up."""
    taken = 0
    # A cursor left open would hold a read transaction, and checkpoints would never catch up.
    with closing(connection.execute(RANGE, bounds)) as rows:
        for row in rows:
            stored = record_of(row)
            taken += len(stored.record.payload)
            if stored.offset != bounds[0] + len(into) or (into and taken > max_bytes):
                return
            into.append(stored)


def _attempt(
    connection: sqlite3.Connection, query: str, parameters: tuple[int, ...]
) -> list[tuple[object, ...]] | None:
    """The rows of a query, None where damage prevents it."""
    try:
        return connection.execute(query, parameters).fetchall()
    except ERRORS as error:
        if not is_damage(error):
            raise
        return None


def _is_good(row: tuple[object, ...], offset: int) -> bool:
    try:
        return record_of(row).offset == offset
    except DamageError:
        return False
