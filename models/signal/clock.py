"""Clock correction per sensor: which offset turns its event time into true time. All in ns.

The offset of a row is t_ingest - t_event: delay plus clock error. A delay is never negative, so the
lower envelope of offsets bounds the error from above; and a delay does not disturb the sensor's own
line of counter and time, while a step of its clock does. Three rules follow:

    step      time leaves the counter's line, and the offset jumps by the opposite: corrected by
              exactly that jump
    bound     the corrected delay is impossible (future; or older than the late bound, of a sensor
              that is not on its line: one that is was only held back): corrected to the lowest
              offset seen
    envelope  the lowest delay of a whole second leaves +-`SKEW_NS` for long enough: corrected to
              it; one that falls as much in that time is that of a queue being emptied

Steps and bounds need `CONFIRM_ROWS` rows that agree over `CONFIRM_NS` of arrival time: one corrupt
timestamp, or one corrupt packet, moves no clock. Errors below `SMALL_NS` are left as they are.
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

Whole = int | np.int64
CLOCK_WIDTH: Final = 18
(
    OFFSET, LINED, T_REF, COUNT_REF, O_REF, BOOT, SEEN, CAND_N, CAND_SINCE, CAND_O, CAND_LOW,
    CAND_STEP, BUCKET_END, BUCKET_LOW, HIGH_N, YOUNG_UNTIL, CHANGES,
    FIRST_LOW,
) = range(CLOCK_WIDTH)


def new_clocks(rows: int) -> NDArray[np.int64]:
    """State of `rows` sensors that have sent nothing: (rows, CLOCK_WIDTH) int64."""
    return np.zeros((rows, CLOCK_WIDTH), np.int64)


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
def _envelope(c: NDArray[np.int64], row: Whole, t_ingest: Whole, offset: Whole) -> None:
    if t_ingest < c[row, BUCKET_END]:
        c[row, BUCKET_LOW] = min(c[row, BUCKET_LOW], offset)
        return
    if c[row, BUCKET_END] > 0:
        low = c[row, BUCKET_LOW]
        delay = low - c[row, OFFSET]
        if delay > SKEW_NS:
            if c[row, HIGH_N] == 0 or low < c[row, FIRST_LOW] - SKEW_NS:
                c[row, HIGH_N] = 0
                c[row, FIRST_LOW] = low
            c[row, HIGH_N] += 1
            needed = YOUNG_BUCKETS if t_ingest < c[row, YOUNG_UNTIL] else OLD_BUCKETS
            if c[row, HIGH_N] >= needed:
                _adopt(c, row, low)
        elif delay < -SKEW_NS:
            _adopt(c, row, low)
        else:
            c[row, HIGH_N] = 0
    c[row, BUCKET_END] = t_ingest + BUCKET_NS
    c[row, BUCKET_LOW] = offset


@njit(cache=True)
def _suspect(
    c: NDArray[np.int64], row: Whole, t_ingest: Whole, step: Whole, offset: Whole
) -> None:
    agrees = c[row, CAND_N] > 0 and abs(offset - c[row, CAND_O]) <= 2 * JITTER_NS
    if not agrees:
        c[row, CAND_N] = 1
        c[row, CAND_SINCE] = t_ingest
        c[row, CAND_O] = offset
        c[row, CAND_LOW] = offset
        c[row, CAND_STEP] = step
        return
    c[row, CAND_N] += 1
    c[row, CAND_LOW] = min(c[row, CAND_LOW], offset)
    if c[row, CAND_N] >= CONFIRM_ROWS and t_ingest - c[row, CAND_SINCE] >= CONFIRM_NS:
        step_ns = c[row, CAND_STEP]
        _adopt(c, row, c[row, OFFSET] - step_ns if step_ns != 0 else c[row, CAND_LOW])
        c[row, LINED] = 0


@njit(cache=True)
def clock_step(
    c: NDArray[np.int64], row: Whole, t_event: Whole, t_ingest: Whole, count: Whole, boot: Whole,
    period: Whole, future_ns: Whole, late_ns: Whole,
) -> int:
    """Take one row in arrival order; what to add to its `t_event` (0 for a good clock).

    c is the state (see `new_clocks`), count the row's unwrapped counter, period the nominal ns per
    count; future_ns and late_ns bound the delay that is possible.
    """
    if c[row, SEEN] == 0 or boot > c[row, BOOT]:
        c[row, SEEN] = 1
        c[row, BOOT] = boot
        c[row, LINED] = 0
        c[row, CAND_N] = 0
        c[row, BUCKET_END] = 0
        c[row, YOUNG_UNTIL] = t_ingest + YOUNG_NS
    elif boot < c[row, BOOT]:
        return c[row, OFFSET]
    offset = t_ingest - t_event
    delay = offset - c[row, OFFSET]
    step, on_line = 0, False
    if c[row, LINED] == 1:
        off_line = (t_event - c[row, T_REF]) - (count - c[row, COUNT_REF]) * period
        on_line = abs(off_line) <= STEP_NS
        if not on_line:
            disagreement = abs(offset - c[row, O_REF] + off_line)
            if disagreement <= max(JITTER_NS, abs(off_line) // 4):
                step = off_line
    if step != 0 or delay < -future_ns or (delay > late_ns and not on_line):
        _suspect(c, row, t_ingest, step, offset)
    elif delay <= late_ns:
        c[row, CAND_N] = 0
        c[row, LINED] = 1
        c[row, T_REF] = t_event
        c[row, COUNT_REF] = count
        c[row, O_REF] = offset
        _envelope(c, row, t_ingest, offset)
    return c[row, OFFSET]
