"""Truth of a simulated match: what really happened, for training and for tests.

Positions in pitch metres, times in ns UTC as a perfect clock would tell them.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """One true event; `values` holds numbers with units in their names.

    `type`: sprint, collision, impact, fall, jump, kick, bounce, pass, shot, ball_out, goal,
    possession_gain or transition.
    """

    type: str
    t_ns: int
    t_end_ns: int
    subject_id: str = ""
    other_id: str = ""
    sub_type: str = ""
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrueFault:
    """One device or feed fault. `fault` is one of FAULT_CLASSES or "hiccup" (then device_id is "").

    `onset_ns` is when data begins to suffer, `failed_ns` when the device becomes unusable for at
    least 30 s (0 = it never does), `end_ns` when the fault is over.
    """

    fault: str
    device_id: str
    kind: str
    onset_ns: int
    failed_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything true: `events` by time, `faults`, and per second per athlete or official:

    fatigue (s, 25) float32 latent fatigue in [0, 1]; distance_m (s, 25) float64 run so far;
    positions (n, 25, 2) float32 on a 10 Hz grid, metres; ball (m, 3) float32 on a 50 Hz grid.
    """

    events: tuple[TrueEvent, ...]
    faults: tuple[TrueFault, ...]
    subjects: tuple[str, ...]
    fatigue: NDArray[np.float32]
    distance_m: NDArray[np.float64]
    positions: NDArray[np.float32]
    ball: NDArray[np.float32]

    def of(self, kind: str) -> list[TrueEvent]:
        """The events of one type, by time."""
        return [event for event in self.events if event.type == kind]
