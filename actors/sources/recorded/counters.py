"""Counters for recordings that have none: rows of a device, numbered by the time between them."""

import numpy as np
from numpy.typing import NDArray


def by_rate(
    device: NDArray[np.int64], boot: NDArray[np.int64], t_ns: NDArray[np.int64], rate_hz: float
) -> NDArray[np.int64]:
    """(n,) counters from 0 per (device, boot); rows are in time order.

    A row is one more than the row before it, or as many more as periods of `rate_hz` fit between
    them: a drop-out shows as missing counts, and jitter does not.
    """
    order = np.lexsort((np.arange(len(t_ns)), boot, device))
    d, b, t = device[order], boot[order], t_ns[order]
    fresh = np.empty(len(t), np.bool_)
    fresh[0] = True
    fresh[1:] = (d[1:] != d[:-1]) | (b[1:] != b[:-1])
    steps = np.ones(len(t), np.int64)
    steps[1:] = np.maximum(1, np.rint(np.diff(t) * (rate_hz / 1e9)).astype(np.int64))
    steps[fresh] = 0
    total = np.cumsum(steps)
    starts = np.flatnonzero(fresh)
    lengths = np.diff(np.append(starts, len(t)))
    seq = np.empty(len(t), np.int64)
    seq[order] = total - np.repeat(total[starts], lengths)
    return seq
