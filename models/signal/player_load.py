"""PlayerLoad: the sum of |da| in g over 100 at 100 Hz, in arbitrary units (DOMAIN B4).

The scaling is outside of the root. The sum grows with the sample rate, because noise adds up, so
faster sensors are low-passed at 40 Hz and read at 100 Hz first. Accelerations in m/s^2.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.signal.biquads import SECTIONS, filter_step, settle

GRAVITY_MPS2: Final = 9.80665
LOAD_CUTOFF_HZ: Final = 40.0
MAX_GAP_NS: Final = 100_000_000
"""Across a longer gap nothing is known about the movement: the sum starts again behind it."""
LOAD_WIDTH: Final = 5
Whole = int | np.int64
_X, _Y, _Z, _COUNT, _LIVE = range(LOAD_WIDTH)


def new_load(rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """State of `rows` sensors: (rows, LOAD_WIDTH), and filter state (rows, 2 SECTIONS, 3)."""
    return np.zeros((rows, LOAD_WIDTH)), np.zeros((rows, 2 * SECTIONS, 3))


@njit(cache=True)
def load_step(
    load: NDArray[np.float64], z: NDArray[np.float64], sections: NDArray[np.float64], row: Whole,
    merge: Whole, gap_ns: Whole, x: float, y: float, w: float,
) -> float:
    """PlayerLoad that this sample adds, au.

    merge samples per 100 Hz step (1: no filter), gap_ns time since the sample before, (x, y, w)
    acceleration; sections (rows, SECTIONS, 5) low-pass of the row, see `models.signal.biquads`.
    """
    fresh = load[row, _LIVE] == 0.0 or gap_ns > MAX_GAP_NS or gap_ns < 0
    if merge > 1:
        if fresh:
            settle(sections, z, row, 0, x)
            settle(sections, z, row, 1, y)
            settle(sections, z, row, 2, w)
        x = filter_step(sections, z, row, 0, x)
        y = filter_step(sections, z, row, 1, y)
        w = filter_step(sections, z, row, 2, w)
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
    return np.sqrt(dx * dx + dy * dy + dw * dw) / (100.0 * GRAVITY_MPS2)
