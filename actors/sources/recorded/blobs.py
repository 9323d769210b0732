"""Files as named bytes: plain, gzip or inside a zip archive, all alike and all bounded."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.errors import SchemaError

MAX_FILE_BYTES: Final = 2 << 30
MAX_FILES: Final = 10_000
HEAD_BYTES: Final = 65_536
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Blob:
    """A file, or a member of a zip archive. `name` is without a trailing .gz."""

    path: Path
    name: str
    member: str = ""

    def head(self, size: int = HEAD_BYTES) -> bytes:
        """Its first bytes, uncompressed; what can be had when the file is cut short."""
        return self._load(size, whole=False)

    def read(self) -> bytes:
        """All its bytes. SchemaError when damaged or larger than MAX_FILE_BYTES uncompressed."""
        found = self._load(MAX_FILE_BYTES + 1, whole=True)
        if len(found) > MAX_FILE_BYTES:
            raise SchemaError("oversize", f"{self.name}: more than {MAX_FILE_BYTES} bytes")
        return found

    def _load(self, size: int, whole: bool) -> bytes:
        try:
            if self.member:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                    found = stream.read(size)
            else:
                with self.path.open("rb") as stream:
                    found = stream.read(size)
            return _inflate(found, size, whole) if found[:2] == _GZIP else found
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError,
                NotImplementedError) as error:
            raise SchemaError("truncated", f"{self.name}: {error}") from error


def _inflate(packed: bytes, size: int, whole: bool) -> bytes:
    """Up to `size` bytes of a gzip stream; a `whole` one has to be complete."""
    out = bytearray()
    left = packed
    while left and len(out) < size:
        inflater = zlib.decompressobj(wbits=31)
        out += inflater.decompress(left, size - len(out))
        if not inflater.eof:
            if whole and len(out) < size:
                raise EOFError("the gzip stream is cut short")
            break
        left = inflater.unused_data.lstrip(b"\0")
    return bytes(out)


def blobs_at(path: Path) -> list[Blob]:
    """The files at `path`: itself, a zip's members, or a folder's files (and theirs) by name.

    Raises SchemaError when there are none, or more than MAX_FILES.
    """
    if not path.exists():
        raise SchemaError("wrong_format", f"no file or folder at {path}")
    if path.is_dir():
        found = [blob for file in _files(path) for blob in _of_file(file)]
    else:
        found = _of_file(path)
    if not found:
        raise SchemaError("empty", f"no files in {path.name}")
    if len(found) > MAX_FILES:
        raise SchemaError("oversize", f"more than {MAX_FILES} files in {path.name}")
    return found


def _files(folder: Path) -> list[Path]:
    found = []
    for file in folder.rglob("*"):
        hidden = any(part[0] in "._" for part in file.relative_to(folder).parts)
        if not hidden and file.is_file():
            found.append(file)
        if len(found) > MAX_FILES:
            raise SchemaError("oversize", f"more than {MAX_FILES} files in {folder.name}")
    return sorted(found)


def _of_file(path: Path) -> list[Blob]:
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic != _ZIP:
        return [Blob(path, path.name.removesuffix(".gz"))]
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise SchemaError("truncated", f"{path.name}: {error}") from error
    names = sorted(m for m in members if not m.rsplit("/", 1)[-1].startswith((".", "_")))
    return [Blob(path, name.removesuffix(".gz"), name) for name in names]

