"""Position rows (LPS, GNSS, ball): gaps, impossible jumps, stuck places, speed and acceleration.

One pass over rows in order of work. A person's position goes through a Kalman filter; one that its
gate refuses is a spike and is repaired by the prediction, for at most `HOLD_NS` on end (then the
person really is somewhere else). The ball changes speed at once, so its positions are never
repaired, and its velocity is the slope of a line over the last ones. Metres, seconds.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow
from models.edge import cells as grid
from models.edge.cells import Cells, count_row, second_of
from models.edge.config import EdgeConfig
from models.edge.rows import Rows, columns_of
from models.edge.tables import Streams, Whole
from models.signal.kalman import (
    AX,
    AY,
    STEP_GATED,
    VX,
    VY,
    X,
    Y,
    kalman_age_ns,
    kalman_step,
    new_kalman,
)
from models.signal.position_noise import (
    GNSS_LEAST_M,
    GNSS_M,
    GNSS_MOST_M,
    GNSS_PER_HDOP_M,
    LPS_GATE_M,
    LPS_MOST_M,
)
from models.signal.stuck import new_runs, run_ns
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason

HOLD_NS: Final = 300_000_000
"""How long a refused position is replaced by the prediction (DOMAIN B11: hold last <= 0.3 s)."""
MOVING_MPS2: Final = 3.0
"""Mean ||acc| - g| from which a wearer certainly moves."""
RING: Final = 32
RING_GAP_NS: Final = 500_000_000
SLOPE_N: Final = 6
LINE_S: Final = 0.4
_STUCK: Final = int(Flag.STUCK)
_REPAIRED: Final = int(Flag.SPIKE_REPAIRED)
_NLOS: Final = int(Flag.NLOS)
_REASON_STUCK: Final = int(Reason.STUCK)
_ROUGH_N_MAX: Final = 10

MEMORY_WIDTH: Final = 8
_REFUSED_S, _REFUSED, _OLD, _OLDER, _ROUGH, _ROUGH_N, _RING_N, _HELD = range(MEMORY_WIDTH)


class PositionState(NamedTuple):
    """Per device row: Kalman filter, stuck runs, memory (D, MEMORY_WIDTH), ring (D, RING, 3) of
    places and ring_t (D, RING) of their times, newest at `_RING_N` - 1 modulo RING."""

    kalman: NDArray[np.float64]
    held: NDArray[np.float64]
    held_since_ns: NDArray[np.int64]
    memory: NDArray[np.float64]
    ring: NDArray[np.float64]
    ring_t: NDArray[np.int64]


class Motion(NamedTuple):
    """Per row: speed m/s, accel m/s^2 (both NaN if not known), velocity (2, n) m/s, smooth (3, n)
    place for thinned rows, healthy uint8 (fit to be a truth source)."""

    speed: NDArray[np.float64]
    accel: NDArray[np.float64]
    velocity: NDArray[np.float64]
    smooth: NDArray[np.float32]
    healthy: NDArray[np.uint8]


class Layout(NamedTuple):
    """Rows of `SampleBlock.values` by meaning, -1 where the kind has none, and limits."""

    z: int
    residual: int
    nlos: int
    doppler: int
    hdop: int
    satellites: int
    person: int
    noise_m: float
    spike_m: float
    stuck_ns: int


def new_positions(device_n: int) -> PositionState:
    """State of devices that have sent nothing."""
    return PositionState(
        new_kalman(device_n), *new_runs(device_n), np.zeros((device_n, MEMORY_WIDTH)),
        np.zeros((device_n, RING, 3)), np.zeros((device_n, RING), np.int64),
    )


def layout_of(kind: Kind, config: EdgeConfig) -> Layout:
    """Where the channels of a position kind are."""
    names = KINDS[kind].names

    def at(name: str) -> int:
        return names.index(name) if name in names else -1

    return Layout(
        at("pos_z_m"), at("residual_m"), at("nlos_p"), at("speed_dop_mps"), at("hdop"),
        at("n_sats"), int(kind != Kind.BALL_POS), GNSS_M if kind == Kind.GNSS else LPS_GATE_M,
        config.spike_position_m, config.stuck_position_ns,
    )


def pass_positions(
    rows: Rows, layout: Layout, streams: Streams, cells: Cells, track: NDArray[np.int64],
    state: PositionState,
) -> Motion:
    """Work through `rows`: writes their values, flags and reasons, and the device cells."""
    n = len(rows)
    motion = Motion(
        np.full(n, np.nan), np.full(n, np.nan), np.zeros((2, n)),
        np.full((3, n), np.nan, np.float32), np.ones(n, np.uint8),
    )
    _pass(
        rows.longs, rows.words, rows.values, layout, streams, cells, track, state, motion,
    )
    return motion


@njit(cache=True)
def _noise_m(values: NDArray[np.float32], i: Whole, layout: Layout) -> float:
    """Standard deviation of this position, from what its source says of it."""
    if layout.residual >= 0 and values[layout.residual, i] == values[layout.residual, i]:
        return min(max(np.float64(values[layout.residual, i]), layout.noise_m), LPS_MOST_M)
    if layout.hdop >= 0 and values[layout.hdop, i] == values[layout.hdop, i]:
        hdop = np.float64(values[layout.hdop, i])
        return min(max(GNSS_PER_HDOP_M * hdop, GNSS_LEAST_M), GNSS_MOST_M)
    return layout.noise_m


@njit(cache=True)
def _healthy(values: NDArray[np.float32], i: Whole, layout: Layout) -> bool:
    """Whether the source itself trusts this position; what it does not say is no objection."""
    if layout.residual >= 0 and values[layout.residual, i] > 1.0:
        return False
    if layout.nlos >= 0 and values[layout.nlos, i] > 0.8:
        return False
    if layout.hdop >= 0 and values[layout.hdop, i] > 5.0:
        return False
    return not (layout.satellites >= 0 and values[layout.satellites, i] < 4.0)


@njit(cache=True)
def _person(
    values: NDArray[np.float32], i: Whole, row: Whole, t_ns: Whole, layout: Layout,
    state: PositionState, motion: Motion,
) -> bool:
    """Kalman step of one position; True when it was a spike and has been repaired."""
    memory, kalman = state.memory[row], state.kalman
    x, y = np.float64(values[0, i]), np.float64(values[1, i])
    ahead_s = kalman_age_ns(kalman, int(row), int(t_ns)) * 1e-9
    spiked = False
    noise_m = _noise_m(values, i, layout)
    if kalman_step(kalman, int(row), int(t_ns), x, y, noise_m) == STEP_GATED:
        motion.healthy[i] = 0
        guess_x = kalman[row, X] + ahead_s * kalman[row, VX]
        guess_y = kalman[row, Y] + ahead_s * kalman[row, VY]
        if memory[_REFUSED] == 0.0:
            memory[_REFUSED_S] = t_ns * 1e-9
        memory[_REFUSED] = 1.0
        for_ns = (t_ns * 1e-9 - memory[_REFUSED_S]) * 1e9
        away = np.hypot(x - guess_x, y - guess_y)
        if ahead_s >= 0.0 and for_ns <= HOLD_NS and away > layout.spike_m:
            values[0, i] = guess_x
            values[1, i] = guess_y
            spiked = True
    else:
        memory[_REFUSED] = 0.0
        motion.accel[i] = np.hypot(kalman[row, AX], kalman[row, AY])
        motion.speed[i] = np.hypot(kalman[row, VX], kalman[row, VY])
        if layout.doppler >= 0 and values[layout.doppler, i] == values[layout.doppler, i]:
            motion.speed[i] = values[layout.doppler, i]
    motion.velocity[0, i] = kalman[row, VX]
    motion.velocity[1, i] = kalman[row, VY]
    return spiked


@njit(cache=True)
def _line_end(
    state: PositionState, row: Whole, axis: Whole, n: Whole, newest: Whole
) -> tuple[float, float]:
    """End point and slope (per s) of the least-squares line over the last n places of the ring."""
    t_last = state.ring_t[row, newest % RING]
    st, stt, sy, sty = 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        at = (newest - k) % RING
        t = (state.ring_t[row, at] - t_last) * 1e-9
        y = state.ring[row, at, axis]
        st += t
        stt += t * t
        sy += y
        sty += t * y
    spread = n * stt - st * st
    if n < 2 or spread <= 0.0:
        return state.ring[row, newest % RING, axis], 0.0
    slope = (n * sty - st * sy) / spread
    return (sy - slope * st) / n, slope


@njit(cache=True)
def _lines(
    values: NDArray[np.float32], i: Whole, row: Whole, t_ns: Whole, merge: Whole, rate: float,
    layout: Layout, state: PositionState, motion: Motion,
) -> None:
    """Put the place into the ring; smooth place for thinning, and velocity of the ball."""
    memory = state.memory[row]
    newest = int(memory[_RING_N])
    gap_ns = t_ns - state.ring_t[row, (newest - 1) % RING]
    if gap_ns > RING_GAP_NS or gap_ns <= 0:
        newest = 0
    slot = newest % RING
    state.ring_t[row, slot] = t_ns
    state.ring[row, slot, 0] = values[0, i]
    state.ring[row, slot, 1] = values[1, i]
    state.ring[row, slot, 2] = values[layout.z, i] if layout.z >= 0 else np.nan
    # Counting stays below 2 RING: only the last RING places and the order matter.
    memory[_RING_N] = newest + 1 if newest + 1 < 2 * RING else newest + 1 - RING
    have = newest + 1 if newest + 1 < RING else RING
    if merge > 1:
        for axis in range(3):
            n = min(4 * int(merge), have)
            # Over a longer time than that nobody walks along a line.
            n = max(min(n, int(LINE_S * rate)), min(4, have))
            motion.smooth[axis, i] = _line_end(state, row, axis, n, newest)[0]
    if layout.person == 0 and have >= 3:
        n = min(SLOPE_N, have)
        motion.velocity[0, i] = _line_end(state, row, 0, n, newest)[1]
        motion.velocity[1, i] = _line_end(state, row, 1, n, newest)[1]
        motion.speed[i] = np.hypot(motion.velocity[0, i], motion.velocity[1, i])


@njit(cache=True)
def _roughness(memory: NDArray[np.float64], row: Whole, place: float, restart: bool) -> float:
    """Mean |second difference| of a stretch when it ends here, else inf."""
    if restart:
        memory[row, _OLD] = place
        memory[row, _OLDER] = place
        memory[row, _ROUGH] = 0.0
        memory[row, _ROUGH_N] = 0.0
        return np.inf
    memory[row, _ROUGH] += abs(place - 2.0 * memory[row, _OLD] + memory[row, _OLDER])
    memory[row, _OLDER] = memory[row, _OLD]
    memory[row, _OLD] = place
    memory[row, _ROUGH_N] += 1.0
    if memory[row, _ROUGH_N] < _ROUGH_N_MAX:
        return np.inf
    mean = memory[row, _ROUGH] / _ROUGH_N_MAX
    memory[row, _ROUGH] = 0.0
    memory[row, _ROUGH_N] = 0.0
    return mean


@njit(cache=True)
def _pass(
    longs: NDArray[np.int64], words: NDArray[np.uint32], values: NDArray[np.float32],
    layout: Layout, streams: Streams, cells: Cells, track: NDArray[np.int64],
    state: PositionState, motion: Motion,
) -> None:
    longs, words, values, streams, cells, track, state, motion = borrow(
        (longs, words, values, streams, cells, track, state, motion)
    )
    t_ns, t_ingest_ns, count, adjust_ns, device, boot, flags, reason = columns_of(longs, words)
    first, subjects, reach, rate = streams.first, streams.subject, streams.words, streams.rate
    group, merges, cell = streams.group, streams.merge, cells.device
    newest, low, healthy = cells.newest, cells.low, motion.healthy
    for i in range(device.size):
        t, row, subject = t_ns[i], first[device[i]], subjects[device[i]]
        tick = (t - cells.tick_begin_ns) // cells.tick_ns
        second = second_of(cells.second_begin_ns, cell.shape[0], t)
        gap_ns = t - track[row, grid.T_LAST]
        earned = count_row(
            cell, newest, low, track, reach[row] << 6, rate[row], group[row], row, tick, second,
            int(boot[i]), count[i], t, t_ingest_ns[i], adjust_ns[i],
        )
        if layout.nlos >= 0 and values[layout.nlos, i] > 0.5:
            earned |= _NLOS
        if layout.person == 1:
            held_ns = run_ns(
                state.held, state.held_since_ns, row, t, float(values[0, i]), float(values[1, i]),
                0.0,
            )
            moving = subject >= 0 and cells.moving[second, subject, 1] > MOVING_MPS2
            if held_ns < layout.stuck_ns:
                state.memory[row, _HELD] = 0.0
            elif moving:
                state.memory[row, _HELD] = 1.0
            if state.memory[row, _HELD] == 1.0:
                cell[second, row, grid.STUCK_N] += 1.0
                flags[i] |= earned | _STUCK
                reason[i] = _REASON_STUCK
                healthy[i] = 0
                continue
            if not _healthy(values, i, layout):
                healthy[i] = 0
            if _person(values, i, row, t, layout, state, motion):
                earned |= _REPAIRED
                cell[second, row, grid.SPIKES] += 1.0
        if layout.person == 0 or merges[row] > 1:
            _lines(values, i, row, t, merges[row], rate[row], layout, state, motion)
        flags[i] |= earned
        place = float(values[0, i]) + float(values[1, i])
        restart = gap_ns > RING_GAP_NS or gap_ns <= 0
        rough = _roughness(state.memory, row, place, restart)
        if rough < cell[second, row, grid.NOISE]:
            cell[second, row, grid.NOISE] = rough
