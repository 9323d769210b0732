"""The lock that says whether a log is in use, and the mending that needs it not to be.

Every process that has a log open holds `<root>/lock` shared. Who finds that nobody does may mend
what a crash has left (`sqlite_wal`), before SQLite throws it away; the file as it was stays beside
it as `-wal.damaged` until its segment is trimmed.
"""

import fcntl
import logging
import os
import threading
from pathlib import Path
from typing import Final

from cluster.eventlog.sqlite_wal import DATABASE_HEAD_BYTES, mend
from cluster.private_files import make_private_folder, write_private

LOCK: Final = "lock"
DAMAGED: Final = ".damaged"
_log = logging.getLogger("touchline.eventlog")


class LogLock:
    """Of one process and one log. Thread-safe. Whoever holds it leaves it, after its connections
    are closed: an object that goes without a word must not let others in while they are not."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._guard = threading.Lock()
        self._held: int | None = None

    @property
    def held(self) -> bool:
        return self._held is not None

    def enter(self, create: bool = False) -> None:
        """Hold the lock; mend first if nobody else does. Nothing when held, or without a root.

        create: make the root if there is none. Raises OSError.
        """
        if self._held is not None:
            return
        with self._guard:
            if self._held is not None or not (create or self._root.is_dir()):
                return
            if create:
                make_private_folder(self._root)
            held = os.open(self._root / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                self._mend_alone(held)
                fcntl.flock(held, fcntl.LOCK_SH)
            except BaseException:
                os.close(held)
                raise
            self._held = held

    def leave(self) -> None:
        """Let go; harmless when not held."""
        with self._guard:
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def _mend_alone(self, held: int) -> None:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        for path in sorted(self._root.glob("*/*-wal")):
            mend_file(path)


def mend_file(path: Path) -> None:
    """Mend one WAL that nobody has open. Raises OSError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        # Whoever looked into the database with another program has closed it: all is in its file.
        return
    mended = mend(content, _head_of(path.with_name(path.name.removesuffix("-wal"))))
    if mended is None:
        return
    write_private(path.with_name(path.name + DAMAGED), [content], replace=True)
    write_private(path, [mended.content], replace=True)
    _log.warning(
        "%s/%s was damaged: %d places corrected, %d pages are under check of their records",
        path.parent.name, path.name, mended.corrected, mended.broken,
    )


def _head_of(database: Path) -> bytes:
    try:
        with database.open("rb") as file:
            return file.read(DATABASE_HEAD_BYTES)
    except FileNotFoundError:
        return b""
