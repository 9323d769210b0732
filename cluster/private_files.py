"""Files that only this user may read; after a crash there is the old or the new, never half.

Files get mode 0600 and folders 0700 from the first moment on, whatever the umask says.
"""

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

TEMPORARY_PREFIX: Final = ".new-"


def make_private_folder(path: Path) -> None:
    """The folder and its missing parents, mode 0700, durable. Raises OSError."""
    if path.is_dir():
        return
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            sync_folder(folder.parent)
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder")


def temporary_beside(path: Path) -> Path:
    """A name in the folder of `path` that nobody else uses."""
    return path.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"


def write_private(path: Path, parts: Iterable[bytes | memoryview], replace: bool = True) -> bool:
    """Durably make `path` hold `parts`; False (nothing written) if it exists and must stay.

    Raises OSError; the old content then stands.
    """
    make_private_folder(path.parent)
    temporary, moved = temporary_beside(path), False
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as f:
            f.writelines(parts)
            f.flush()
            os.fsync(f.fileno())
        if replace:
            os.replace(temporary, path)
            moved = True
        else:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
    finally:
        if not moved:
            with suppress(FileNotFoundError):
                temporary.unlink()
    sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def secret_file(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of a secret file; made once, by whoever comes first, if it does not exist.

    A file that others may read is closed to them first. Raises OSError.
    """
    if not path.exists():
        write_private(path, [make()], replace=False)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o600)
    return path.read_bytes()
