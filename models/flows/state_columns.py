"""State rows out of the kernels' buffers: columns by name, laid out as Arrow lays them out.

A worker writes a hundred columns four times a second for every subject. Turned once into the order
in which an Arrow body has them, they can be read by name without a copy and written as they lie.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.columns import frozen
from models.flows import layout as L  # noqa: N812

WHOLE: Final = ("fatigue_level", "poss_team", "poss_subject", "hr_flag")
_WORD_BYTES: Final = 4

Column = NDArray[np.float64] | NDArray[np.int32]


@lru_cache(maxsize=512)
def is_whole(name: str) -> bool:
    """Whether a state column holds whole numbers."""
    return name.endswith("_n") or name in WHOLE


class StateTable(Mapping[str, Column]):
    """name -> (n,) float64, counts int32: views of `words`, in which the columns lie one after the
    other, each from a multiple of 8 bytes on (Arrow columnar format, "Buffer alignment")."""

    def __init__(self, of: "StateColumns", words: NDArray[np.uint32], rows: int) -> None:
        self.of, self.words, self.rows = of, words, rows

    @property
    def names(self) -> tuple[str, ...]:
        """The columns in their order."""
        return self.of.names

    def sizes(self) -> list[int]:
        """Bytes of each column, without what pads it."""
        return [self.rows * _WORD_BYTES * (1 if whole else 2) for whole in self.of.whole]

    def __getitem__(self, name: str) -> Column:
        at, whole = self.of.place(name)
        begin, width = self._begin(at), self.rows * (1 if whole else 2)
        words = self.words[begin : begin + width]
        return words.view(np.int32) if whole else words.view(np.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def _begin(self, at: int) -> int:
        counts = self.of.counts_before[at]
        return 2 * self.rows * (at - counts) + (self.rows + self.rows % 2) * counts


class StateColumns:
    """The columns of one sort of subject, in their published order."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.whole = [is_whole(name) for name in names]
        self.counts_before = [sum(self.whole[:at]) for at in range(len(names))]
        self._places = {name: (at, self.whole[at]) for at, name in enumerate(names)}
        self.mask = frozen(np.array(self.whole, np.bool_))

    def place(self, name: str) -> tuple[int, bool]:
        """Which column that is, and whether it holds whole numbers. Raises KeyError."""
        return self._places[name]


@njit(cache=True)
def turned(
    body: NDArray[np.float64], rows: NDArray[np.int64], whole: NDArray[np.bool_]
) -> NDArray[np.uint32]:
    """Column by column `body[rows]` of body (n, STATE_WIDTH), as floats or, where `whole`, as
    counts: the words of a `StateTable`."""
    n, at, wholes = rows.shape[0], 0, whole.sum()
    words = np.empty(2 * n * (whole.shape[0] - wholes) + (n + n % 2) * wholes, np.uint32)
    floats, counts = words.view(np.float64), words.view(np.int32)
    for column in range(whole.shape[0]):
        if whole[column]:
            for k in range(n):
                counts[at + k] = np.int32(body[rows[k], column])
            at += n
            if n % 2:
                words[at] = 0
                at += 1
        else:
            for k in range(n):
                floats[at // 2 + k] = body[rows[k], column]
            at += 2 * n
    return words


@njit(cache=True)
def _arranged(
    head: NDArray[np.int64], ball: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], int]:
    """The order of state rows (n, 2) of time and subject: persons first, each sort by time and then
    subject; and how many are of persons. ball (S,) tells the subjects that are balls."""
    n = head.shape[0]
    keys, order, persons = np.empty(n, np.int64), np.empty(n, np.int64), 0
    for row in range(n):
        if not ball[head[row, 1]]:
            order[persons] = row
            persons += 1
    at = persons
    for row in range(n):
        if ball[head[row, 1]]:
            order[at] = row
            at += 1
    first_ns = head[:, 0].min() if n else 0
    subjects = ball.shape[0]
    for row in range(n):
        keys[row] = (head[order[row], 0] - first_ns) * subjects + head[order[row], 1]
    if persons:
        order[:persons] = order[:persons][np.argsort(keys[:persons], kind="mergesort")]
    if persons < n:
        order[persons:] = order[persons:][np.argsort(keys[persons:], kind="mergesort")]
    return order, persons


@njit(cache=True)
def _lay_out(
    head: NDArray[np.int64], body: NDArray[np.float64], ball: NDArray[np.bool_],
    of_person: NDArray[np.bool_], of_ball: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int32], int, NDArray[np.uint32], NDArray[np.uint32]]:
    order, persons = _arranged(head, ball)
    t_ns, subject = np.empty(order.shape[0], np.int64), np.empty(order.shape[0], np.int32)
    for k in range(order.shape[0]):
        t_ns[k] = head[order[k], 0]
        subject[k] = head[order[k], 1]
    first, others = order[:persons], order[persons:]
    return t_ns, subject, persons, turned(body, first, of_person), turned(body, others, of_ball)


PERSON: Final = StateColumns(L.PERSON_COLUMNS)
BALL: Final = StateColumns(L.BALL_COLUMNS)


def lay_out(
    head: NDArray[np.int64], body: NDArray[np.float64], ball: NDArray[np.bool_]
) -> list[tuple[NDArray[np.int64], NDArray[np.int32], StateTable]]:
    """State rows as kernels write them, head (n, 2) time and subject, body (n, STATE_WIDTH), as
    times, subjects and columns: those of persons, then those of balls, where there are any; each by
    time and then subject. ball (S,) tells the subjects that are balls."""
    t_ns, subject, persons, first, others = _lay_out(head, body, ball, PERSON.mask, BALL.mask)
    found = []
    if persons:
        found.append((t_ns[:persons], subject[:persons], StateTable(PERSON, first, persons)))
    if left := len(t_ns) - persons:
        found.append((t_ns[persons:], subject[persons:], StateTable(BALL, others, left)))
    return found
