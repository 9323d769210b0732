"""What the fused kernel is told: rates, units, filter and thresholds, and the form compiled code
reads."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.signal.hampel import MAD_SCALE
from models.signal.player_load import GRAVITY_MPS2


@dataclass(frozen=True, slots=True)
class FusedConfig:
    """Seven channels: position x, y, z in units of `position_m` metres, acceleration x, y, z in
    m/s^2, heart rate in bpm.

    period_ms     time from one sample of a stream to the next
    reorder_ms    how far a stream must have advanced past a missing sample before it is given up
    window_ms     length of the tumbling windows of event time
    hampel_k      a sample further from the median of five than this many standard deviations (by
                  median absolute deviation), and than its floor, is replaced by the median
    floors        of the three position, three acceleration and the heart-rate channel, raw units
    stage_n, stage_ms   with very many streams (`models.fused.stage`): rows of a stream that are
                  gathered, and how long a row waits for that at most
    sprint_mps, sprint_ms   a sprint is faster than this for at least so long
    """

    period_ms: int = 10
    reorder_ms: int = 200
    window_ms: int = 1000
    stage_n: int = 10
    stage_ms: int = 100
    position_m: float = 0.001
    hampel_k: float = 3.0
    position_floor: float = 200.0
    acceleration_floor: float = 8.0
    heart_floor: float = 10.0
    sprint_mps: float = 7.0
    sprint_ms: int = 500

    @property
    def wait_n(self) -> int:
        """Samples that a stream must be ahead of a missing one to give it up."""
        return self.reorder_ms // self.period_ms

    @property
    def ring_n(self) -> int:
        """Samples that can wait for a missing one: the power of two above `wait_n`."""
        return 1 << (self.wait_n + 1).bit_length()

    def rule(self) -> "FusedRule":
        """The same for compiled code."""
        assert min(self.period_ms, self.reorder_ms, self.window_ms) > 0, self
        single = np.float32
        return FusedRule(
            np.int64(self.wait_n), np.int64(self.window_ms), np.int64(self.sprint_ms),
            single(self.sprint_mps), single(self.hampel_k * MAD_SCALE),
            single(self.position_floor), single(self.acceleration_floor), single(self.heart_floor),
            single(self.position_m), single(1.0 / GRAVITY_MPS2),
        )


class FusedRule(NamedTuple):
    """`FusedConfig` in single precision; k includes the scale of the median absolute deviation."""

    wait_n: np.int64
    window_ms: np.int64
    sprint_ms: np.int64
    sprint_mps: np.float32
    k: np.float32
    position_floor: np.float32
    acceleration_floor: np.float32
    heart_floor: np.float32
    position_m: np.float32
    per_g: np.float32
