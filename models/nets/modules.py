"""The torch modules: event TCN, fatigue quantile net, failure net. Inputs as in `contract`.

Each module standardises its own inputs with buffers that travel with the weights. `forward` gives
what `contract` promises (probabilities, quantiles); `logits` and `raw` are for training only.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from models.nets.contract import (
    EVENT_CHANNELS,
    EVENT_CLASSES,
    FAILURE_FEATURES,
    FATIGUE_FEATURES,
    FAULT_CLASSES,
)

ARCHITECTURE: Final = {"event": "tcn-1", "fatigue": "quantile-1", "failure": "mlp-1"}
_WIDTH: Final = 32
_EVENT_SCALE: Final = (2.0, 2.0, 2.0, 4.0, 4.0, 4.0, 4.0, 3.0, 10.0)


class CausalBlock(nn.Module):
    """Two dilated causal convolutions with a residual: (B, C, T) -> (B, C, T)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.pad = 2 * dilation
        self.first = nn.Conv1d(width, width, 3, dilation=dilation)
        self.second = nn.Conv1d(width, width, 3, dilation=dilation)
        self.norm = nn.GroupNorm(4, width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(F.pad(x, (self.pad, 0))))
        y = self.second(F.pad(y, (self.pad, 0)))
        return F.relu(x + self.norm(y))


class EventNet(nn.Module):
    """(B, 9, 256) window -> (B, 5) class probabilities; about 29,000 parameters."""

    scale: Tensor
    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(_EVENT_SCALE).view(1, -1, 1))
        self.register_buffer("temperature", torch.ones(()))
        self.stem = nn.Conv1d(len(EVENT_CHANNELS) + 2, _WIDTH, 7, stride=2)
        self.blocks = nn.Sequential(*(CausalBlock(_WIDTH, d) for d in (1, 2, 4, 8)))
        self.head = nn.Linear(3 * _WIDTH, len(EVENT_CLASSES))

    def logits(self, window: Tensor) -> Tensor:
        size = window[:, 0:3].norm(dim=1, keepdim=True) / 3.0              # (B, 1, 256)
        twist = window[:, 3:6].norm(dim=1, keepdim=True) / 5.0             # (B, 1, 256)
        x = torch.cat([window / self.scale, size, twist], dim=1)           # (B, 11, 256)
        x = self.blocks(F.relu(self.stem(F.pad(x, (6, 0)))))               # (B, 32, 128)
        pooled = torch.cat([x.amax(2), x.mean(2), x[:, :, -1]], dim=1)     # (B, 96)
        out: Tensor = self.head(pooled)
        return out

    def forward(self, window: Tensor) -> Tensor:
        return torch.softmax(self.logits(window) / self.temperature, dim=1)


class Standardise(nn.Module):
    """(B, n) with NaN -> (B, 2n): scores within +-6 (0 where unknown), unknown flags."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def fit(self, x: Tensor) -> None:
        """Takes mean and deviation of the known values in x (N, n)."""
        known = torch.isfinite(x)
        count = known.sum(0).clamp(min=1)
        filled = torch.where(known, x, torch.zeros(()))
        self.mean.copy_(filled.sum(0) / count)
        square = torch.where(known, (x - self.mean) ** 2, torch.zeros(())).sum(0) / count
        self.deviation.copy_(square.sqrt().clamp(min=1e-3))

    def forward(self, x: Tensor) -> Tensor:
        known = torch.isfinite(x)
        score = ((x - self.mean) / self.deviation).clamp(-6.0, 6.0)
        score = torch.where(known, score, torch.zeros((), dtype=x.dtype))
        return torch.cat([score, (~known).to(x.dtype)], dim=1)


class FatigueNet(nn.Module):
    """(B, 8) features -> (B, 3) quantiles 0.1, 0.5, 0.9 of the fatigue index, never crossing.

    `spread` widens the band (in logits) so that it holds 80 % of people it was not trained on.
    """

    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("spread", torch.ones(()))
        self.inputs = Standardise(len(FATIGUE_FEATURES))
        self.body = nn.Sequential(
            nn.Linear(2 * len(FATIGUE_FEATURES), 32), nn.ReLU(), nn.Linear(32, 24), nn.ReLU(),
            nn.Linear(24, 3),
        )

    def forward(self, features: Tensor) -> Tensor:
        middle, below, above = self.body(self.inputs(features)).unbind(1)
        low = torch.sigmoid(middle - self.spread * F.softplus(below))
        high = torch.sigmoid(middle + self.spread * F.softplus(above))
        return torch.stack([low, torch.sigmoid(middle), high], dim=1)


class FailureNet(nn.Module):
    """(B, len(FAILURE_FEATURES)) -> (B, 9): p_fail, then fault class probabilities."""

    temperature: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inputs = Standardise(len(FAILURE_FEATURES))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("bias", torch.zeros(()))
        self.body = nn.Sequential(
            nn.Linear(2 * len(FAILURE_FEATURES), 64), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1 + len(FAULT_CLASSES)),
        )

    @staticmethod
    def squashed(features: Tensor) -> Tensor:
        """Signed logarithm: counts and nanoseconds span many decades."""
        return torch.sign(features) * torch.log1p(features.abs())

    def logits(self, features: Tensor) -> Tensor:
        out: Tensor = self.body(self.inputs(self.squashed(features)))
        return out

    def forward(self, features: Tensor) -> Tensor:
        out = self.logits(features)
        fails = torch.sigmoid(out[:, :1] / self.temperature + self.bias)
        return torch.cat([fails, torch.softmax(out[:, 1:], dim=1)], dim=1)


def new_module(name: str) -> nn.Module:
    """An untrained module of the net `name`; KeyError for an unknown name."""
    made: dict[str, type[nn.Module]] = {
        "event": EventNet, "fatigue": FatigueNet, "failure": FailureNet,
    }
    return made[name]()
