"""Clean channels and what moves: loops over whole columns that the compiler turns into vectors.

Every step is one rounding of one operation on one sample, so that a result does not depend on
where a sample stands in a call (no reassociation, no contraction).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 128
"""Samples for which one look tells whether any is beyond its floor: few are."""
ONE_MS = np.int32(1)
SECOND_MS = np.float32(1000.0)
FIFTH = np.float32(0.2)
HUNDREDTH = np.float32(0.01)
ORDERED = {"nnan", "ninf", "nsz"}
"""Values are finite, so minimum and maximum need not look for NaN."""


@njit(cache=True, fastmath=ORDERED, inline="always")
def _least(a: np.float32, b: np.float32) -> np.float32:
    return a if a < b else b


@njit(cache=True, fastmath=ORDERED, inline="always")
def _most(a: np.float32, b: np.float32) -> np.float32:
    return a if a > b else b


@njit(cache=True, fastmath=ORDERED, inline="always")
def _median_of_five(
    a: np.float32, b: np.float32, c: np.float32, d: np.float32, e: np.float32
) -> np.float32:
    f = _most(_least(a, b), _least(c, d))
    g = _least(_most(a, b), _most(c, d))
    return _most(_least(f, g), _least(_most(f, g), e))


@njit(cache=True, fastmath=ORDERED, error_model="numpy")
def clean_channel(
    channel: NDArray[np.float32], valid: NDArray[np.float32], floor: np.float32, k: np.float32,
    work: NDArray[np.float32], changed: NDArray[np.int32],
) -> None:
    """Hampel identifier (Davies & Gather 1993) over five samples, two before and two after, in
    place: what is further from their median than max(floor, k MAD) becomes the median. Samples
    where `valid` is zero stay. All (B,); work and changed are scratch."""
    n = channel.size - 4
    median = np.empty(BLOCK, np.float32)
    count = 0
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        near, meant = channel[start : stop + 4], valid[start + 2 : stop + 2]
        if _any_far(near, meant, floor, median):
            count = _replace(near, meant, floor, k, median, start, work, changed, count)
    # Only now, because the neighbours' medians are of samples as they came.
    for j in range(count):
        channel[changed[j]] = work[j]


@njit(cache=True, fastmath=ORDERED, error_model="numpy")
def _any_far(
    raw: NDArray[np.float32], valid: NDArray[np.float32], floor: np.float32,
    median: NDArray[np.float32],
) -> bool:
    """Fill in medians of five; whether any sample is further from its median than `floor`."""
    n = valid.size
    a, b, c, d, e = raw[:n], raw[1 : n + 1], raw[2 : n + 2], raw[3 : n + 3], raw[4 : n + 4]
    far = False
    for i in range(n):
        m = _median_of_five(a[i], b[i], d[i], e[i], c[i])
        median[i] = m
        far |= abs(c[i] - m) * valid[i] > floor
    return far


@njit(cache=True, fastmath=ORDERED, error_model="numpy")
def _replace(
    raw: NDArray[np.float32], valid: NDArray[np.float32], floor: np.float32, k: np.float32,
    median: NDArray[np.float32], start: int, work: NDArray[np.float32],
    changed: NDArray[np.int32], count: int,
) -> int:
    """List the outliers of a block and their medians from place `count` on; returns the new
    count."""
    c = raw[2 : valid.size + 2]
    for i in range(valid.size):
        m = median[i]
        off = abs(c[i] - m)
        if off * valid[i] > floor:
            mad = _median_of_five(
                abs(raw[i] - m), abs(raw[i + 1] - m), abs(raw[i + 3] - m), abs(raw[i + 4] - m), off
            )
            if off > k * mad:
                changed[count] = start + i + 2
                work[count] = m
                count += 1
    return count


@njit(cache=True, fastmath=ORDERED, error_model="numpy")
def _square_steps(
    x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32], lag: int,
    out: NDArray[np.float32],
) -> None:
    """out[i] = squared length of the step from sample i to i + lag."""
    n = x.size - lag
    x0, y0, z0, x1, y1, z1 = x[:n], y[:n], z[:n], x[lag:], y[lag:], z[lag:]
    for i in range(n):
        dx, dy, dz = x1[i] - x0[i], y1[i] - y0[i], z1[i] - z0[i]
        out[i] = dx * dx + dy * dy + dz * dz


@njit(cache=True, fastmath=ORDERED, error_model="numpy")
def _roots(square: NDArray[np.float32], scale: np.float32, out: NDArray[np.float32]) -> None:
    for i in range(out.size):
        out[i] = np.sqrt(square[i]) * scale


@njit(cache=True, fastmath=ORDERED, error_model="numpy")
def move(
    clean: NDArray[np.float32], t_ms: NDArray[np.int32], scale_m: np.float32,
    dist: NDArray[np.float32], speed: NDArray[np.float32], work: NDArray[np.float32],
) -> None:
    """Distance (m) and speed (m/s) between means of five positions; two such means differ by a
    fifth of the way between the newest and the sixth newest position. `work` (B,) is scratch."""
    n = t_ms.size
    _square_steps(clean[0, :n], clean[1, :n], clean[2, :n], 5, work)
    _roots(work, FIFTH * scale_m, dist[5:])
    t0, t1, way, fast = t_ms[4:-1], t_ms[5:], dist[5:], speed[5:]
    for i in range(n - 5):
        fast[i] = way[i] * SECOND_MS / np.float32(max(t1[i] - t0[i], ONE_MS))


@njit(cache=True, fastmath=ORDERED, error_model="numpy")
def shake(
    clean: NDArray[np.float32], per_g: np.float32, size: NDArray[np.float32],
    load: NDArray[np.float32], work: NDArray[np.float32],
) -> None:
    """Size of acceleration (g) and the PlayerLoad of each step (|da| / 100, au). `work` (B,) is
    scratch."""
    n = size.size
    x, y, z = clean[3, :n], clean[4, :n], clean[5, :n]
    for i in range(n):
        work[i] = x[i] * x[i] + y[i] * y[i] + z[i] * z[i]
    _roots(work, per_g, size)
    _square_steps(x, y, z, 1, work)
    _roots(work, per_g * HUNDREDTH, load[1:])
