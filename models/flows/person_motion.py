"""One row of a person's motion sensor: load, steps, impacts, jumps, tilt. Times in ns, |a| in g."""

from math import acos, degrees, isnan, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.events import catalog as C  # noqa: N812
from models.flows import layout as L  # noqa: N812
from models.flows.config import GRID_NS, FlowConfig
from models.flows.emit import NO_METRIC, emit
from models.flows.person_bands import count_hit
from models.flows.person_steps import step_limit_g, take_trunk
from models.flows.tables import Outputs, Twins
from models.metrics.jump import jump_height_m
from models.signal import kalman as K  # noqa: N812

G_MPS2 = 9.80665
LOST_NS = 100_000_000
TILT_TAU_S = 0.4
IMPACT_SETTLE_NS = 250_000_000
WINDOW_GAP_NS = 1_000_000_000
SLOW_MPS = 2.0
JUMP_FREE_NS = (200_000_000, 800_000_000)
JUMP_LAND_NS = 150_000_000
JUMP_PUSH_NS = 500_000_000
WINDOW_AFTER = 127
"""Grid slots of an event window after its peak."""


@njit(cache=True, inline="always")
def take_motion(
    f: NDArray[np.float64], i: NDArray[np.int64], bins: NDArray[np.float64], cfg: FlowConfig,
    t_ns: int, row: NDArray[np.float32], j: int,
) -> bool:
    """Take motion row `j` of `row` (9, n); True when a jump has just been landed. f, i and bins are
    the flow's own rows."""
    gap_ns = t_ns - i[L.T_IMU]
    ax, ay, az = np.float64(row[0, j]), np.float64(row[1, j]), np.float64(row[2, j])
    size = sqrt(ax * ax + ay * ay + az * az) / G_MPS2
    most = np.float64(row[7, j]) / G_MPS2
    peak = most if most >= size else size
    if i[L.T_IMU] == L.NONE_NS:
        i[L.NEXT_GRID] = t_ns // GRID_NS + 1
    if gap_ns > LOST_NS:
        gap_ns = 0
        i[L.T_FREE] = L.NONE_NS
        i[L.T_LANDING] = L.NONE_NS
        f[L.TILT_X], f[L.TILT_Y], f[L.TILT_Z] = ax, ay, az
    dt_s = gap_ns * 1e-9
    i[L.T_IMU] = t_ns
    f[L.IMU_COVER] += dt_s
    share = dt_s / (TILT_TAU_S + dt_s)
    f[L.TILT_X] += share * (ax - f[L.TILT_X])
    f[L.TILT_Y] += share * (ay - f[L.TILT_Y])
    f[L.TILT_Z] += share * (az - f[L.TILT_Z])
    f[L.HELD0], f[L.HELD1], f[L.HELD2] = ax / G_MPS2, ay / G_MPS2, az / G_MPS2
    turn = 0.0
    for axis in range(3):
        felt = np.float64(row[3 + axis, j])
        rate = 0.0 if isnan(felt) else felt
        f[L.HELD3 + axis] = rate
        turn += rate * rate
    if turn >= cfg.impact_gyro_radps * cfg.impact_gyro_radps:
        i[L.T_GYRO] = t_ns
    load_au = np.float64(row[6, j])
    if not isnan(load_au):
        f[L.LOAD] += load_au
        if f[L.SPEED] < SLOW_MPS:
            f[L.LOAD_SLOW] += load_au
        bins[i[L.BIN_AT], L.B_LOAD] += load_au
        bins[L.BINS - 1, L.B_LOAD] += load_au
        if row[8, j] == row[8, j]:
            f[L.LOAD_FLAT] += np.float64(row[8, j])
    if peak >= cfg.impact_z1_g:
        count_hit(f, i, cfg, t_ns, peak)
    if peak >= cfg.window_g:
        _window_trigger(f, i, t_ns, peak)
    if peak >= cfg.impact_g:
        _impact_trigger(f, i, cfg, t_ns, peak)
    take_trunk(f, i, cfg.impact_g, t_ns, size)
    return _jump(f, i, cfg, t_ns, size, peak)


@njit(cache=True)
def _window_trigger(
    f: NDArray[np.float64], i: NDArray[np.int64], t_ns: int, peak: float
) -> None:
    """Mark an event window around a candidate; a larger peak soon after moves the window."""
    if peak < step_limit_g(f, 3.0):
        return
    since = t_ns - i[L.T_WINDOW]
    if since <= IMPACT_SETTLE_NS:
        for slot in range(L.PENDING):
            grid = i[L.PEND_GRID + slot]
            mine = grid >= 0 and i[L.PEND_T + slot] >= i[L.T_WINDOW]
            if mine and peak > f[L.PEND_G + slot]:
                _mark(f, i, slot, t_ns, peak)
    elif since >= WINDOW_GAP_NS:
        i[L.T_WINDOW] = t_ns
        for slot in range(L.PENDING):
            if i[L.PEND_GRID + slot] < 0:
                _mark(f, i, slot, t_ns, peak)
                i[L.PEND_SEQ + slot] = -1
                break


@njit(cache=True)
def _mark(f: NDArray[np.float64], i: NDArray[np.int64], slot: int, t_ns: int, peak: float) -> None:
    i[L.PEND_GRID + slot] = -(-t_ns // GRID_NS)
    i[L.PEND_T + slot] = t_ns
    f[L.PEND_G + slot] = peak
    f[L.FELL_G] = peak
    find_next_window(i)


@njit(cache=True)
def find_next_window(i: NDArray[np.int64]) -> None:
    """Note the grid slot that completes the next pending window."""
    nearest = L.NEVER
    for slot in range(L.PENDING):
        if i[L.PEND_GRID + slot] >= 0:
            nearest = min(nearest, i[L.PEND_GRID + slot] + WINDOW_AFTER)
    i[L.PEND_NEXT] = nearest


@njit(cache=True)
def tag_window(i: NDArray[np.int64], t_ns: int, seq: int) -> None:
    """Name the event of the pending window around `t_ns`, if there is one without a name."""
    for slot in range(L.PENDING):
        near = abs(i[L.PEND_T + slot] - t_ns) <= 500_000_000
        if i[L.PEND_GRID + slot] >= 0 and near and i[L.PEND_SEQ + slot] < 0:
            i[L.PEND_SEQ + slot] = seq
            return


@njit(cache=True)
def _impact_trigger(
    f: NDArray[np.float64], i: NDArray[np.int64], cfg: FlowConfig, t_ns: int, peak: float
) -> None:
    """Remember a candidate impact; whether it is one shows a quarter of a second later."""
    if i[L.IMPACT_DUE] != L.NONE_NS:
        if peak > f[L.PEAK_G]:
            f[L.PEAK_G] = peak
            i[L.T_PEAK] = t_ns
        return
    if peak < step_limit_g(f, cfg.impact_sd):
        return
    if t_ns - i[L.T_IMPACT] < int(cfg.impact_refractory_s * 1e9):
        return
    f[L.PEAK_G] = peak
    i[L.T_PEAK] = t_ns
    i[L.IMPACT_DUE] = t_ns + IMPACT_SETTLE_NS
    i[L.ASK_NEAR] = 1


@njit(cache=True, inline="always")
def _jump(
    f: NDArray[np.float64], i: NDArray[np.int64], cfg: FlowConfig, t_ns: int, size: float,
    peak: float,
) -> bool:
    """Push-off, free fall, landing; True when the landing has just been felt."""
    if size < cfg.jump_free_g:
        if i[L.T_FREE] == L.NONE_NS:
            i[L.T_FREE] = t_ns
        return False
    if i[L.T_FREE] != L.NONE_NS:
        flight = t_ns - i[L.T_FREE]
        pushed = i[L.T_FREE] - i[L.T_PUSH] <= JUMP_PUSH_NS
        if pushed and JUMP_FREE_NS[0] <= flight <= JUMP_FREE_NS[1]:
            i[L.FREE_NS] = flight
            i[L.T_LANDING] = t_ns
        i[L.T_FREE] = L.NONE_NS
    if peak > cfg.jump_push_g:
        f[L.PUSH_G] = peak if t_ns - i[L.T_PUSH] > JUMP_PUSH_NS else max(f[L.PUSH_G], peak)
        i[L.T_PUSH] = t_ns
    if i[L.T_LANDING] == L.NONE_NS:
        return False
    if t_ns - i[L.T_LANDING] > JUMP_LAND_NS:
        i[L.T_LANDING] = L.NONE_NS
        return False
    f[L.LAND_G] = peak
    return peak >= cfg.jump_land_g


@njit(cache=True)
def give_jump(twins: Twins, s: int, out: Outputs, t_ns: int) -> None:
    """Emit the jump that has just been landed, and mark an event window around the landing."""
    f, i, k = twins.f[s], twins.i[s], twins.kalman[s]
    peak = f[L.LAND_G]
    i[L.JUMP_N] += 1
    flight_s = i[L.FREE_NS] * 1e-9
    seq = emit(
        out, i, L.EVENT_SEQ, s, C.JUMP, 0, i[L.T_LANDING] - i[L.FREE_NS], t_ns, -1,
        (k[K.X], k[K.Y], NO_METRIC, NO_METRIC), 0.9,
        (flight_s, jump_height_m(flight_s), f[L.PUSH_G], peak, NO_METRIC, NO_METRIC),
    )
    if t_ns - i[L.T_WINDOW] >= WINDOW_GAP_NS:
        i[L.T_WINDOW] = t_ns
        for slot in range(L.PENDING):
            if i[L.PEND_GRID + slot] < 0:
                _mark(f, i, slot, t_ns, peak)
                i[L.PEND_SEQ + slot] = seq
                break
    else:
        tag_window(i, t_ns, seq)
    i[L.T_LANDING] = L.NONE_NS


@njit(cache=True)
def tilt_deg(f: NDArray[np.float64]) -> float:
    """Angle between the trunk's axis (z) and the vertical, from the slow part of acceleration."""
    x, y, z = f[L.TILT_X], f[L.TILT_Y], f[L.TILT_Z]
    size = sqrt(x * x + y * y + z * z)
    if size <= 0.0:
        return 0.0
    return degrees(acos(min(max(z / size, -1.0), 1.0)))
