"""Gait detectors over rows of many devices: one state row per device, found events as columns.

For recomputation and for tests; the flow kernel steps the same detectors row by row. Rows of one
device must come in order of event time; how a stream is cut into calls changes nothing. Also the
zero-phase version of the trunk detector, which needs the whole signal.
"""

from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.columns import frozen
from models.gait.foot import (
    FOOT_F,
    FOOT_I,
    STRUCK,
    T_BEFORE,
    T_STRIKE,
    T_TOE,
    foot_step,
)
from models.gait.foot import SEEN as STRIKES
from models.gait.trunk import (
    HIGH,
    LAG_NS,
    LOW,
    OPEN,
    PEAK_F,
    PEAK_I,
    T_STEP,
    TRUNK_F,
    TRUNK_I,
    peak_step,
    trunk_step,
)
from models.signal.cell_means import (
    CELL_I,
    CELL_NS,
    OLD,
    STARTS,
    T_CELL,
    begin_sample,
    next_mean,
)
from models.signal.sections import section_settle, section_step

ZERO_PHASE_LAG_NS: Final = 55_000_000
"""The zero-phase top lies so far behind the heel strike: the body alone."""


class Detectors(NamedTuple):
    """State of D devices: f (D, width) float64, i (D, width) int64; zeros have seen nothing."""

    f: NDArray[np.float64]
    i: NDArray[np.int64]


class Strikes(NamedTuple):
    """Heel strikes, in order of detection: device row, strike and toe-off before it (ns), ground
    contact before that swing (s, NaN at the first), event time at which it was certain."""

    device: NDArray[np.int64]
    t_strike_ns: NDArray[np.int64]
    t_toe_ns: NDArray[np.int64]
    contact_s: NDArray[np.float64]
    t_detected_ns: NDArray[np.int64]


def new_trunks(devices: int) -> Detectors:
    """Trunk detectors that have seen nothing."""
    return Detectors(np.zeros((devices, TRUNK_F)), np.zeros((devices, TRUNK_I), np.int64))


def new_feet(devices: int) -> Detectors:
    """Foot detectors that have seen nothing."""
    return Detectors(np.zeros((devices, FOOT_F)), np.zeros((devices, FOOT_I), np.int64))


def take_trunks(
    state: Detectors, device: NDArray[Any], t_ns: NDArray[np.int64], acc: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps in rows of trunk sensors: (device row, heel strike in ns). acc (3, n) m/s^2 with
    gravity."""
    size = np.sqrt((np.asarray(acc, np.float64) ** 2).sum(axis=0))
    out = np.empty((2, len(t_ns)), np.int64)
    n = _walk_trunks(
        state.f, state.i, frozen(device, np.int64), frozen(t_ns, np.int64), frozen(size), out
    )
    return out[0, :n].copy(), out[1, :n].copy()


@njit(cache=True)
def _walk_trunks(
    f: NDArray[np.float64], i: NDArray[np.int64], device: NDArray[np.int64],
    t_ns: NDArray[np.int64], size: NDArray[np.float64], out: NDArray[np.int64],
) -> int:
    n = 0
    for row in range(t_ns.shape[0]):
        d = device[row]
        if trunk_step(f[d], 0, i[d], 0, t_ns[row], size[row]):
            out[0, n] = d
            out[1, n] = i[d, T_STEP] - LAG_NS
            n += 1
    return n


def take_feet(
    state: Detectors, device: NDArray[Any], t_ns: NDArray[np.int64], acc: NDArray[Any],
    gyr: NDArray[Any],
) -> Strikes:
    """Strikes in rows of foot sensors. acc (3, n) m/s^2 with gravity, gyr (3, n) rad/s."""
    size = np.sqrt((np.asarray(acc, np.float64) ** 2).sum(axis=0))
    out, contact = np.empty((4, len(t_ns)), np.int64), np.empty(len(t_ns))
    n = _walk_feet(
        state.f, state.i, frozen(device, np.int64), frozen(t_ns, np.int64),
        frozen(gyr, np.float64), frozen(size), out, contact,
    )
    device_row, strike, toe, detected = (column[:n].copy() for column in out)
    return Strikes(device_row, strike, toe, contact[:n].copy(), detected)


@njit(cache=True)
def _walk_feet(
    f: NDArray[np.float64], i: NDArray[np.int64], device: NDArray[np.int64],
    t_ns: NDArray[np.int64], gyr: NDArray[np.float64], size: NDArray[np.float64],
    out: NDArray[np.int64], contact: NDArray[np.float64],
) -> int:
    n = 0
    for row in range(t_ns.shape[0]):
        d = device[row]
        felt = foot_step(
            f[d], 0, i[d], 0, t_ns[row], gyr[0, row], gyr[1, row], gyr[2, row], size[row]
        )
        if felt & STRUCK:
            out[0, n] = d
            out[1, n] = i[d, T_STRIKE]
            out[2, n] = i[d, T_TOE]
            out[3, n] = t_ns[row]
            known = i[d, STRIKES] > 1
            contact[n] = (i[d, T_TOE] - i[d, T_BEFORE]) * 1e-9 if known else np.nan
            n += 1
    return n


def zero_phase_steps(t_ns: NDArray[np.int64], acc: NDArray[Any]) -> NDArray[np.int64]:
    """Heel strikes (ns) in the whole signal of one trunk sensor, by the peak rule of the causal
    detector behind the same band-pass run forward and backward, stretch by stretch between holes.
    t_ns (n,) ascending, acc (3, n) m/s^2 with gravity."""
    size = np.sqrt((np.asarray(acc, np.float64) ** 2).sum(axis=0))
    room = int((t_ns[-1] - t_ns[0]) // CELL_NS + 2) if len(t_ns) else 0
    mean, centre = np.empty(room), np.empty(room, np.int64)
    fresh, steps = np.zeros(room, np.uint8), np.empty(room, np.int64)
    cells = _cells(frozen(t_ns, np.int64), frozen(size), mean, centre, fresh)
    edges = [*np.flatnonzero(fresh[:cells]), cells]
    for begin, end in pairwise(edges):
        _both_ways(mean[begin:end])
    return steps[: _peaks(mean[:cells], centre, fresh, steps)] - ZERO_PHASE_LAG_NS


@njit(cache=True)
def _cells(
    t_ns: NDArray[np.int64], size: NDArray[np.float64], mean: NDArray[np.float64],
    centre: NDArray[np.int64], fresh: NDArray[np.uint8],
) -> int:
    """Cell means and centres; `fresh` marks the first cell behind a hole."""
    f, i = np.zeros(4), np.zeros(CELL_I, np.int64)
    n, first = 0, True
    for row in range(t_ns.shape[0]):
        f[2] = size[row]
        how = begin_sample(f, 0, i, 0, 1, t_ns[row])
        if how == STARTS:
            first = True
        if how in (OLD, STARTS):
            continue
        while next_mean(f, 0, i, 0, 1, t_ns[row]):
            mean[n] = f[3]
            centre[n] = i[T_CELL] - CELL_NS // 2
            fresh[n] = 1 if first else 0
            first = False
            n += 1
    return n


@njit(cache=True)
def _both_ways(x: NDArray[np.float64]) -> None:
    """Band-pass `x` in place, forward and then backward."""
    z = np.zeros(4)
    for way in range(2):
        for n in range(x.shape[0]):
            at = n if way == 0 else x.shape[0] - 1 - n
            if n == 0:
                section_settle(LOW, z, 2, section_settle(HIGH, z, 0, x[at]))
            x[at] = section_step(LOW, z, 2, section_step(HIGH, z, 0, x[at]))


@njit(cache=True)
def _peaks(
    y: NDArray[np.float64], centre: NDArray[np.int64], fresh: NDArray[np.uint8],
    steps: NDArray[np.int64],
) -> int:
    f, i = np.zeros(PEAK_F), np.zeros(PEAK_I, np.int64)
    n = 0
    for cell in range(y.shape[0]):
        if fresh[cell]:
            i[OPEN] = 0
        if peak_step(f, 0, i, 0, centre[cell], y[cell]):
            steps[n] = i[T_STEP]
            n += 1
    return n
