"""State rows and fatigue features of a person, written column by column in the published order."""

from math import nan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.person_rates import age_ms, write_rates
from models.flows.tables import N_FATIGUE, N_FINALS, N_STATES, Outputs, Twins
from models.gait.strides import mean_contact_s, stride_cv_pct
from models.signal import kalman as K  # noqa: N812

_FLOATS = {
    "speed_mps": L.SPEED, "accel_mps2": L.ACCEL, "distance_m": L.DIST, "z1_m": L.Z1, "z2_m": L.Z2,
    "z3_m": L.Z3, "z4_m": L.Z4, "z5_m": L.Z5, "sprint_m": L.SPRINT_DIST,
    "max_speed_mps": L.MAX_SPEED, "player_load_au": L.LOAD, "player_load_slow_au": L.LOAD_SLOW,
    "impact_load_au": L.IMPACT_LOAD, "trimp": L.TRIMP_B, "trimp_edwards": L.TRIMP_E,
    "trimp_stagno": L.TRIMP_S, "trimp_lucia": L.TRIMP_L, "dbal_m": L.DBAL, "wbal_jkg": L.WBAL,
    "metabolic_power_wkg": L.POWER, "metabolic_work_jkg": L.WORK, "hmld_m": L.HMLD,
    "fatigue_index": L.FI, "fatigue_low": L.FI_LOW, "fatigue_high": L.FI_HIGH,
    "intensity": L.INTENSITY, "step_asymmetry_pct": L.ASYMMETRY,
    "acc_low_m": L.ACC_LOW, "acc_mid_m": L.ACC_MID,
    "acc_high_m": L.ACC_HIGH, "dec_low_m": L.DEC_LOW, "dec_mid_m": L.DEC_MID,
    "dec_high_m": L.DEC_HIGH, **{f"power_z{n}_s": L.MP_Z1 + n - 1 for n in range(1, 7)},
    "high_power_m": L.HIGH_POWER, **{f"hr_z{n}_s": L.HR_Z1 + n - 1 for n in range(1, 6)},
    "hr_recovery_bpm": L.RECOVERY, "rmssd_ms": L.RMSSD, "rr_artefact_pct": L.RR_ARTEFACTS,
    "drift_pct": L.DRIFT, "dbal_low_s": L.DBAL_LOW, "player_load_flat_au": L.LOAD_FLAT,
}
_INTS = {
    "sprint_n": L.SPRINT_N, "acc_n": L.ACC_N, "dec_n": L.DEC_N, "acc_short_n": L.ACC_SHORT_N,
    "dec_short_n": L.DEC_SHORT_N, "bout_n": L.BOUT_N, "turn_n": L.TURN_N, "impact_n": L.IMPACT_N,
    "collision_n": L.COLLISION_N, "fall_n": L.FALL_N, "jump_n": L.JUMP_N, "step_n": L.STEP_N,
    "fatigue_level": L.FATIGUE_LEVEL, "gated_n": L.GATED_N,
    **{f"impact_z{n}_n": L.HIT_Z1 + n - 1 for n in range(1, 7)}, "hr_jump_n": L.HR_JUMP_N,
}
_AT = L.PERSON_COLUMNS.index
KEPT_FLOATS = np.array([(_AT(name), column) for name, column in _FLOATS.items()])
KEPT_INTS = np.array([(_AT(name), column) for name, column in _INTS.items()])
"""State that goes out as it is: (column of the row, column of the state)."""
HSR_AT, CADENCE_AT, HR_AT = _AT("hsr_m"), _AT("cadence_spm"), _AT("hr_bpm")
DBAL_PCT_AT, COVER_AT, AGE_AT = _AT("dbal_pct"), _AT("coverage"), _AT("age_ms")
STRIDE_RATE_AT, STRIDE_CV_AT = _AT("stride_rate_hz"), _AT("stride_cv_pct")
CONTACT_AT = _AT("contact_time_s")
CADENCE_AGE_NS = 1_500_000_000
OF_IMU = np.array([
    _AT(n) for n in (
        "player_load_au", "player_load_slow_au", "impact_load_au", "player_load_flat_au",
    )
])
OF_HEART = np.array([
    _AT(n) for n in (
        "trimp", "trimp_edwards", "trimp_stagno", "trimp_lucia", "hr_z1_s", "hr_z2_s", "hr_z3_s",
        "hr_z4_s", "hr_z5_s",
    )
])
"""Sums of a sensor that the person does not wear: unknown, and not nothing."""


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


@njit(cache=True, forceinline=True)
def write_person(
    twins: Twins, s: int, p: NDArray[np.float64], out: Outputs, t_ns: int, final: bool
) -> None:
    """One row of `PERSON_COLUMNS` as of `t_ns`: what is kept as it is, then what is made of it."""
    f, i, k = twins.f[s], twins.i[s], twins.kalman[s]
    r = next_row(out, final, t_ns, s)
    for n in range(KEPT_FLOATS.shape[0]):
        r[KEPT_FLOATS[n, 0]] = f[KEPT_FLOATS[n, 1]]
    for n in range(KEPT_INTS.shape[0]):
        r[KEPT_INTS[n, 0]] = i[KEPT_INTS[n, 1]]
    r[0] = k[K.X]
    r[1] = k[K.Y]
    if i[L.T_POS] == L.NONE_NS:
        for column in range(4):
            r[column] = nan
    if i[L.T_POS + 1] == L.NONE_NS:
        for n in range(OF_IMU.shape[0]):
            r[OF_IMU[n]] = nan
    if i[L.T_HR] == L.NONE_NS:
        for n in range(OF_HEART.shape[0]):
            r[OF_HEART[n]] = nan
    r[HSR_AT] = f[L.Z4] + f[L.Z5]
    stepping = f[L.STEP_PERIOD] > 0.0 and t_ns - i[L.T_STEP] <= CADENCE_AGE_NS
    r[CADENCE_AT] = 60.0 / f[L.STEP_PERIOD] if stepping else 0.0
    r[STRIDE_RATE_AT] = r[CADENCE_AT] / 120.0
    r[STRIDE_CV_AT] = stride_cv_pct(f, L.STRIDES, i, L.STRIDES_I)
    r[CONTACT_AT] = mean_contact_s(f, L.STRIDES, i, L.STRIDES_I)
    known = i[L.T_HR] != L.NONE_NS
    r[HR_AT] = f[L.HR] if known else nan
    r[HR_AT + 1] = f[L.HR_SUM] / f[L.HR_TIME] if f[L.HR_TIME] > 0.0 else nan
    r[HR_AT + 2] = 100.0 * f[L.HR] / p[L.P_HRMAX] if known else nan
    r[DBAL_PCT_AT] = 100.0 * f[L.DBAL] / p[L.P_DPRIME]
    since = max(t_ns - i[L.T_FIRST], 1) * 1e-9
    for n in range(3):
        r[COVER_AT + n] = min(f[L.POS_COVER + n] / since, 1.0)
        r[AGE_AT + n] = age_ms(t_ns, i[L.T_POS + n])
    write_rates(f, i, twins.bins[s, L.BINS - 1], r, t_ns)


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
