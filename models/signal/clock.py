"""Clock correction per sensor: which offset turns its event time into true time. All in ns.

The offset of a row is t_ingest - t_event: delay plus clock error. A delay is never negative, so the
lower envelope of offsets bounds the error from above; and a delay does not disturb the sensor's own
line of counter and time, while a step of its clock does. Three rules follow:

    step      time leaves the counter's line, and the offset jumps by the opposite: corrected by
              exactly that jump
    bound     the corrected delay is impossible (future; or older than the late bound, of a sensor
              that has left its line: one that has not was only held back): corrected to the lowest
              offset seen
    envelope  the lowest delay of a whole second leaves +-`SKEW_NS` for long enough: corrected to
              it; one that falls as much in that time is that of a queue being emptied

Steps and bounds need `CONFIRM_ROWS` rows that agree over `CONFIRM_NS` of arrival time: one corrupt
timestamp, or one corrupt packet, moves no clock. Rows that arrive together agree; of those that do
not the first ones of each arrival are compared. Errors below `SMALL_NS` are left as they are.

The envelope corrects upwards to the *ceiling* at most: the lowest offset seen, and a nanosecond in
`DRIFT_PER` since then. A clock that keeps its line is not further off than that, so whatever lies
above is delay, however long it lasts. Where time leaves the line, the clock may have changed: there
the ceiling rises by as much as the offset does. The line is that from one row to the next: a sensor
that is faster or slower than its nominal rate is on it, and a sender that pauses while its offset
stays low leaves it without raising anything. A clock that is slewed faster than drift without
leaving the line is followed at the pace of drift only.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

CONFIRM_ROWS: Final = 3
CONFIRM_NS: Final = 300_000_000
STEP_NS: Final = 200_000_000
JITTER_NS: Final = 150_000_000
SKEW_NS: Final = 500_000_000
SMALL_NS: Final = 100_000_000
BUCKET_NS: Final = 1_000_000_000
YOUNG_NS: Final = 5_000_000_000
YOUNG_BUCKETS: Final = 2
OLD_BUCKETS: Final = 10
"""Seconds of envelope that a new and a known sensor need: a congested link also delays everything,
but rarely from its first row on, or for that long."""
DRIFT_PER: Final = 5_000
"""A clock gains or loses a nanosecond in so many at most: 200 ppm; crystals drift by 5 to 50."""

Whole = int | np.int64
CLOCK_WIDTH: Final = 21
_WIDTH_BEFORE: Final = 18
(
    OFFSET, LINED, T_REF, COUNT_REF, O_REF, BOOT, SEEN, CAND_N, CAND_SINCE, CAND_O, CAND_LOW,
    CAND_STEP, BUCKET_END, BUCKET_LOW, HIGH_N, YOUNG_UNTIL, CHANGES,
    FIRST_LOW, CEILING, CEILING_AT, CAND_AT,
) = range(CLOCK_WIDTH)


def new_clocks(rows: int) -> NDArray[np.int64]:
    """State of `rows` sensors that have sent nothing: (rows, CLOCK_WIDTH) int64."""
    return np.zeros((rows, CLOCK_WIDTH), np.int64)


def saved_clocks(clocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """State from a snapshot, (rows, CLOCK_WIDTH): one from before there were ceilings has none."""
    if clocks.ndim != 2 or clocks.shape[1] != _WIDTH_BEFORE:
        return clocks
    whole = np.zeros((len(clocks), CLOCK_WIDTH), clocks.dtype)
    whole[:, :_WIDTH_BEFORE] = clocks
    return whole


@njit(cache=True)
def _adopt(c: NDArray[np.int64], row: Whole, offset: Whole) -> None:
    if -SMALL_NS < offset < SMALL_NS:
        offset = 0
    if offset != c[row, OFFSET]:
        c[row, OFFSET] = offset
        c[row, CHANGES] += 1
    c[row, CAND_N] = 0
    c[row, HIGH_N] = 0
    c[row, BUCKET_END] = 0


@njit(cache=True)
def _close_bucket(c: NDArray[np.int64], row: Whole, t_ingest: Whole) -> None:
    """Lower the ceiling to the bucket's lowest offset, and see how far it is from the clock's."""
    ceiling = c[row, BUCKET_LOW]
    if c[row, CEILING_AT] > 0:
        drift = (t_ingest - c[row, CEILING_AT]) // DRIFT_PER
        ceiling = min(ceiling, c[row, CEILING] + drift)
    c[row, CEILING] = ceiling
    c[row, CEILING_AT] = t_ingest
    error = ceiling - c[row, OFFSET]
    if error > SKEW_NS:
        if c[row, HIGH_N] == 0 or ceiling < c[row, FIRST_LOW] - SKEW_NS:
            c[row, HIGH_N] = 0
            c[row, FIRST_LOW] = ceiling
        c[row, HIGH_N] += 1
        needed = YOUNG_BUCKETS if t_ingest < c[row, YOUNG_UNTIL] else OLD_BUCKETS
        if c[row, HIGH_N] >= needed:
            _adopt(c, row, ceiling)
    elif error < -SKEW_NS:
        _adopt(c, row, ceiling)
    else:
        c[row, HIGH_N] = 0


@njit(cache=True, forceinline=True)
def _envelope(c: NDArray[np.int64], row: Whole, t_ingest: Whole, offset: Whole) -> None:
    if t_ingest < c[row, BUCKET_END]:
        c[row, BUCKET_LOW] = min(c[row, BUCKET_LOW], offset)
        return
    if c[row, BUCKET_END] > 0:
        _close_bucket(c, row, t_ingest)
    c[row, BUCKET_END] = t_ingest + BUCKET_NS
    c[row, BUCKET_LOW] = offset


@njit(cache=True)
def _raise_ceiling(c: NDArray[np.int64], row: Whole, rise: Whole, offset: Whole) -> None:
    """The clock may be off by `rise` more from the row with `offset` on."""
    if rise > 0:
        c[row, CEILING] += rise
        # What came before says nothing about the clock as it is now.
        c[row, BUCKET_LOW] = offset


@njit(cache=True)
def _suspect(
    c: NDArray[np.int64], row: Whole, t_ingest: Whole, step: Whole, offset: Whole
) -> bool:
    """Note a row that speaks against the clock; False when enough of them say nothing but that
    the sender has paused."""
    # In a packet the offset falls with every row: only its first row is like another packet's.
    agrees = t_ingest == c[row, CAND_AT] or abs(offset - c[row, CAND_O]) <= 2 * JITTER_NS
    c[row, CAND_AT] = t_ingest
    if c[row, CAND_N] == 0 or not agrees:
        c[row, CAND_N] = 1
        c[row, CAND_SINCE] = t_ingest
        c[row, CAND_O] = offset
        c[row, CAND_LOW] = offset
        c[row, CAND_STEP] = step
        return True
    c[row, CAND_N] += 1
    c[row, CAND_LOW] = min(c[row, CAND_LOW], offset)
    if c[row, CAND_N] >= CONFIRM_ROWS and t_ingest - c[row, CAND_SINCE] >= CONFIRM_NS:
        before, step_ns = c[row, OFFSET], c[row, CAND_STEP]
        if step_ns > 0 and c[row, O_REF] - before > SKEW_NS:
            # A pause of the sender makes up for delay: a queue is shorter behind it.
            return False
        _adopt(c, row, before - step_ns if step_ns != 0 else c[row, CAND_LOW])
        _raise_ceiling(c, row, c[row, OFFSET] - before, offset)
        c[row, LINED] = 0
    return True


@njit(cache=True)
def _new_boot(c: NDArray[np.int64], row: Whole, t_ingest: Whole, boot: Whole) -> None:
    c[row, SEEN] = 1
    c[row, BOOT] = boot
    c[row, LINED] = 0
    c[row, CAND_N] = 0
    c[row, BUCKET_END] = 0
    c[row, CEILING_AT] = 0
    c[row, YOUNG_UNTIL] = t_ingest + YOUNG_NS


@njit(cache=True, forceinline=True)
def clock_step(
    c: NDArray[np.int64], row: Whole, t_event: Whole, t_ingest: Whole, count: Whole, boot: Whole,
    period: Whole, future_ns: Whole, late_ns: Whole,
) -> int:
    """Take one row in arrival order; what to add to its `t_event` (0 for a good clock).

    c is the state (see `new_clocks`), count the row's unwrapped counter, period the nominal ns per
    count; future_ns and late_ns bound the delay that is possible.
    """
    if c[row, SEEN] == 0 or boot > c[row, BOOT]:
        _new_boot(c, row, t_ingest, boot)
    elif boot < c[row, BOOT]:
        return c[row, OFFSET]
    offset = t_ingest - t_event
    delay = offset - c[row, OFFSET]
    step, rise, kept = 0, 0, False
    if c[row, LINED] == 1:
        off_line = (t_event - c[row, T_REF]) - (count - c[row, COUNT_REF]) * period
        rise = offset - c[row, O_REF]
        kept = abs(off_line) <= STEP_NS
        if not kept:
            if abs(rise + off_line) <= max(JITTER_NS, abs(off_line) // 4):
                step = off_line
            # Without a rise the clock has not gone back, whatever the counter has done.
            kept = step == 0 and rise <= JITTER_NS
    suspicious = step != 0 or delay < -future_ns or (delay > late_ns and not kept)
    if suspicious and _suspect(c, row, t_ingest, step, offset):
        return c[row, OFFSET]
    if step == 0 and not kept:
        _raise_ceiling(c, row, rise, offset)
    c[row, CAND_N] = 0
    c[row, LINED] = 1
    c[row, T_REF] = t_event
    c[row, COUNT_REF] = count
    c[row, O_REF] = offset
    if delay <= late_ns:
        _envelope(c, row, t_ingest, offset)
    return c[row, OFFSET]
