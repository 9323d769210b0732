"""FadingMean: a mean over time that forgets; of its first seconds it is the plain mean. Pure."""

import math
from dataclasses import dataclass


@dataclass(slots=True)
class FadingMean:
    """The mean, and the seconds behind it."""

    value: float = 0.0
    seconds: float = 0.0

    def add(self, value: float, step_s: float, fading_s: float) -> None:
        """Take in what held for `step_s`, which is positive; `fading_s` is the memory."""
        self.seconds += step_s
        share = max(1.0 - math.exp(-step_s / fading_s), step_s / self.seconds)
        self.value += share * (value - self.value)
