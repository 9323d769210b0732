"""Labelled failure examples: health rows through the tracker, labelled with what comes next.

Every ten seconds of every device one example: its features, whether it fails within the horizon,
which fault is active, and when it is (for lead times). Devices of different seeds are different
devices. No torch.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.nets.contract import FAILURE_HORIZON_S
from models.nets.tracker import FailureTracker
from models.simulator.devices import Lives, device_lives

EVERY_S: Final = 10
SEEN_AFTER_S: Final = 60
"""Examples end this long after the failure: a dead device must not be called healthy."""


@dataclass(frozen=True, slots=True)
class FailureExamples:
    """features (n, F) float32; fails (n,) bool; fault (n,) index of FAULT_CLASSES; device (n,),
    t_s (n,); failed_s (devices,) infinite for healthy ones; seconds simulated per device."""

    features: NDArray[np.float32]
    fails: NDArray[np.bool_]
    fault: NDArray[np.int64]
    device: NDArray[np.int64]
    t_s: NDArray[np.float64]
    failed_s: NDArray[np.float64]
    seconds: int


def failure_examples(devices: int, seconds: int, seed: int) -> FailureExamples:
    """Examples of `devices` devices, each `seconds` long, all of the seed."""
    lives = device_lives(devices, seconds, np.random.default_rng(seed))
    return examples_of(lives)


def examples_of(lives: Lives) -> FailureExamples:
    """Feeds the rows second by second, as they come live, and reads features every ten seconds."""
    _, seconds, devices = lives.values.shape
    tracker = FailureTracker(devices)
    rows = np.arange(devices, dtype=np.int32)
    features, times = [], []
    for second in range(seconds):
        t_ns = np.full(devices, (second + 1) * 10**9, np.int64)
        tracker.push(rows, t_ns, lives.values[:, second])
        if second % EVERY_S == EVERY_S - 1:
            features.append(tracker.features(rows))
            times.append(second + 1.0)
    t_s = np.repeat(np.array(times), devices)
    device = np.tile(np.arange(devices), len(times))
    until = lives.failed_s[device] - t_s
    active = (t_s >= lives.onset_s[device]) & (lives.fault[device] > 0)
    keep = until > -SEEN_AFTER_S
    return FailureExamples(
        np.concatenate(features)[keep], (until <= FAILURE_HORIZON_S)[keep],
        np.where(active, lives.fault[device], 0)[keep], device[keep], t_s[keep], lives.failed_s,
        seconds,
    )


@dataclass(frozen=True, slots=True)
class AlarmScore:
    """How alarms met failures (DOMAIN B13): lead at least 60 s, window 10 min, repeats merged."""

    precision: float
    recall: float
    f1: float
    median_lead_s: float
    p10_lead_s: float
    false_per_device_hour: float
    alarms: int
    failures: int


LEAD_MIN_S: Final = 60.0


def alarm_score(examples: FailureExamples, score: NDArray[np.float64], limit: float) -> AlarmScore:
    """Alarms are raised where `score` >= limit before the failure; one alarm holds for the window.

    An alarm at t is true when the failure starts in [t + 60 s, t + 660 s]; one that comes less than
    60 s ahead is neither true nor false. Device hours count time before failure only.
    """
    leads, false, alarms, hours = [], 0, 0, 0.0
    failures = 0
    for device in range(len(examples.failed_s)):
        mine = examples.device == device
        t, high = examples.t_s[mine], score[mine] >= limit
        failed = float(examples.failed_s[device])
        before = t < failed
        hours += float(before.sum()) * EVERY_S / 3600
        will_fail = failed < examples.seconds and failed > t[0] + LEAD_MIN_S
        failures += int(will_fail)
        lead, quiet_until = 0.0, -1.0
        for at in t[before & high].tolist():
            if at < quiet_until:
                continue
            quiet_until = at + FAILURE_HORIZON_S
            if LEAD_MIN_S <= failed - at <= LEAD_MIN_S + FAILURE_HORIZON_S:
                alarms, lead = alarms + 1, max(lead, failed - at)
            elif failed - at >= LEAD_MIN_S and at + LEAD_MIN_S + FAILURE_HORIZON_S < (
                examples.seconds if failed > examples.seconds else np.inf
            ):
                alarms, false = alarms + 1, false + 1
        if will_fail and lead > 0:
            leads.append(lead)
    precision = (alarms - false) / alarms if alarms else float("nan")
    recall = len(leads) / failures if failures else float("nan")
    both = precision + recall
    return AlarmScore(
        precision, recall, 2 * precision * recall / both if both > 0 else 0.0,
        float(np.median(leads)) if leads else 0.0,
        float(np.quantile(leads, 0.1)) if leads else 0.0,
        false / hours if hours else float("nan"), alarms, failures,
    )
