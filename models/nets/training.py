"""Training loops of the nets: seeded, bounded, on one device. Returns modules in evaluation mode.

Owns losses, augmentation and calibration. Data comes from `event_data`, `fatigue_data`,
`failure_data`; evaluation and cards are made by `jobs.train`.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from models.nets.contract import EVENT_CLASSES, FAULT_CLASSES
from models.nets.event_data import EventExamples, thinned
from models.nets.modules import EventNet, FailureNet, FatigueNet
from models.nets.scores import QUANTILES, coverage80

_BATCH: Final = 128
Loss = Callable[[Tensor], Tensor]


def _seeded(seed: int, make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """A module with initial weights of `seed`, the global generator left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _fit(
    module: torch.nn.Module, loss_of: Loss, rows: int, epochs: int, seed: int, rate: float,
    each_epoch: Callable[[int], None] | None = None,
) -> None:
    """AdamW with a cosine schedule over `epochs`; `loss_of` gives the loss of some row numbers."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=1e-3)
    steps = epochs * math.ceil(rows / _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    module.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for epoch in range(epochs):
            if each_epoch is not None:
                each_epoch(epoch)
            order = torch.randperm(rows, generator=generator)
            for batch in torch.split(order, _BATCH):  # type: ignore[no-untyped-call]
                optimiser.zero_grad()
                loss_of(batch).backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                optimiser.step()
                schedule.step()
    module.eval()


def train_event(train: EventExamples, valid: EventExamples, epochs: int, seed: int) -> EventNet:
    """Cross entropy with balanced classes; tilted mounts, shifted peaks and thinned motion as
    augmentation; temperature fitted on `valid`."""
    module = _seeded(seed, EventNet)
    assert isinstance(module, EventNet)
    rng = np.random.default_rng(seed)
    counts = np.bincount(train.labels, minlength=len(EVENT_CLASSES)).clip(1)
    weight = torch.tensor((1 / np.sqrt(counts)) / (1 / np.sqrt(counts)).mean(), dtype=torch.float32)
    labels = torch.from_numpy(train.labels)
    epoch_data = [torch.from_numpy(train.windows)]

    def renew(_: int) -> None:
        epoch_data[0] = torch.from_numpy(_augmented(train.windows, rng))

    def loss_of(batch: Tensor) -> Tensor:
        out = module.logits(epoch_data[0][batch])
        return F.cross_entropy(out, labels[batch], weight=weight, label_smoothing=0.02)

    _fit(module, loss_of, len(train), epochs, seed, 3e-3, renew)
    with torch.no_grad():
        logits = module.logits(torch.from_numpy(valid.windows))
    module.temperature.fill_(_temperature(logits, torch.from_numpy(valid.labels)))
    return module


def _augmented(windows: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Small rotations of the mount, peaks off by up to 40 ms, gains, and half of them thinned."""
    n = len(windows)
    out = windows.copy()
    calm = rng.random(n) < 0.5
    out[calm] = thinned(out[calm], rng)
    angle = rng.normal(0, [0.12, 0.12, 0.35], (n, 3))
    turn: NDArray[np.float32] = np.zeros((n, 3, 3), np.float32)
    turn[:, 0, 1], turn[:, 0, 2], turn[:, 1, 2] = -angle[:, 2], angle[:, 1], -angle[:, 0]
    turn -= turn.transpose(0, 2, 1)
    # Second-order expansion of the rotation: exact enough at these angles.
    turn = (np.eye(3) + turn + 0.5 * turn @ turn).astype(np.float32)
    gain = rng.normal(1, 0.03, (n, 1, 1)).astype(np.float32)
    out[:, :3], out[:, 3:6] = turn @ out[:, :3] * gain, turn @ out[:, 3:6]
    shift = rng.integers(-4, 5, n)
    for step in np.unique(shift).tolist():
        mine = shift == step
        out[mine] = np.roll(out[mine], step, axis=2)
    return out


def _temperature(logits: Tensor, labels: Tensor) -> float:
    """The softmax temperature with the least negative log likelihood, on a grid."""
    grid = np.geomspace(0.5, 4.0, 40).tolist()
    losses = [float(F.cross_entropy(logits / t, labels)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def train_fatigue(
    features: NDArray[np.float32], target: NDArray[np.float32],
    valid: tuple[NDArray[np.float32], NDArray[np.float32]], epochs: int, seed: int,
) -> FatigueNet:
    """Pinball loss of the three quantiles; features (n, 8) are hidden at random as augmentation;
    the band is widened until it holds 80 % of `valid`, which are other people."""
    module = _seeded(seed, FatigueNet)
    assert isinstance(module, FatigueNet)
    x, y = torch.from_numpy(features), torch.from_numpy(target)
    module.inputs.fit(x)
    level = torch.tensor(QUANTILES)
    generator = torch.Generator().manual_seed(seed + 1)

    def loss_of(batch: Tensor) -> Tensor:
        rows = x[batch]
        gone = torch.rand(rows.shape, generator=generator) < 0.04
        gap = y[batch, None] - module(torch.where(gone, torch.nan, rows))
        return torch.maximum(level * gap, (level - 1) * gap).mean()

    _fit(module, loss_of, len(x), epochs, seed, 3e-3)
    rows = torch.from_numpy(valid[0])
    for spread in np.linspace(0.7, 3.0, 47).tolist():
        module.spread.fill_(spread)
        with torch.no_grad():
            held = coverage80(valid[1].astype(np.float64), module(rows).numpy())
        if held >= 0.8:
            break
    return module


def train_failure(
    features: NDArray[np.float32], fails: NDArray[np.bool_], fault: NDArray[np.int64],
    valid: tuple[NDArray[np.float32], NDArray[np.bool_]], epochs: int, seed: int,
) -> FailureNet:
    """Binary cross entropy of failing within the horizon plus cross entropy of the fault class;
    p_fail calibrated (temperature and bias) on `valid`."""
    module = _seeded(seed, FailureNet)
    assert isinstance(module, FailureNet)
    x, y = torch.from_numpy(features), torch.from_numpy(fails.astype(np.float32))
    classes = torch.from_numpy(fault)
    module.inputs.fit(module.squashed(x))
    counts = np.bincount(fault, minlength=len(FAULT_CLASSES)).clip(1)
    weight = torch.tensor((1 / np.sqrt(counts)) / (1 / np.sqrt(counts)).mean(), dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed + 1)

    def loss_of(batch: Tensor) -> Tensor:
        rows = x[batch]
        gone = torch.rand(rows.shape, generator=generator) < 0.03
        out = module.logits(torch.where(gone, torch.nan, rows))
        failing = F.binary_cross_entropy_with_logits(out[:, 0], y[batch])
        return failing + 0.5 * F.cross_entropy(out[:, 1:], classes[batch], weight=weight)

    _fit(module, loss_of, len(x), epochs, seed, 2e-3)
    with torch.no_grad():
        logits = module.logits(torch.from_numpy(valid[0]))[:, 0]
    scale, bias = _platt(logits, torch.from_numpy(valid[1].astype(np.float32)))
    module.temperature.fill_(scale)
    module.bias.fill_(bias)
    return module


def _platt(logits: Tensor, truth: Tensor) -> tuple[float, float]:
    """(temperature, bias) with the least binary cross entropy, on a grid."""
    best, answer = math.inf, (1.0, 0.0)
    for scale in np.geomspace(0.6, 4.0, 25).tolist():
        for bias in np.linspace(-1.5, 1.5, 31).tolist():
            loss = float(F.binary_cross_entropy_with_logits(logits / scale + bias, truth))
            if loss < best:
                best, answer = loss, (scale, bias)
    return answer
