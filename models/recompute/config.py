"""What a recomputation is called, and when a live event counts as the same, or as confirmed."""

from typing import Final, NamedTuple

from models.flows.config import ALGO_VERSION, FlowConfig

RECOMPUTE_VERSION: Final = f"recompute-1.0/{ALGO_VERSION}"
ZERO_PHASE: Final = (
    "zero-phase: Rauch-Tung-Striebel smoother over the live Kalman model; acceleration from speed"
    " behind one pole of 0.1 s forward and one backward, central difference"
)
PEAK_WINDOWS_S: Final = (60, 180, 300)


class RecomputeConfig(NamedTuple):
    """Seconds; shares of the larger value.

    near_s        a live and a recomputed event of a type are the same one when they overlap, or
                  lie at most so far apart; `level_near_s` for changes of the fatigue level, which
                  are decided every 10 s
    still_s, still_share   a matched event is confirmed, and not corrected, when neither its time
                  moves by more, nor any of its figures
    """

    near_s: float = 0.5
    level_near_s: float = 30.0
    still_s: float = 0.1
    still_share: float = 0.05

    def describe(self, flow: FlowConfig) -> dict[str, float | str]:
        """Version, filter and thresholds: the metadata of every recomputed value."""
        own = {"algo_version": RECOMPUTE_VERSION, "filter": ZERO_PHASE}
        return {**flow.describe(), **self._asdict(), **own}
