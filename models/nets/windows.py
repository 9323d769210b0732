"""Event windows: the last 2.56 s around a peak of |acc|, on a 100 Hz grid. Pure numpy, no torch.

Owns how samples of different rates become one `EVENT_WINDOW` (see `models.nets.contract`), for the
live path and for training alike. Missing motion is held (rows older than `HOLD_NS` become 0).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.nets.contract import (
    BALL_DISTANCE_CAP_M,
    EVENT_PEAK_INDEX,
    EVENT_RATE_HZ,
    EVENT_WINDOW,
)

GRAVITY: Final = 9.80665
STEP_NS: Final = round(1e9 / EVENT_RATE_HZ)
BEFORE_NS: Final = EVENT_PEAK_INDEX * STEP_NS
"""The window begins this long before its peak."""
AFTER_NS: Final = (EVENT_WINDOW[1] - 1 - EVENT_PEAK_INDEX) * STEP_NS
"""A window can be made when samples up to this long after its peak are there."""
HOLD_NS: Final = 200_000_000


def grid_ns(peak_ns: int) -> NDArray[np.int64]:
    """The 256 grid times of the window whose peak is at `peak_ns`."""
    grid: NDArray[np.int64] = peak_ns + (np.arange(EVENT_WINDOW[1]) - EVENT_PEAK_INDEX) * STEP_NS
    return grid


def hold(
    t_ns: NDArray[np.int64], values: NDArray[np.float32], at_ns: NDArray[np.int64], hold_ns: int,
    missing: float,
) -> NDArray[np.float32]:
    """Newest of `values` (c, n), sorted by t_ns (n,), at or before each `at_ns` (m,): (c, m).

    `missing` stands where there is none, or where the newest is older than `hold_ns`.
    """
    at = np.searchsorted(t_ns, at_ns, side="right") - 1
    if not len(t_ns):
        return np.full((len(values), len(at_ns)), missing, np.float32)
    safe = np.maximum(at, 0)
    fresh = (at >= 0) & (at_ns - t_ns[safe] <= hold_ns)
    held: NDArray[np.float32] = np.where(fresh, values[:, safe], np.float32(missing))
    return held


def event_window(
    peak_ns: int,
    imu_ns: NDArray[np.int64], imu: NDArray[np.float32],
    track_ns: NDArray[np.int64], track: NDArray[np.float32],
    ball_ns: NDArray[np.int64], ball_distance_m: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(9, 256) float32, the input of the event net.

    imu (6, n): acc m/s^2, gyr rad/s at imu_ns; track (2, m): speed m/s and acceleration along the
    track m/s^2 at track_ns; ball_distance_m (k,) at ball_ns. All times sorted.
    """
    at = grid_ns(peak_ns)
    window = np.empty(EVENT_WINDOW, np.float32)
    window[:6] = hold(imu_ns, imu, at, HOLD_NS, 0.0)
    window[:3] /= np.float32(GRAVITY)
    window[6:8] = hold(track_ns, track, at, 5 * HOLD_NS, 0.0)
    window[8] = hold(ball_ns, ball_distance_m[None], at, 5 * HOLD_NS, BALL_DISTANCE_CAP_M)[0]
    np.minimum(window[8], BALL_DISTANCE_CAP_M, out=window[8])
    np.nan_to_num(window, copy=False, nan=0.0)
    return window
