"""One compiled call for a whole batch: rows into tables, persons walked, then balls."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow, hold
from models.flows import arrange
from models.flows.ball_walk import walk_ball
from models.flows.person_walk import walk_persons
from models.flows.tables import Outputs, Places, Positions, Rest, Rows, Twins


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
    field: Field, rest: Rest, end_ns: int, final: bool, out: Outputs,
) -> tuple[int, int]:
    """Walk persons and balls but for the first `done` of each, each from its own `since_ns` (S,)
    on; how many are done: fewer than all when `out` may not hold the next one's output. `course`
    stands in for the positions in `rows` when it is not empty (of all subjects, (S + 1,) begins).
    """
    rows, places, course, chosen, since_ns, twins, params, limits, field, rest, out = borrow(
        (rows, places, course, chosen, since_ns, twins, params, limits, field, rest, out)
    )
    subjects, held = chosen.mine.shape[0], 0
    only = _only(places.subject, chosen.mine)
    mine = borrow(only)
    if course.begin.shape[0] > 0:
        placed = course
    else:
        placed = arrange.positions(rows, places, places.subject, subjects)
    shot = arrange.fixes(rows, places, places.subject, subjects)
    positions, fixes = borrow(placed), borrow(shot)
    persons, balls = done
    if persons < chosen.persons.shape[0]:
        motions = arrange.motions(rows, places, mine, subjects)
        hearts = arrange.hearts(rows, places, mine, subjects)
        boots = arrange.boots(rows, places, mine, subjects)
        persons = walk_persons(
            chosen.persons, persons, since_ns, twins, params, limits, positions, borrow(motions),
            borrow(hearts), borrow(boots), fixes, field.ball_row, rest, end_ns, final, out,
        )
        held += hold(motions) + hold(hearts) + hold(boots)
    if persons == chosen.persons.shape[0] and balls < chosen.balls.shape[0]:
        hit = arrange.knocks(rows, places, mine, subjects)
        knocks = borrow(hit)
        while balls < chosen.balls.shape[0]:
            if not walk_ball(
                chosen.balls[balls], since_ns, twins, params, limits, positions, fixes, knocks,
                field.half_m, field.periods, field.cursor, end_ns, final, out,
            ):
                break
            balls += 1
        held += hold(hit)
    held += hold(only) + hold(placed) + hold(shot)
    return persons, balls + held
