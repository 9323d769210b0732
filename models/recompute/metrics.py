"""What a recomputation says of the final metrics that were told live, one correction a number."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Final

from models.flows.layout import PERSON_COLUMNS
from models.recompute.events import Reason

_INSTANT: Final = frozenset({
    "x_m", "y_m", "speed_mps", "accel_mps2", "cadence_spm", "hr_bpm", "hr_pct",
    "metabolic_power_wkg", "age_ms", "imu_age_ms", "hr_age_ms", "intensity", "stride_rate_hz",
    "distance_5min_mpmin", "hsr_5min_mpmin", "efforts_5min_pmin", "player_load_5min_aupm",
    "hr_recovery_age_ms", "rmssd_age_ms", "hr_flag",
})
METRICS: Final = tuple(name for name in PERSON_COLUMNS if name not in _INSTANT)
"""The columns that say something about a match, and not about its last moment."""
SAME: Final = 1e-9
"""Relative difference below which two sums are the same sum, added in another order."""
SUM_OF_F32: Final = 1e-5
"""The same for sums of float32 parts."""


@dataclass(frozen=True, slots=True)
class MetricCorrection:
    """`old` and `new` may be NaN: not known then, or not known any more."""

    subject_id: str
    metric: str
    old: float
    new: float
    reason: Reason


def correct_metrics(
    told: Mapping[str, Mapping[str, float]], causal: Mapping[str, Mapping[str, float]],
    final: Mapping[str, Mapping[str, float]], late: Mapping[str, int],
) -> list[MetricCorrection]:
    """By subject and column. told, causal, final: subject -> row as told so far, as the live filter
    sees all rows at full rate, and as recomputed. late: subject -> rows that came late.

    The reason is the larger part of the change: what more and later rows make of the number with
    the live filter, or what the zero-phase filter makes of it then.
    """
    found = []
    for subject_id in sorted(final):
        before, between = told.get(subject_id, {}), causal.get(subject_id, {})
        for metric in METRICS:
            old, new = before.get(metric, nan), final[subject_id][metric]
            if _same(old, new):
                continue
            middle = between.get(metric, nan)
            by_data, by_filter = abs(middle - old), abs(new - middle)
            if by_filter >= by_data:
                reason = Reason.ZERO_PHASE
            else:
                reason = Reason.LATE_DATA if late.get(subject_id, 0) else Reason.FULL_RATE
            found.append(MetricCorrection(subject_id, metric, old, new, reason))
    return found


def _same(old: float, new: float) -> bool:
    if isnan(old) or isnan(new):
        return isnan(old) and isnan(new)
    return abs(old - new) <= SUM_OF_F32 * max(abs(old), abs(new)) + SAME
