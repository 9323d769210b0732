"""PlayerLoad: the sum of |da| in g over 100 at 100 Hz, in arbitrary units (DOMAIN B4).

The scaling is outside of the root. The sum grows with the sample rate, because noise adds up, so
faster sensors are low-passed at 40 Hz and read at 100 Hz first: every n-th sample where the rate is
a multiple of 100 Hz, else by a cubic through the four samples around each point of the 100 Hz grid
(one sample later). Sensors of 100 Hz and less are taken as they are. Accelerations in m/s^2.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.columns import frozen
from models.signal.biquads import PASS_ALL, SECTIONS, butterworth, filter_step, settle

GRAVITY_MPS2: Final = 9.80665
LOAD_CUTOFF_HZ: Final = 40.0
MAX_GAP_NS: Final = 100_000_000
"""Across a longer gap nothing is known about the movement: the sum starts again behind it."""
LOAD_WIDTH: Final = 18
Whole = int | np.int64
_X, _Y, _Z, _COUNT, _LIVE, FLAT = range(6)
"""FLAT is what the last sample added to PlayerLoad without the vertical (z), au."""
_PAST: Final = 6
"""The four newest filtered samples, oldest first, three axes each: only of resampled sensors."""
RESAMPLE: Final = 0
"""`merge` of a sensor whose rate is above 100 Hz and no multiple of it."""
LOAD_HZ: Final = 100.0


def load_merge(rate_hz: float) -> int:
    """How a sensor of `rate_hz` comes to 100 Hz: 1 as it is, n every n-th sample, or `RESAMPLE`."""
    ratio = rate_hz / LOAD_HZ
    if ratio <= 1.001:
        return 1
    return round(ratio) if abs(ratio - round(ratio)) < 1e-3 else RESAMPLE


def low_passes(rates_hz: Iterable[float], merges: Iterable[int]) -> NDArray[np.float64]:
    """(n, SECTIONS, 5), read-only: the low-pass of each sensor before PlayerLoad; nothing at 100 Hz
    and below. merges: `load_merge` of each rate."""
    rows = [
        butterworth(LOAD_CUTOFF_HZ, rate) if merge != 1 else np.array(PASS_ALL)
        for rate, merge in zip(rates_hz, merges, strict=True)
    ]
    return frozen(np.array(rows, np.float64).reshape(-1, SECTIONS, 5))


def new_load(rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """State of `rows` sensors: (rows, LOAD_WIDTH), and filter state (rows, 2 SECTIONS, 3)."""
    return np.zeros((rows, LOAD_WIDTH)), np.zeros((rows, 2 * SECTIONS, 3))


@njit(cache=True)
def _between(past: NDArray[np.float64], axis: int, u: float) -> float:
    """The cubic through four samples, at `u` in 0..1 between the middle two."""
    a, b, c, d = past[axis], past[3 + axis], past[6 + axis], past[9 + axis]
    return (
        -u * (u - 1.0) * (u - 2.0) / 6.0 * a + (u + 1.0) * (u - 1.0) * (u - 2.0) / 2.0 * b
        - (u + 1.0) * u * (u - 2.0) / 2.0 * c + (u + 1.0) * u * (u - 1.0) / 6.0 * d
    )


@njit(cache=True)
def _on_grid(
    load: NDArray[np.float64], fresh: bool, rate_hz: float, x: float, y: float, w: float
) -> tuple[bool, float, float, float]:
    """Take a filtered sample; (whether a point of the 100 Hz grid was passed, the values there)."""
    past = load[_PAST:]
    if fresh:
        for n in range(4):
            past[3 * n], past[3 * n + 1], past[3 * n + 2] = x, y, w
        load[_COUNT] = 0.0
        return True, x, y, w
    for n in range(9):
        past[n] = past[n + 3]
    past[9], past[10], past[11] = x, y, w
    load[_COUNT] += LOAD_HZ
    if load[_COUNT] < rate_hz:
        return False, x, y, w
    load[_COUNT] -= rate_hz
    u = 1.0 - load[_COUNT] / LOAD_HZ
    return True, _between(past, 0, u), _between(past, 1, u), _between(past, 2, u)


@njit(cache=True, forceinline=True)
def load_step(
    load: NDArray[np.float64], z: NDArray[np.float64], sections: NDArray[np.float64], row: Whole,
    merge: Whole, gap_ns: Whole, x: float, y: float, w: float, rate_hz: float = 100.0,
) -> float:
    """PlayerLoad that this sample adds, au; its horizontal part is then in `load[row, FLAT]`.

    merge samples per 100 Hz step (see `load_merge`), gap_ns time since the sample before, (x, y, w)
    acceleration; sections (rows, SECTIONS, 5) low-pass of the row, see `models.signal.biquads`;
    rate_hz is read where the sensor is resampled.
    """
    fresh = load[row, _LIVE] == 0.0 or gap_ns > MAX_GAP_NS or gap_ns < 0
    load[row, FLAT] = 0.0
    if merge != 1:
        if fresh:
            settle(sections, z, row, 0, x)
            settle(sections, z, row, 1, y)
            settle(sections, z, row, 2, w)
        x = filter_step(sections, z, row, 0, x)
        y = filter_step(sections, z, row, 1, y)
        w = filter_step(sections, z, row, 2, w)
    if merge == RESAMPLE:
        due, x, y, w = _on_grid(load[row], bool(fresh), rate_hz, x, y, w)
        if not due:
            return 0.0
    elif merge > 1:
        load[row, _COUNT] += 1.0
        if not fresh and load[row, _COUNT] < merge:
            return 0.0
        load[row, _COUNT] = 0.0
    dx, dy, dw = x - load[row, _X], y - load[row, _Y], w - load[row, _Z]
    load[row, _X] = x
    load[row, _Y] = y
    load[row, _Z] = w
    if fresh:
        load[row, _LIVE] = 1.0
        return 0.0
    flat = dx * dx + dy * dy
    load[row, FLAT] = np.sqrt(flat) / (100.0 * GRAVITY_MPS2)
    return np.sqrt(flat + dw * dw) / (100.0 * GRAVITY_MPS2)
