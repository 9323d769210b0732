"""Borrowed arrays: the same numbers, whatever they come in, and nothing freed too soon or never."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import njit
from numba.core.runtime import _nrt_python, rtsys
from numpy.typing import NDArray

from models.borrow import borrow, hold
from models.columns import frozen


class Pair(NamedTuple):
    left: NDArray[np.float64]
    right: NDArray[np.int32]


class Nested(NamedTuple):
    pair: Pair
    scale: float


@njit
def _sum_of_rows(table: NDArray[np.float64], pair: Pair) -> float:
    total = 0.0
    for row in table:
        for n in range(row.size):
            total += row[n] * pair.left[n] * pair.right[n]
    return total


@njit
def _counted(table: NDArray[np.float64], nested: Nested) -> float:
    return nested.scale * _sum_of_rows(table, nested.pair)


@njit
def _borrowed(table: NDArray[np.float64], nested: Nested) -> float:
    table, nested = borrow((table, nested))
    return nested.scale * _sum_of_rows(table, nested.pair)


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_borrowed_is_the_same(read_only: bool) -> None:
    rng = np.random.default_rng(5)
    table, left = rng.normal(size=(7, 4)), rng.normal(size=4)
    nested = Nested(Pair(left, np.arange(4, dtype=np.int32)), 0.5)
    if read_only:
        table = frozen(table)
    assert _borrowed(table, nested) == _counted(table, nested) != 0.0


def test_what_is_written_to_a_borrowed_array_is_written_to_the_callers() -> None:
    @njit
    def double(values: NDArray[np.float64]) -> None:
        mine = borrow(values)
        for n in range(mine.size):
            mine[n] *= 2.0

    values = np.arange(3.0)
    double(values)
    assert values.tolist() == [0.0, 2.0, 4.0]


@njit
def _churn(rounds: int) -> float:
    """Takes and fills memory that a freed array would have left."""
    total = 0.0
    for _ in range(rounds):
        total += np.full(1000, 7.0).sum()
    return total


@njit
def _made_on_the_way(size: int) -> tuple[float, float]:
    made = np.arange(size, dtype=np.float64)
    mine = borrow(made)
    other = _churn(50)
    total = mine.sum()
    return total + hold(made), other


def test_what_is_held_stays_and_is_freed_afterwards() -> None:
    _made_on_the_way(10)
    _nrt_python.memsys_enable_stats()
    before: Any = rtsys.get_allocation_stats()
    assert _made_on_the_way(1000)[0] == 1000 * 999 / 2
    after: Any = rtsys.get_allocation_stats()
    assert after.alloc - before.alloc == after.free - before.free > 50
