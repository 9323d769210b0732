"""Rows of very many streams, gathered by neighbourhood until a few of each stream have come.

With tens of thousands of streams a call holds hardly one row of each, and all the time would go
into fetching state from memory. So rows are appended to the buffer of their neighbourhood (512
streams with consecutive numbers), and a neighbourhood is worked on when its buffer is full or its
oldest row has waited long enough. What comes out is the same, a little later.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.fused.state import CHANNELS, Whole

NEIGHBOURS_LOG2: Final = 9
NEIGHBOURS: Final = 1 << NEIGHBOURS_LOG2
RECORD: Final = 12
"""Words of a staged row: time (two), stream, number, seven channels, one free."""


class Stage(NamedTuple):
    """record (H, C, RECORD) float32, whole (H, C, RECORD) int32, long (H, C, RECORD / 2) int64: one
    memory; filled (H,) rows in use. The rest is one neighbourhood unpacked, (C,) each."""

    record: NDArray[np.float32]
    whole: NDArray[np.int32]
    long: NDArray[np.int64]
    filled: NDArray[np.int64]
    stream: NDArray[np.int32]
    seq: NDArray[np.int32]
    t_ms: NDArray[np.int64]
    values: NDArray[np.float32]


def new_stage(stream_n: int, per_stream: int) -> Stage:
    """Buffers for `per_stream` rows of each stream; none when one neighbourhood holds them all."""
    hoods = -(-stream_n // NEIGHBOURS) if stream_n > NEIGHBOURS else 0
    rows = NEIGHBOURS * per_stream
    record = np.zeros((hoods, rows, RECORD), np.float32)
    return Stage(
        record, record.view(np.int32), record.view(np.int64), np.zeros(hoods, np.int64),
        np.zeros(rows, np.int32), np.zeros(rows, np.int32), np.zeros(rows, np.int64),
        np.zeros((CHANNELS, rows), np.float32),
    )


@njit(cache=True, error_model="numpy")
def gather(
    stream: NDArray[np.int32], seq: NDArray[np.int32], t_ms: NDArray[np.int64],
    values: tuple[NDArray[np.float32], ...], start: int, stage: Stage, stream_n: int,
) -> tuple[int, Whole, int]:
    """Append rows from `start` on until one neighbourhood is full.

    Returns the row after the last one taken, the neighbourhood that is full (-1: none) and how many
    rows were of unknown streams.
    """
    x, y, z, ax, ay, az, hr = values
    record, whole, long, filled = stage.record, stage.whole, stage.long, stage.filled
    full, unknown = record.shape[1], 0
    for i in range(start, stream.size):
        s = stream[i]
        if np.uint32(s) >= np.uint32(stream_n):
            unknown += 1
            continue
        h = np.uint32(s) >> np.uint32(NEIGHBOURS_LOG2)
        k = np.uint32(filled[h])
        filled[h] = k + 1
        r = record[h, k]
        long[h, k, 0] = t_ms[i]
        whole[h, k, 2] = s
        whole[h, k, 3] = seq[i]
        r[4], r[5], r[6], r[7] = x[i], y[i], z[i], ax[i]
        r[8], r[9], r[10] = ay[i], az[i], hr[i]
        if k + 1 == full:
            return i + 1, np.int64(h), unknown
    return stream.size, -1, unknown


@njit(cache=True, error_model="numpy")
def unpack(stage: Stage, hood: int) -> int:
    """Copy a neighbourhood's rows into the columns of `stage`, empty it, and say how many."""
    n = stage.filled[hood]
    whole, long, record, v = stage.whole[hood], stage.long[hood], stage.record[hood], stage.values
    x, y, z, ax, ay, az, hr = v[0], v[1], v[2], v[3], v[4], v[5], v[6]
    for i in range(n):
        stage.t_ms[i], stage.stream[i], stage.seq[i] = long[i, 0], whole[i, 2], whole[i, 3]
        x[i], y[i], z[i], ax[i] = record[i, 4], record[i, 5], record[i, 6], record[i, 7]
        ay[i], az[i], hr[i] = record[i, 8], record[i, 9], record[i, 10]
    stage.filled[hood] = 0
    return n


@njit(cache=True, error_model="numpy")
def due(stage: Stage, until_ms: int, start: int) -> int:
    """The first neighbourhood from `start` on with a row that came first and is from before
    `until_ms`; -1 when there is none."""
    for h in range(start, stage.filled.size):
        if stage.filled[h] > 0 and stage.long[h, 0, 0] < until_ms:
            return h
    return -1
