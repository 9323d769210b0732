"""Steps of a person: from both feet where both are heard, else from the trunk; what they teach.

Steps of the trunk always teach what an impact must exceed and carry the impact load, since those
are about the trunk. `models.gait` finds the steps; times are those of heel strikes.
"""

from math import sqrt
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.gait import foot as F  # noqa: N812
from models.gait import strides as S  # noqa: N812
from models.gait import trunk as T  # noqa: N812
from models.signal.player_load import GRAVITY_MPS2

FEET_LOST_NS: Final = 2_000_000_000
"""A foot sensor silent for longer does not count, the trunk does; and the other way round."""
LONGEST_PERIOD_S: Final = 1.2
STEP_SHARE: Final = 0.15
"""Weight of a new step in the running mean and variance of step peaks: about the last 5 s."""
TOP_NS: Final = 300_000_000
"""The peak of a step is the largest |a| of about this time before the step is certain."""
IMPACT_LOAD_G: Final = 2.0
SAME_NS: Final = 150_000_000
"""A strike of a foot so near is the step that the trunk felt."""
STEADY: Final = 1.4
"""A step within so much of the mean period is the next one: none was missed, nobody paused."""


@njit(cache=True)
def step_limit_g(f: NDArray[np.float64], sd: float) -> float:
    """Mean plus `sd` standard deviations of the own recent step peaks, g."""
    return f[L.STEP_MEAN] + sd * sqrt(f[L.STEP_VAR])


@njit(cache=True)
def feet_heard(i: NDArray[np.int64], t_ns: int) -> bool:
    """Whether both foot sensors were heard lately."""
    heard = min(i[L.T_FOOT], i[L.T_FOOT + 1])
    return bool(heard != L.NONE_NS and t_ns - heard <= FEET_LOST_NS)


@njit(cache=True, inline="always")
def take_trunk(
    f: NDArray[np.float64], i: NDArray[np.int64], impact_g: float, t_ns: int, size_g: float
) -> None:
    """Take one sample of |a| of the trunk's sensor, in g."""
    if size_g >= f[L.STEP_TOP] or t_ns - i[L.T_STEP_TOP] > TOP_NS:
        f[L.STEP_TOP] = size_g
        i[L.T_STEP_TOP] = t_ns
    if not T.trunk_step(f, L.TRUNK, i, L.TRUNK_I, t_ns, size_g * GRAVITY_MPS2):
        return
    strike_ns = i[L.TRUNK_I + T.T_STEP] - T.LAG_NS
    gap_s = (strike_ns - i[L.T_TRUNK]) * 1e-9
    _teach(f, impact_g, f[L.STEP_TOP], gap_s)
    if feet_heard(i, t_ns):
        side = _side_at(i, i[L.T_TRUNK])
        if side >= 0 and gap_s <= LONGEST_PERIOD_S:
            _weigh(f, i, side, S.TRUNK, f[L.TRUNK + T.IMPULSE])
    else:
        _count(f, i, strike_ns)
        _alternate(f, i, strike_ns, gap_s)
    i[L.T_TRUNK_BEFORE] = i[L.T_TRUNK]
    i[L.T_TRUNK] = strike_ns


@njit(cache=True)
def _side_at(i: NDArray[np.int64], step_ns: int) -> int:
    """The foot that struck nearest to a step of the trunk; -1 if none did within `SAME_NS`."""
    best, best_ns = -1, SAME_NS
    for side in range(2):
        q = L.FOOT_I + side * F.FOOT_I
        off_ns = min(abs(i[q + F.T_STRIKE] - step_ns), abs(i[q + F.T_BEFORE] - step_ns))
        if off_ns < best_ns:
            best, best_ns = side, off_ns
    return best


@njit(cache=True)
def _count(f: NDArray[np.float64], i: NDArray[np.int64], strike_ns: int) -> None:
    """One more step: number and mean period."""
    i[L.STEP_N] += 1
    period_s = (strike_ns - i[L.T_STEP]) * 1e-9
    if period_s <= 0.0:
        return
    i[L.T_STEP] = strike_ns
    if period_s > LONGEST_PERIOD_S:
        f[L.STEP_PERIOD] = 0.0
        return
    known = f[L.STEP_PERIOD]
    f[L.STEP_PERIOD] = period_s if known <= 0.0 else known + 0.2 * (period_s - known)


@njit(cache=True)
def _alternate(
    f: NDArray[np.float64], i: NDArray[np.int64], strike_ns: int, gap_s: float
) -> None:
    """Strides and sides from the trunk: every second step is of the same foot. A step that was
    missed is made up for; after a pause it is unknown which foot comes first."""
    period_s = f[L.TRUNK + T.PERIOD_S]
    if period_s <= 0.0 or gap_s > LONGEST_PERIOD_S:
        S.forget_sides(i, L.STRIDES_I)
        i[L.STEADY_N] = 0
        return
    steady = period_s <= STEADY * gap_s and gap_s <= STEADY * period_s
    i[L.STEADY_N] = i[L.STEADY_N] + 1 if steady else 0
    _weigh(f, i, i[L.SIDE], S.ALTERNATE, f[L.TRUNK + T.IMPULSE])
    i[L.SIDE] = (i[L.SIDE] + max(1, round(gap_s / period_s))) % 2
    if i[L.STEADY_N] >= 2:
        S.add_stride(f, L.STRIDES, i, L.STRIDES_I, (strike_ns - i[L.T_TRUNK_BEFORE]) * 1e-9)


@njit(cache=True)
def _weigh(
    f: NDArray[np.float64], i: NDArray[np.int64], side: int, source: int, impulse_mps: float
) -> None:
    """Take the impulse of a step; the balance stays as last known while it starts anew."""
    S.add_impulse(f, L.STRIDES, i, L.STRIDES_I, side, source, impulse_mps)
    known = S.asymmetry_pct(f, L.STRIDES, i, L.STRIDES_I)
    if known == known:
        f[L.ASYMMETRY] = known


@njit(cache=True)
def _teach(f: NDArray[np.float64], impact_g: float, top_g: float, gap_s: float) -> None:
    """Load of a step, and what ordinary steps say of an impact."""
    if gap_s <= LONGEST_PERIOD_S:
        f[L.IMPACT_LOAD] += max(top_g - IMPACT_LOAD_G, 0.0) ** 1.5
    taught = min(top_g, max(impact_g, step_limit_g(f, 3.0)))
    if f[L.STEP_MEAN] <= 0.0:
        f[L.STEP_MEAN] = taught
        return
    off = taught - f[L.STEP_MEAN]
    f[L.STEP_MEAN] += STEP_SHARE * off
    f[L.STEP_VAR] = (1.0 - STEP_SHARE) * (f[L.STEP_VAR] + STEP_SHARE * off * off)


@njit(cache=True)
def take_foot(
    f: NDArray[np.float64], i: NDArray[np.int64], side: int, t_ns: int, row: NDArray[np.float32],
    j: int,
) -> None:
    """Take row `j` of `row` (6, n) of the sensor on foot `side` (0 left, 1 right): acc in m/s^2,
    gyr in rad/s. Steps, strides and sides only while both feet are heard; contact in any case."""
    x, y, z = np.float64(row[0, j]), np.float64(row[1, j]), np.float64(row[2, j])
    turn = np.float64(row[3, j]), np.float64(row[4, j]), np.float64(row[5, j])
    if turn[0] != turn[0] or turn[1] != turn[1] or turn[2] != turn[2]:
        return
    i[L.T_FOOT + side] = t_ns
    o, q = L.FOOT + side * F.FOOT_F, L.FOOT_I + side * F.FOOT_I
    felt = F.foot_step(f, o, i, q, t_ns, turn[0], turn[1], turn[2], sqrt(x * x + y * y + z * z))
    if felt == 0:
        return
    both = feet_heard(i, t_ns)
    trunk_lost = i[L.T_IMU] == L.NONE_NS or t_ns - i[L.T_IMU] > FEET_LOST_NS
    if felt & F.LANDED and both and trunk_lost:
        _weigh(f, i, side, S.FEET, f[o + F.IMPULSE])
    if not felt & F.STRUCK:
        return
    strike_ns, before_ns = i[q + F.T_STRIKE], i[q + F.T_BEFORE]
    again = i[q + F.SEEN] > 1
    if again:
        S.add_contact(f, L.STRIDES, i, L.STRIDES_I, (i[q + F.T_TOE] - before_ns) * 1e-9)
    if both:
        _count(f, i, strike_ns)
        if again:
            S.add_stride(f, L.STRIDES, i, L.STRIDES_I, (strike_ns - before_ns) * 1e-9)
