"""Means over cells of 10 ms of event time, from samples of any rate: one grid for every sensor.

The signal between two samples is a straight line; a cell's value is the exact mean of that line. So
faster sensors are averaged (no aliasing worth naming), slower ones and short losses are bridged,
and what follows needs one design at 100 Hz. State of C channels: 4 C float64 from column `o` of `f`
(place on the line, integral, new sample, mean), `CELL_I` int64 from column `q` of `i`; zeros first.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

CELL_NS: Final = 10_000_000
CELL_S: Final = 0.01
CELL_HZ: Final = 100.0
BRIDGE_NS: Final = 150_000_000
"""Longest hole that a straight line bridges: shorter than a step, so it cannot hide one."""
CELL_I: Final = 3
LIVE, T_AT, T_CELL = range(CELL_I)
GOES_ON, STARTS, OLD = range(3)


@njit(cache=True, inline="always")
def begin_sample(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, channels: int, t_ns: int
) -> int:
    """Say that a sample of time `t_ns` has been written to f[o + 2 C : o + 3 C].

    STARTS: it is the first, or a hole lies before it, and its value is held back to the beginning
    of its cell. OLD: it is not newer than the last one, leave it. Else GOES_ON.
    """
    if i[q + LIVE] == 1:
        gap_ns = t_ns - i[q + T_AT]
        if gap_ns <= 0 and gap_ns >= -BRIDGE_NS:
            return OLD
        if 0 < gap_ns <= BRIDGE_NS:
            return GOES_ON
    i[q + LIVE] = 1
    i[q + T_CELL] = t_ns // CELL_NS * CELL_NS
    i[q + T_AT] = t_ns
    held_s = (t_ns - i[q + T_CELL]) * 1e-9
    for c in range(channels):
        f[o + c] = f[o + 2 * channels + c]
        f[o + channels + c] = f[o + c] * held_s
    return STARTS


@njit(cache=True, inline="always")
def next_mean(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, channels: int, t_ns: int
) -> bool:
    """Go on along the line to the sample of `t_ns`; True at the end of a cell, its means in
    f[o + 3 C : o + 4 C] and T_CELL its end: call again until False."""
    edge = i[q + T_CELL] + CELL_NS
    step_ns = t_ns - i[q + T_AT]
    if t_ns < edge:
        half_s = step_ns * 0.5e-9
        for c in range(channels):
            there = f[o + 2 * channels + c]
            f[o + channels + c] += (f[o + c] + there) * half_s
            f[o + c] = there
        i[q + T_AT] = t_ns
        return False
    part_ns = edge - i[q + T_AT]
    share = part_ns / step_ns if step_ns > 0 else 0.0
    half_s = part_ns * 0.5e-9
    for c in range(channels):
        here = f[o + c]
        there = here + share * (f[o + 2 * channels + c] - here)
        f[o + 3 * channels + c] = (f[o + channels + c] + (here + there) * half_s) * CELL_HZ
        f[o + channels + c] = 0.0
        f[o + c] = there
    i[q + T_AT] = edge
    i[q + T_CELL] = edge
    return True
