"""Zero-phase course of one person: position, velocity, speed and acceleration at every position.

A Rauch-Tung-Striebel fixed-interval smoother over the same model, gates and source rules as the
live filter (`models.signal.kalman`, `models.flows.person_position`): what it adds is the future.
Acceleration is the slope of speed behind the live filter's two poles, one run forward and one
backward: the same gain at every frequency, without the delay. Nothing is estimated across a gap: a
track ends where the live filter starts anew (1 s without an accepted position), and neither
backward pass crosses it. Times need not be regular. Metres, seconds; times ns UTC.

H. E. Rauch, F. Tung, C. T. Striebel, "Maximum likelihood estimates of linear dynamic systems",
AIAA Journal 3(8), 1965.
"""

from math import exp, hypot

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.person_position import admit_position
from models.flows.tables import (
    G_ACCEL,
    G_CODE,
    G_LAGGED,
    G_SPEED,
    G_VX,
    G_VY,
    Positions,
)
from models.signal import kalman as K  # noqa: N812

_KEPT = 12
"""Of a filtered row: the six of the state (`K.X` to `K.AY`), then the six covariances."""


@njit(cache=True)
def smooth_person(
    pos: Positions, s: int, accel_tau_s: float, max_speed_mps: float, max_accel_mps2: float,
    x_m: NDArray[np.float32], y_m: NDArray[np.float32], given: NDArray[np.float32],
) -> None:
    """Smooth the rows of subject `s`: fills its part of x_m, y_m (n,) and given (GIVEN_WIDTH, n),
    all of the length of `pos`. Rows that the filter refuses keep their place and have no speed."""
    begin, end = pos.begin[s], pos.begin[s + 1]
    t_ns, codes, kept = _filter(pos, begin, end)
    kept = _smooth(pos, begin, t_ns, codes, kept)
    speed = np.empty(end - begin)
    for row in range(end - begin):
        speed[row] = hypot(kept[row, K.VX], kept[row, K.VY])
        doppler = np.float64(pos.doppler_mps[begin + row])
        if doppler == doppler:
            speed[row] = doppler
        speed[row] = min(speed[row], max_speed_mps)
    lagged = speed.copy()
    accel = _slopes(t_ns, codes, lagged, accel_tau_s)
    for row in range(end - begin):
        at = begin + row
        given[G_CODE, at] = codes[row]
        x_m[at], y_m[at] = pos.x_m[at], pos.y_m[at]
        if codes[row] == K.STEP_OK or codes[row] == K.STEP_RESET:
            x_m[at], y_m[at] = kept[row, K.X], kept[row, K.Y]
            given[G_VX, at], given[G_VY, at] = kept[row, K.VX], kept[row, K.VY]
            given[G_SPEED, at], given[G_LAGGED, at] = speed[row], lagged[row]
            given[G_ACCEL, at] = min(max(accel[row], -max_accel_mps2), max_accel_mps2)


@njit(cache=True)
def _filter(
    pos: Positions, begin: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The forward pass: times, what became of each row, and what the filter knew after it."""
    kalman = np.zeros((1, K.KALMAN_WIDTH))
    i = np.full(L.INTS, L.NONE_NS, np.int64)
    i[L.POS_RANK] = 0
    codes, kept = np.empty(end - begin, np.int64), np.zeros((end - begin, _KEPT))
    for row in range(begin, end):
        codes[row - begin], _ = admit_position(
            i, kalman, 0, pos.t_ns[row], np.float64(pos.x_m[row]), np.float64(pos.y_m[row]),
            np.float64(pos.r_m[row]), pos.rank[row],
        )
        kept[row - begin, :6] = kalman[0, :6]
        kept[row - begin, 6:] = kalman[0, K.P_PP : K.P_AA + 1]
    return pos.t_ns[begin:end].copy(), codes, kept


@njit(cache=True)
def _smooth(
    pos: Positions, begin: int, t_ns: NDArray[np.int64], codes: NDArray[np.int64],
    kept: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The backward pass: (n, 6) smoothed states in the order of `K.X` to `K.AY`."""
    out = kept[:, :6].copy()
    s = np.zeros(K.KALMAN_WIDTH)
    late = -1
    for row in range(t_ns.shape[0] - 1, -1, -1):
        if codes[row] != K.STEP_OK and codes[row] != K.STEP_RESET:
            continue
        if late >= 0:
            s[K.P_PP : K.P_AA + 1] = kept[row, 6:]
            dt_s = (t_ns[late] - t_ns[row]) * 1e-9
            spread = K.kalman_spread(s, dt_s)
            noise = np.float64(pos.r_m[begin + late]) ** 2
            x, y = np.float64(pos.x_m[begin + late]), np.float64(pos.y_m[begin + late])
            _look_ahead(out[row], out[late], kept[late], s, spread, dt_s, noise, x, K.X)
            _look_ahead(out[row], out[late], kept[late], s, spread, dt_s, noise, y, K.Y)
        late = row if codes[row] == K.STEP_OK else -1
    return out


@njit(cache=True)
def _look_ahead(
    here: NDArray[np.float64], ahead: NDArray[np.float64], filtered: NDArray[np.float64],
    s: NDArray[np.float64],
    spread: tuple[float, float, float, float, float, float, float, float, float],
    dt_s: float, noise: float, measured_m: float, o: int,
) -> None:
    """One axis (columns o, o + 1, o + 2): here += P F' M^-1 (ahead - predicted), P the filtered
    covariance in `s`, M the predicted one in `spread`.

    What was predicted is won back from what was `filtered` then: so a track that was moved to
    another sensor's bias in between needs no case of its own.
    """
    decay, g, f, pp, pv, pa, vv, va, aa = spread
    share = pp / (pp + noise)
    miss = measured_m - (filtered[o] - share * measured_m) / (1.0 - share)
    d0 = ahead[o] - filtered[o] + pp / (pp + noise) * miss
    d1 = ahead[o + 1] - filtered[o + 1] + pv / (pp + noise) * miss
    d2 = ahead[o + 2] - filtered[o + 2] + pa / (pp + noise) * miss
    # M = L D L'; forward, then backward substitution.
    l10, l20 = pv / pp, pa / pp
    e1 = vv - l10 * pv
    l21 = (va - l20 * pv) / e1
    e2 = aa - l20 * pa - l21 * l21 * e1
    d1 -= l10 * d0
    d2 = (d2 - l20 * d0 - l21 * d1) / e2
    d1 = d1 / e1 - l21 * d2
    d0 = d0 / pp - l10 * d1 - l20 * d2
    b1, b2 = dt_s * d0 + d1, f * d0 + g * d1 + decay * d2
    here[o] += s[K.P_PP] * d0 + s[K.P_PV] * b1 + s[K.P_PA] * b2
    here[o + 1] += s[K.P_PV] * d0 + s[K.P_VV] * b1 + s[K.P_VA] * b2
    here[o + 2] += s[K.P_PA] * d0 + s[K.P_VA] * b1 + s[K.P_AA] * b2


@njit(cache=True)
def _slopes(
    t_ns: NDArray[np.int64], codes: NDArray[np.int64], speed: NDArray[np.float64], tau_s: float
) -> NDArray[np.float64]:
    """Runs the poles over `speed` (in place) within each track; (n,) its slope by central
    difference, one-sided at the ends of a track."""
    slope = np.zeros(t_ns.shape[0])
    rows = np.flatnonzero((codes == K.STEP_OK) | (codes == K.STEP_RESET))
    first = 0
    for place in range(1, rows.shape[0] + 1):
        if place < rows.shape[0] and codes[rows[place]] != K.STEP_RESET:
            continue
        track = rows[first:place]
        for n in range(1, track.shape[0]):
            _pole(t_ns, speed, track[n - 1], track[n], tau_s)
        for n in range(track.shape[0] - 2, -1, -1):
            _pole(t_ns, speed, track[n + 1], track[n], tau_s)
        for n in range(track.shape[0]):
            before, after = track[max(n - 1, 0)], track[min(n + 1, track.shape[0] - 1)]
            if t_ns[after] > t_ns[before]:
                rise = speed[after] - speed[before]
                slope[track[n]] = rise / ((t_ns[after] - t_ns[before]) * 1e-9)
        first = place
    return slope


@njit(cache=True)
def _pole(
    t_ns: NDArray[np.int64], speed: NDArray[np.float64], known: int, row: int, tau_s: float
) -> None:
    share = 1.0 - exp(-abs(t_ns[row] - t_ns[known]) * 1e-9 / tau_s)
    speed[row] = speed[known] + share * (speed[row] - speed[known])
