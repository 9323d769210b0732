"""Sample counters: unwrapping, de-duplication and exact loss, per stream and boot.

Each stream keeps two boots (the current one and the one before, whose last rows may still be on
their way), each with a sliding window of one bit per sample. Lost = expected - received, where
expected runs from the lowest to the highest counter of the boot, and received counts each counter
once, whether or not its row was usable. A counter that jumps further than time allows, or falls
back while time goes on, has been restarted: that is no loss, and its boot is counted anew from
there.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.edge.tables import Whole

FRESH: Final = 0
REPEATED: Final = 1
STALE: Final = 2

SLOTS: Final = 2
SLOT_WIDTH: Final = 8
LIVE, BOOT, TOP, LOW, RECEIVED, SUSPECT_N, T_TOP, ARRIVED = range(SLOT_WIDTH)
TOTAL_WIDTH: Final = 2
RETIRED, STALE_BOOT_N = range(TOTAL_WIDTH)
RESTART_ROWS: Final = 16
"""So many rows in a row that are old by counter and new by time mean a restarted counter."""
NO_SLOT: Final = -1


class Counters(NamedTuple):
    """State: slots (D, SLOTS, SLOT_WIDTH) int64; totals (D, TOTAL_WIDTH) int64; bits (W,) uint64:
    per stream 2 slots x (accepted, seen) x `Streams.words`."""

    slots: NDArray[np.int64]
    totals: NDArray[np.int64]
    bits: NDArray[np.uint64]


def new_counters(rows: int, bit_words: int) -> Counters:
    """State of `rows` streams that have sent nothing."""
    return Counters(
        np.zeros((rows, SLOTS, SLOT_WIDTH), np.int64), np.zeros((rows, TOTAL_WIDTH), np.int64),
        np.zeros(max(bit_words, 1), np.uint64),
    )


def lost_of(counters: Counters) -> NDArray[np.int64]:
    """(D,) samples lost so far, by counter."""
    slots = counters.slots
    open_gap = slots[:, :, TOP] - slots[:, :, LOW] + 1 - slots[:, :, RECEIVED]
    open_gap = np.where(slots[:, :, LIVE] == 1, open_gap, 0)
    lost: NDArray[np.int64] = counters.totals[:, RETIRED] + open_gap.sum(1)
    return lost


@njit(cache=True)
def _clear(
    slots: NDArray[np.int64], totals: NDArray[np.int64], bits: NDArray[np.uint64], row: Whole,
    slot: Whole, begin: Whole, words: Whole, count: Whole,
) -> None:
    """Retire the boot in `slot`: its loss is final; the slot starts anew at `count`.

    begin and words tell where the slot's bits are.
    """
    if slots[row, slot, LIVE] == 1:
        expected = slots[row, slot, TOP] - slots[row, slot, LOW] + 1
        totals[row, RETIRED] += expected - slots[row, slot, RECEIVED]
    bits[begin : begin + 2 * words] = 0
    slots[row, slot, LIVE] = 1
    slots[row, slot, TOP] = count
    slots[row, slot, LOW] = count
    slots[row, slot, RECEIVED] = 0
    slots[row, slot, SUSPECT_N] = 0


@njit(cache=True, forceinline=True)
def known_slot(slots: NDArray[np.int64], row: Whole, boot: Whole) -> int:
    """The slot that holds `boot`, or NO_SLOT."""
    if slots[row, 0, BOOT] == boot and slots[row, 0, LIVE] == 1:
        return 0
    if slots[row, 1, BOOT] == boot and slots[row, 1, LIVE] == 1:
        return 1
    return NO_SLOT


@njit(cache=True)
def _free_slot(
    slots: NDArray[np.int64], totals: NDArray[np.int64], row: Whole, boot: Whole
) -> int:
    """The slot that a boot not held yet may take, or NO_SLOT for one older than both."""
    free = 0
    if slots[row, 0, LIVE] == 1:
        free = 1
        if slots[row, 1, LIVE] == 1 and slots[row, 0, BOOT] < slots[row, 1, BOOT]:
            free = 0
    if slots[row, free, LIVE] == 1 and boot < slots[row, free, BOOT]:
        # Old rows, or a device that lives while a corrupt boot number holds its place.
        totals[row, STALE_BOOT_N] += 1
        if totals[row, STALE_BOOT_N] < RESTART_ROWS:
            return NO_SLOT
        free = 0 if slots[row, 0, ARRIVED] <= slots[row, 1, ARRIVED] else 1
    totals[row, STALE_BOOT_N] = 0
    return free


@njit(cache=True)
def open_slot(
    slots: NDArray[np.int64], totals: NDArray[np.int64], bits: NDArray[np.uint64], row: Whole,
    boot: Whole, word: Whole, words: Whole, count: Whole, t_ingest: Whole,
) -> int:
    """Begin a boot that is not held yet; its slot, or NO_SLOT for one older than both."""
    slot = _free_slot(slots, totals, row, boot)
    if slot != NO_SLOT:
        _clear(slots, totals, bits, row, slot, word + slot * 2 * words, words, count)
        slots[row, slot, BOOT] = boot
        slots[row, slot, T_TOP] = -(2**62)
        slots[row, slot, ARRIVED] = t_ingest
    return slot


@njit(cache=True, forceinline=True)
def unwrapped(top: Whole, seq: Whole, wrap: Whole) -> Whole:
    """`seq` continued beyond the width of its counter, next to `top`, the newest one."""
    ahead = (seq - top) & wrap
    if ahead > wrap >> 1:
        ahead -= wrap + 1
    return top + ahead


@njit(cache=True, forceinline=True)
def _advance(
    slots: NDArray[np.int64], bits: NDArray[np.uint64], row: Whole, slot: Whole, begin: Whole,
    words: Whole, count: Whole,
) -> None:
    """Slide the window up to `count`, forgetting what falls out of it."""
    top = slots[row, slot, TOP]
    if count - top >= words << 6:
        bits[begin : begin + 2 * words] = 0
    else:
        for passed in range(top + 1, count + 1):
            place = passed & ((words << 6) - 1)
            keep = ~(np.uint64(1) << np.uint64(place & 63))
            bits[begin + (place >> 6)] &= keep
            bits[begin + words + (place >> 6)] &= keep
    slots[row, slot, TOP] = count


@njit(cache=True, forceinline=True)
def take_count(
    slots: NDArray[np.int64], totals: NDArray[np.int64], bits: NDArray[np.uint64], row: Whole,
    slot: Whole, begin: Whole, words: Whole, rate: float, count: Whole, t_event: Whole,
    t_ingest: Whole, usable: bool,
) -> int:
    """Note one row in its slot: FRESH, REPEATED or STALE. Only usable rows can be repeated."""
    span = words << 6
    top = slots[row, slot, TOP]
    verdict = FRESH
    if count > top:
        if count - top > span:
            away_ns = max(t_ingest - slots[row, slot, ARRIVED], 0)
            if count - top > span + int(2.0 * rate * away_ns * 1e-9):
                _clear(slots, totals, bits, row, slot, begin, words, count)
        _advance(slots, bits, row, slot, begin, words, count)
    elif count <= top - span:
        verdict = STALE
    place = count & (span - 1)
    at = begin + (place >> 6)
    bit = np.uint64(1) << np.uint64(place & 63)
    if verdict == FRESH and usable and bits[at] & bit:
        verdict = REPEATED
    if verdict != FRESH:
        if not usable or t_event <= slots[row, slot, T_TOP]:
            return verdict
        slots[row, slot, SUSPECT_N] += 1
        if slots[row, slot, SUSPECT_N] < RESTART_ROWS:
            return verdict
        _clear(slots, totals, bits, row, slot, begin, words, count)
    if not (bits[at] | bits[at + words]) & bit:
        slots[row, slot, RECEIVED] += 1
    slots[row, slot, LOW] = min(slots[row, slot, LOW], count)
    slots[row, slot, ARRIVED] = t_ingest
    if usable:
        bits[at] |= bit
        slots[row, slot, SUSPECT_N] = 0
        slots[row, slot, T_TOP] = max(slots[row, slot, T_TOP], t_event)
    else:
        bits[at + words] |= bit
    return FRESH
