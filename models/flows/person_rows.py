"""State rows and fatigue features of a person, written column by column in the published order."""

from math import nan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.tables import N_FATIGUE, N_FINALS, N_STATES, Outputs, Twins
from models.signal import kalman as K  # noqa: N812


@njit(cache=True)
def age_ms(t_ns: int, then_ns: int) -> float:
    """Age of a value; NaN when it never came."""
    return nan if then_ns == L.NONE_NS else (t_ns - then_ns) * 1e-6


@njit(cache=True)
def next_row(out: Outputs, final: bool, t_ns: int, s: int) -> NDArray[np.float64]:
    """The next free state row, its time and subject written."""
    if final:
        row = out.n[N_FINALS]
        out.n[N_FINALS] = row + 1
        out.final_i[row, 0] = t_ns
        out.final_i[row, 1] = s
        return out.final_f[row]
    row = out.n[N_STATES]
    out.n[N_STATES] = row + 1
    out.state_i[row, 0] = t_ns
    out.state_i[row, 1] = s
    return out.state_f[row]


@njit(cache=True)
def write_person(
    twins: Twins, s: int, p: NDArray[np.float64], out: Outputs, t_ns: int, final: bool
) -> None:
    """One row of `PERSON_COLUMNS` as of `t_ns`."""
    f, i, k = twins.f[s], twins.i[s], twins.kalman[s]
    r = next_row(out, final, t_ns, s)
    seen = i[L.T_POS] != L.NONE_NS
    r[0] = k[K.X] if seen else nan
    r[1] = k[K.Y] if seen else nan
    r[2] = f[L.SPEED] if seen else nan
    r[3] = f[L.ACCEL] if seen else nan
    r[4] = f[L.DIST]
    for zone in range(5):
        r[5 + zone] = f[L.Z1 + zone]
    r[10] = f[L.Z4] + f[L.Z5]
    r[11] = i[L.SPRINT_N]
    r[12] = f[L.SPRINT_DIST]
    r[13] = f[L.MAX_SPEED]
    r[14], r[15], r[16], r[17] = i[L.ACC_N], i[L.DEC_N], i[L.ACC_SHORT_N], i[L.DEC_SHORT_N]
    r[18], r[19], r[20], r[21] = i[L.BOUT_N], i[L.TURN_N], i[L.IMPACT_N], i[L.COLLISION_N]
    r[22], r[23], r[24] = i[L.FALL_N], i[L.JUMP_N], i[L.STEP_N]
    stepping = f[L.STEP_PERIOD] > 0.0 and t_ns - i[L.T_STEP] <= 1_500_000_000
    r[25] = 60.0 / f[L.STEP_PERIOD] if stepping else 0.0
    r[26], r[27], r[28] = f[L.LOAD], f[L.LOAD_SLOW], f[L.IMPACT_LOAD]
    _write_heart(f, i, p, r)
    r[36] = f[L.DBAL]
    r[37] = 100.0 * f[L.DBAL] / p[L.P_DPRIME]
    r[38], r[39], r[40], r[41] = f[L.WBAL], f[L.POWER], f[L.WORK], f[L.HMLD]
    r[42], r[43], r[44], r[45] = f[L.FI], f[L.FI_LOW], f[L.FI_HIGH], i[L.FATIGUE_LEVEL]
    since = max(t_ns - i[L.T_FIRST], 1) * 1e-9
    r[46] = min(f[L.POS_COVER] / since, 1.0)
    r[47] = min(f[L.IMU_COVER] / since, 1.0)
    r[48] = min(f[L.HR_COVER] / since, 1.0)
    r[49], r[50], r[51] = age_ms(t_ns, i[L.T_POS]), age_ms(t_ns, i[L.T_IMU]), age_ms(t_ns, i[L.T_HR])
    r[52] = f[L.INTENSITY]
    r[53] = i[L.GATED_N]


@njit(cache=True)
def _write_heart(
    f: NDArray[np.float64], i: NDArray[np.int64], p: NDArray[np.float64], r: NDArray[np.float64]
) -> None:
    known = i[L.T_HR] != L.NONE_NS
    r[29] = f[L.HR] if known else nan
    r[30] = f[L.HR_SUM] / f[L.HR_TIME] if f[L.HR_TIME] > 0.0 else nan
    r[31] = 100.0 * f[L.HR] / p[L.P_HRMAX] if known else nan
    r[32], r[33], r[34], r[35] = f[L.TRIMP_B], f[L.TRIMP_E], f[L.TRIMP_S], f[L.TRIMP_L]


@njit(cache=True)
def write_fatigue(
    out: Outputs, s: int, t_ns: int, z: NDArray[np.float64], left: float, minutes: float,
    cover: float, index: float,
) -> None:
    """One feature row for the fatigue net, in the order of its contract."""
    row = out.n[N_FATIGUE]
    out.n[N_FATIGUE] = row + 1
    out.fatigue_i[row, 0] = s
    out.fatigue_i[row, 1] = t_ns
    v = out.fatigue_f[row]
    v[0], v[1], v[2], v[3], v[4] = z[0], z[1], left, z[3], z[4]
    v[5], v[6], v[7] = minutes, cover, index
