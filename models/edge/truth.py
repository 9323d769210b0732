"""Truth source: which of several position devices of one subject is believed, row by row.

The best-ranked healthy stream wins; rows of the others are rejected as NOT_TRUTH_SOURCE. A stream
is alive at t when it has sent a healthy row within the last `ALIVE_NS`. A dead truth is replaced at
once by the best that is alive; a better one takes over when it has been alive for `TRUSTED_NS`
without a break, so that a flapping source does not make the athlete jump. One that is demoted by an
order counts as worse than all that are not: it gives way, alive as it is, to another that has been
alive for as long. Rows are taken in order of time over all kinds, so the verdict does not depend on
how the stream is cut.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow
from models.columns import frozen
from models.edge import cells as grid
from models.edge.cells import Cells, second_of
from models.edge.positions import Motion
from models.edge.rows import DEVICE, REASON, T_NS, Rows
from models.edge.tables import Streams
from models.telemetry.kinds import Kind
from models.telemetry.reasons import Reason

ALIVE_NS: Final = 1_000_000_000
TRUSTED_NS: Final = 1_000_000_000
NOBODY: Final = -1
_NOT_TRUTH: Final = int(Reason.NOT_TRUTH_SOURCE)


class TruthState(NamedTuple):
    """chosen (S,) stream row that is believed, NOBODY at first; healthy_ns (D,) newest healthy row
    of a stream, since_ns (D,) from when on it has been alive without a break; -2^62 = never."""

    chosen: NDArray[np.int64]
    healthy_ns: NDArray[np.int64]
    since_ns: NDArray[np.int64]


def new_truth(device_n: int, subject_n: int) -> TruthState:
    """Nobody has sent anything."""
    return TruthState(
        np.full(subject_n, NOBODY, np.int64), np.full(device_n, -(2**62), np.int64),
        np.full(device_n, -(2**62), np.int64),
    )


def choose_truth(
    sets: Mapping[Kind, Rows], motions: Mapping[Kind, Motion], streams: Streams, state: TruthState,
    demoted_until: NDArray[np.int64],
) -> None:
    """Write NOT_TRUTH_SOURCE into the rows of shared subjects that are not to be believed.

    demoted_until (D,) event time until which a device is passed over.
    """
    device, t_ns, healthy, count, where = [], [], [], [], []
    for kind, rows in sets.items():
        index = np.flatnonzero((streams.shared[rows.device] == 1) & (rows.reason == 0))
        device.append(rows.device[index])
        t_ns.append(rows.t_ns[index])
        count.append(rows.count[index])
        healthy.append(motions[kind].healthy[index])
        where.append(index)
    devices, times = np.concatenate(device), np.concatenate(t_ns)
    if not len(devices):
        return
    order = np.lexsort((np.concatenate(count), devices, times))
    believed = np.zeros(len(devices), np.uint8)
    _choose(
        frozen(order, np.int64), frozen(devices), frozen(times),
        frozen(np.concatenate(healthy)), streams, state, frozen(demoted_until), believed,
    )
    begin = 0
    for rows, index in zip(sets.values(), where, strict=True):
        mine = believed[begin : begin + len(index)]
        rows.reason[index[mine == 0]] = _NOT_TRUTH
        begin += len(index)


@njit(cache=True)
def _best_alive(
    streams: Streams, state: TruthState, demoted_until: NDArray[np.int64], subject: int, t_ns: int
) -> int:
    best = NOBODY
    for d in range(streams.subject.size):
        if streams.shared[d] == 1 and streams.subject[d] == subject:
            row = streams.first[d]
            if t_ns - state.healthy_ns[row] > ALIVE_NS:
                continue
            if best == NOBODY or _is_better(streams, demoted_until, row, best, t_ns):
                best = row
    return best


@njit(cache=True)
def _is_better(
    streams: Streams, demoted_until: NDArray[np.int64], row: int, than: int, t_ns: int
) -> bool:
    passed_over, other = t_ns < demoted_until[row], t_ns < demoted_until[than]
    if passed_over != other:
        return other
    return streams.rank[row] < streams.rank[than]


@njit(cache=True)
def _choose(
    order: NDArray[np.int64], device: NDArray[np.int32], t_ns: NDArray[np.int64],
    healthy: NDArray[np.uint8], streams: Streams, state: TruthState,
    demoted_until: NDArray[np.int64], believed: NDArray[np.uint8],
) -> None:
    for i in order:
        row, subject, t = streams.first[device[i]], streams.subject[device[i]], t_ns[i]
        if healthy[i] == 1:
            if t - state.healthy_ns[row] > ALIVE_NS:
                state.since_ns[row] = t
            state.healthy_ns[row] = t
        chosen = state.chosen[subject]
        if chosen == NOBODY or t - state.healthy_ns[chosen] > ALIVE_NS:
            best = _best_alive(streams, state, demoted_until, subject, t)
            # With nobody alive the old truth goes on, flags and all: better than nothing.
            if best != NOBODY or chosen == NOBODY:
                chosen = best if best != NOBODY else row
        elif row != chosen and _is_better(streams, demoted_until, row, chosen, t):
            alive = t - state.healthy_ns[row] <= ALIVE_NS
            if alive and t - state.since_ns[row] >= TRUSTED_NS:
                chosen = row
        state.chosen[subject] = chosen
        believed[i] = 1 if row == chosen else 0


def note_motion(
    rows: Rows, motion: Motion, in_play: int, streams: Streams, cells: Cells
) -> None:
    """Put speed, acceleration and place of good rows into the cells of their subjects.

    in_play is the channel that says whether the ball is in play, -1 for none.
    """
    _note(
        rows.longs, rows.words, rows.values, in_play, streams, motion, cells,
    )


@njit(cache=True)
def _note(
    longs: NDArray[np.int64], words: NDArray[np.uint32], values: NDArray[np.float32],
    in_play: int, streams: Streams, motion: Motion, cells: Cells,
) -> None:
    longs, words, values, streams, motion, cells = borrow(
        (longs, words, values, streams, motion, cells)
    )
    t_ns, device, reason = longs[T_NS], words[DEVICE], words[REASON]
    for i in range(device.size):
        subject = streams.subject[device[i]]
        if reason[i] != 0 or subject < 0:
            continue
        tick = (t_ns[i] - cells.tick_begin_ns) // cells.tick_ns
        cell = cells.tick[tick, subject]
        speed = motion.speed[i]
        if speed == speed:
            second = second_of(cells.second_begin_ns, cells.subject.shape[0], t_ns[i])
            seconds = cells.subject[second, subject]
            # Whole mm/s: sums are exact, so the order of a subject's devices does not matter.
            whole = np.rint(1000.0 * speed)
            seconds[grid.SPEED_N] += 1.0
            seconds[grid.SPEED_SUM] += whole
            seconds[grid.SPEED_SQ] += whole * whole
            if not cell[grid.SPEED] >= speed:
                cell[grid.SPEED] = speed
        if motion.accel[i] == motion.accel[i] and not cell[grid.ACCEL] >= motion.accel[i]:
            cell[grid.ACCEL] = motion.accel[i]
        t_s = (t_ns[i] - cells.tick_begin_ns - tick * cells.tick_ns) * 1e-9
        if not cell[grid.T_S] > t_s:
            cell[grid.X_M] = values[0, i]
            cell[grid.Y_M] = values[1, i]
            cell[grid.VX] = motion.velocity[0, i]
            cell[grid.VY] = motion.velocity[1, i]
            cell[grid.T_S] = t_s
            if in_play >= 0:
                cell[grid.IN_PLAY] = values[in_play, i]
