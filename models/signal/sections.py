"""Second-order Butterworth sections, low-pass and high-pass, run sample by sample.

A section is (b0, b1, b2, a1, a2) in transposed direct form II; its state is two float64 of a row,
from column `at` on. Frequencies in Hz.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

_DAMPING = math.sqrt(2.0)


def low_pass(cutoff_hz: float, rate_hz: float) -> NDArray[np.float64]:
    """(5,) section with gain 1 at 0 Hz and -3 dB at `cutoff_hz` (bilinear, pre-warped)."""
    gain, a1, a2 = _poles(cutoff_hz, rate_hz)
    top = gain * math.tan(math.pi * cutoff_hz / rate_hz) ** 2
    return np.array([top, 2.0 * top, top, a1, a2])


def high_pass(cutoff_hz: float, rate_hz: float) -> NDArray[np.float64]:
    """(5,) section with gain 0 at 0 Hz and -3 dB at `cutoff_hz` (bilinear, pre-warped)."""
    gain, a1, a2 = _poles(cutoff_hz, rate_hz)
    return np.array([gain, -2.0 * gain, gain, a1, a2])


def _poles(cutoff_hz: float, rate_hz: float) -> tuple[float, float, float]:
    assert 0 < cutoff_hz < rate_hz / 2, (cutoff_hz, rate_hz)
    warped = math.tan(math.pi * cutoff_hz / rate_hz)
    norm = 1.0 / (1.0 + _DAMPING * warped + warped * warped)
    a1 = 2.0 * (warped * warped - 1.0) * norm
    return norm, a1, (1.0 - _DAMPING * warped + warped * warped) * norm


@njit(cache=True, inline="always")
def section_step(
    section: NDArray[np.float64], f: NDArray[np.float64], at: int, x: float
) -> float:
    """One sample through the section whose state is f[at], f[at + 1]."""
    y = section[0] * x + f[at]
    f[at] = section[1] * x - section[3] * y + f[at + 1]
    f[at + 1] = section[2] * x - section[4] * y
    return y


@njit(cache=True)
def section_settle(
    section: NDArray[np.float64], f: NDArray[np.float64], at: int, x: float
) -> float:
    """Put the section where a constant input `x` would have brought it; its output there."""
    gain = (section[0] + section[1] + section[2]) / (1.0 + section[3] + section[4])
    y = gain * x
    f[at] = y - section[0] * x
    f[at + 1] = section[2] * x - section[4] * y
    return y
