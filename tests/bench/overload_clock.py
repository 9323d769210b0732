"""The clock of the overload bench: it moves by the CPU time that the work takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

BESIDE_NS = 20_000_000
PACE_NS = 50_000_000


class PaceNow(Protocol):
    """How fast the machine is just now."""

    def now(self) -> float:
        """CPU time counts so many times what it would usually count."""


@dataclass
class WorkClock:
    """Virtual ns; while it runs every CPU ns of this process counts as `slow` ns, more or less as
    the machine is at its usual `pace`. What goes on beside the work (`beside`) is looked after
    every `BESIDE_NS` and takes no time."""

    at_ns: int
    pace: PaceNow
    beside: Callable[[], None]
    slow: float = 0.0
    _mark_ns: int = 0
    _beside_ns: int = 0
    _paced_ns: int = 0
    _pace: float = 1.0
    _look_ns: int = 0

    def __post_init__(self) -> None:
        """A look at the CPU time is a system call, unlike one at a clock: it is not counted."""
        looks = [time.process_time_ns() for _ in range(2_001)]
        self._look_ns = int(np.median(np.diff(looks)))

    def __call__(self) -> int:
        if self.slow:
            now_ns = time.process_time_ns()
            self.at_ns += int(max(now_ns - self._mark_ns - self._look_ns, 0) * self.slow)
            self._mark_ns = now_ns
            if self.at_ns - self._beside_ns >= BESIDE_NS:
                self._look_beside()
                self._mark_ns = time.process_time_ns()
        return self.at_ns

    def run(self, slow: float) -> None:
        """From now on work takes time."""
        self._look_beside()
        if self.at_ns - self._paced_ns >= PACE_NS:
            self._paced_ns, self._pace = self.at_ns, self.pace.now()
        self._mark_ns, self.slow = time.process_time_ns(), slow * self._pace

    def hold(self) -> None:
        """From now on it does not."""
        self()
        self.slow = 0.0

    def _look_beside(self) -> None:
        slow, self.slow, self._beside_ns = self.slow, 0.0, self.at_ns
        self.beside()
        self.slow = slow
