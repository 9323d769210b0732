"""What is inside a segment: records under a checksum each, and the writers' state beside them.

    records  offset, stream, seq, t_ns, t_append_ns, crc, content_type, payload
    state    key, value, crc: "end" (next offset), "bytes", "sealed", "epoch/<stream>",
             "seq/<stream>"

State lives in the newest segment only and is carried over on rotation, so an append changes one
database and is atomic by itself. Owns encoding and checking; no paths, no locks, no policy.
"""

import sqlite3
import struct
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from cluster.eventlog.port import Record, StoredRecord

RECORDS_SCRIPT: Final = """
CREATE TABLE records (
  offset INTEGER PRIMARY KEY, stream TEXT NOT NULL, seq INTEGER NOT NULL, t_ns INTEGER NOT NULL,
  t_append_ns INTEGER NOT NULL, crc INTEGER NOT NULL, content_type TEXT NOT NULL,
  payload BLOB NOT NULL);
"""
STATE_SCRIPT: Final = """
CREATE TABLE state (key TEXT PRIMARY KEY, value INTEGER NOT NULL, crc INTEGER NOT NULL)
  WITHOUT ROWID;
"""
INSERT: Final = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
RANGE: Final = "SELECT * FROM records WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?"
_STATE: Final = "SELECT key, value, crc FROM state"
_KEEP: Final = (
    "INSERT INTO state VALUES (?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, crc = excluded.crc"
)
ROW_OVERHEAD_BYTES: Final = 80
_MAX_KEYS_BY_NAME: Final = 400
_HEAD = struct.Struct("<qqqqII")


# Result codes by which SQLite says that the content of a file is wrong, not the access to it.
_DAMAGE_CODES: Final = frozenset(
    (
        sqlite3.SQLITE_ERROR, sqlite3.SQLITE_INTERNAL, sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_NOTADB,
    )
)


class DamageError(Exception):
    """What was read is not what was written. Stays inside this package."""


def is_damage(error: Exception) -> bool:
    """Whether an error speaks of damaged content (skip it) rather than of trouble (stop)."""
    # SQLite quotes what it cannot parse, and damaged text cannot be decoded.
    if isinstance(error, DamageError | UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and (
        code is not None
        and (code & 0xFF in _DAMAGE_CODES or code == sqlite3.SQLITE_IOERR_SHORT_READ)
    )


def checksum(offset: int, t_append_ns: int, record: Record) -> int:
    """crc32 of everything in a stored record, its offset included."""
    stream, content = record.stream.encode(), record.content_type.encode()
    head = _HEAD.pack(
        offset, t_append_ns, record.seq, record.t_ns, len(stream), len(content)
    )
    return zlib.crc32(record.payload, zlib.crc32(content, zlib.crc32(stream, zlib.crc32(head))))


def row_of(offset: int, t_append_ns: int, record: Record) -> tuple[object, ...]:
    """The row for `INSERT`."""
    return (
        offset, record.stream, record.seq, record.t_ns, t_append_ns,
        checksum(offset, t_append_ns, record), record.content_type, record.payload,
    )


def record_of(row: tuple[object, ...]) -> StoredRecord:
    """The record in a row of `RANGE`. Raises DamageError unless it is exactly what was written."""
    offset, stream, seq, t_ns, t_append_ns, crc, content_type, payload = row
    if not (
        isinstance(offset, int) and isinstance(stream, bytes) and isinstance(seq, int)
        and isinstance(t_ns, int) and isinstance(t_append_ns, int) and isinstance(crc, int)
        and isinstance(content_type, bytes) and isinstance(payload, bytes)
    ):
        raise DamageError("a column has changed its type")
    head = _HEAD.pack(offset, t_append_ns, seq, t_ns, len(stream), len(content_type))
    found = zlib.crc32(head)
    for part in (stream, content_type, payload):
        found = zlib.crc32(part, found)
    if found != crc:
        raise DamageError("checksum")
    record = Record(stream.decode(), seq, t_ns, payload, content_type.decode())
    return StoredRecord(offset, t_append_ns, record)


def read_end(connection: sqlite3.Connection) -> int:
    """The next offset to be written. Raises DamageError, sqlite3.Error."""
    row = connection.execute(_STATE + " WHERE key = 'end'").fetchone()
    if row is None:
        raise DamageError("the writers' state is damaged")
    return _checked(row)[1]


@cache
def _state_of(count: int) -> str:
    """The query for so many keys, of which there are at most `_MAX_KEYS_BY_NAME`."""
    return f"{_STATE} WHERE key IN ({','.join('?' * count)})"


def read_state(
    connection: sqlite3.Connection, keys: Iterable[str] | None = None
) -> dict[str, int]:
    """State values of `keys` (all if None); keys never set are missing. Raises DamageError."""
    wanted = None if keys is None else list(keys)
    if wanted is None or len(wanted) > _MAX_KEYS_BY_NAME:
        rows = connection.execute(_STATE).fetchall()
    else:
        rows = connection.execute(_state_of(len(wanted)), wanted).fetchall()
    return dict(map(_checked, rows))


def write_state(connection: sqlite3.Connection, values: Mapping[str, int]) -> None:
    """Set state values; the caller's transaction makes them visible."""
    connection.executemany(
        _KEEP, [(key, value, _state_crc(key.encode(), value)) for key, value in values.items()]
    )


def _checked(row: tuple[object, ...]) -> tuple[str, int]:
    key, value, crc = row
    if not isinstance(key, bytes) or not isinstance(value, int) or crc != _state_crc(key, value):
        raise DamageError("the writers' state is damaged")
    return key.decode(), value


def _state_crc(key: bytes, value: int) -> int:
    return zlib.crc32(b"%s=%d" % (key, value))
