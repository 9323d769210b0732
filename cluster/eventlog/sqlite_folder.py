"""The files of a topic: one folder per topic, one SQLite database per segment.

    <root>/<topic, percent-encoded>/seg-<offset of its first record, 20 digits>.db   records, state
                                    control.db                                      cursors, damage

A segment's range ends where the next one begins, so the range of a segment is known even when the
file cannot be read. Segments appear whole (made under a temporary name, then linked) and vanish
whole.
Owns names, listing, permissions and durability of the folder; nothing about what is in a file.
"""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from cluster.eventlog.sqlite_lock import DAMAGED
from cluster.private_files import (
    TEMPORARY_PREFIX,
    make_private_folder,
    sync_folder,
    temporary_beside,
)
from models.errors import LogError

# A folder's mtime moves in steps of a kernel tick: a listing this young may miss a later change.
_MTIME_DOUBT_NS: Final = 100_000_000
_SECOND_NS: Final = 1_000_000_000
_STALE_TEMPORARY_S: Final = 600.0
_MAX_NAME_BYTES: Final = 240
_SEGMENT = re.compile(r"seg-(\d{20})\.db")
CONTROL: Final = "control.db"
Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """`end` is the first offset of the next segment, None for the newest."""

    path: Path
    begin: int
    end: int | None


@dataclass(frozen=True, slots=True)
class _Listing:
    mtime_ns: int
    settled: bool
    segments: tuple[Segment, ...]


class TopicFolder:
    """The folder of one topic. Cheap to ask: an unchanged folder costs one `stat`."""

    def __init__(self, root: Path, topic: str) -> None:
        self.topic = topic
        self.path = root / folder_name(topic)
        self._listing = _Listing(-1, False, ())

    def segments(self) -> tuple[Segment, ...]:
        """Oldest first; empty when the topic does not exist."""
        try:
            mtime_ns = os.stat(self.path).st_mtime_ns
        except FileNotFoundError:
            return ()
        known = self._listing
        if known.settled and known.mtime_ns == mtime_ns:
            return known.segments
        self._listing = _Listing(mtime_ns, _settled(mtime_ns), self._list())
        return self._listing.segments

    def forget_listing(self) -> None:
        """Look again next time, whatever the folder's time stamp says."""
        self._listing = _Listing(-1, False, ())

    def add_database(self, name: str, build: Callable[[Path], None]) -> Path:
        """Put the database `name` in place, made by `build(temporary path)`; the path it has.

        Whoever comes second loses: the file that is there stays. Raises OSError and whatever
        `build` raises; nothing is visible then.
        """
        make_private_folder(self.path)
        self._sweep()
        final = self.path / name
        temporary = temporary_beside(final)
        try:
            build(temporary)
            with suppress(FileExistsError):
                os.link(temporary, final)
        finally:
            remove_database(temporary)
        sync_folder(self.path)
        self.forget_listing()
        return final

    def remove(self, segment: Segment) -> None:
        """Delete a segment's files, the database first so that nobody can open it any more."""
        remove_database(segment.path)
        sync_folder(self.path)
        self.forget_listing()

    def size_bytes(self) -> int:
        """Bytes of all segments, with what still waits in their write-ahead logs."""
        total = 0
        for segment in self.segments():
            for suffix in ("", "-wal"):
                with suppress(OSError):
                    total += os.stat(f"{segment.path}{suffix}").st_size
        return total

    def _list(self) -> tuple[Segment, ...]:
        try:
            found = [_SEGMENT.fullmatch(name) for name in os.listdir(self.path)]
        except FileNotFoundError:
            return ()
        begins = sorted(int(match[1]) for match in found if match)
        ends: list[int | None] = [*begins[1:], None]
        return tuple(
            Segment(self.path / segment_name(begin), begin, end)
            for begin, end in zip(begins, ends, strict=False)
        )

    def _sweep(self) -> None:
        """Remove what crashed makers and trimmers left behind."""
        for name in os.listdir(self.path):
            path = self.path / name
            with suppress(OSError):
                if name.startswith(TEMPORARY_PREFIX):
                    left = time.time() - path.stat().st_mtime > _STALE_TEMPORARY_S
                else:
                    database, companion, _ = name.partition(".db-")
                    left = bool(companion) and not (self.path / f"{database}.db").exists()
                if left:
                    path.unlink()


def _settled(mtime_ns: int) -> bool:
    """Whether what changes after now gets another time stamp. Asked before looking inside."""
    return time.time_ns() - mtime_ns > _MTIME_DOUBT_NS


def stamp_of(database: Path) -> Stamp | None:
    """What the files of a database say of themselves; None while a later write might not change it.

    Every commit writes to the write-ahead log or to the database, and a write sets the time stamp,
    in steps of a kernel tick; one of whole seconds comes from a file system with coarser steps.
    A commit is seen once it is durable, which may be after its write by any time: so equal stamps
    mean that nothing was written in between, not that nothing has appeared.
    """
    found: list[int] = []
    for name in (f"{database}-wal", database):
        try:
            said = os.stat(name)
        except FileNotFoundError:
            found += [0, 0, 0]
            continue
        if said.st_mtime_ns % _SECOND_NS == 0 or not _settled(said.st_mtime_ns):
            return None
        found += [said.st_ino, said.st_size, said.st_mtime_ns]
    return tuple(found)


def segment_name(begin: int) -> str:
    """File name of the segment that starts at offset `begin`."""
    return f"seg-{begin:020d}.db"


def folder_name(topic: str) -> str:
    """Percent-encoded topic; no two topics share a folder. Raises LogError if it cannot be one."""
    try:
        name = quote(topic, safe="")
    except UnicodeEncodeError as error:
        raise LogError(f"not a topic name: {topic!r}") from error
    if name.startswith("."):
        name = "%2E" + name[1:]
    if not name or len(name) > _MAX_NAME_BYTES:
        raise LogError(f"not a topic name: {topic[:80]!r}")
    return name


class TopicList:
    """The topics below a root. Cheap to ask: an unchanged root costs one `stat`, and one more for
    each folder that has no segment yet. A topic that has one keeps one: none is ever emptied."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known = _Topics(-1, (), ())

    def topics(self) -> list[str]:
        """Those that have a segment, sorted."""
        try:
            mtime_ns = os.stat(self._root).st_mtime_ns
        except FileNotFoundError:
            return []
        known = self._known
        if known.mtime_ns != mtime_ns:
            known = _Topics(mtime_ns if _settled(mtime_ns) else -1, (), self._folders())
        if known.without:
            begun = [folder for folder in known.without if folder.segments()]
            without = tuple(folder for folder in known.without if folder not in begun)
            names = sorted({*known.names, *(folder.topic for folder in begun)})
            known = _Topics(known.mtime_ns, tuple(names), without)
        # Replaced whole: other threads ask, too.
        self._known = known
        return list(known.names)

    def _folders(self) -> tuple[TopicFolder, ...]:
        with os.scandir(self._root) as found:
            names = [unquote(entry.name) for entry in found if entry.is_dir()]
        return tuple(TopicFolder(self._root, name) for name in names)


@dataclass(frozen=True, slots=True)
class _Topics:
    """mtime_ns: of the root, -1 while it may have changed since; `without` a segment."""

    mtime_ns: int
    names: tuple[str, ...]
    without: tuple[TopicFolder, ...]


def remove_database(path: Path) -> None:
    """Delete a database file and its companions; missing ones are fine."""
    for suffix in ("", "-wal", "-shm", "-journal", f"-wal{DAMAGED}"):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")
