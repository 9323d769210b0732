"""Who comes next: duplicates out, samples into the order of their numbers, waiting for the missing.

A sample in order is released at once. One that comes early waits in a pool until the missing one
has come, or until the stream has advanced `wait_n` samples past it.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.fused import state as S  # noqa: N812
from models.fused.state import Listed, Pool, Whole


@njit(cache=True, error_model="numpy")
def finite(values: tuple[NDArray[np.float32], ...], odd: NDArray[np.float32]) -> None:
    """odd (n,) is zero where all channels are finite, and not a number elsewhere."""
    x, y, z, ax, ay, az, hr = values
    for i in range(x.size):
        total = x[i] + y[i] + z[i] + ax[i] + ay[i] + az[i] + hr[i]
        odd[i] = total - total


@njit(cache=True, error_model="numpy")
def admit(
    stream: NDArray[np.int32], seq: NDArray[np.int32], t_ms: NDArray[np.int64],
    values: tuple[NDArray[np.float32], ...], odd: NDArray[np.float32], wait_n: Whole,
    gate: NDArray[np.int32], rings: NDArray[np.int32], pool: Pool, listed: Listed,
) -> None:
    """Take rows in order of arrival and list what is released, each stream in order of its numbers.

    Rows of unknown streams, `odd` ones, and those that came before or come too late are counted.
    """
    source, who, touched, n = listed
    x, y, z, ax, ay, az, hr = values
    released = touched_n = 0
    mask = rings.shape[1] - 1
    for i in range(stream.size):
        s, q = stream[i], seq[i]
        if np.uint32(s) >= np.uint32(gate.shape[0]) or odd[i] != 0.0:
            n[S.NOT_FINITE if np.uint32(s) < np.uint32(gate.shape[0]) else S.UNKNOWN] += 1
            continue
        g = gate[np.uint32(s)]
        coming = g[S.NEXT]
        if q == coming and g[S.HELD] == 0:
            g[S.NEXT] = q + 1
            g[S.NEWEST] = q
            if g[S.PLACE] == 0:
                touched[touched_n] = s
                touched_n += 1
            g[S.PLACE] += 1
            source[released] = i
            who[released] = s
            released += 1
            continue
        if q < coming:
            n[S.STALE] += 1
            continue
        ring, count = rings[np.uint32(s)], released
        if q - coming > mask:
            count = _drain(g, ring, s, q, wait_n, pool.used, pool.n, source, who, count)
            g[S.NEXT] = max(g[S.NEXT], q - wait_n)
        if ring[q & mask] == 0:
            pool.n[0] -= 1
            p = pool.free[pool.n[0]]
            ring[q & mask] = p + 1
            v = pool.value[p]
            v[0], v[1], v[2], v[3] = x[i], y[i], z[i], ax[i]
            v[4], v[5], v[6] = ay[i], az[i], hr[i]
            pool.t_ms[p] = t_ms[i]
            g[S.HELD] += 1
            newest = max(g[S.NEWEST], q)
            g[S.NEWEST] = newest
            coming = g[S.NEXT]
            if ring[coming & mask] != 0 or newest - coming > wait_n:
                count = _drain(g, ring, s, newest, wait_n, pool.used, pool.n, source, who, count)
        else:
            n[S.STALE] += 1
        if count > released:
            if g[S.PLACE] == 0:
                touched[touched_n] = s
                touched_n += 1
            g[S.PLACE] += count - released
            released = count
    n[S.RELEASED] = released
    n[S.TOUCHED] = touched_n


@njit(cache=True, error_model="numpy")
def _drain(
    g: NDArray[np.int32], ring: NDArray[np.int32], s: int, newest: int, wait_n: Whole,
    used: NDArray[np.int32], pool_n: NDArray[np.int64], source: NDArray[np.int32],
    who: NDArray[np.int32], released: int,
) -> int:
    """Release what waits and need not wait longer; returns how many are released in all."""
    g[S.NEWEST] = newest
    mask = ring.size - 1
    while g[S.HELD] > 0:
        slot = g[S.NEXT] & mask
        p = ring[slot] - 1
        if p >= 0:
            ring[slot] = 0
            g[S.HELD] -= 1
            source[released] = -p - 1
            who[released] = s
            released += 1
            used[pool_n[1]] = p
            pool_n[1] += 1
        elif newest - g[S.NEXT] <= wait_n:
            break
        g[S.NEXT] += 1
    return released


@njit(cache=True, error_model="numpy")
def by_place(gate: NDArray[np.int32], first: Whole, last: Whole, listed: Listed) -> None:
    """Name the touched streams among [first, last) in the order in which their state lies in
    memory: fetched in any other order, every stream would wait for it."""
    n = 0
    for s in range(first, last):
        if gate[s, S.PLACE] > 0:
            listed.touched[n] = s
            n += 1
    listed.n[S.TOUCHED] = n


@njit(cache=True, error_model="numpy")
def release_all(
    gate: NDArray[np.int32], rings: NDArray[np.int32], pool: Pool, listed: Listed
) -> None:
    """The streams end: nothing is waited for any longer."""
    source, who, touched, n = listed
    released = touched_n = 0
    for s in range(gate.shape[0]):
        g = gate[s]
        if g[S.HELD] > 0:
            count = _drain(
                g, rings[s], s, g[S.NEWEST], -1, pool.used, pool.n, source, who, released
            )
            g[S.PLACE] = count - released
            touched[touched_n] = s
            touched_n += 1
            released = count
    n[S.RELEASED] = released
    n[S.TOUCHED] = touched_n
