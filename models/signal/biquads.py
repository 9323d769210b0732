"""Butterworth low-pass filters as cascades of second-order sections, run sample by sample.

Owns the design (bilinear transform with pre-warping) and one causal step. Frequencies in Hz. A
section is (b0, b1, b2, a1, a2) with gain 1 at 0 Hz, in transposed direct form II.
"""

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

SECTIONS: Final = 2
"""Fourth order: 24 dB per octave."""


def butterworth(cutoff_hz: float, rate_hz: float) -> NDArray[np.float64]:
    """(SECTIONS, 5) sections of a fourth-order low-pass with -3 dB at `cutoff_hz`.

    Poles of the analogue prototype at angles pi (2k + 1) / 8 from the imaginary axis, each pair
    bilinearly transformed: Q_k = 1 / (2 cos angle). `cutoff_hz` must lie below `rate_hz` / 2.
    """
    assert 0 < cutoff_hz < rate_hz / 2, (cutoff_hz, rate_hz)
    warped = math.tan(math.pi * cutoff_hz / rate_hz)
    sections = np.empty((SECTIONS, 5), np.float64)
    for k in range(SECTIONS):
        damping = 2.0 * math.cos(math.pi * (2 * k + 1) / (4 * SECTIONS))
        norm = 1.0 / (1.0 + damping * warped + warped * warped)
        gain = warped * warped * norm
        a1 = 2.0 * (warped * warped - 1.0) * norm
        a2 = (1.0 - damping * warped + warped * warped) * norm
        sections[k] = (gain, 2.0 * gain, gain, a1, a2)
    return sections


PASS_ALL: Final = ((1.0, 0.0, 0.0, 0.0, 0.0),) * SECTIONS


@njit(cache=True)
def settle(
    sections: NDArray[np.float64], z: NDArray[np.float64], row: int | np.int64,
    channel: int | np.int64, x: float,
) -> None:
    """Put the filter of (row, channel) where a constant input `x` would have brought it.

    sections (R, SECTIONS, 5); z (R, 2 SECTIONS, C) float64 state.
    """
    for k in range(SECTIONS):
        z[row, 2 * k, channel] = (1.0 - sections[row, k, 0]) * x
        z[row, 2 * k + 1, channel] = (sections[row, k, 2] - sections[row, k, 4]) * x


@njit(cache=True, forceinline=True)
def filter_step(
    sections: NDArray[np.float64], z: NDArray[np.float64], row: int | np.int64,
    channel: int | np.int64, x: float,
) -> float:
    """One sample through the cascade of `row`; see `settle` for the layouts."""
    for k in range(SECTIONS):
        y = sections[row, k, 0] * x + z[row, 2 * k, channel]
        z[row, 2 * k, channel] = (
            sections[row, k, 1] * x - sections[row, k, 3] * y + z[row, 2 * k + 1, channel]
        )
        z[row, 2 * k + 1, channel] = sections[row, k, 2] * x - sections[row, k, 4] * y
        x = y
    return x
