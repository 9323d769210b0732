"""Efficiency of effort against heart rate: the efficiency factor and its decoupling."""

from math import nan

from numba import njit


@njit(cache=True)
def efficiency_factor(power_wkg: float, hr_bpm: float) -> float:
    """Mean metabolic power over mean heart rate, W/kg per bpm; NaN without a heart rate."""
    return power_wkg / hr_bpm if hr_bpm > 0.0 else nan


@njit(cache=True)
def decoupling_pct(first: float, second: float) -> float:
    """How far the efficiency factor has fallen from one half to the next, % of the first. Above 5 %
    heart rate has decoupled from effort; meant for 20 minutes and more."""
    return 100.0 * (first - second) / first if first > 0.0 else nan
