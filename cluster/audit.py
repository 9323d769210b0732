"""The audit log: who did or was denied what, one JSON line each, chained by hashes.

Each entry holds the hash of the one before, so that a changed, removed or inserted line breaks the
chain from there on. Files rotate at a size and the oldest go; the chain runs on across files. What
a chain alone cannot show is a cut-off tail: keep `head()` elsewhere and give it to `verify_chain`.
Several processes may append; an append is durable when it returns. Times are ns UTC.
"""

import fcntl
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cluster.private_files import make_private_folder, sync_folder
from cluster.settings import Settings
from models.errors import LogError

GENESIS: Final = "0" * 64
MAX_FIELD_CHARS: Final = 800
MAX_LINE_BYTES: Final = 1 << 16
_FILE: Final = re.compile(r"audit-(\d{20})\.jsonl")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is told. `decision` is "allow", "deny" or "done"."""

    actor: str
    action: str
    resource: str
    decision: str
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry: its number from 0 and its hash; -1 before the first."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Whether the chain holds; if not, where and why. `entries` were in order until there."""

    holds: bool
    entries: int
    first_seq: int
    head: Head
    broken: str = ""


class AuditLog:
    """Appends to the chain in a folder. Thread-safe; usable from many processes."""

    def __init__(
        self,
        folder: Path | str,
        rotate_bytes: int = 16 << 20,
        keep_files: int = 64,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._folder = Path(folder)
        self._rotate_bytes, self._keep_files = rotate_bytes, keep_files
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._known: tuple[Path, int, Head] | None = None

    def append(self, entry: Entry) -> Head:
        """Durable. Raises LogError; the caller should then refuse what it meant to record."""
        try:
            with self._locked():
                return self._append(entry)
        except OSError as error:
            raise LogError(f"audit log: {error}") from error

    def head(self) -> Head:
        """The newest entry. Raises LogError."""
        try:
            with self._locked():
                return self._tail()[2]
        except OSError as error:
            raise LogError(f"audit log: {error}") from error

    def _append(self, entry: Entry) -> Head:
        path, size, head = self._tail()
        if size >= self._rotate_bytes:
            path, size = self._folder / _file_name(head.seq + 1), 0
        body = {
            "seq": head.seq + 1, "t_ns": self._clock_ns(), "actor": entry.actor,
            "action": entry.action, "resource": entry.resource, "decision": entry.decision,
            "reason": entry.reason, "detail": entry.detail, "prev": head.hash,
        }
        body = {k: v[:MAX_FIELD_CHARS] if isinstance(v, str) else v for k, v in body.items()}
        new = Head(head.seq + 1, _digest(body))
        line = json.dumps({**body, "hash": new.hash}, separators=(",", ":")).encode() + b"\n"
        fresh = not path.exists()
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            sync_folder(self._folder)
            for old in chain_files(self._folder)[: -self._keep_files]:
                old.unlink()
        self._known = (path, size + len(line), new)
        return new

    def _tail(self) -> tuple[Path, int, Head]:
        """The newest file, its size, the newest entry; a half-written last line is cut off."""
        files = chain_files(self._folder)
        if not files:
            return self._folder / _file_name(0), 0, Head(-1, GENESIS)
        path = files[-1]
        size = path.stat().st_size
        if self._known and self._known[:2] == (path, size):
            return self._known
        with path.open("r+b") as file:
            file.seek(max(0, size - 2 * MAX_LINE_BYTES))
            tail = file.read()
            whole = tail[: tail.rfind(b"\n") + 1]
            if len(whole) < len(tail):
                # Its append never returned: the process died in it.
                size -= len(tail) - len(whole)
                file.truncate(size)
                os.fsync(file.fileno())
        if not whole:
            begin = int(path.name[6:26])
            return path, 0, _last_of(files[-2]) if len(files) > 1 else Head(begin - 1, GENESIS)
        self._known = (path, size, _head_in(whole, path))
        return self._known

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_private_folder(self._folder)
        with self._lock:
            handle = os.open(self._folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
            finally:
                os.close(handle)


def open_audit(settings: Settings) -> AuditLog:
    """The audit log of these settings, under `<data_dir>/audit`. Opens nothing yet."""
    folder = Path(settings.data_dir) / "audit"
    return AuditLog(folder, settings.audit.rotate_bytes, settings.audit.keep_files)


def verify_chain(folder: Path | str, anchor: Head | None = None) -> ChainReport:
    """Follow the chain through all files; with `anchor`, the chain must contain that entry.

    Raises LogError when a file cannot be read.
    """
    count, first, head = 0, -1, Head(-1, "")
    seen = anchor is None
    for where, line in _lines(Path(folder)):
        body = _parsed(line)
        if body is None:
            return ChainReport(False, count, first, head, f"{where}: not an entry")
        claimed = str(body.pop("hash", ""))
        if first < 0:
            first = int(body["seq"])
            head = Head(first - 1, GENESIS if first == 0 else str(body["prev"]))
        wrong = _wrong(body, claimed, head)
        if wrong:
            return ChainReport(False, count, first, head, f"{where}: {wrong}")
        head, count = Head(int(body["seq"]), claimed), count + 1
        seen = seen or head == anchor
    if not seen:
        return ChainReport(False, count, first, head, "the anchored entry is not in the chain")
    return ChainReport(True, count, first, head)


def chain_files(folder: Path) -> list[Path]:
    """The files of a chain, oldest first."""
    names = sorted(name for name in os.listdir(folder) if _FILE.fullmatch(name))
    return [folder / name for name in names]


def _wrong(body: Mapping[str, Any], claimed: str, before: Head) -> str:
    if body.get("seq") != before.seq + 1:
        return f"entry {body.get('seq')} follows {before.seq}"
    if body.get("prev") != before.hash:
        return "it does not follow the entry before"
    return "" if _digest(body) == claimed else "its content was changed"


def _lines(folder: Path) -> Iterator[tuple[str, bytes]]:
    try:
        for path in chain_files(folder) if folder.is_dir() else []:
            with path.open("rb") as file:
                number = 0
                while line := file.readline(MAX_LINE_BYTES):
                    number += 1
                    yield f"{path.name}:{number}", line
    except OSError as error:
        raise LogError(f"audit log: {error}") from error


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(body, dict) and isinstance(body.get("seq"), int) and "prev" in body
    return body if whole and line.endswith(b"\n") else None


def _head_in(tail: bytes, path: Path) -> Head:
    body = _parsed(tail.splitlines(keepends=True)[-1])
    if body is None or not isinstance(body.get("hash"), str):
        raise LogError(f"audit log: the last entry of {path.name} is not whole")
    return Head(body["seq"], body["hash"])


def _last_of(path: Path) -> Head:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * MAX_LINE_BYTES))
        return _head_in(file.read(), path)


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _file_name(seq: int) -> str:
    return f"audit-{seq:020d}.jsonl"
