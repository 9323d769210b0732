"""Ingest stage: the verdict on every row, in arrival order.

Owns the order of checks (a row gets the first reason that holds): device and assignment, finite,
hard bounds, clock, future and late bounds, counter. Rows are judged by themselves and by earlier
rows of their stream only, so verdicts do not depend on how the stream is cut into batches.
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow
from models.columns import frozen
from models.edge.config import EdgeConfig
from models.edge.sequence import (
    FRESH,
    NO_SLOT,
    REPEATED,
    STALE_BOOT_N,
    TOP,
    Counters,
    known_slot,
    open_slot,
    take_count,
    unwrapped,
)
from models.edge.tables import KIND_CODE, Streams, Whole
from models.signal.clock import clock_step
from models.telemetry.block import SampleBlock
from models.telemetry.bounds import limits_of
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason

_NOT_FINITE: Final = int(Reason.NOT_FINITE)
_OUT_OF_RANGE: Final = int(Reason.OUT_OF_RANGE)
_UNKNOWN_DEVICE: Final = int(Reason.UNKNOWN_DEVICE)
_IDENTITY: Final = int(Reason.IDENTITY)
_FUTURE: Final = int(Reason.FUTURE)
_TOO_LATE: Final = int(Reason.TOO_LATE)
_DUPLICATE: Final = int(Reason.DUPLICATE)
_STALE_SEQ: Final = int(Reason.STALE_SEQ)
_LATE: Final = int(Flag.LATE)
_ADJUSTED: Final = int(Flag.CLOCK_ADJUSTED)
_EDGE_ONLY: Final = ("load_au", "peak_mps2", "merged_n", "load_flat_au")


class Arrived(NamedTuple):
    """Rows of one kind as they came (see `SampleBlock`), with normalised values. Read-only."""

    device: NDArray[np.int32]
    boot: NDArray[np.uint32]
    seq: NDArray[np.uint32]
    t_event_ns: NDArray[np.int64]
    t_ingest_ns: NDArray[np.int64]
    flags: NDArray[np.uint32]
    values: NDArray[np.float32]


class Judged(NamedTuple):
    """What the stage makes of n rows.

    reason u8, 0 = accepted; device int32 after assignment; number int64 unwrapped counter; t_ns
    int64 corrected event time; flags uint32 to add (LATE, CLOCK_ADJUSTED).
    """

    reason: NDArray[np.uint8]
    device: NDArray[np.int32]
    number: NDArray[np.int64]
    t_ns: NDArray[np.int64]
    flags: NDArray[np.uint32]


class Bounds(NamedTuple):
    """Scalars of the stage. clock_ns: arrival time is at least this (see `EdgeKernel`)."""

    kind: int
    clock_ns: int
    tick_ns: int
    lateness_ns: int
    late_bound_ns: int
    future_bound_ns: int


def arrived_rows(block: SampleBlock, values: NDArray[np.float32]) -> Arrived:
    """The rows of `block`, whose normalised channels are `values`, for compiled code."""
    return Arrived(
        frozen(block.device, np.int32), frozen(block.boot, np.uint32),
        frozen(block.seq, np.uint32), frozen(block.t_event_ns, np.int64),
        frozen(block.t_ingest_ns, np.int64), frozen(block.flags, np.uint32),
        frozen(values, np.float32),
    )


def judge(
    kind: Kind, arrived: Arrived, streams: Streams, counters: Counters, clocks: NDArray[np.int64],
    clock_ns: int, config: EdgeConfig,
) -> Judged:
    """Verdicts on rows of `kind`. Moves counters and clocks."""
    n = len(arrived.device)
    judged = Judged(
        np.zeros(n, np.uint8), np.array(arrived.device), np.zeros(n, np.int64),
        np.array(arrived.t_event_ns), np.zeros(n, np.uint32),
    )
    low, high, required = _limits(kind)
    bounds = Bounds(
        KIND_CODE[kind], clock_ns, config.tick_ns, config.lateness_ns, config.late_bound_ns,
        config.future_bound_ns,
    )
    _judge(arrived, low, high, required, bounds, streams, counters, clocks, judged)
    return judged


@cache
def _limits(
    kind: Kind,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Least and most of each channel that a sender fills, and whether it must be there."""
    checked = checked_channels(kind)
    low, high, required = (frozen(np.ravel(limits)[:checked]) for limits in limits_of(kind))
    return low, high, required


@cache
def checked_channels(kind: Kind) -> int:
    """Channels that a sender fills; those behind them are the edge's own."""
    names = KINDS[kind].names
    return len(names) - (len(_EDGE_ONLY) if names[-1] == _EDGE_ONLY[-1] else 0)


@njit(cache=True)
def _judge(
    arrived: Arrived, low: NDArray[np.float32], high: NDArray[np.float32],
    required: NDArray[np.bool_], bounds: Bounds, streams: Streams, counters: Counters,
    clocks: NDArray[np.int64], out: Judged,
) -> None:
    arrived, streams, counters, clocks, out = borrow((arrived, streams, counters, clocks, out))
    _check_values(arrived.values, low, high, required, out.reason)
    _judge_rows(arrived, bounds, streams, counters, clocks, out)


@njit(cache=True, forceinline=True)
def _check_values(
    values: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32],
    required: NDArray[np.bool_], reason: NDArray[np.uint8],
) -> None:
    n = values.shape[1]
    for c in range(low.size):
        least, most = low[c], high[c]
        # Most channels are good from end to end, or empty: a sum without branches tells, and takes
        # a fifth of the time of looking at each value.
        good, empty = 0, 0
        for i in range(n):
            x = values[c, i]
            good += (x >= least) & (x <= most)
            empty += x != x
        if good == n or (good + empty == n and not required[c]):
            continue
        for i in range(n):
            x = values[c, i]
            if x >= least and x <= most:
                continue
            if x != x:
                if required[c]:
                    reason[i] = _NOT_FINITE
            elif np.isinf(x):
                reason[i] = _NOT_FINITE
            elif reason[i] == 0:
                reason[i] = _OUT_OF_RANGE


@njit(cache=True, forceinline=True)
def _entry_at(
    begin: NDArray[np.int64], end: NDArray[np.int64], after: NDArray[np.int64], row: Whole,
    t_ns: Whole,
) -> Whole:
    """The roster row of a stream's assignment at `t_ns`, -1 when there is none."""
    while row >= 0 and not begin[row] <= t_ns < end[row]:
        row = after[row]
    return row


@njit(cache=True, forceinline=True)
def _judge_rows(
    rows: Arrived, bounds: Bounds, streams: Streams, counters: Counters,
    clocks: NDArray[np.int64], out: Judged,
) -> None:
    device_of, boot_of, seq_of = rows.device, rows.boot, rows.seq
    event_of, ingest_of = rows.t_event_ns, rows.t_ingest_ns
    kind, first, after, begins, ends = (
        streams.kind, streams.first, streams.after, streams.begin, streams.end
    )
    rate, period, wrap, word, words = (
        streams.rate, streams.period, streams.wrap, streams.word, streams.words
    )
    slots, totals, bits = counters.slots, counters.totals, counters.bits
    reasons, devices, counts, times, flags = (
        out.reason, out.device, out.number, out.t_ns, out.flags
    )
    kind_code, clock_ns, tick_ns, lateness_ns, late_ns, future_ns = bounds
    edge_ns, edge_for = np.int64(0), np.int64(-1)
    for i in range(device_of.size):
        device = int(device_of[i])
        if device < 0 or device >= kind.size or kind[device] != kind_code:
            reasons[i] = _UNKNOWN_DEVICE
            continue
        row, boot, reason = first[device], int(boot_of[i]), int(reasons[i])
        t_ingest = max(ingest_of[i], clock_ns)
        slot = known_slot(slots, row, boot)
        count: Whole = int(seq_of[i])
        if slot != NO_SLOT:
            count = unwrapped(slots[row, slot, TOP], count, wrap[row])
        adjust = clock_step(
            clocks, row, event_of[i], t_ingest, count, boot, period[row], future_ns, late_ns
        )
        t_ns = event_of[i] + adjust
        entry = _entry_at(begins, ends, after, row, t_ns)
        if entry < 0:
            reason = _IDENTITY
        elif reason == 0 and t_ns - t_ingest > future_ns:
            reason = _FUTURE
        elif reason == 0 and t_ingest - t_ns > late_ns:
            reason = _TOO_LATE
        if slot == NO_SLOT:
            slot = open_slot(
                slots, totals, bits, row, boot, word[row], words[row], count, t_ingest
            )
        else:
            totals[row, STALE_BOOT_N] = 0
        if slot != NO_SLOT and count >= 0:
            begin = word[row] + slot * 2 * words[row]
            verdict = take_count(
                slots, totals, bits, row, slot, begin, words[row], rate[row], count, t_ns,
                t_ingest, reason == 0,
            )
            if reason == 0 and verdict != FRESH:
                reason = _DUPLICATE if verdict == REPEATED else _STALE_SEQ
        elif reason == 0:
            reason = _STALE_SEQ
        reasons[i] = reason
        if entry >= 0:
            devices[i] = entry
        counts[i] = count
        times[i] = t_ns
        if t_ingest != edge_for:
            edge_for = t_ingest
            edge_ns = t_ingest - lateness_ns
            edge_ns -= edge_ns % tick_ns
        flags[i] = (_LATE if t_ns < edge_ns else 0) | (_ADJUSTED if adjust != 0 else 0)
