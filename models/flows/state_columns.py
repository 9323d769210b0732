"""From rows of the output buffers to named columns of state rows: floats, and counts as int32."""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.states import is_whole

Column = NDArray[np.float64] | NDArray[np.int32]


class StateColumns:
    """The columns of one sort of subject, in their published order."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._whole = np.array([at for at, name in enumerate(names) if is_whole(name)])

    def of(self, body: NDArray[Any], rows: NDArray[np.int64]) -> dict[str, Column]:
        """The values of `rows` of body (n, STATE_WIDTH), column by column."""
        table = np.empty((len(self.names), len(rows)))
        _turn(body, rows, table)
        columns: dict[str, Column] = dict(zip(self.names, table, strict=True))
        counts = table[self._whole].astype(np.int32)
        for at, count in zip(self._whole.tolist(), counts, strict=True):
            columns[self.names[at]] = count
        return columns


@njit(cache=True)
def _turn(
    body: NDArray[np.float64], rows: NDArray[np.int64], table: NDArray[np.float64]
) -> None:
    """table[:, n] = body[rows[n]]: transposed without a gathered copy in between."""
    for n in range(rows.shape[0]):
        for column in range(table.shape[0]):
            table[column, n] = body[rows[n], column]


PERSON: Final = StateColumns(L.PERSON_COLUMNS)
BALL: Final = StateColumns(L.BALL_COLUMNS)
