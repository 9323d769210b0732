"""A simulated disk: frames are durable once synced, power loss takes what is not, space is finite.

Owns which bytes survive. A file is a list of frames (one write each); blobs are replaced whole, as
a rename after fsync does. Sizes are bytes.
"""

import errno
import random
from typing import Any, Final

TORN: Final = object()
"""What is left of a frame that power loss cut through."""

Frame = tuple[Any, int]


class SimDisk:
    """`capacity` None: no bound. A write beyond it raises OSError(ENOSPC) and leaves nothing."""

    def __init__(self) -> None:
        self.capacity: int | None = None
        self.used = 0
        self.blobs: dict[str, bytes] = {}
        self._files: dict[str, list[Frame]] = {}
        self._synced: dict[str, int] = {}

    # -- files -------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return sorted(name for name, frames in self._files.items() if frames)

    def frames(self, name: str) -> list[Any]:
        """Whole frames, up to the first torn one."""
        whole = []
        for body, _ in self._files.get(name, []):
            if body is TORN:
                break
            whole.append(body)
        return whole

    def length(self, name: str) -> int:
        return len(self._files.get(name, []))

    def write(self, name: str, body: Any, size: int) -> None:
        """Raises OSError when the disk is full."""
        self._reserve(size)
        self._files.setdefault(name, []).append((body, size))

    def sync(self, name: str) -> None:
        self._synced[name] = self.length(name)

    def cut(self, name: str, length: int) -> None:
        """Truncate to the first `length` frames."""
        frames = self._files.get(name, [])
        self.used -= sum(size for _, size in frames[length:])
        del frames[length:]
        self._synced[name] = min(self._synced.get(name, 0), length)

    # -- blobs -------------------------------------------------------------------------------------

    def put(self, name: str, data: bytes) -> None:
        """Replace a blob, atomically and durably. Raises OSError when the disk is full."""
        # The old one stays until the new one is whole, so both need room.
        self._reserve(len(data))
        self.used -= len(self.blobs.get(name, b""))
        self.blobs[name] = data

    def delete(self, name: str) -> None:
        self.used -= len(self.blobs.pop(name, b""))

    # -- trouble -----------------------------------------------------------------------------------

    def lose_power(self, rng: random.Random) -> int:
        """Un-synced frames survive as far as chance has it; how many are lost."""
        lost = 0
        for name in self.names():
            frames, synced = self._files[name], self._synced.get(name, 0)
            keep = rng.randint(synced, len(frames))
            gone = len(frames) - keep
            self.cut(name, keep)
            if gone and rng.random() < 0.5:
                self._files[name].append((TORN, 0))
            lost += gone
        return lost

    def _reserve(self, size: int) -> None:
        if self.capacity is not None and self.used + size > self.capacity:
            raise OSError(errno.ENOSPC, "no space left on the simulated disk")
        self.used += size
