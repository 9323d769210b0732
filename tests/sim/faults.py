"""Which faults a run has, and how often: drawn once per seed, one random stream per kind of fault.

Swarm testing: each seed enables a random subset of kinds, so that no kind hides another. A stream
of its own per kind means that dropping one kind leaves the draws of the others alone, which is what
shrinking needs.
"""

import random
from dataclasses import dataclass
from typing import Final

PER_STEP: Final[dict[str, float]] = {
    "crash": 0.02,
    "power": 0.004,
    "orphan": 0.012,
    "pause": 0.012,
    "log_down": 0.010,
    "store_down": 0.010,
    "disk_full": 0.008,
    "partition": 0.012,
    "clock": 0.012,
    "scale": 0.010,
    "trim": 0.020,
    "long_gap": 0.010,
    "receiver_down": 0.012,
}
"""Chance per step of the disturbed phase at level 1."""
PER_CALL: Final[dict[str, float]] = {
    "crash_mid": 0.010,
    "power_mid": 0.002,
    "log_error": 0.020,
    "lost_answer": 0.020,
    "store_error": 0.030,
}
"""Chance per call of a port that changes something; a quarter of it for one that reads."""
PER_MESSAGE: Final[dict[str, float]] = {
    "net_loss": 0.10,
    "net_delay": 0.20,
    "net_dup": 0.10,
    "resend": 0.10,
}
KINDS: Final = tuple(sorted({**PER_STEP, **PER_CALL, **PER_MESSAGE}))
LEVELS: Final[dict[str, float]] = {"calm": 0.25, "rough": 1.0, "brutal": 2.5}
RATES: Final = {**PER_STEP, **PER_CALL, **PER_MESSAGE}


@dataclass(frozen=True)
class Plan:
    """`steps` is the length of the disturbed phase."""

    seed: int
    level: str
    kinds: tuple[str, ...]
    steps: int

    @staticmethod
    def draw(seed: int) -> "Plan":
        rng = random.Random(f"{seed}/plan")
        level = rng.choice(sorted(LEVELS))
        share = rng.choice((0.15, 0.4, 0.7))
        kinds = tuple(kind for kind in KINDS if rng.random() < share)
        return Plan(seed, level, kinds, rng.choice((180, 340, 480)))


class Dice:
    """Whether a fault happens now. `on` False: never."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.on = True
        factor = LEVELS[plan.level]
        self._rates = {kind: min(RATES[kind] * factor, 0.5) for kind in plan.kinds}
        self._rngs = {kind: random.Random(f"{plan.seed}/{kind}") for kind in KINDS}

    def roll(self, kind: str, share: float = 1.0) -> bool:
        rate = self._rates.get(kind)
        if rate is None or not self.on:
            return False
        return self._rngs[kind].random() < rate * share

    def of(self, kind: str) -> random.Random:
        """The stream from which the details of a fault of this kind are drawn."""
        return self._rngs[kind]
