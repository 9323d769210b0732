"""Judging nets against their rules on examples that training never saw. Numpy only.

Each judge gives flat numbers for a card: `net_*` and `rule_*` with the same meaning, and whether
the net beats the rule on the number that decides.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.nets.contract import EVENT_CLASSES, FAILURE_ALARM, FAULT_CLASSES
from models.nets.event_data import EventExamples
from models.nets.failure_data import FailureExamples, alarm_score
from models.nets.fatigue_data import FatigueExamples
from models.nets.scores import (
    brier,
    calibration_error,
    coverage80,
    f1,
    macro_f1,
    pinball,
    pr_auc,
    precision_recall,
    rank_correlation,
)

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
DECIDES: Final = {"event": "macro_f1", "fatigue": "pinball", "failure": "pr_auc"}
"""The number on which a net must beat its rule (pinball: lower is better)."""


def beats(name: str, card: dict[str, float]) -> bool:
    """Whether the net of this card beats its rule."""
    net, rule = card[f"net_{DECIDES[name]}"], card[f"rule_{DECIDES[name]}"]
    return bool(net < rule) if DECIDES[name] == "pinball" else bool(net > rule)


def judge_event(examples: EventExamples, who: str, predict: Predict) -> dict[str, float]:
    """Scores of candidate windows as they occur in ordinary matches."""
    answer = predict(examples.windows).astype(np.float64)
    chosen = answer.argmax(1)
    card = {f"{who}_macro_f1": macro_f1(examples.labels, chosen, len(EVENT_CLASSES))}
    card[f"{who}_accuracy"] = float((chosen == examples.labels).mean())
    for number, name in enumerate(EVENT_CLASSES):
        precision, recall = precision_recall(examples.labels == number, chosen == number)
        card[f"{who}_{name}_precision"], card[f"{who}_{name}_recall"] = precision, recall
        card[f"{who}_{name}_f1"] = f1(examples.labels == number, chosen == number)
    card[f"{who}_ece"] = calibration_error(chosen == examples.labels, answer.max(1))
    return card


def stressed(
    windows: NDArray[np.float32], how: str, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Windows made worse: "noise" 0.1 g and 0.3 rad/s, "mount" turned 25 degrees about each of two
    axes, "thinned" to 50 Hz throughout. KeyError for anything else."""
    out = windows.copy()
    if how == "noise":
        out[:, :3] += 0.1 * rng.standard_normal(out[:, :3].shape)
        out[:, 3:6] += 0.3 * rng.standard_normal(out[:, 3:6].shape)
    elif how == "mount":
        c, s = np.cos(np.radians(25)), np.sin(np.radians(25))
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
            [[c, 0, s], [0, 1, 0], [-s, 0, c]]
        )
        for first in (0, 3):
            out[:, first : first + 3] = turn.astype(np.float32) @ out[:, first : first + 3]
    elif how == "thinned":
        pairs = out[:, :6].reshape(len(out), 6, -1, 2).mean(3)
        out[:, :6] = np.repeat(pairs, 2, axis=2)
    else:
        raise KeyError(how)
    return out


def judge_fatigue(examples: FatigueExamples, who: str, predict: Predict) -> dict[str, float]:
    """Errors of the index against latent fatigue; the band should hold 80 % of truths."""
    answer = predict(examples.features).astype(np.float64)
    truth = examples.target.astype(np.float64)
    return {
        f"{who}_pinball": pinball(truth, answer),
        f"{who}_mae": float(np.abs(truth - answer[:, 1]).mean()),
        f"{who}_coverage80": coverage80(truth, answer),
        f"{who}_band_width": float((answer[:, 2] - answer[:, 0]).mean()),
        f"{who}_rank_correlation": rank_correlation(truth, answer[:, 1]),
    }


def judge_failure(examples: FailureExamples, who: str, predict: Predict) -> dict[str, float]:
    """Scores of p_fail before the failure, alarms at `FAILURE_ALARM`, and of the fault class."""
    answer = predict(examples.features).astype(np.float64)
    score = answer[:, 0]
    before = examples.t_s < examples.failed_s[examples.device]
    alarms = alarm_score(examples, score, FAILURE_ALARM)
    faulty = examples.fault > 0
    chosen = answer[:, 1:].argmax(1)
    return {
        f"{who}_pr_auc": pr_auc(examples.fails[before], score[before]),
        f"{who}_brier": brier(examples.fails[before], score[before]),
        f"{who}_ece": calibration_error(examples.fails[before], score[before]),
        f"{who}_alarm_precision": alarms.precision, f"{who}_alarm_recall": alarms.recall,
        f"{who}_alarm_f1": alarms.f1, f"{who}_median_lead_s": alarms.median_lead_s,
        f"{who}_p10_lead_s": alarms.p10_lead_s,
        f"{who}_false_alarms_per_device_hour": alarms.false_per_device_hour,
        f"{who}_fault_macro_f1": macro_f1(examples.fault, chosen, len(FAULT_CLASSES)),
        f"{who}_fault_right_share": float((chosen[faulty] == examples.fault[faulty]).mean()),
    }
