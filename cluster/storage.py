"""Blobs under names: a local folder or an S3 prefix behind one small port, chosen by URL.

Owns atomic replacement, create-if-absent, listing and deletion; no format, no policy. A name is a
relative path of plain parts (`snapshots/wembley/7`). Local files are 0600 in folders of 0700 and
durable when a call returns. S3 goes through s3fs, imported on first use; credentials come from the
usual AWS sources.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow.fs as pafs

from cluster.private_files import TEMPORARY_PREFIX, write_private
from models.errors import ConfigError, TouchlineError

_STALE_TEMPORARY_S: Final = 600.0
_MAX_NAME_BYTES: Final = 900
_S3_TIMEOUTS: Final = {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 4}}


class StorageError(TouchlineError):
    """The storage could not carry out a call; what was there before still is."""


class Storage(Protocol):
    """All calls raise StorageError when the storage fails, ConfigError for a bad name."""

    def put_atomic(self, name: str, data: bytes) -> None:
        """Make `name` hold `data`: readers see the old or the new, whole."""
        ...

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """As `put_atomic`, but False, and nothing written, when `name` exists."""
        ...

    def get(self, name: str) -> bytes | None:
        """The content, None if there is none."""
        ...

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """name -> bytes of everything under the folder `prefix`."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """The names under the folder `prefix`, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Remove `name`; fine if it is not there."""
        ...

    def arrow(self) -> tuple[pafs.FileSystem, str]:
        """A file system and the base path in it, for pyarrow's readers and writers."""
        ...


def open_storage(url: str, endpoint_url: str = "", region: str = "") -> Storage:
    """Of a folder, `file:<folder>` or `s3://bucket/prefix`; connects later. Raises ConfigError."""
    if url.startswith("s3://"):
        return S3Storage(url, endpoint_url, region)
    path = url.removeprefix("file://").removeprefix("file:")
    if not path or "://" in path:
        raise ConfigError(f"{url!r} names no storage; use a folder or s3://bucket/prefix")
    return LocalStorage(path)


class LocalStorage:
    """A folder. See `Storage`."""

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root).expanduser().absolute()

    def put_atomic(self, name: str, data: bytes) -> None:
        with _as_storage_error(name):
            write_private(self._path(name), [data])

    def put_if_absent(self, name: str, data: bytes) -> bool:
        with _as_storage_error(name):
            return write_private(self._path(name), [data], replace=False)

    def get(self, name: str) -> bytes | None:
        with _as_storage_error(name):
            try:
                return self._path(name).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None

    def sizes(self, prefix: str = "") -> dict[str, int]:
        found: dict[str, int] = {}
        with _as_storage_error(prefix):
            for name, entry in self._files(prefix):
                with suppress(FileNotFoundError):
                    found[name] = entry.stat().st_size
        return found

    def list(self, prefix: str = "") -> list[str]:
        with _as_storage_error(prefix):
            return sorted(name for name, _ in self._files(prefix))

    def delete(self, name: str) -> None:
        with _as_storage_error(name), suppress(FileNotFoundError, NotADirectoryError):
            self._path(name).unlink()

    def arrow(self) -> tuple[pafs.FileSystem, str]:
        return pafs.LocalFileSystem(), str(self._root)

    def _files(self, prefix: str) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
        """Every file under the folder `prefix` by its name; what a crash has left half is removed
        once it is old."""
        waiting = ["/".join(_parts(prefix.rstrip("/"))) if prefix else ""]
        while waiting:
            folder = waiting.pop()
            try:
                entries = list(os.scandir(os.path.join(self._root, folder)))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir():
                    if not entry.is_symlink():
                        waiting.append(name)
                elif entry.name.startswith(TEMPORARY_PREFIX):
                    _remove_if_stale(entry)
                else:
                    yield name, entry

    def _path(self, name: str) -> Path:
        return self._root.joinpath(*_parts(name))


class S3Storage:
    """A prefix in a bucket. See `Storage`. May be pickled: each process connects for itself."""

    def __init__(self, url: str, endpoint_url: str = "", region: str = "") -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise ConfigError(f"{url!r} names no bucket")
        self._base = "/".join((bucket, *_parts(prefix))) if prefix.strip("/") else bucket
        self._endpoint_url, self._region = endpoint_url, region
        self._lock = threading.Lock()
        self._connected: tuple[int, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connected": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def put_atomic(self, name: str, data: bytes) -> None:
        with _as_storage_error(name):
            self._fs().pipe_file(self._path(name), data)

    def put_if_absent(self, name: str, data: bytes) -> bool:
        with _as_storage_error(name):
            try:
                self._fs().pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    def get(self, name: str) -> bytes | None:
        with _as_storage_error(name):
            try:
                return bytes(self._fs().cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def sizes(self, prefix: str = "") -> dict[str, int]:
        top = self._path(prefix.rstrip("/")) if prefix else self._base
        with _as_storage_error(prefix):
            try:
                found = self._fs().find(top, detail=True)
            except FileNotFoundError:
                return {}
        start = len(self._base) + 1
        return {
            path[start:]: int(info["size"])
            for path, info in found.items()
            if path.startswith(top + "/") and not path.endswith("/")
        }

    def list(self, prefix: str = "") -> list[str]:
        return sorted(self.sizes(prefix))

    def delete(self, name: str) -> None:
        with _as_storage_error(name), suppress(FileNotFoundError):
            self._fs().rm_file(self._path(name))

    def arrow(self) -> tuple[pafs.FileSystem, str]:
        return pafs.PyFileSystem(pafs.FSSpecHandler(self._fs())), self._base

    def _path(self, name: str) -> str:
        return "/".join((self._base, *_parts(name)))

    def _fs(self) -> Any:
        with self._lock:
            # The client runs a thread of its own, which a fork does not take along.
            if self._connected is None or self._connected[0] != os.getpid():
                import s3fs

                client: dict[str, str] = {"region_name": self._region} if self._region else {}
                fs = s3fs.S3FileSystem(
                    endpoint_url=self._endpoint_url or None,
                    client_kwargs=client, config_kwargs=dict(_S3_TIMEOUTS),
                    use_listings_cache=False, skip_instance_cache=True,
                )
                self._connected = (os.getpid(), fs)
            return self._connected[1]


def _parts(name: str) -> list[str]:
    """The parts of a name. Raises ConfigError for one that could leave its folder."""
    parts = name.strip("/").split("/") if not name.startswith("/") else [""]
    bad = [p for p in parts if p in ("", ".", "..") or p.startswith(TEMPORARY_PREFIX)]
    if bad or "\0" in name or "\\" in name or len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
        raise ConfigError(f"{name[:80]!r} is not a storage name")
    return parts


def _remove_if_stale(entry: "os.DirEntry[str]") -> None:
    with suppress(FileNotFoundError):
        if time.time() - entry.stat().st_mtime > _STALE_TEMPORARY_S:
            os.unlink(entry.path)


@contextmanager
def _as_storage_error(name: str) -> Iterator[None]:
    try:
        yield
    except TouchlineError:
        raise
    except Exception as error:  # botocore's errors share no base with OSError
        raise StorageError(f"{name}: {error or type(error).__name__}") from error


