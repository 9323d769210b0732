"""Append one event to the output buffers, with the flow's own sequence number."""

from math import nan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows.tables import N_EVENTS, Outputs

NO_METRIC = nan


@njit(cache=True)
def emit(
    out: Outputs, i: NDArray[np.int64], seq_at: int, subject: int, code: int, sub: int,
    t_event_ns: int, t_detected_ns: int, other: int, place: tuple[float, float, float, float],
    confidence: float, metrics: tuple[float, float, float, float, float, float],
) -> int:
    """Write an event and return its sequence number. `i[seq_at]` counts the flow's events; `place`
    is x, y, x_end, y_end in metres (NaN = none); unused metrics are NaN; `other` is a subject or
    -1."""
    row = out.n[N_EVENTS]
    out.n[N_EVENTS] = row + 1
    seq = i[seq_at]
    i[seq_at] = seq + 1
    head = out.event_i[row]
    head[0] = subject
    head[1] = code
    head[2] = sub
    head[3] = t_event_ns
    head[4] = t_detected_ns
    head[5] = seq
    head[6] = other
    body = out.event_f[row]
    for k in range(4):
        body[k] = place[k]
    body[4] = confidence
    for k in range(6):
        body[5 + k] = metrics[k]
    return int(seq)
