"""Sums per second of event time in a ring, so that sliding windows cost a bounded memory."""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

SECOND_NS: Final = 1_000_000_000


class Seconds(NamedTuple):
    """stamp (S, N) int64: the second that a slot holds, -1 for none; value (S, N, K) float64 sums
    of that second; total (S, K) float64 sums of all seconds."""

    stamp: NDArray[np.int64]
    value: NDArray[np.float64]
    total: NDArray[np.float64]


def new_seconds(subjects: int, longest_s: int, columns: int) -> Seconds:
    """Empty sums for windows of up to `longest_s` seconds."""
    return Seconds(
        np.full((subjects, longest_s), -1, np.int64), np.zeros((subjects, longest_s, columns)),
        np.zeros((subjects, columns)),
    )


@njit(cache=True)
def add_seconds(seconds: Seconds, s: int, t_ns: int, column: int, amount: float) -> None:
    """Add `amount` to `column` of subject `s` in the second of `t_ns`."""
    second = t_ns // SECOND_NS
    slot = second % seconds.stamp.shape[1]
    if seconds.stamp[s, slot] != second:
        seconds.stamp[s, slot] = second
        seconds.value[s, slot, :] = 0.0
    seconds.value[s, slot, column] += amount
    seconds.total[s, column] += amount


def window_sum(seconds: Seconds, now_ns: int, window_s: int) -> NDArray[np.float64]:
    """(S, K) sums of the last `window_s` whole seconds up to and with that of `now_ns`; 0: of all
    seconds there ever were. Raises ValueError for a window longer than the ring."""
    if window_s == 0:
        return seconds.total.copy()
    if not 0 < window_s <= seconds.stamp.shape[1]:
        raise ValueError(f"a window of {window_s} s, at most {seconds.stamp.shape[1]}")
    now = now_ns // SECOND_NS
    inside = (seconds.stamp > now - window_s) & (seconds.stamp <= now)
    return np.where(inside[:, :, None], seconds.value, 0.0).sum(axis=1)
