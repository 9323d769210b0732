"""Match clock: event time as people say it ("63:12", second half).

Owns the arithmetic from the roster's periods to a clock text. Times in ns UTC.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

HALF_S: Final = 45 * 60
REAL_HALF_S: Final = 40 * 60
"""A first half at least this long counts as a real one: the second then starts at 45:00."""


def match_clock(periods: Sequence[Mapping[str, Any]], t_ns: int) -> dict[str, Any]:
    """{"period", "clock" as M:SS, "elapsed_s"} at `t_ns`; empty texts without periods.

    Stoppage time runs on (47:30 in the first half), and the second half starts again at 45:00.
    """
    if not periods or t_ns <= 0:
        return {"period": "", "clock": "", "elapsed_s": 0.0}
    current, offset_s = periods[0], 0.0
    for before, period in pairwise(periods):
        if t_ns < period["start_ns"]:
            break
        length_s = (before["end_ns"] - before["start_ns"]) / 1e9
        offset_s += HALF_S if length_s >= REAL_HALF_S else length_s
        current = period
    inside_s = max(0.0, (t_ns - current["start_ns"]) / 1e9)
    total_s = offset_s + inside_s
    minutes, seconds = divmod(int(total_s), 60)
    return {
        "period": str(current["name"]), "clock": f"{minutes}:{seconds:02d}",
        "elapsed_s": round(total_s, 3),
    }


def attacking(periods: Sequence[Mapping[str, Any]], t_ns: int) -> int:
    """+1 when the home team attacks towards +x at `t_ns`, else -1; +1 when nothing is known."""
    direction = 1
    for period in periods:
        if t_ns >= period["start_ns"]:
            direction = int(period.get("home_attacks", 1))
    return direction
