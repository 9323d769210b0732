"""Snapshots of state: the newest one per key, fenced by epoch, whole or not at all.

Each epoch writes a name of its own, `<key>/<epoch, 20 digits>.snap`, and the highest epoch wins. So
an owner that was replaced can never overwrite its successor's snapshot, even if it was paused
between looking and writing, and the storage needs no compare-and-swap. The snapshot of the epoch
before is kept until the one after is written: a damaged file falls back to it, and more is
replayed.

Bytes: b"TLS1", epoch u64, length u64, crc32 of the payload u32 (little-endian), payload.
"""

import logging
import struct
import zlib
from typing import Final

from cluster.storage import Storage
from models.errors import FencedError

MAGIC: Final = b"TLS1"
_HEAD: Final = struct.Struct("<4sQQI")
_SUFFIX: Final = ".snap"
_MAX_EPOCH: Final = 10**20 - 1
_log = logging.getLogger("touchline.snapshots")


class SnapshotStore:
    """Atomic snapshots in any `Storage`."""

    def __init__(self, storage: Storage, prefix: str = "snapshots") -> None:
        self._storage = storage
        self._prefix = prefix

    def put(self, key: str, payload: bytes, epoch: int) -> None:
        """Durable. Raises FencedError when a newer epoch has a snapshot, StorageError."""
        if not 0 <= epoch <= _MAX_EPOCH:
            raise ValueError(f"not an epoch: {epoch}")
        epochs = self._epochs(key)
        if epochs and epochs[-1] > epoch:
            raise FencedError(key, epoch, epochs[-1])
        head = _HEAD.pack(MAGIC, epoch, len(payload), zlib.crc32(payload))
        self._storage.put_atomic(self._name(key, epoch), head + payload)
        for old in [e for e in epochs if e < epoch][:-1]:
            self._storage.delete(self._name(key, old))

    def get(self, key: str) -> tuple[bytes, int] | None:
        """The newest whole snapshot and its epoch; None if there is none. Raises StorageError."""
        for epoch in reversed(self._epochs(key)):
            content = self._storage.get(self._name(key, epoch))
            payload = None if content is None else _payload(content, epoch)
            if payload is not None:
                return payload, epoch
            _log.warning("snapshot %s of epoch %d is damaged or gone and is skipped", key, epoch)
        return None

    def forget(self, key: str) -> None:
        """Remove all snapshots of `key`. Raises StorageError."""
        for epoch in self._epochs(key):
            self._storage.delete(self._name(key, epoch))

    def _name(self, key: str, epoch: int) -> str:
        return f"{self._prefix}/{key}/{epoch:020d}{_SUFFIX}"

    def _epochs(self, key: str) -> list[int]:
        folder = f"{self._prefix}/{key}/"
        stems = (
            name.removeprefix(folder).removesuffix(_SUFFIX)
            for name in self._storage.list(folder)
            if name.endswith(_SUFFIX)
        )
        return sorted(int(stem) for stem in stems if stem.isdigit() and len(stem) == 20)


def _payload(content: bytes, epoch: int) -> bytes | None:
    if len(content) < _HEAD.size:
        return None
    magic, held, length, crc = _HEAD.unpack_from(content)
    payload = content[_HEAD.size :]
    whole = len(payload) == length and zlib.crc32(payload) == crc
    return payload if whole and magic == MAGIC and held == epoch else None
