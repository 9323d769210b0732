"""Movement of subjects over the last seconds: the context in which a constant sensor is stuck.

Kept as forgetting sums per subject, moved on once per whole second, so that what a row is judged by
depends on whole earlier seconds only. Columns 0 and 1 of `Cells.moving`.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.edge import cells as grid
from models.edge.cells import Cells

KEEP_SPEED: Final = 0.95
"""Weight of a second's speeds after one more second: a time constant of 20 s."""
KEEP_MOTION: Final = 0.8
MIN_SPEEDS: Final = 5.0
_MM: Final = 1e-3


def new_movement(subject_n: int) -> NDArray[np.float64]:
    """(S, SUBJECT_CELLS) forgetting sums, see `models.edge.cells`."""
    return np.zeros((subject_n, grid.SUBJECT_CELLS))


@njit(cache=True)
def roll_movement(
    cells: Cells, movement: NDArray[np.float64], motion: bool, seconds: int
) -> None:
    """Write the context at the start of each second; keep the state as of the last whole one.

    motion: of the motion sensors (else of speeds). seconds: how many seconds of the stretch end in
    it; the state moves on by so many.
    """
    n, total, keep, column = grid.SPEED_N, grid.SPEED_SUM, KEEP_SPEED, 0
    if motion:
        n, total, keep, column = grid.MOTION_N, grid.MOTION_SUM, KEEP_MOTION, 1
    for s in range(movement.shape[0]):
        weight, sums, squares = movement[s, n], movement[s, total], movement[s, grid.SPEED_SQ]
        for second in range(cells.subject.shape[0]):
            if second == seconds:
                movement[s, n] = weight
                movement[s, total] = sums
                if not motion:
                    movement[s, grid.SPEED_SQ] = squares
            if weight >= MIN_SPEEDS:
                mean = sums / weight
                spread = max(squares / weight - mean * mean, 0.0)
                cells.moving[second, s, column] = _MM * (mean if motion else np.sqrt(spread))
            weight = keep * weight + cells.subject[second, s, n]
            sums = keep * sums + cells.subject[second, s, total]
            squares = keep * squares + cells.subject[second, s, grid.SPEED_SQ]
        if seconds == cells.subject.shape[0]:
            movement[s, n] = weight
            movement[s, total] = sums
            if not motion:
                movement[s, grid.SPEED_SQ] = squares
