"""Pre-roll: the full-rate rows of the seconds before a flow turned hot, taken from memory.

Keeps references to the rows of thinned kinds as they were before thinning, for `pre_roll_ns`, with
a mark on those that went on at full rate anyway. The rows given out are copies of rows that are
already accounted for: they are counted as `pre_roll`, not as forwarded.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.edge.rows import Rows, join_rows
from models.telemetry.flags import Flag


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one stretch; whole (n,) uint8 1 where a row needs no copy any more."""

    rows: Rows
    whole: NDArray[np.uint8]
    oldest_ns: int
    newest_ns: int


class PreRoll:
    """Of one kind. `parts` are stretches, oldest first."""

    def __init__(self, span_ns: int) -> None:
        self.span_ns = span_ns
        self.parts: list[Part] = []

    def keep(self, rows: Rows, whole: NDArray[np.uint8]) -> None:
        """Add the rows of a stretch; whole (n,) 1 for rows that went on at full rate."""
        if len(rows):
            oldest_ns, newest_ns = int(rows.t_ns.min()), int(rows.t_ns.max())
            self.parts.append(Part(rows, whole, oldest_ns, newest_ns))

    def trim(self, end_ns: int) -> None:
        """Forget what no flow that turns hot from `end_ns` on can reach."""
        horizon_ns = end_ns - self.span_ns
        parts, self.parts = self.parts, []
        for part in parts:
            if part.newest_ns < horizon_ns:
                continue
            if horizon_ns - part.oldest_ns > self.span_ns:
                # A copy, so that a long stretch does not stay in memory for its last rows.
                fresh = part.rows.t_ns >= horizon_ns
                self.keep(part.rows.take(fresh), part.whole[fresh])
            else:
                self.parts.append(part)

    def before(
        self, subjects: NDArray[np.int64], turned: list[tuple[int, int]]
    ) -> list[Rows]:
        """Rows that were thinned before their subject turned hot, oldest first.

        subjects (D,) subject of a device row; turned (subject row, t_ns) pairs.
        """
        found = []
        for subject, t_ns in turned:
            for part in self.parts:
                rows, whole = part.rows, part.whole
                mine = (subjects[rows.device] == subject) & (whole == 0) & (rows.reason == 0)
                mine &= (rows.t_ns >= t_ns - self.span_ns) & (rows.t_ns < t_ns)
                if mine.any():
                    taken = rows.take(mine)
                    taken.flags[:] |= np.uint32(Flag.PRE_ROLL)
                    found.append(taken)
                    whole[mine] = 1
        return found

    def compact(self, end_ns: int) -> tuple[Rows, NDArray[np.uint8]] | None:
        """All that is kept and still in reach of `end_ns`, as one part, for a snapshot."""
        if not self.parts:
            return None
        horizon_ns = end_ns - self.span_ns
        rows, whole = [], []
        for part in self.parts:
            if part.oldest_ns >= horizon_ns:
                rows.append(part.rows)
                whole.append(part.whole)
            else:
                fresh = np.flatnonzero(part.rows.t_ns >= horizon_ns)
                rows.append(part.rows.take(fresh))
                whole.append(part.whole[fresh])
        return join_rows(rows), np.concatenate(whole)
