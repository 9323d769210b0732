"""Causal spike detection: the Hampel identifier over the last seven samples, isolated spikes only.

A sample is a spike when it jumps from its predecessor by more than a physical floor, leaves the
band `median +- k 1.4826 MAD` of the window that it ends, and its predecessor was no spike: an
impact also jumps, but it lasts, so at most its first sample is taken for a spike. The window holds
samples as they came. Any unit.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

WINDOW: Final = 7
PAST: Final = WINDOW - 1
MAD_SCALE: Final = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""


def new_windows(rows: int, channels: int) -> NDArray[np.float64]:
    """(rows, channels, PAST + 2): past samples as a ring, then how many there are, then where the
    oldest is."""
    return np.zeros((rows, channels, PAST + 2), np.float64)


@njit(cache=True)
def _median(values: NDArray[np.float64], n: int) -> float:
    for i in range(1, n):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
    if n % 2 == 1:
        return values[n // 2]
    return 0.5 * (values[n // 2 - 1] + values[n // 2])


@njit(cache=True)
def _outside(
    windows: NDArray[np.float64], row: int | np.int64, channel: int | np.int64, x: float,
    floor: float, k: float,
) -> tuple[bool, float]:
    """Whether `x` leaves the band, and the median to put in its place."""
    n = int(windows[row, channel, PAST])
    sample = np.empty(WINDOW, np.float64)
    for i in range(n):
        sample[i] = windows[row, channel, i]
    sample[n] = x
    middle = _median(sample, n + 1)
    for i in range(n + 1):
        sample[i] = abs(sample[i] - middle)
    spread = _median(sample, n + 1)
    return abs(x - middle) > max(floor, k * MAD_SCALE * spread), middle


@njit(cache=True, forceinline=True)
def hampel_step(
    windows: NDArray[np.float64], row: int | np.int64, channel: int | np.int64, x: float,
    floor: float, k: float,
) -> tuple[bool, float]:
    """Take sample `x` of (row, channel); returns (is it outside, the window's median).

    The caller decides about isolation, because that is a matter of all channels of a sensor.
    """
    n = int(windows[row, channel, PAST])
    head = int(windows[row, channel, PAST + 1])
    outside, middle = False, x
    if n >= 3:
        newest = windows[row, channel, head - 1 if head > 0 else PAST - 1]
        if abs(x - newest) > floor:
            outside, middle = _outside(windows, row, channel, x, floor, k)
    windows[row, channel, head] = x
    windows[row, channel, PAST + 1] = head + 1 if head + 1 < PAST else 0
    if n < PAST:
        windows[row, channel, PAST] = n + 1
    return outside, middle


@njit(cache=True)
def forget_window(
    windows: NDArray[np.float64], row: int | np.int64, channel: int | np.int64
) -> None:
    """Start anew, after a gap."""
    windows[row, channel, PAST] = 0.0
    windows[row, channel, PAST + 1] = 0.0
