"""One heart-rate row of a person: mean, training impulses, stuck sensors left out."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.config import FlowConfig
from models.flows.person_bands import count_heart_zone
from models.flows.tables import Twins
from models.metrics.heart import (
    banister_per_min,
    edwards_per_min,
    lucia_per_min,
    reserve_share,
    stagno_per_min,
)

LONGEST_S = 5.0
"""A rate stands for at most so long: a longer silence adds nothing to a training impulse."""
LOW_BPM = 30.0
HIGH_BPM = 225.0


@njit(cache=True)
def take_heart(
    twins: Twins, s: int, p: NDArray[np.float64], cfg: FlowConfig, t_ns: int, hr_bpm: float
) -> None:
    """Integrate heart rate over the time since the last row. Ventilatory thresholds of Lucia's
    zones are the athlete's own in bpm, else shares of HRmax (75 % and 90 %)."""
    f, i = twins.f[s], twins.i[s]
    if t_ns < i[L.T_HR] or not LOW_BPM <= hr_bpm <= HIGH_BPM:
        return
    before_ns = i[L.T_HR]
    i[L.T_HR] = t_ns
    f[L.HR] = hr_bpm
    if before_ns == L.NONE_NS:
        return
    dt_s = (t_ns - before_ns) * 1e-9
    if dt_s > LONGEST_S:
        return
    minutes = dt_s / 60.0
    share = reserve_share(hr_bpm, p[L.P_REST], p[L.P_HRMAX])
    f[L.HR_TIME] += dt_s
    f[L.HR_COVER] += dt_s
    f[L.HR_SUM] += hr_bpm * dt_s
    f[L.TRIMP_B] += minutes * banister_per_min(share, p[L.P_WOMAN] != 0.0)
    f[L.TRIMP_E] += minutes * edwards_per_min(hr_bpm, p[L.P_HRMAX])
    f[L.TRIMP_S] += minutes * stagno_per_min(share)
    own = cfg.vt1_bpm > 0.0
    f[L.TRIMP_L] += minutes * lucia_per_min(
        hr_bpm, cfg.vt1_bpm if own else cfg.vt1_share * p[L.P_HRMAX],
        cfg.vt2_bpm if own else cfg.vt2_share * p[L.P_HRMAX],
    )
    count_heart_zone(f, cfg, hr_bpm / p[L.P_HRMAX], dt_s)
    twins.bins[s, i[L.BIN_AT], L.B_HR] += hr_bpm * dt_s
    twins.bins[s, L.BINS - 1, L.B_HR] += hr_bpm * dt_s
    twins.bins[s, i[L.BIN_AT], L.B_HR_TIME] += dt_s
    twins.bins[s, L.BINS - 1, L.B_HR_TIME] += dt_s
