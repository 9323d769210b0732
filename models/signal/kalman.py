"""Causal position filter: a 2-D constant-acceleration Kalman filter, one state row per device.

Owns the arithmetic of one step and the layout of a state row; what r is for a sensor belongs to its
caller. Both axes share one covariance, because they share the noise model: white jerk of spectral
density `JERK_PSD` drives the acceleration, which decays with `ACCEL_TAU_S` (nobody accelerates for
long), so that the filter is the same filter at every sample rate. Metres, seconds; times ns UTC.
"""

from math import exp

import numpy as np
from numba import njit
from numpy.typing import NDArray

X = 0
VX = 1
AX = 2
Y = 3
VY = 4
AY = 5
T = 6
"""Whole seconds of the last accepted sample; `T_FRAC_NS` holds the rest: float64 seconds since 1970
alone would be good to 0.24 us only."""
T_FRAC_NS = 7
LIVE = 8
P_PP = 9
P_PV = 10
P_PA = 11
P_VV = 12
P_VA = 13
P_AA = 14
GATED_N = 15
GATED_RUN = 16
KALMAN_WIDTH = 17

JERK_PSD = 60.0
"""Spectral density of jerk, m^2/s^5. With `ACCEL_TAU_S` it means a standing acceleration spread of
sqrt(psd tau / 2) = 3.9 m/s^2, in the range of the literature (3-4 m/s^2)."""
ACCEL_TAU_S = 0.5
GATE_NIS = 13.8
"""Squared normalised innovation, 2 degrees of freedom, at 0.999."""
RESET_GAP_NS = 1_000_000_000
LOST_RUN = 3
LOST_NS = 300_000_000
"""So many refused positions in a row, over so long, mean that the track is wrong, not they."""
START_SPEED_MPS = 4.0
START_ACCEL_MPS2 = 3.0

STEP_OK = 0
STEP_GATED = 1
STEP_RESET = 2


def new_kalman(rows: int) -> NDArray[np.float64]:
    """State of `rows` devices that have seen nothing: (rows, KALMAN_WIDTH) float64."""
    return np.zeros((rows, KALMAN_WIDTH), np.float64)


@njit(cache=True)
def kalman_age_ns(state: NDArray[np.float64], row: int, t_ns: int) -> int:
    """Nanoseconds from the last accepted sample of `row` to `t_ns`; huge before the first."""
    if state[row, LIVE] == 0.0:
        return 2**62
    return int(t_ns - np.int64(state[row, T]) * 1_000_000_000 - np.int64(state[row, T_FRAC_NS]))


@njit(cache=True)
def _restart(
    state: NDArray[np.float64], row: int, t_ns: int, x_m: float, y_m: float, r_m: float
) -> None:
    refused = state[row, GATED_N]
    state[row, :] = 0.0
    state[row, GATED_N] = refused
    state[row, X] = x_m
    state[row, Y] = y_m
    state[row, T] = t_ns // 1_000_000_000
    state[row, T_FRAC_NS] = t_ns % 1_000_000_000
    state[row, LIVE] = 1.0
    state[row, P_PP] = r_m * r_m
    state[row, P_VV] = START_SPEED_MPS * START_SPEED_MPS
    state[row, P_AA] = START_ACCEL_MPS2 * START_ACCEL_MPS2


@njit(cache=True)
def kalman_shift(
    state: NDArray[np.float64], row: int, t_ns: int, x_m: float, y_m: float
) -> None:
    """Move the track of `row` so that it passes through (x, y) at `t_ns`, velocity unchanged:
    another sensor with another bias takes over."""
    dt = kalman_age_ns(state, row, t_ns) * 1e-9
    if 0.0 <= dt <= RESET_GAP_NS * 1e-9:
        state[row, X] = x_m - dt * state[row, VX]
        state[row, Y] = y_m - dt * state[row, VY]


@njit(cache=True)
def kalman_spread(
    s: NDArray[np.float64], dt: float
) -> tuple[float, float, float, float, float, float, float, float, float]:
    """Transition and covariance of a state row `dt` seconds later: (decay, g, f, pp, pv, pa, vv,
    va, aa), where (p, v, a) becomes (p + v dt + a f, v + a g, a decay)."""
    decay = exp(-dt / ACCEL_TAU_S)
    # Process noise: leading terms in dt.
    g = ACCEL_TAU_S * (1.0 - decay)
    f = ACCEL_TAU_S * (dt - g)
    q = JERK_PSD * dt
    pp = s[P_PP] + 2.0 * dt * s[P_PV] + dt * dt * s[P_VV]
    pp += 2.0 * f * (s[P_PA] + dt * s[P_VA]) + f * f * s[P_AA] + q * dt**4 / 20.0
    pv = s[P_PV] + dt * s[P_VV] + f * s[P_VA] + g * (s[P_PA] + dt * s[P_VA] + f * s[P_AA])
    pv += q * dt**3 / 8.0
    pa = decay * (s[P_PA] + dt * s[P_VA] + f * s[P_AA]) + q * dt * dt / 6.0
    vv = s[P_VV] + 2.0 * g * s[P_VA] + g * g * s[P_AA] + q * dt * dt / 3.0
    va = decay * (s[P_VA] + g * s[P_AA]) + q * dt / 2.0
    aa = decay * decay * s[P_AA] + q
    return decay, g, f, pp, pv, pa, vv, va, aa


@njit(cache=True)
def kalman_step(
    state: NDArray[np.float64], row: int, t_ns: int, x_m: float, y_m: float, r_m: float
) -> int:
    """Take one position of standard deviation `r_m` into `state[row]`.

    Returns STEP_OK; STEP_GATED when the position is too far from what is possible (or older than
    the last one), and the track stays as it was; STEP_RESET when it starts the row, or starts it
    anew because more than `RESET_GAP_NS` have passed since the last accepted one, or because a run
    of refused ones shows that the track is lost.
    """
    age_ns = kalman_age_ns(state, row, t_ns)
    if age_ns > RESET_GAP_NS:
        _restart(state, row, t_ns, x_m, y_m, r_m)
        return STEP_RESET
    if age_ns < 0:
        return STEP_GATED
    s = state[row]
    dt = age_ns * 1e-9
    decay, g, f, pp, pv, pa, vv, va, aa = kalman_spread(s, dt)
    x = s[X] + dt * s[VX] + f * s[AX]
    y = s[Y] + dt * s[VY] + f * s[AY]
    spread = pp + r_m * r_m
    ex = x_m - x
    ey = y_m - y
    if (ex * ex + ey * ey) / spread > GATE_NIS:
        if s[GATED_RUN] >= LOST_RUN and age_ns >= LOST_NS:
            _restart(state, row, t_ns, x_m, y_m, r_m)
            return STEP_RESET
        s[GATED_N] += 1.0
        s[GATED_RUN] += 1.0
        return STEP_GATED
    s[GATED_RUN] = 0.0
    kp = pp / spread
    kv = pv / spread
    ka = pa / spread
    vx = s[VX] + g * s[AX]
    vy = s[VY] + g * s[AY]
    s[X] = x + kp * ex
    s[Y] = y + kp * ey
    s[VX] = vx + kv * ex
    s[VY] = vy + kv * ey
    s[AX] = decay * s[AX] + ka * ex
    s[AY] = decay * s[AY] + ka * ey
    s[P_PP] = pp - kp * pp
    s[P_PV] = pv - kp * pv
    s[P_PA] = pa - kp * pa
    s[P_VV] = vv - kv * pv
    s[P_VA] = va - kv * pa
    s[P_AA] = aa - ka * pa
    s[T] = t_ns // 1_000_000_000
    s[T_FRAC_NS] = t_ns % 1_000_000_000
    return STEP_OK
