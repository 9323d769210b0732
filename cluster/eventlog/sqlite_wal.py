"""Mends a write-ahead log that was damaged after it was written, before SQLite sees it.

SQLite takes the first frame of a WAL whose checksum is wrong for the end of it: right for a write
that a crash has torn, but one flipped bit would silently take every acknowledged record after it.
A checksum here is linear in its words (sqlite.org/fileformat2.html, 4.2), so a single flipped bit
is found and put right. A frame with more damage keeps its page as it is, under a new checksum: the
records' own checksums then say which of them are lost. A torn last transaction is left to SQLite.

Owns bytes only: who may mend, and when, is `sqlite_guard`.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

PAGE_BYTES: Final = 4096
HEAD_BYTES: Final = 32
FRAME_HEAD_BYTES: Final = 24
FRAME_BYTES: Final = FRAME_HEAD_BYTES + PAGE_BYTES
_MAGIC: Final = 0x377F0682  # checksums over little-endian words, as x86 and ARM write them
_FORMAT: Final = 3_007_000
_MASK: Final = 0xFFFFFFFF
_PAIRS: Final = (8 + PAGE_BYTES) // 8

Sum = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mended:
    """A WAL that SQLite reads to its end: `corrected` bits, and frames that are `broken`."""

    content: bytes
    corrected: int
    broken: int


def mend(content: bytes) -> Mended | None:
    """The mended WAL; None when there is nothing to mend: it is whole, empty, or only torn."""
    if len(content) < HEAD_BYTES + FRAME_BYTES:
        return None
    head, corrected = _head(content)
    if head is None:
        return None
    frames = _Frames(content, head)
    corrected += frames.verify(struct.unpack_from(">2I", head, 24))
    broken = {k for k in frames.broken if k < frames.last_begin}
    if not corrected and not broken:
        return None
    # The last transaction may be what a crash has torn: with it in doubt, the WAL ends before it.
    doubt = any(k >= frames.last_begin for k in frames.broken)
    return Mended(
        head + frames.sealed(frames.last_begin if doubt else frames.end, broken),
        corrected, len(broken),
    )


def _head(content: bytes) -> tuple[bytes | None, int]:
    """The WAL's header, and how many bits of it were put right; None if it cannot be told."""
    head = bytearray(content[:HEAD_BYTES])
    if _head_holds(head):
        return bytes(head), 0
    for bit in range(8 * HEAD_BYTES):
        head[bit >> 3] ^= 1 << (bit & 7)
        if _head_holds(head):
            return bytes(head), 1
        head[bit >> 3] ^= 1 << (bit & 7)
    # More than a bit: every field but the count of checkpoints is known, and that one is free.
    salts = content[HEAD_BYTES + 8 : HEAD_BYTES + 16]
    made = struct.pack(">4I", _MAGIC, _FORMAT, PAGE_BYTES, 0) + salts
    return made + struct.pack(">2I", *_checksum(made, (0, 0))), 1


def _head_holds(head: bytearray) -> bool:
    magic, form, page = struct.unpack_from(">3I", head)
    known = (magic, form, page) == (_MAGIC, _FORMAT, PAGE_BYTES)
    return known and _checksum(bytes(head[:24]), (0, 0)) == struct.unpack_from(">2I", head, 24)


def _checksum(data: bytes, seed: Sum) -> Sum:
    s0, s1 = seed
    words = struct.unpack(f"<{len(data) // 4}I", data)
    for x0, x1 in zip(words[::2], words[1::2], strict=True):
        s0 = (s0 + x0 + s1) & _MASK
        s1 = (s1 + x1 + s0) & _MASK
    return s0, s1


def _weights() -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """(words x 2) what a word of a frame adds to its checksum; and what becomes of the seed."""
    # s' = M s + B x for each pair of words, with M = [[1, 1], [1, 2]] and B = [[1, 0], [1, 1]].
    a, b, c, d = 1, 0, 0, 1
    weights = np.empty((2 * _PAIRS, 2), np.uint32)
    for pair in range(_PAIRS - 1, -1, -1):
        weights[2 * pair] = (a + b) & _MASK, (c + d) & _MASK
        weights[2 * pair + 1] = b, d
        a, b, c, d = (a + b) & _MASK, (a + 2 * b) & _MASK, (c + d) & _MASK, (c + 2 * d) & _MASK
    return weights, (a, b, c, d)


class _Frames:
    """The frames of the newest generation: those with the header's salts."""

    def __init__(self, content: bytes, head: bytes) -> None:
        count = (len(content) - HEAD_BYTES) // FRAME_BYTES
        rows = np.frombuffer(content, np.uint8, count * FRAME_BYTES, HEAD_BYTES)
        rows = rows.reshape(count, FRAME_BYTES).copy()
        self._salts = head[16:24]
        salted = (rows[:, 8:16] == np.frombuffer(self._salts, np.uint8)).all(axis=1)
        matching = np.flatnonzero(salted)
        self._rows = rows[: int(matching[-1]) + 1] if len(matching) else rows[:0]
        self._salted = salted
        self._weights, self._matrix = _weights()
        self._seed: Sum = struct.unpack_from(">2I", head, 24)
        self.broken: set[int] = set()
        self.end = self.last_begin = 0

    def verify(self, seed: Sum) -> int:
        """Put right what can be, and find the transactions; how many bits were put right."""
        parts = self._parts()
        corrected = 0
        for k in range(len(self._rows)):
            expected, stored = self._after(seed, parts[k]), self._stored(k)
            if not self._salted[k]:
                if expected != stored and not self._fits(k, stored, parts):
                    self.broken.add(k)
                    continue
                self._rows[k, 8:16] = np.frombuffer(self._salts, np.uint8)
                corrected += 1
            if expected != stored:
                if self._put_right(k, expected, stored):
                    corrected += 1
                else:
                    self.broken.add(k)
            seed = self._stored(k)
        self._transactions()
        return corrected

    def sealed(self, end: int, broken: set[int]) -> bytes:
        """The frames below `end` in a chain of checksums that holds."""
        made, seed = [], self._seed
        pages = max((self._size(k) for k in range(end) if k not in broken), default=0)
        for k in range(end):
            # A broken frame that does not say where its page belongs cannot be kept.
            if k in broken and not (self._salted[k] and 0 < self._page(k) <= pages):
                continue
            row = self._rows[k]
            if k in broken:
                seed = self._after(seed, self._parts()[k])
            else:
                seed = _checksum_of(self, k, seed)
            row[16:24] = np.frombuffer(struct.pack(">2I", *seed), np.uint8)
            made.append(row.tobytes())
        return b"".join(made)

    def _transactions(self) -> None:
        commits = [k for k in range(len(self._rows)) if k not in self.broken and self._size(k)]
        self.end = commits[-1] + 1 if commits else 0
        self.last_begin = commits[-2] + 1 if len(commits) > 1 else 0
        if self.broken and max(self.broken) >= self.end:
            # What follows the last whole commit was never acknowledged.
            self.broken = {k for k in self.broken if k < self.end}

    def _parts(self) -> np.ndarray:
        """(frames x 2) what a frame's own words add to its checksum."""
        words = np.ascontiguousarray(
            np.concatenate((self._rows[:, :8], self._rows[:, FRAME_HEAD_BYTES:]), axis=1)
        ).view("<u4")
        return words @ self._weights

    def _after(self, seed: Sum, part: np.ndarray) -> Sum:
        a, b, c, d = self._matrix
        s0, s1 = seed
        return (
            (a * s0 + b * s1 + int(part[0])) & _MASK, (c * s0 + d * s1 + int(part[1])) & _MASK,
        )
