"""FailureTracker: levels and slopes of each device's health rows, the input of the failure net.

Keeps per device the last row, and five minutes of ten-second means in a ring. Depends on the rows
and their order only, not on how they were cut into calls. Pure numpy, no torch.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.nets.contract import FAILURE_FEATURES, HEALTH_COLUMNS

BUCKET_NS: Final = 10_000_000_000
BUCKETS: Final = 30
RECENT: Final = 6
"""Buckets of the recent level: one minute."""
_TRACKED: Final = (
    "loss_ewma", "rate_ratio", "batt_v", "rssi_dbm", "spike_rate", "stuck_n", "clip_n",
    "noise_ratio", "clock_offset_ns", "reboot_n", "age_s",
)
_WIDTH: Final = len(_TRACKED)
_LOSS, _RATE, _VOLT, _RSSI, _SPIKE, _STUCK, _CLIP, _NOISE, _OFFSET, _REBOOT, _AGE = range(_WIDTH)
_PICK: Final = np.array([HEALTH_COLUMNS.index(name) for name in _TRACKED])


class FailureTracker:
    """State of `devices` device rows of a roster."""

    def __init__(self, devices: int) -> None:
        self.devices = devices
        self._last = np.full((devices, len(HEALTH_COLUMNS)), np.nan, np.float32)
        self._first_ns = np.full(devices, -1, np.int64)
        self._now_ns = np.zeros(devices, np.int64)
        self._bucket = np.full(devices, -1, np.int64)
        self._sum = np.zeros((devices, _WIDTH))
        self._count = np.zeros((devices, _WIDTH))
        self._ring = np.full((devices, BUCKETS, _WIDTH), np.nan)

    def push(
        self, device: NDArray[np.int32], t_ns: NDArray[np.int64], values: NDArray[np.float32]
    ) -> None:
        """Takes health rows: device (n,), t_ns (n,), values (len(HEALTH_COLUMNS), n); a device's
        rows in time order. Rows older than the device's last one are left out."""
        assert values.shape == (len(HEALTH_COLUMNS), len(device)), values.shape
        # The rank of a row among those of its device: each round has a device at most once.
        order = np.argsort(device, kind="stable")
        rank = np.empty(len(device), np.intp)
        ranked = device[order]
        starts = np.flatnonzero(np.diff(ranked, prepend=-1))
        lengths = np.diff(np.append(starts, len(ranked)))
        rank[order] = np.arange(len(ranked)) - np.repeat(starts, lengths)
        for turn in range(int(rank.max()) + 1 if len(rank) else 0):
            now = rank == turn
            self._take(device[now], t_ns[now], values[:, now])

    def _take(
        self, device: NDArray[np.int32], t_ns: NDArray[np.int64], values: NDArray[np.float32]
    ) -> None:
        newer = t_ns > self._now_ns[device]
        device, t_ns, values = device[newer], t_ns[newer], values[:, newer]
        self._first_ns[device] = np.where(
            self._first_ns[device] < 0, t_ns, self._first_ns[device]
        )
        bucket = t_ns // BUCKET_NS
        self._close(device, bucket)
        self._now_ns[device], self._last[device] = t_ns, values.T
        row = values[_PICK].T.astype(np.float64)
        known = np.isfinite(row)
        self._sum[device] += np.where(known, row, 0.0)
        self._count[device] += known

    def _close(self, device: NDArray[np.int32], bucket: NDArray[np.int64]) -> None:
        """Moves finished buckets into the rings; silent buckets leave a gap."""
        steps = np.where(self._bucket[device] < 0, 0, bucket - self._bucket[device])
        moved = steps > 0
        who = device[moved]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(self._count[who] > 0, self._sum[who] / self._count[who], np.nan)
        for row, mine, many in zip(who.tolist(), mean, steps[moved].tolist(), strict=True):
            shift = min(many, BUCKETS)
            self._ring[row, :-shift] = self._ring[row, shift:].copy()
            self._ring[row, BUCKETS - shift :] = np.nan
            if many <= BUCKETS:
                self._ring[row, BUCKETS - shift] = mine
        self._sum[who], self._count[who] = 0.0, 0.0
        self._bucket[device] = bucket

    def features(self, device: NDArray[np.int32]) -> NDArray[np.float32]:
        """(n, len(FAILURE_FEATURES)) float32 as of each device's last row; NaN where unknown."""
        open_mean = np.where(
            self._count[device] > 0, self._sum[device] / np.maximum(self._count[device], 1), np.nan
        )
        ring = np.concatenate([self._ring[device], open_mean[:, None]], axis=1)
        recent, slope = _mean(ring[:, -RECENT:]), _slope_per_min(ring)
        minutes = (self._now_ns[device] - self._first_ns[device]) / 60e9
        minutes = np.where(self._first_ns[device] < 0, np.nan, minutes)
        step = np.abs(np.diff(ring[:, :, _OFFSET], axis=1)) / 1e6
        reboots = _most(ring[:, :, _REBOOT]) + _most(-ring[:, :, _REBOOT])
        trend = np.stack([
            minutes, recent[:, _LOSS], slope[:, _LOSS], recent[:, _RATE],
            -_most(-ring[:, :, _RATE]), recent[:, _VOLT], slope[:, _VOLT],
            recent[:, _RSSI], slope[:, _RSSI], recent[:, _SPIKE], slope[:, _SPIKE],
            recent[:, _STUCK], recent[:, _CLIP], recent[:, _NOISE], slope[:, _NOISE],
            _most(step), reboots, _most(ring[:, -RECENT:, _AGE]),
        ], axis=1)
        answer = np.concatenate([self._last[device], trend.astype(np.float32)], axis=1)
        assert answer.shape[1] == len(FAILURE_FEATURES), answer.shape
        return answer


def _mean(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over known buckets, (n, C); NaN where none is known."""
    known = np.isfinite(ring)
    count = known.sum(1)
    total = np.where(known, ring, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _most(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest known value along axis 1, (n,); NaN where none is known."""
    known = np.isfinite(ring)
    largest = np.where(known, ring, -np.inf).max(1)
    return np.where(known.any(1), largest, np.nan)


def _slope_per_min(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares slope over the known buckets, per minute, (n, C); NaN with fewer than four."""
    known = np.isfinite(ring)
    t = (np.arange(ring.shape[1]) * (BUCKET_NS / 60e9))[None, :, None]
    count = np.maximum(known.sum(1), 1)
    filled = np.where(known, ring, 0.0)
    mean_t, mean_y = (known * t).sum(1) / count, filled.sum(1) / count
    from_t = np.where(known, t - mean_t[:, None], 0.0)
    from_y = np.where(known, filled - mean_y[:, None], 0.0)
    spread = (from_t**2).sum(1)
    slope = (from_t * from_y).sum(1) / np.maximum(spread, 1e-9)
    return np.where(known.sum(1) >= 4, slope, np.nan)
