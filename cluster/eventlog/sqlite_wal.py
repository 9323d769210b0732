"""Mends a write-ahead log that was damaged after it was written, before SQLite sees it.

SQLite takes the first frame of a WAL whose checksum is wrong for the end of it: right for a write
that a crash has torn, but one flipped bit would silently take every acknowledged record after it.
A checksum here is linear in its words (sqlite.org/fileformat2.html, 4.2), so a single flipped bit
is found and put right. Where several explain a checksum, the frames around it tell whether one of
its head was hit, which says where its page belongs. A frame with more damage keeps its page as it
is, under a new checksum: the records' own checksums then say which of them are lost. A torn last
transaction is left out.

Owns bytes only: who may mend, and when, is `sqlite_lock`.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

HEAD_BYTES: Final = 32
FRAME_HEAD_BYTES: Final = 24
PAGE_SIZES: Final = tuple(1 << n for n in range(9, 17))
DATABASE_HEAD_BYTES: Final = 100
_DEFAULT_PAGE_BYTES: Final = 4096  # SQLite's own, where nothing tells
_MAGIC: Final = 0x377F0682  # checksums over little-endian words, as x86 and ARM write them
_FORMAT: Final = 3_007_000
_MASK: Final = 0xFFFFFFFF

Sum = tuple[int, int]
Bit = tuple[int, int]
"""A byte of a frame, and the bit of it that is set."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A WAL that SQLite reads to its end: `corrected` bits, and frames that are `broken`."""

    content: bytes
    corrected: int
    broken: int


def mend(content: bytes, database: bytes = b"") -> Mended | None:
    """The mended WAL; None when there is nothing to mend: it is whole, empty, or only torn.

    database: the first `DATABASE_HEAD_BYTES` of its database, which say how many pages there were,
    and how large they are where the header of the WAL no longer does.
    """
    if len(content) < HEAD_BYTES + FRAME_HEAD_BYTES + PAGE_SIZES[0]:
        return None
    frames, corrected = _frames_of(content, database)
    if not frames.total:
        return None
    corrected += frames.verify()
    end = frames.end()
    broken = {k for k in frames.broken if k < end}
    if not corrected and not broken:
        return None
    return Mended(frames.head + frames.sealed(end), corrected, len(broken))


def _frames_of(content: bytes, database: bytes) -> tuple["_Frames", int]:
    """The frames under the header that they were written under, and whether that was put right."""
    head = bytearray(content[:HEAD_BYTES])
    pages = int.from_bytes(database[28:32], "big")
    if _head_holds(head):
        return _Frames(content, bytes(head), pages), 0
    for bit in range(8 * HEAD_BYTES):
        head[bit >> 3] ^= 1 << (bit & 7)
        if _head_holds(head):
            frames = _Frames(content, bytes(head), pages)
            if frames.first_holds():
                return frames, 1
        head[bit >> 3] ^= 1 << (bit & 7)
    # More than a bit: every field but the count of checkpoints is known, and that one is free.
    salts = content[HEAD_BYTES + 8 : HEAD_BYTES + 16]
    page_bytes = _page_bytes_of(content, database)
    made = struct.pack(">4I", _MAGIC, _FORMAT, page_bytes, 0) + salts
    made += struct.pack(">2I", *_checksum(made, (0, 0)))
    return _Frames(content, made, pages), 1


def _page_bytes_of(content: bytes, database: bytes) -> int:
    """The page size of a WAL whose header is lost: its database's, and where that is lost too, the
    one at which a second frame has the salts of the first."""
    if len(database) >= 18:
        (said,) = struct.unpack_from(">H", database, 16)
        page_bytes = 1 << 16 if said == 1 else int(said)
        if page_bytes in PAGE_SIZES:  # no flipped bit makes one of them of another
            return page_bytes
    salts = content[HEAD_BYTES + 8 : HEAD_BYTES + 16]
    for page_bytes in PAGE_SIZES:
        at = HEAD_BYTES + FRAME_HEAD_BYTES + page_bytes + 8
        if any(salts) and content[at : at + 8] == salts:
            return page_bytes
    return _DEFAULT_PAGE_BYTES


def _head_holds(head: bytearray) -> bool:
    magic, form, page = struct.unpack_from(">3I", head)
    known = (magic, form) == (_MAGIC, _FORMAT) and page in PAGE_SIZES
    return known and _checksum(bytes(head[:24]), (0, 0)) == struct.unpack_from(">2I", head, 24)


def _checksum(data: bytes, seed: Sum) -> Sum:
    s0, s1 = seed
    words = struct.unpack(f"<{len(data) // 4}I", data)
    for x0, x1 in zip(words[::2], words[1::2], strict=True):
        s0 = (s0 + x0 + s1) & _MASK
        s1 = (s1 + x1 + s0) & _MASK
    return s0, s1


@lru_cache(len(PAGE_SIZES))
def _weights(page_bytes: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """(2 x words) what a word of a frame adds to its checksum; and what becomes of the seed."""
    pairs = (8 + page_bytes) // 8
    # s' = M s + B x for each pair of words, with M = [[1, 1], [1, 2]] and B = [[1, 0], [1, 1]].
    a, b, c, d = 1, 0, 0, 1
    weights = np.empty((2, 2 * pairs), np.uint32)
    for pair in range(pairs - 1, -1, -1):
        weights[:, 2 * pair] = (a + b) & _MASK, (c + d) & _MASK
        weights[:, 2 * pair + 1] = b, d
        a, b, c, d = (a + b) & _MASK, (a + 2 * b) & _MASK, (c + d) & _MASK, (c + 2 * d) & _MASK
    weights.setflags(write=False)
    return weights, (a, b, c, d)


def _follows(page: int, after: int, before: int) -> bool:
    """Whether a page can come after another one (0: none) where the database had `before` pages."""
    return after > page and (not before or after <= max(before, page) + 1)


class _Frames:
    """The frames of the newest generation: those with the header's salts, and one that may be.
    `total` counts those of older ones, too; `pages` are those of the database (0: not known)."""

    def __init__(self, content: bytes, head: bytes, pages: int) -> None:
        (page_bytes,) = struct.unpack_from(">I", head, 8)
        frame_bytes = FRAME_HEAD_BYTES + page_bytes
        self.total = (len(content) - HEAD_BYTES) // frame_bytes
        rows = np.frombuffer(content, np.uint8, self.total * frame_bytes, HEAD_BYTES)
        rows = rows.reshape(self.total, frame_bytes)
        self.head = head
        self._pages = pages
        self._seed: Sum = struct.unpack_from(">2I", head, 24)
        self._salts = np.frombuffer(head, np.uint8, 8, 16)
        self._salted = (rows[:, 8:16] == self._salts).all(axis=1)
        newest = np.flatnonzero(self._salted)
        self._count = int(newest[-1]) + 1 if len(newest) else 0
        self._rows = rows[: self._count + 1].copy()
        self._weights, self._matrix = _weights(page_bytes)
        self._parts = self._parts_of(self._rows)
        self.broken: set[int] = set()
        self._torn: set[int] = set()

    def first_holds(self) -> bool:
        """Whether the first frame follows upon the header."""
        salted = self.total > 0 and bool(self._salted[0])
        return salted and self._after(self._seed, 0) == self._stored(0)

    def verify(self) -> int:
        """Put right what can be; how often that was done. What cannot be is `broken`."""
        corrected, seed = 0, self._seed
        for k in range(len(self._rows)):
            expected, stored = self._after(seed, k), self._stored(k)
            if k == self._count and expected != stored:
                break  # an older generation's, or torn
            self._count = max(self._count, k + 1)
            seed = stored
            if expected == stored:
                corrected += not self._salted[k]
                self._resalt(k)
            elif self._reaches_next(k, expected) and not self._reaches_next(k, stored):
                self._put(k, expected)
                corrected, seed = corrected + 1, expected
            elif self._correct_bit(k, expected, stored):
                corrected += 1
            else:
                self.broken.add(k)
        return corrected

    def end(self) -> int:
        """Where the last whole transaction ends. The very last one, with a frame that has more than
        a bit wrong, is what a crash leaves of a write that nobody was told of."""
        commits = [k for k in range(self._count) if self._salted[k] and self._word(k, 4)]
        if not commits:
            return 0
        begin = commits[-2] + 1 if len(commits) > 1 else 0
        torn = any(begin <= k <= commits[-1] for k in self._torn)
        return begin if torn else commits[-1] + 1

    def sealed(self, end: int) -> bytes:
        """The frames below `end`, in a chain of checksums that holds."""
        made, seed = [], self._seed
        pages = max((self._word(k, 4) for k in range(end) if k not in self.broken), default=0)
        for k in range(end):
            # A broken frame that does not say where its page belongs cannot be kept.
            if k in self.broken and not (self._salted[k] and 0 < self._word(k, 0) <= pages):
                continue
            seed = self._after(seed, k)
            self._put(k, seed)
            made.append(self._rows[k].tobytes())
        return b"".join(made)

    def _correct_bit(self, k: int, expected: Sum, stored: Sum) -> bool:
        """Put right the one bit of a frame that explains its checksum, if it is the only one that
        does: of the highest bits of a word there may be several."""
        found = self._explaining(k, expected, stored)
        single = sum((a ^ b).bit_count() for a, b in zip(expected, stored, strict=True)) == 1
        own = single and not self._reaches_next(k, stored)
        if not single and not found:
            self._torn.add(k)
        if len(found) + own > 1:
            # A page that is kept, but in the wrong place, would be worse than a lost one.
            ways = self._ways(k, [one for one in found if one[0] < 8])
            head_is_wrong = None not in ways
            found = [one for one in found if one in ways or (one[0] >= 8 and not head_is_wrong)]
            own = own and not head_is_wrong
        if own:
            self._put(k, expected)
            return True
        if len(found) != 1:
            return False
        byte, mask = found[0]
        self._rows[k, byte] ^= mask
        self._parts[k] = self._parts_of(self._rows[k : k + 1])[0]
        self._resalt(k)
        return True

    def _explaining(self, k: int, expected: Sum, stored: Sum) -> list[Bit]:
        """The bits of a frame's head and page of which each alone explains its checksum."""
        delta = np.array(stored, np.uint32) - np.array(expected, np.uint32)
        found: set[Bit] = set()
        for bit in range(32):
            step0, step1 = self._weights << np.uint32(bit)
            for set_now, (moved0, moved1) in ((False, delta), (True, np.negative(delta))):
                for word in np.flatnonzero((step0 == moved0) & (step1 == moved1)).tolist():
                    at = 4 * word if word < 2 else FRAME_HEAD_BYTES + 4 * (word - 2)
                    byte, mask = at + bit // 8, 1 << (bit % 8)
                    if bool(self._rows[k, byte] & mask) == set_now:
                        found.add((byte, mask))
        return sorted(found)

    def _ways(self, k: int, bits: list[Bit]) -> list[Bit | None]:
        """Which of these bits can be the wrong one in a frame's head; None: it can be right. More
        than one where neither the frames around it nor earlier ones of its page tell."""
        every: list[Bit | None] = [None, *bits]
        ways = [one for one in every if self._head_fits(k, *self._head(k, one))] or every
        alike = [self._likeness(k, self._head(k, one)[0]) for one in ways]
        if min(alike) < 0:
            return ways
        return [one for one, like in zip(ways, alike, strict=True) if like == max(alike)]

    def _head_fits(self, k: int, page: int, size: int) -> bool:
        """Whether frame k can be of this page, and commit at this size (0: does not commit).

        A transaction writes its pages in order, those that it adds one after the other, and commits
        with the last. Each writes the state, so the next begins no later; a segment never shrinks.
        """
        commits = [j for j in range(k) if j not in self.broken and self._word(j, 4)]
        before = self._word(commits[-1], 4) if commits else self._pages
        begins = k == 0 or k - 1 in commits
        if k - 1 not in self.broken and not _follows(
            0 if begins else self._word(k - 1, 0), page, before
        ):
            return False
        after = self._word(k + 1, 0) if k + 1 < self._count else None
        if size:
            in_order = after is None or after <= page
            return in_order and (size == max(page, before) if before else size >= page)
        # Only what a crash has torn ends without a commit.
        return after is not None and _follows(page, after, before)

    def _likeness(self, k: int, page: int) -> int:
        """How many bytes of a frame are those that its page had before; -1: there is no such."""
        for j in range(k - 1, -1, -1):
            if j not in self.broken and self._word(j, 0) == page:
                same = self._rows[k, FRAME_HEAD_BYTES:] == self._rows[j, FRAME_HEAD_BYTES:]
                return int(np.count_nonzero(same))
        return -1

    def _head(self, k: int, bit: Bit | None = None) -> tuple[int, int]:
        """Page and size in the head of a frame, with one of its bits the other way round."""
        head = bytearray(self._rows[k, :8].tobytes())
        if bit is not None:
            head[bit[0]] ^= bit[1]
        page, size = struct.unpack(">2I", head)
        return page, size

    def _resalt(self, k: int) -> None:
        self._rows[k, 8:16] = self._salts
        self._salted[k] = True

    def _put(self, k: int, checksum: Sum) -> None:
        """Set a frame's checksum, and its salts, which whatever is kept must have."""
        self._rows[k, 16:24] = np.frombuffer(struct.pack(">2I", *checksum), np.uint8)
        self._resalt(k)

    def _reaches_next(self, k: int, seed: Sum) -> bool:
        """Whether the next frame's checksum holds when this one's is `seed`."""
        return k + 1 < len(self._rows) and self._after(seed, k + 1) == self._stored(k + 1)

    def _stored(self, k: int) -> Sum:
        return self._word(k, 16), self._word(k, 20)

    def _word(self, k: int, at: int) -> int:
        return int.from_bytes(self._rows[k, at : at + 4].tobytes(), "big")

    def _after(self, seed: Sum, k: int) -> Sum:
        """The checksum of frame k when the one before it has `seed`."""
        a, b, c, d = self._matrix
        (s0, s1), (p0, p1) = seed, self._parts[k].tolist()
        return (a * s0 + b * s1 + p0) & _MASK, (c * s0 + d * s1 + p1) & _MASK

    def _parts_of(self, rows: np.ndarray) -> np.ndarray:
        """(frames x 2) what a frame's own words add to its checksum."""
        summed = np.concatenate((rows[:, :8], rows[:, FRAME_HEAD_BYTES:]), axis=1)
        parts: np.ndarray = np.ascontiguousarray(summed).view("<u4") @ self._weights.T
        return parts
