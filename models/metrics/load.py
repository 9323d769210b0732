"""Loads over days, and PlayerLoad of a stretch of acceleration."""

import numpy as np
from numpy.typing import NDArray


def ewma(daily: NDArray[np.float64], days: int) -> NDArray[np.float64]:
    """Exponentially weighted load, lambda = 2 / (days + 1), seeded by the first value (Williams
    2017). `daily` (n,), one value per day; returns (n,)."""
    share = 2.0 / (days + 1.0)
    out = np.empty(daily.shape, np.float64)
    level = float(daily[0]) if daily.size else 0.0
    for day in range(daily.shape[0]):
        level = share * float(daily[day]) + (1.0 - share) * level
        out[day] = level
    return out


def acute_chronic_ratio(daily: NDArray[np.float64]) -> float:
    """EWMA of 7 days over EWMA of 28 days. A description of load: it must never raise an alert,
    because random chronic loads predict injuries as well (Impellizzeri 2020)."""
    return float(ewma(daily, 7)[-1] / ewma(daily, 28)[-1])


def player_load_au(acc_g: NDArray[np.float64]) -> float:
    """Sum of |da| / 100 in arbitrary units. `acc_g` (n, 3), g, at 100 Hz: other rates need
    anti-aliasing and decimation first, because the sum grows with the sample rate."""
    return float(np.sqrt((np.diff(acc_g, axis=0) ** 2).sum(1)).sum() / 100.0)


def peak_rolling_mean(
    t_s: NDArray[np.float64], total: NDArray[np.float64], window_s: float
) -> float:
    """The largest growth rate of a running total over any window of `window_s` that ends at a
    sample, per second. `t_s` (n,) ascending, `total` (n,). NaN for less than one window."""
    if t_s.size < 2 or t_s[-1] - t_s[0] < window_s:
        return float("nan")
    before = np.interp(t_s - window_s, t_s, total)
    whole = t_s - window_s >= t_s[0]
    return float(((total - before)[whole] / window_s).max())
