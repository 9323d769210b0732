"""Rule fallbacks of the nets: same input and output as the nets, numpy only, deterministic.

Used when a net is unavailable, and as the baseline that each net must beat (see the cards). Rules:
DOMAIN B5, B6 (events), B9 (fatigue index), B13 (battery and loss thresholds).
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.nets.contract import (
    EVENT_CLASSES,
    EVENT_PEAK_INDEX,
    FAILURE_FEATURES,
    FATIGUE_FEATURES,
    FAULT_CLASSES,
    INPUT_SHAPES,
    OUTPUT_NAMES,
)

Floats = NDArray[np.float32]

_SURE: Final = 0.88
IMPACT_G: Final = 5.0
FREE_FALL_G: Final = 0.4
LANDING_G: Final = 2.5
AIR_SAMPLES: Final = (20, 80)
DV_MPS: Final = 1.5
TWIST_RADPS: Final = 3.49
TILT_COS: Final = 0.5
LOW_BATTERY_PCT: Final = 20.0
LOSS_LIMIT: Final = 0.10
_NET_BAND: Final = 0.10


def fallback_predict(name: str, inputs: Floats) -> Floats:
    """What the rules say: (B, *INPUT_SHAPES[name]) -> (B, len(OUTPUT_NAMES[name])) float32.

    Raises ModelError for an unknown name or a wrong shape.
    """
    rules: dict[str, Callable[[Floats], Floats]] = {
        "event": event_rule, "fatigue": fatigue_rule, "failure": failure_rule,
    }
    if name not in rules:
        raise ModelError(f"no rule is called {name!r}")
    if inputs.shape[1:] != INPUT_SHAPES[name]:
        raise ModelError(f"{name}: input is {inputs.shape}, not (B, {INPUT_SHAPES[name]})")
    answer = rules[name](np.asarray(inputs, np.float32))
    assert answer.shape == (len(inputs), len(OUTPUT_NAMES[name])), answer.shape
    return answer


def event_rule(windows: Floats) -> Floats:
    """(B, 9, 256) -> (B, 5): one class gets 0.88, the others share the rest."""
    peak = EVENT_PEAK_INDEX
    size = np.sqrt((windows[:, :3] ** 2).sum(1))
    smooth = size.copy()
    smooth[:, 1:-1] = 0.25 * size[:, :-2] + 0.5 * size[:, 1:-1] + 0.25 * size[:, 2:]
    hard = smooth[:, peak - 12 : peak + 13].max(1) >= IMPACT_G
    falling = (size[:, peak - 90 : peak] < FREE_FALL_G).sum(1)
    landed = size[:, peak - 5 : peak + 12].max(1) >= LANDING_G
    jump = (falling >= AIR_SAMPLES[0]) & (falling <= AIR_SAMPLES[1]) & landed
    after = windows[:, :3, peak + 60 : peak + 110].mean(2)
    upright = after[:, 2] / np.maximum(np.sqrt((after**2).sum(1)), 1e-3)
    fall = (upright < TILT_COS) & (smooth[:, peak - 12 : peak + 13].max(1) >= 0.6 * IMPACT_G)
    speed = windows[:, 6]
    dv = np.abs(speed[:, peak + 25] - speed[:, peak - 25])
    twist = np.sqrt((windows[:, 3:6, peak - 25 : peak + 26] ** 2).sum(1)).max(1)
    moved = (dv >= DV_MPS) | (twist >= TWIST_RADPS)
    names = np.select([jump, fall, hard & moved, hard], [4, 3, 2, 1], 0)
    return _one_sure(names, len(EVENT_CLASSES))


def fatigue_rule(features: Floats) -> Floats:
    """(B, 8) -> (B, 3): the rule index with a band that widens with missing coverage."""
    index = features[:, FATIGUE_FEATURES.index("rule_index")]
    middle = np.where(np.isfinite(index), index, np.float32(0.5))
    coverage = np.nan_to_num(features[:, FATIGUE_FEATURES.index("coverage")], nan=0.0)
    half = _NET_BAND + 0.2 * np.clip(1.0 - coverage, 0.0, 1.0)
    half = np.where(np.isfinite(index), half, 0.5)
    band = np.stack([middle - half, middle, middle + half], axis=1)
    return np.clip(band, 0.0, 1.0).astype(np.float32)


def failure_rule(features: Floats) -> Floats:
    """(B, n) -> (B, 9): battery under 20 % or lost samples over 10 % means that it will fail.

    A device that the edge sees stuck, spiking, noisy or clipping all the time has failed already.
    """
    def column(name: str) -> Floats:
        known = features[:, FAILURE_FEATURES.index(name)]
        return np.nan_to_num(known, nan=100.0 if name == "batt_pct" else 0.0)

    battery = column("batt_pct") < LOW_BATTERY_PCT
    loss = column("loss_ewma") > LOSS_LIMIT
    spikes, noise = column("spike_rate") > 0.02, column("noise_ratio") > 3.0
    stuck, clipped = column("stuck_mean") > 0.5, column("clip_mean") > 5.0
    stepped = np.abs(column("offset_step_ms")) > 300.0
    order = (
        (battery, "battery"), (loss, "dropout"), (stuck, "stuck"), (spikes, "spikes"),
        (noise, "noise"), (clipped, "saturation"), (stepped, "clock"),
    )
    names = np.select(
        [mask for mask, _ in order], [FAULT_CLASSES.index(name) for _, name in order], 0
    )
    fails = np.where(battery | loss | stuck | spikes | noise | clipped, 0.9, 0.02)
    return np.concatenate(
        [fails[:, None].astype(np.float32), _one_sure(names, len(FAULT_CLASSES))], axis=1
    )


def _one_sure(chosen: NDArray[np.intp], classes: int) -> Floats:
    answer = np.full((len(chosen), classes), (1 - _SURE) / (classes - 1), np.float32)
    answer[np.arange(len(chosen)), chosen] = _SURE
    return answer
