"""What a heart-rate row says beyond its rate: plausibility, recovery after effort, RMSSD at rest.

Rates in bpm, intervals between beats (RR) in ms. RMSSD is given for rest only: it is no index of
effort. It is made of whole stretches of clean beats, so it says what was, with its age.
"""

from math import isnan, nan, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.events import catalog as C  # noqa: N812
from models.flows import layout as L  # noqa: N812
from models.flows.config import FlowConfig
from models.flows.emit import NO_METRIC, emit
from models.flows.person_heart import HIGH_BPM, LONGEST_S, LOW_BPM
from models.flows.tables import Outputs, Twins
from models.metrics.rr import RR_HIGH_MS, RR_JUMP, RR_LOW_MS, median_of_five
from models.signal import kalman as K  # noqa: N812

PLACE_NS = 2_000_000_000
"""Without a position for so long nobody knows whether the person rests."""
CADENCE_AGE_NS = 1_500_000_000
LATE_S = 5.0
LEAST_PAIRS = 30.0
MOST_BAD = 0.05
NEIGHBOUR_SHARE = 0.15
NEIGHBOUR_MS = 20.0


@njit(cache=True)
def take_beat(
    twins: Twins, s: int, p: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    hr_bpm: float, rr_ms: float,
) -> None:
    """Take one heart row, before `take_heart` forgets the rate before it."""
    i = twins.i[s]
    if t_ns < i[L.T_HR] or not LOW_BPM <= hr_bpm <= HIGH_BPM:
        return
    _plausible(twins, s, cfg, out, t_ns, hr_bpm)
    _recover(twins, s, p, cfg, out, t_ns, hr_bpm)
    if not isnan(rr_ms):
        take_interval(twins.f[s], i, cfg, t_ns, rr_ms)


@njit(cache=True)
def _plausible(
    twins: Twins, s: int, cfg: FlowConfig, out: Outputs, t_ns: int, hr_bpm: float
) -> None:
    """Count jumps; say once when the rate has followed the cadence for too long, which is what an
    optical sensor does that has locked on to the steps."""
    f, i, k = twins.f[s], twins.i[s], twins.kalman[s]
    dt_s = (t_ns - i[L.T_HR]) * 1e-9 if i[L.T_HR] != L.NONE_NS else 0.0
    if 0.0 < dt_s <= LONGEST_S and abs(hr_bpm - f[L.HR]) > cfg.hr_jump_bpmps * dt_s:
        i[L.HR_JUMP_N] += 1
        i[L.T_JUMP] = t_ns
    stepping = f[L.STEP_PERIOD] > 0.0 and t_ns - i[L.T_STEP] <= CADENCE_AGE_NS
    cadence = 60.0 / f[L.STEP_PERIOD] if stepping else 0.0
    if not stepping or abs(hr_bpm - cadence) > cfg.hr_lock_bpm or dt_s > LONGEST_S:
        i[L.T_LOCK] = L.NONE_NS
        i[L.LOCK_SAID] = 0
        return
    if i[L.T_LOCK] == L.NONE_NS:
        i[L.T_LOCK] = t_ns
    held_s = (t_ns - i[L.T_LOCK]) * 1e-9
    if held_s > cfg.hr_lock_s and i[L.LOCK_SAID] == 0:
        i[L.LOCK_SAID] = 1
        emit(
            out, i, L.EVENT_SEQ, s, C.HEART_SUSPECT, 0, i[L.T_LOCK], t_ns, -1,
            (k[K.X], k[K.Y], NO_METRIC, NO_METRIC), 0.5,
            (hr_bpm, cadence, held_s, NO_METRIC, NO_METRIC, NO_METRIC),
        )


@njit(cache=True)
def _recover(
    twins: Twins, s: int, p: NDArray[np.float64], cfg: FlowConfig, out: Outputs, t_ns: int,
    hr_bpm: float,
) -> None:
    """Heart rate 60 s after an effort ends: it ends when a high rate meets a slow body, and who
    runs again within the minute starts over."""
    f, i, k = twins.f[s], twins.i[s], twins.kalman[s]
    known = i[L.T_POS] != L.NONE_NS and t_ns - i[L.T_POS] <= PLACE_NS
    start = i[L.T_RECOVER]
    if start == L.NONE_NS:
        slow = known and f[L.SPEED] < cfg.recovery_mps and i[L.T_FAST] != L.NONE_NS
        fresh = i[L.RECOVER_WAIT] == 0 or i[L.T_FAST] > i[L.T_RECOVERED]
        if slow and fresh and hr_bpm >= cfg.recovery_share * p[L.P_HRMAX]:
            i[L.T_RECOVER] = t_ns
            f[L.RECOVERY_HR] = hr_bpm
        return
    after_s = (t_ns - start) * 1e-9
    if not known or i[L.T_FAST] > start or after_s > cfg.recovery_s + LATE_S:
        i[L.T_RECOVER] = L.NONE_NS
        return
    if after_s < cfg.recovery_s:
        return
    f[L.RECOVERY] = f[L.RECOVERY_HR] - hr_bpm
    i[L.T_RECOVER] = L.NONE_NS
    i[L.T_RECOVERED] = t_ns
    i[L.RECOVER_WAIT] = 1
    emit(
        out, i, L.EVENT_SEQ, s, C.HEART_RECOVERY, 0, start, t_ns, -1,
        (k[K.X], k[K.Y], NO_METRIC, NO_METRIC), 1.0,
        (f[L.RECOVERY_HR], hr_bpm, f[L.RECOVERY], after_s, NO_METRIC, NO_METRIC),
    )


@njit(cache=True)
def _begin_stretch(f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int) -> None:
    i[L.T_REST] = t_ns
    f[L.RR_SUM] = 0.0
    f[L.RR_PAIRS] = 0.0
    f[L.RR_CLEAN_S] = 0.0
    f[L.RR_ALL] = 0.0
    f[L.RR_BAD] = 0.0


@njit(cache=True)
def take_interval(
    f: NDArray[np.float64], i: NDArray[np.int64], cfg: FlowConfig, t_ns: int, rr_ms: float
) -> None:
    """Take one RR interval. A stretch of rest with `rest_s` of clean beats, at most 5 % of all
    rejected, becomes the new RMSSD; whoever moves begins a new stretch. Intervals are neighbours
    when the time between their rows is the interval: a sensor that reports only some of its beats
    has no successive differences."""
    rests = i[L.T_POS] != L.NONE_NS and t_ns - i[L.T_POS] <= PLACE_NS
    if not rests or i[L.T_REST] == L.NONE_NS or i[L.T_MOVED] >= i[L.T_REST]:
        _begin_stretch(f, i, t_ns)
        f[L.RR_LAST] = nan
    gap_ms = (t_ns - i[L.T_RR]) * 1e-6
    next_beat = abs(gap_ms - rr_ms) <= NEIGHBOUR_SHARE * rr_ms + NEIGHBOUR_MS
    i[L.T_RR] = t_ns
    inside = RR_LOW_MS <= rr_ms <= RR_HIGH_MS
    bad = not inside
    if inside:
        if i[L.RR_N] >= L.RR_KEPT:
            middle = median_of_five(f[L.RR_RING : L.RR_RING + L.RR_KEPT])
            bad = abs(rr_ms - middle) > RR_JUMP * middle
        f[L.RR_RING + i[L.RR_N] % L.RR_KEPT] = rr_ms
        i[L.RR_N] += 1
    f[L.RR_ALL] += 1.0
    if bad:
        f[L.RR_BAD] += 1.0
        f[L.RR_LAST] = nan
    else:
        if next_beat and not isnan(f[L.RR_LAST]):
            change = rr_ms - f[L.RR_LAST]
            f[L.RR_SUM] += change * change
            f[L.RR_PAIRS] += 1.0
        f[L.RR_CLEAN_S] += rr_ms * 1e-3
        f[L.RR_LAST] = rr_ms
    if rests and f[L.RR_CLEAN_S] >= cfg.rest_s:
        f[L.RR_ARTEFACTS] = 100.0 * f[L.RR_BAD] / f[L.RR_ALL]
        if f[L.RR_PAIRS] >= LEAST_PAIRS and f[L.RR_BAD] <= MOST_BAD * f[L.RR_ALL]:
            f[L.RMSSD] = sqrt(f[L.RR_SUM] / f[L.RR_PAIRS])
            i[L.T_RMSSD] = t_ns
        _begin_stretch(f, i, t_ns)
