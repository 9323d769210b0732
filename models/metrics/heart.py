"""Training impulse and beat-to-beat variability from heart rate. Rates per minute, RR in ms."""

from math import exp

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.metrics.rr import RR_HIGH_MS, RR_JUMP, RR_LOW_MS


@njit(cache=True)
def reserve_share(hr_bpm: float, rest_bpm: float, max_bpm: float) -> float:
    """Share of the heart-rate reserve in use, clamped to [0, 1]."""
    return min(max((hr_bpm - rest_bpm) / (max_bpm - rest_bpm), 0.0), 1.0)


@njit(cache=True)
def banister_per_min(reserve: float, woman: bool) -> float:
    """Banister TRIMP of one minute: r 0.64 e^(1.92 r) for men, r 0.86 e^(1.67 r) for women."""
    return reserve * (0.86 * exp(1.67 * reserve) if woman else 0.64 * exp(1.92 * reserve))


@njit(cache=True)
def stagno_per_min(reserve: float) -> float:
    """Stagno's modified TRIMP of one minute: 0.1225 e^(3.9434 r)."""
    return 0.1225 * exp(3.9434 * reserve)


@njit(cache=True)
def edwards_per_min(hr_bpm: float, max_bpm: float) -> float:
    """Edwards' weight of one minute: 1 to 5 for each tenth of HRmax from 50 %; 0 below."""
    share = hr_bpm / max_bpm
    return float(min(max(int(share * 10.0 + 1e-9) - 4, 0), 5))


@njit(cache=True)
def lucia_per_min(hr_bpm: float, vt1_bpm: float, vt2_bpm: float) -> float:
    """Lucia's weight of one minute: 1 below VT1, 2 between the thresholds, 3 above VT2."""
    return 1.0 if hr_bpm < vt1_bpm else (2.0 if hr_bpm < vt2_bpm else 3.0)


def clean_rr_ms(rr_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """RR intervals without artefacts: within 300-1300 ms and within 25 % of the running median of
    the five around. `rr_ms` (n,) ms."""
    inside = rr_ms[(rr_ms >= RR_LOW_MS) & (rr_ms <= RR_HIGH_MS)]
    if inside.size < 5:
        return inside
    padded = np.pad(inside, 2, mode="edge")
    median = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    kept: NDArray[np.float64] = inside[np.abs(inside - median) <= RR_JUMP * median]
    return kept


def rmssd_ms(rr_ms: NDArray[np.float64]) -> float:
    """Root mean square of successive RR differences; NaN for fewer than two. For rest only."""
    if rr_ms.size < 2:
        return float("nan")
    return float(np.sqrt(np.mean(np.diff(rr_ms) ** 2)))
