"""Waiting: the reorder buffer of one kind, and the order in which its rows are worked through.

Rows lie in two tables with room to spare (`Rows`), in order of arrival: new ones are written behind
them, and when rows before some tick are taken out the others close up. Order of work: by stream,
then tick, boot and counter: the tick comes before the counter, so that rows that a clock puts into
another tick are worked through in that tick, however the stream was cut.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow
from models.edge.ingest import Arrived, Judged, checked_channels
from models.edge.rows import (
    ADJUST_NS,
    BOOT,
    COUNT,
    DEVICE,
    FIRST_VALUE,
    FLAGS,
    REASON,
    T_INGEST_NS,
    T_NS,
    Rows,
    no_rows,
)
from models.edge.tables import Whole
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind

NOTHING_NS: Final = -1
LEAST_ROOM: Final = 256
SPARE: Final = 8
"""Room for so many times as many rows as there are is given back, beyond `MOST_IDLE` rows."""
MOST_IDLE: Final = 1 << 16
_MOVES_PER_ROW: Final = 16
_LATE: Final = int(Flag.LATE)
_QUIET_NAN: Final = np.uint32(0x7FC00000)


class Waiting:
    """`oldest_ns` is the oldest event time that waits, NOTHING_NS when nothing does. `begin`: rows
    that wait from the beginning; they are written to."""

    def __init__(self, kind: Kind, begin: Rows | None = None) -> None:
        self.kind = kind
        self._table = begin if begin is not None else no_rows(kind, LEAST_ROOM)
        self._count = len(begin) if begin is not None else 0
        self.oldest_ns = int(self._table.t_ns.min()) if self._count else NOTHING_NS

    def __len__(self) -> int:
        return self._count

    def rows(self) -> Rows:
        """Copies of all that waits, in order of arrival."""
        return self._part(0, self._count)

    def newest_ns(self) -> int:
        """The newest event time that waits; only where something does."""
        return int(self._table.longs[T_NS, : self._count].max())

    def add(self, arrived: Arrived, judged: Judged) -> int:
        """Take in the rows that are good and not late; how many these were."""
        self._make_room(len(judged.reason))
        before = self._count
        self._count, oldest_ns = _append(arrived, judged, False, self._table, before)
        if self._count > before and (before == 0 or oldest_ns < self.oldest_ns):
            self.oldest_ns = int(oldest_ns)
        return self._count - before

    def before(self, first: NDArray[np.int64], upto_ns: int, tick_ns: int) -> Rows | None:
        """Take out the rows before `upto_ns`, in order of work; None when there are none.

        first (D,) names the stream of a device row.
        """
        if self.oldest_ns == NOTHING_NS or self.oldest_ns >= upto_ns:
            return None
        table = self._table
        longs, words, cheaply, left, oldest_ns = _take_out(
            first, table.longs, table.words, self._count, upto_ns, tick_ns
        )
        self._count, self.oldest_ns = left, int(oldest_ns) if left else NOTHING_NS
        self._give_back_room()
        ready = Rows(self.kind, longs, words)
        if cheaply:
            return ready
        return ready.take(np.lexsort((
            ready.count, words[BOOT], ready.t_ns // tick_ns, first[ready.device]
        )))

    def refuse_beyond(self, most: int) -> Rows | None:
        """Take out the newest rows where more than `most` wait."""
        if self._count <= most:
            return None
        extra = self._part(most, self._count)
        self._count = most
        self.oldest_ns = int(self._table.longs[T_NS, :most].min())
        return extra

    def _part(self, begin: int, end: int) -> Rows:
        table = self._table
        return Rows(
            self.kind, table.longs[:, begin:end].copy(), table.words[:, begin:end].copy()
        )

    def _make_room(self, count: int) -> None:
        needed = self._count + count
        if needed > len(self._table):
            self._move(max(2 * len(self._table), needed))

    def _give_back_room(self) -> None:
        if len(self._table) > MOST_IDLE and self._count * SPARE < len(self._table):
            self._move(max(2 * self._count, LEAST_ROOM))

    def _move(self, room: int) -> None:
        fresh, count = no_rows(self.kind, room), self._count
        fresh.longs[:, :count] = self._table.longs[:, :count]
        fresh.words[:, :count] = self._table.words[:, :count]
        self._table = fresh


def late_rows(kind: Kind, arrived: Arrived, judged: Judged, count: int) -> Rows:
    """The `count` good rows that missed their record: a supplement, full rate, with the edge's
    channels filled as far as a row alone tells them; its PlayerLoad stays NaN."""
    rows = no_rows(kind, count)
    _append(arrived, judged, True, rows, 0)
    names, values = KINDS[kind].names, rows.values
    if "merged_n" in names:
        acc = values[:3]
        values[names.index("merged_n")] = 1.0
        values[names.index("peak_mps2")] = np.sqrt((acc * acc).sum(0))
    return rows


def _append(
    arrived: Arrived, judged: Judged, late: bool, table: Rows, at: int
) -> tuple[int, Whole]:
    """Write the good rows that are late, or are not, behind the first `at` of `table`; how many
    there are then, the oldest new time. The edge's own channels become NaN, whatever the sender
    has put there."""
    checked = checked_channels(table.kind)
    end, oldest_ns = _write(arrived, judged, late, checked, table.longs, table.words, at)
    return end, oldest_ns


@njit(cache=True)
def _write(
    arrived: Arrived, judged: Judged, late: bool, checked: int, longs: NDArray[np.int64],
    words: NDArray[np.uint32], at: int,
) -> tuple[int, Whole]:
    arrived, judged, longs, words = borrow((arrived, judged, longs, words))
    bits = arrived.values.view(np.uint32)
    boot, ingest, event, sent = (
        arrived.boot, arrived.t_ingest_ns, arrived.t_event_ns, arrived.flags
    )
    reason, device, number, t_ns, flags = judged
    oldest_ns, begin = np.int64(2**62), at
    for i in range(reason.size):
        if reason[i] != 0 or (flags[i] & _LATE != 0) != late:
            continue
        longs[T_NS, at] = t_ns[i]
        longs[T_INGEST_NS, at] = ingest[i]
        longs[COUNT, at] = number[i]
        longs[ADJUST_NS, at] = t_ns[i] - event[i]
        words[DEVICE, at] = device[i]
        words[BOOT, at] = boot[i]
        words[FLAGS, at] = sent[i] | flags[i]
        words[REASON, at] = 0
        oldest_ns = min(oldest_ns, t_ns[i])
        at += 1
    # Channel by channel: a row of the table is then written from end to end.
    for c in range(checked):
        put = begin
        for i in range(reason.size):
            if reason[i] == 0 and (flags[i] & _LATE != 0) == late:
                words[FIRST_VALUE + c, put] = bits[c, i]
                put += 1
    words[FIRST_VALUE + checked :, begin:at] = _QUIET_NAN
    return at, oldest_ns


@njit(cache=True, forceinline=True)
def _goes_before(
    boot: NDArray[np.uint32], count: NDArray[np.int64], t_ns: NDArray[np.int64], tick_ns: int,
    i: int, j: int,
) -> bool:
    if t_ns[i] != t_ns[j]:
        tick_i, tick_j = t_ns[i] // tick_ns, t_ns[j] // tick_ns
        if tick_i != tick_j:
            return tick_i < tick_j
    if boot[i] != boot[j]:
        return boot[i] < boot[j]
    return count[i] < count[j]


@njit(cache=True, forceinline=True)
def _ready_rows(
    first: NDArray[np.int64], device: NDArray[np.uint32], boot: NDArray[np.uint32],
    count: NDArray[np.int64], t_ns: NDArray[np.int64], upto_ns: int, tick_ns: int,
) -> tuple[NDArray[np.int64], bool]:
    """Rows before `upto_ns`, by stream; and whether each stream could be put in order cheaply.

    A counting sort by stream, then insertion: arrival order is nearly order of work. Hostile input
    would make insertion quadratic, so it gives up beyond a budget of moves.
    """
    place = np.zeros(first.size + 1, np.int64)
    for i in range(device.size):
        if t_ns[i] < upto_ns:
            place[first[device[i]] + 1] += 1
    for row in range(first.size):
        place[row + 1] += place[row]
    begin = place.copy()
    ready = np.empty(place[first.size], np.int64)
    for i in range(device.size):
        if t_ns[i] < upto_ns:
            row = first[device[i]]
            ready[place[row]] = i
            place[row] += 1
    budget = _MOVES_PER_ROW * ready.size + 1024
    for row in range(first.size):
        for at in range(begin[row] + 1, begin[row + 1]):
            i, j = ready[at], ready[at - 1]
            if boot[i] == boot[j] and count[i] > count[j] and t_ns[i] >= t_ns[j]:
                continue
            hole = at
            while hole > begin[row] and _goes_before(
                boot, count, t_ns, tick_ns, i, ready[hole - 1]
            ):
                ready[hole] = ready[hole - 1]
                hole -= 1
                budget -= 1
                if budget < 0:
                    # The row in hand must go back, or it would be lost.
                    ready[hole] = i
                    return ready, False
            ready[hole] = i
    return ready, True


@njit(cache=True, forceinline=True)
def _gather(table: NDArray[Any], rows: NDArray[np.int64], out: NDArray[Any]) -> None:
    for k in range(table.shape[0]):
        for at in range(rows.size):
            out[k, at] = table[k, rows[at]]


@njit(cache=True)
def _take_out(
    first: NDArray[np.int64], longs: NDArray[np.int64], words: NDArray[np.uint32], n: int,
    upto_ns: int, tick_ns: int,
) -> tuple[NDArray[np.int64], NDArray[np.uint32], bool, int, Whole]:
    """The rows before `upto_ns` as tables of their own, and whether they are in order of work; how
    many others are left, which close up, and their oldest time."""
    first, longs, words = borrow((first, longs, words))
    t_ns = longs[T_NS, :n]
    ready, cheaply = _ready_rows(
        first, words[DEVICE, :n], words[BOOT, :n], longs[COUNT, :n], t_ns, upto_ns, tick_ns
    )
    out_longs = np.empty((longs.shape[0], ready.size), np.int64)
    out_words = np.empty((words.shape[0], ready.size), np.uint32)
    _gather(longs, ready, out_longs)
    _gather(words, ready, out_words)
    left, oldest_ns = np.empty(n - ready.size, np.int64), np.int64(2**62)
    at = 0
    for i in range(n):
        if t_ns[i] >= upto_ns:
            left[at] = i
            at += 1
            oldest_ns = min(oldest_ns, t_ns[i])
    # In place: each moves forward, over what has gone or has moved.
    _gather(longs, left, longs)
    _gather(words, left, words)
    return out_longs, out_words, cheaply, left.size, oldest_ns
