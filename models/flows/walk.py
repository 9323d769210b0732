"""One compiled call for a whole batch: rows into tables, persons walked, then balls."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import arrange
from models.flows.ball_walk import walk_ball
from models.flows.person_walk import walk_persons
from models.flows.tables import Outputs, Places, Positions, Rows, Twins


class Field(NamedTuple):
    """Where a venue plays: half its length and width in m, when the periods are, the roster row of
    the (first) ball, and scratch for `walk_ball`."""

    half_m: tuple[float, float]
    periods: NDArray[np.int64]
    ball_row: int
    cursor: NDArray[np.int64]


class Chosen(NamedTuple):
    """Whom to walk: rows of persons and of balls, and of all of them (S,) uint8."""

    persons: NDArray[np.int64]
    balls: NDArray[np.int64]
    mine: NDArray[np.uint8]


@njit(cache=True)
def _only(subject: NDArray[np.int32], mine: NDArray[np.uint8]) -> NDArray[np.int32]:
    """`subject` with the devices of all that are not `mine` left out."""
    out = subject.copy()
    for device in range(out.shape[0]):
        if out[device] >= 0 and mine[out[device]] == 0:
            out[device] = -1
    return out


@njit(cache=True)
def walk(
    rows: Rows, places: Places, course: Positions, chosen: Chosen, since_ns: NDArray[np.int64],
    done: tuple[int, int], twins: Twins, params: NDArray[np.float64], limits: NDArray[Any],
    field: Field, end_ns: int, final: bool, out: Outputs,
) -> tuple[int, int]:
    """Walk persons and balls but for the first `done` of each, each from its own `since_ns` (S,)
    on; how many are done: fewer than all when `out` may not hold the next one's output. `course`
    stands in for the positions in `rows` when it is not empty (of all subjects, (S + 1,) begins).
    """
    subjects = chosen.mine.shape[0]
    mine = _only(places.subject, chosen.mine)
    if course.begin.shape[0] > 0:
        positions = course
    else:
        positions = arrange.positions(rows, places, places.subject, subjects)
    fixes = arrange.fixes(rows, places, places.subject, subjects)
    persons, balls = done
    if persons < chosen.persons.shape[0]:
        persons = walk_persons(
            chosen.persons, persons, since_ns, twins, params, limits, positions,
            arrange.motions(rows, places, mine, subjects),
            arrange.hearts(rows, places, mine, subjects),
            arrange.boots(rows, places, mine, subjects), fixes, field.ball_row, end_ns, final, out,
        )
        if persons < chosen.persons.shape[0]:
            return persons, balls
    if balls < chosen.balls.shape[0]:
        knocks = arrange.knocks(rows, places, mine, subjects)
        while balls < chosen.balls.shape[0]:
            if not walk_ball(
                chosen.balls[balls], since_ns, twins, params, limits, positions, fixes, knocks,
                field.half_m, field.periods, field.cursor, end_ns, final, out,
            ):
                return persons, balls
            balls += 1
    return persons, balls
