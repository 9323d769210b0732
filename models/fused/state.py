"""What the fused kernel remembers of each stream, and the scratch of one call.

A stream owns a gate of 16 bytes (who is next), a ring of 4 bytes for each sample that can wait (128
by default) and a row of 320 bytes (context of the filters and the open window); a sample that waits
for a missing one costs 40 bytes more. Nothing grows with time.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Whole = int | np.integer[Any]
CHANNELS: Final = 7
CONTEXT: Final = 7
"""Samples before the new ones that the filters look back on: four raw, five clean, overlapping."""

GATE: Final = 4
NEXT, HELD, NEWEST, PLACE = range(GATE)
"""Gate columns: next sample number, how many wait, newest number seen; PLACE is scratch."""

# Row of a stream: 80 single words, of which the last 32 are 8 + 8 double words.
ROW_BYTES: Final = 320
RAW: Final = 0
"""Last four raw samples, four words a channel, newest last."""
CLEAN: Final = 28
"""Last five clean positions, five words an axis."""
LAST_ACC: Final = 43
"""Last clean acceleration, three words."""
T_RAW, T_RAW_NEW, T_CLEAN, WINDOW, RUN_FROM, SEEN, GIVEN, RUNNING = range(24, 32)
"""Whole words: times of the last two raw and the last clean sample, number of the open window (-1:
none), begin of a run above the sprint speed (-1: none), raw samples so far (up to 4), clean ones
(up to 5), whether the run has been told."""
N, DIST, VMAX, ACC, LOAD, HEART = range(32, 38)
"""Double words: sums of the open window."""


class Streams(NamedTuple):
    """gate (S, GATE) int32, ring (S, ring_n) int32 (pool slot + 1, 0 = nobody waits); row (S, 80)
    float32 with whole (S, 40) int64 and real (S, 40) float64, three views of the same bytes."""

    gate: NDArray[np.int32]
    ring: NDArray[np.int32]
    row: NDArray[np.float32]
    whole: NDArray[np.int64]
    real: NDArray[np.float64]


class Pool(NamedTuple):
    """Samples that wait. value (P, 8) float32, t_ms (P,); free (P,) slots not in use, a stack of
    n[0]; used (P,) slots to be freed when the call is over, n[1]."""

    value: NDArray[np.float32]
    t_ms: NDArray[np.int64]
    free: NDArray[np.int32]
    used: NDArray[np.int32]
    n: NDArray[np.int64]


class Listed(NamedTuple):
    """What one call releases. source, who (E,): which row, or minus pool slot - 1, of which stream;
    touched (T,) streams with new samples; n (7,) counts: released, touched; refused as stale, of an
    unknown stream, not finite; windows and sprints given."""

    source: NDArray[np.int32]
    who: NDArray[np.int32]
    touched: NDArray[np.int32]
    n: NDArray[np.int64]


class Columns(NamedTuple):
    """The samples of one call, stream after stream, each behind its CONTEXT: all (B,).

    channel (7, B); work, valid, dist (m), speed (m/s), acc (g), load (au) float32; t_ms from the
    call's base and changed, int32. Channels hold samples as they came, then clean ones.
    """

    channel: NDArray[np.float32]
    work: NDArray[np.float32]
    valid: NDArray[np.float32]
    dist: NDArray[np.float32]
    speed: NDArray[np.float32]
    acc: NDArray[np.float32]
    load: NDArray[np.float32]
    t_ms: NDArray[np.int32]
    changed: NDArray[np.int32]


class Given(NamedTuple):
    """What one call gives; the layouts are those of `FusedEffects`."""

    windows: NDArray[np.float64]
    sprints: NDArray[np.int64]
    n: NDArray[np.int64]


RELEASED, TOUCHED, STALE, UNKNOWN, NOT_FINITE, WINDOWS, SPRINTS = range(7)


def new_streams(stream_n: int, ring_n: int) -> Streams:
    """Streams of which nothing has come."""
    row = np.zeros((stream_n, ROW_BYTES // 4), np.float32)
    whole = row.view(np.int64)
    whole[:, (WINDOW, RUN_FROM)] = -1
    gate = np.zeros((stream_n, GATE), np.int32)
    gate[:, NEWEST] = -1
    return Streams(
        gate, np.zeros((stream_n, ring_n), np.int32), row, whole, row.view(np.float64),
    )


def new_pool(slots: int) -> Pool:
    """A pool of `slots` free places."""
    return Pool(
        np.zeros((slots, CHANNELS + 1), np.float32), np.zeros(slots, np.int64),
        np.arange(slots, dtype=np.int32)[::-1].copy(), np.zeros(slots, np.int32),
        np.array([slots, 0], np.int64),
    )


def wider_pool(pool: Pool, slots: int) -> Pool:
    """The pool with `slots` places, those in use unmoved."""
    more = new_pool(slots)
    old = pool.value.shape[0]
    more.value[:old], more.t_ms[:old] = pool.value, pool.t_ms
    free = int(pool.n[0])
    fresh = np.arange(old, slots, dtype=np.int32)[::-1]
    more.free[: len(fresh)] = fresh
    more.free[len(fresh) : len(fresh) + free] = pool.free[:free]
    more.n[0] = len(fresh) + free
    return more


def new_scratch(released: int, streams: int) -> tuple[Listed, Columns, Given]:
    """Room for `released` samples of at most `streams` streams in one call."""
    touched = min(released, streams)
    block = released + CONTEXT * touched + 16
    n = np.zeros(7, np.int64)
    work, valid, dist, speed, acc, load = (np.zeros(block, np.float32) for _ in range(6))
    listed = Listed(
        np.zeros(released, np.int32), np.zeros(released, np.int32), np.zeros(touched, np.int32), n,
    )
    columns = Columns(
        np.zeros((CHANNELS, block), np.float32), work, valid, dist, speed, acc, load,
        np.zeros(block, np.int32), np.zeros(block, np.int32),
    )
    given = Given(
        np.empty((released + streams, 8)), np.empty((released + streams, 4), np.int64), n
    )
    return listed, columns, given
