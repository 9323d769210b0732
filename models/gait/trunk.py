"""Steps from a sensor on the trunk: band-pass of |a|, then one peak per positive lobe.

|a| needs no mounting, and its peaks are those of the vertical component. The band is
0.8-6 Hz (DOMAIN B6), two Butterworth sections on 10 ms cell means, so any sensor rate is the same
to it. A lobe counts if its top reaches `FLOOR_MPS2` and `SHARE` of the own recent tops, at least
`LEAST_GAP_NS` and half the own recent period after the step before.

State: `TRUNK_F` float64 from column `o` of `f`, `TRUNK_I` int64 from column `q` of `i`; zeros
first. The peak rule is the same behind the causal filter here and behind the zero-phase one in
`models.gait.rows`.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.signal.cell_means import (
    CELL_HZ,
    CELL_I,
    CELL_NS,
    CELL_S,
    OLD,
    STARTS,
    T_CELL,
    begin_sample,
    next_mean,
)
from models.signal.player_load import GRAVITY_MPS2
from models.signal.sections import high_pass, low_pass, section_settle, section_step

BAND_HZ: Final = (0.8, 6.0)
HIGH: Final = high_pass(BAND_HZ[0], CELL_HZ)
LOW: Final = low_pass(BAND_HZ[1], CELL_HZ)
FLOOR_MPS2: Final = 0.7
SHARE: Final = 0.4
LEAST_GAP_NS: Final = 200_000_000
GAP_SHARE: Final = 0.5
"""Part of the own step period within which there is no second step."""
LONGEST_NS: Final = 1_200_000_000
"""Steps further apart are no walk: the period is unknown again."""
LEARN: Final = 0.3
KEEP: Final = 0.995
"""What remains of the level after a cell: it forgets in about 2 s, so walking follows a sprint."""
LAG_NS: Final = 65_000_000
"""The filtered top lies so far behind the heel strike: body, and causal filter."""

LEVEL, TOP, PERIOD_S = range(3)
PEAK_F: Final = 3
OPEN, T_TOP, T_STEP, SEEN = range(4)
PEAK_I: Final = 4
IMPULSE, _AREA, _LAST, _BEGIN, _LOBE = range(PEAK_F, PEAK_F + 5)
_HIGH_Z: Final = PEAK_F + 5
_LOW_Z: Final = _HIGH_Z + 2
_CELLS: Final = _LOW_Z + 2
_X: Final = _CELLS + 2
_MEAN: Final = _CELLS + 3
TRUNK_F: Final = _CELLS + 4
_CELLS_I: Final = PEAK_I
TRUNK_I: Final = _CELLS_I + CELL_I


@njit(cache=True, inline="always")
def peak_step(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, t_ns: int, y: float
) -> bool:
    """Take the filtered value of the cell centred at `t_ns`; True when a step is certain.

    Then T_STEP is the time of the top, PERIOD_S the mean step period (s; 0: not known yet).
    """
    f[o + LEVEL] *= KEEP
    if y > 0.0:
        if i[q + OPEN] == 1:
            if y > f[o + TOP]:
                f[o + TOP] = y
                i[q + T_TOP] = t_ns
        elif y >= max(FLOOR_MPS2, SHARE * f[o + LEVEL]):
            i[q + OPEN] = 1
            f[o + TOP] = y
            i[q + T_TOP] = t_ns
        return False
    if i[q + OPEN] == 0:
        return False
    i[q + OPEN] = 0
    gap_ns = i[q + T_TOP] - i[q + T_STEP]
    if i[q + SEEN] == 1:
        if gap_ns < max(LEAST_GAP_NS, int(GAP_SHARE * f[o + PERIOD_S] * 1e9)):
            return False
        known, period_s = f[o + PERIOD_S], gap_ns * 1e-9
        if gap_ns > LONGEST_NS:
            f[o + PERIOD_S] = 0.0
        else:
            f[o + PERIOD_S] = period_s if known <= 0.0 else known + 0.2 * (period_s - known)
    level = f[o + LEVEL]
    f[o + LEVEL] = f[o + TOP] if level <= 0.0 else level + LEARN * (f[o + TOP] - level)
    i[q + SEEN] = 1
    i[q + T_STEP] = i[q + T_TOP]
    return True


@njit(cache=True, inline="always")
def trunk_step(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, t_ns: int, size_mps2: float
) -> bool:
    """Take one sample of |a| (m/s^2, with gravity); True when a step is certain: its heel strike
    was at T_STEP less `LAG_NS`, and IMPULSE is that of the step before it, m/s. Samples not newer
    than the last one are left out."""
    f[o + _X] = size_mps2
    how = begin_sample(f, o + _CELLS, i, q + _CELLS_I, 1, t_ns)
    if how == OLD:
        return False
    if how == STARTS:
        section_settle(LOW, f, o + _LOW_Z, section_settle(HIGH, f, o + _HIGH_Z, size_mps2))
        i[q + OPEN] = 0
        return False
    found = False
    while next_mean(f, o + _CELLS, i, q + _CELLS_I, 1, t_ns):
        y = section_step(HIGH, f, o + _HIGH_Z, f[o + _MEAN])
        y = section_step(LOW, f, o + _LOW_Z, y)
        found = _cell(f, o, i, q, i[q + _CELLS_I + T_CELL] - CELL_NS // 2, y) or found
    return found


@njit(cache=True, inline="always")
def _cell(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, t_ns: int, y: float
) -> bool:
    """Peak rule, and the impulse: the area of the unfiltered |a| above g from where the lobe of one
    step begins to where that of the next does. The high-pass would blend each step with others."""
    if y > 0.0 >= f[o + _LAST]:
        f[o + _BEGIN] = f[o + _AREA]
    f[o + _LAST] = y
    f[o + _AREA] += max(f[o + _MEAN] - GRAVITY_MPS2, 0.0) * CELL_S
    was_open = i[q + OPEN]
    found = peak_step(f, o, i, q, t_ns, y)
    if i[q + OPEN] > was_open:
        f[o + _LOBE] = f[o + _BEGIN]
    if found:
        f[o + IMPULSE] = f[o + _LOBE]
        f[o + _AREA] -= f[o + _LOBE]
        f[o + _BEGIN] = 0.0
    return found
