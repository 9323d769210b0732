"""Released samples side by side: each stream behind its context, each channel a column."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.fused import state as S  # noqa: N812
from models.fused.state import CONTEXT, Columns, Listed, Pool, Streams

ONE = np.float32(1.0)
ZERO = np.float32(0.0)
LONG_AGO_MS = -(2**30)
ONE_ON, TWO_ON, THREE_ON, FOUR_ON = np.uint32(1), np.uint32(2), np.uint32(3), np.uint32(4)
"""Unsigned, so that compiled code need not look for indices below zero."""


@njit(cache=True, error_model="numpy")
def arrange(
    base_ms: int, streams: Streams, touched: NDArray[np.int32], touched_n: int, columns: Columns
) -> int:
    """Give every touched stream its place, with the raw context in front; returns how many places
    are in use. Times are relative to `base_ms`. PLACE of a gate becomes where the stream's first
    new sample goes."""
    raw, valid, t_ms = columns.channel, columns.valid, columns.t_ms
    at = 0
    for n in range(touched_n):
        s = np.uint32(touched[n])
        row, whole, gate = streams.row[s], streams.whole[s], streams.gate[s]
        end = at + CONTEXT + gate[S.PLACE]
        gate[S.PLACE] = at + CONTEXT
        for c in range(S.CHANNELS):
            new, o, k = raw[c], np.uint32(S.RAW + 4 * c), np.uint32(at + 3)
            new[k], new[k + ONE_ON], new[k + TWO_ON], new[k + THREE_ON] = (
                row[o], row[o + ONE_ON], row[o + TWO_ON], row[o + THREE_ON]
            )
        t_ms[at + 4] = max(whole[S.T_CLEAN] - base_ms, LONG_AGO_MS)
        t_ms[at + 5] = max(whole[S.T_RAW] - base_ms, LONG_AGO_MS)
        t_ms[at + 6] = max(whole[S.T_RAW_NEW] - base_ms, LONG_AGO_MS)
        first = at + CONTEXT + 2 - whole[S.SEEN]
        valid[at : min(first, end)] = ZERO
        if first < end:
            valid[first:end] = ONE
        valid[end - 2 : end] = ZERO
        at = end
    return at


@njit(cache=True, error_model="numpy")
def place(
    t_ms: NDArray[np.int64], values: tuple[NDArray[np.float32], ...], base_ms: int,
    gate: NDArray[np.int32], pool: Pool, listed: Listed, raw: NDArray[np.float32],
    at_ms: NDArray[np.int32],
) -> None:
    """Put every released sample at the end of its stream's; PLACE becomes one past the last."""
    x, y, z, ax, ay, az, hr = values
    r0, r1, r2, r3, r4, r5, r6 = raw[0], raw[1], raw[2], raw[3], raw[4], raw[5], raw[6]
    for e in range(listed.n[S.RELEASED]):
        s, i = np.uint32(listed.who[e]), listed.source[e]
        k = np.uint32(gate[s, S.PLACE])
        gate[s, S.PLACE] = k + 1
        if i >= 0:
            j = np.uint32(i)
            r0[k], r1[k], r2[k] = x[j], y[j], z[j]
            r3[k], r4[k], r5[k], r6[k] = ax[j], ay[j], az[j], hr[j]
            at_ms[k] = t_ms[j] - base_ms
        else:
            p = np.uint32(-i - 1)
            v = pool.value[p]
            r0[k], r1[k], r2[k] = v[0], v[1], v[2]
            r3[k], r4[k], r5[k], r6[k] = v[3], v[4], v[5], v[6]
            at_ms[k] = pool.t_ms[p] - base_ms


@njit(cache=True, error_model="numpy")
def keep_raw(
    rows: NDArray[np.float32], gate: NDArray[np.int32], touched: NDArray[np.int32], touched_n: int,
    raw: NDArray[np.float32],
) -> None:
    """Keep the last four samples of every touched stream as they came."""
    for n in range(touched_n):
        s = np.uint32(touched[n])
        row, k = rows[s], np.uint32(gate[s, S.PLACE] - 4)
        for c in range(S.CHANNELS):
            new, o = raw[c], np.uint32(S.RAW + 4 * c)
            row[o], row[o + ONE_ON], row[o + TWO_ON], row[o + THREE_ON] = (
                new[k], new[k + ONE_ON], new[k + TWO_ON], new[k + THREE_ON]
            )


@njit(cache=True, error_model="numpy")
def recall_clean(
    rows: NDArray[np.float32], gate: NDArray[np.int32], touched: NDArray[np.int32], touched_n: int,
    clean: NDArray[np.float32],
) -> None:
    """Put the clean context of every touched stream in front of its clean samples."""
    at = 0
    for n in range(touched_n):
        s = np.uint32(touched[n])
        row, k = rows[s], np.uint32(at)
        for c in range(3):
            new, o = clean[c], np.uint32(S.CLEAN + 5 * c)
            new[k], new[k + ONE_ON], new[k + TWO_ON], new[k + THREE_ON], new[k + FOUR_ON] = (
                row[o], row[o + ONE_ON], row[o + TWO_ON], row[o + THREE_ON], row[o + FOUR_ON]
            )
            clean[3 + c, k + FOUR_ON] = row[S.LAST_ACC + c]
        at = gate[s, S.PLACE]


@njit(cache=True, error_model="numpy")
def keep_clean(
    row: NDArray[np.float32], whole: NDArray[np.int64], clean: NDArray[np.float32],
    t_ms: NDArray[np.int32], begin: int, end: int, base_ms: int,
) -> None:
    """Keep the last clean samples of a stream that stands at [begin, end), and when they were."""
    k = np.uint32(end - 7)
    for c in range(3):
        new, o = clean[c], np.uint32(S.CLEAN + 5 * c)
        row[o], row[o + ONE_ON], row[o + TWO_ON], row[o + THREE_ON], row[o + FOUR_ON] = (
            new[k], new[k + ONE_ON], new[k + TWO_ON], new[k + THREE_ON], new[k + FOUR_ON]
        )
        row[S.LAST_ACC + c] = clean[3 + c, k + FOUR_ON]
    whole[S.T_CLEAN] = base_ms + t_ms[end - 3]
    whole[S.T_RAW] = base_ms + t_ms[end - 2]
    whole[S.T_RAW_NEW] = base_ms + t_ms[end - 1]
    new_n = end - begin - CONTEXT
    given = max(whole[S.SEEN] + new_n - 4, 0)
    whole[S.GIVEN] = min(whole[S.GIVEN] + given, 5)
    whole[S.SEEN] = min(whole[S.SEEN] + new_n, 4)
