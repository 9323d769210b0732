"""Speed zones: which of five bands a speed belongs to, with edges of the athlete's own.

Edges follow the men's literature bands (7.2, 14.4, 19.8, 25.2 km/h), scaled by the athlete's own
high-speed and sprint thresholds, because one table under-counts slower groups. Metres per second.
"""

from typing import Final

from numba import njit

from models.telemetry.roster import Subject
from models.telemetry.thresholds import ZONE_SETS

ZONE_COUNT: Final = 5
STANDING_MPS: Final = 0.3
"""Below this a position sensor drifts and nobody moves: no distance is counted."""
_LITERATURE_HIGH_MPS: Final = 5.5
_LOW_EDGES_MPS: Final = (2.0, 4.0)


def zone_edges_mps(subject: Subject) -> tuple[float, float, float, float]:
    """The four edges between the five zones of `subject`; zones 4 and 5 are high-speed running.
    A subject with a zone set (`Subject.zones`) has that set's edges."""
    if subject.zones:
        return ZONE_SETS[subject.zones]
    scale = subject.high_speed_mps / _LITERATURE_HIGH_MPS
    low, middle = (edge * scale for edge in _LOW_EDGES_MPS)
    return low, middle, subject.high_speed_mps, subject.sprint_mps


@njit(cache=True)
def zone_of(speed_mps: float, e1: float, e2: float, e3: float, e4: float) -> int:
    """Zone 0 to 4 of a speed; a speed on an edge belongs to the faster zone."""
    if speed_mps < e2:
        return 0 if speed_mps < e1 else 1
    if speed_mps < e3:
        return 2
    return 3 if speed_mps < e4 else 4
