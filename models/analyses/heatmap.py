"""Heat map (DEBS 2013, query 3): how much of the time each player spends in which cell of a grid.

Grids are the challenge's: 8 x 13, 16 x 25, 32 x 50 and 64 x 100 cells (across the pitch x from goal
to goal). A person is looked at five times a second; shares are of the looks of the window, so they
sum to 100 % less the time off the pitch. Windows are the last 1, 5 and 10 minutes and the whole
game.
"""

from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from models.analyses.samples import PERSON, Samples
from models.analyses.state import Analysis

GRIDS: Final = ((8, 13), (16, 25), (32, 50), (64, 100))
"""(cells across, cells from goal to goal)."""
WINDOWS_S: Final = (60, 300, 600, 0)
LOOK_NS: Final = 200_000_000
LOOKS: Final = 600 * 1_000_000_000 // LOOK_NS
CELLS: Final = tuple(across * along for across, along in GRIDS)


@njit(cache=True)
def cell_of(
    x_m: float, y_m: float, length_m: float, width_m: float, across: int, along: int
) -> int:
    """The cell of a place: row * along + column, rows from the side of -y, columns from the goal at
    -x; -1 off the pitch. The far lines belong to the last cells."""
    u, v = x_m / length_m + 0.5, y_m / width_m + 0.5
    if not (0.0 <= u <= 1.0 and 0.0 <= v <= 1.0):
        return -1
    return min(int(v * across), across - 1) * along + min(int(u * along), along - 1)


@njit(cache=True)
def _walk(
    rows: Samples, length_m: float, width_m: float, grids: NDArray[np.int64],
    look: NDArray[np.int64], ring: NDArray[np.float32], counts: NDArray[np.int64],
    looks: NDArray[np.int64],
) -> None:
    for row in range(rows.t_ns.shape[0]):
        if rows.what[row] != PERSON or rows.main[row] == 0:
            continue
        s, now = rows.subject[row], rows.t_ns[row] // LOOK_NS
        slot = now % ring.shape[1]
        if look[s, slot] >= now:
            continue
        look[s, slot] = now
        ring[s, slot, 0], ring[s, slot, 1] = rows.x_m[row], rows.y_m[row]
        looks[s] += 1
        at = 0
        for g in range(grids.shape[0]):
            across, along = grids[g, 0], grids[g, 1]
            cell = cell_of(rows.x_m[row], rows.y_m[row], length_m, width_m, across, along)
            if cell >= 0:
                counts[s, at + cell] += 1
            at += across * along


class HeatMap(Analysis):
    """Of `subjects` persons on a pitch of that size. State: 125 kB a subject."""

    name = "heatmap"

    def __init__(self, subjects: int, length_m: float, width_m: float) -> None:
        self._length_m, self._width_m = length_m, width_m
        self._grids = np.array(GRIDS, np.int64)
        self._look = np.full((subjects, LOOKS), -1, np.int64)
        self._ring = np.zeros((subjects, LOOKS, 2), np.float32)
        self._counts = np.zeros((subjects, sum(CELLS)), np.int64)
        self._looks = np.zeros(subjects, np.int64)
        self._now = np.zeros(1, np.int64)

    def handle(self, samples: Samples) -> None:
        """Take rows; they go on where the last ones ended."""
        if samples.rows:
            self._now[0] = max(int(self._now[0]), int(samples.t_ns[-1]))
            _walk(
                samples, self._length_m, self._width_m, self._grids, self._look, self._ring,
                self._counts, self._looks,
            )

    def share(self, subject: int, grid: int = 0, window_s: int = 0) -> NDArray[np.float64]:
        """(across, along) percent of the looks at `subject` (roster row) in the last `window_s` s
        (0: the whole game); NaN when there were none. Raises ValueError beyond 10 minutes."""
        if not 0 <= window_s <= max(WINDOWS_S):
            raise ValueError(f"a window of {window_s} s, at most {max(WINDOWS_S)}")
        across, along = GRIDS[grid]
        at = sum(CELLS[:grid])
        counts, looks = self._counts[subject, at : at + CELLS[grid]], int(self._looks[subject])
        if window_s:
            counts, looks = self._recent(subject, grid, window_s)
        if looks == 0:
            return np.full((across, along), np.nan)
        share: NDArray[np.float64] = counts.astype(np.float64) * (100.0 / looks)
        return share.reshape(across, along)

    def _recent(
        self, subject: int, grid: int, window_s: int
    ) -> tuple[NDArray[np.int64], int]:
        now = int(self._now[0]) // LOOK_NS
        slots = np.flatnonzero(
            (self._look[subject] > now - window_s * 1_000_000_000 // LOOK_NS)
            & (self._look[subject] >= 0)
        )
        places = self._ring[subject, slots].astype(np.float64)
        across, along = GRIDS[grid]
        cells = [
            cell_of(x, y, self._length_m, self._width_m, across, along)
            for x, y in places.tolist()
        ]
        inside = np.array([cell for cell in cells if cell >= 0], np.int64)
        found: NDArray[np.int64] = np.bincount(inside, minlength=CELLS[grid]).astype(np.int64)
        return found, len(slots)

    def table(self, grid: int = 0, window_s: int = 0) -> pa.Table:
        """One row per person and cell with time in it: `subject`, `window_s`, `grid` ("8x13"),
        `row`, `column`, `x1_m`, `y1_m`, `x2_m`, `y2_m` of the cell, `percent`."""
        across, along = GRIDS[grid]
        parts = []
        for subject in np.flatnonzero(self._looks).tolist():
            percent = self.share(subject, grid, window_s)
            row, column = np.nonzero(percent > 0.0)
            parts.append((np.full(len(row), subject), row, column, percent[row, column]))
        s, row, column, share = (
            np.concatenate(found) for found in zip(*parts, strict=True)
        ) if parts else (np.empty(0, np.int64),) * 4
        wide, deep = self._length_m / along, self._width_m / across
        x1, y1 = column * wide - self._length_m / 2.0, row * deep - self._width_m / 2.0
        return pa.table({
            "subject": s, "window_s": np.full(len(s), window_s),
            "grid": [f"{across}x{along}"] * len(s), "row": row, "column": column, "x1_m": x1,
            "y1_m": y1, "x2_m": x1 + wide, "y2_m": y1 + deep, "percent": share,
        })

    def _arrays(
        self,
    ) -> dict[str, NDArray[np.float32] | NDArray[np.int64]]:
        return {
            "look": self._look, "ring": self._ring, "counts": self._counts, "looks": self._looks,
            "now": self._now,
        }
