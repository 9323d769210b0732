"""Heel strikes and toe-offs from a sensor on the foot: rotation about the foot's own pitch axis.

In stance the foot is at rest; it tips forward over the toes (push-off), swings through the other
way, and turns back when it lands. The zeros of that pitch rate are toe-off and heel strike. The
axis and its sense are learnt from the push-offs, so no mounting is assumed: `AXIS` is the
forgetting sum of the rotation vectors of recent push-offs, and a full turn against it from rest
says that it was learnt upside down.

Input is filtered at 12 Hz on 10 ms cell means, so any sensor rate is the same to it. State:
`FOOT_F` float64 from column `o` of `f`, `FOOT_I` int64 from column `q` of `i`; zeros first.
"""

from math import sqrt
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.signal.cell_means import (
    CELL_HZ,
    CELL_I,
    CELL_NS,
    CELL_S,
    OLD,
    STARTS,
    T_CELL,
    begin_sample,
    next_mean,
)
from models.signal.player_load import GRAVITY_MPS2
from models.signal.sections import low_pass, section_settle, section_step

SMOOTH: Final = low_pass(12.0, CELL_HZ)
REST_RADPS: Final = 0.8
REST_CELLS: Final = 10
PUSH_RAD: Final = 0.1
"""Least tipping about the axis before its reversal counts as toe-off."""
CONTRARY_RAD: Final = 0.4
SWING_RAD: Final = 0.2
SWING_NS: Final = (150_000_000, 1_000_000_000)
STRIKE_GAP_NS: Final = 350_000_000
SETTLE_CELLS: Final = 10
LAND_CELLS: Final = 15
KEEP: Final = 0.8
TOE_LAG_NS: Final = 60_000_000
"""The rotation turns round so long after the toe has left the ground (with the filter's delay)."""
STRIKE_LEAD_NS: Final = 12_000_000
"""And so long before the heel strikes, the filter's delay of about 19 ms included."""
STRUCK, LANDED = 1, 2

_CHANNELS: Final = 4
_Z: Final = 0
RATE: Final = 6
AXIS: Final = 9
_PUSH: Final = 12
_UNIT: Final = 15
_ANGLE, _AREA, IMPULSE = 18, 19, 20
_CELLS: Final = 21
_X: Final = _CELLS + 2 * _CHANNELS
_MEAN: Final = _CELLS + 3 * _CHANNELS
FOOT_F: Final = _CELLS + 4 * _CHANNELS
MODE, _REST_N, _RESTED, _T_TURN, T_TOE, T_STRIKE, T_BEFORE, SEEN, _LAND_N = range(9)
_CELLS_I: Final = 9
FOOT_I: Final = _CELLS_I + CELL_I
STANCE, SWING, SETTLING = range(3)


@njit(cache=True)
def foot_step(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, t_ns: int,
    x_radps: float, y_radps: float, z_radps: float, size_mps2: float,
) -> int:
    """Take one sample: rotation, and |a| with gravity. Returns bits: STRUCK when a heel strike is
    certain (T_STRIKE, T_TOE of the swing before it, T_BEFORE the strike before; SEEN counts
    strikes), LANDED when IMPULSE holds its landing: the integral of |a| above g over 0.15 s, m/s.
    Samples without rotation, or not newer than the last one, are left out."""
    if x_radps != x_radps or y_radps != y_radps or z_radps != z_radps:
        return 0
    at = o + _X
    f[at], f[at + 1], f[at + 2], f[at + 3] = x_radps, y_radps, z_radps, size_mps2
    how = begin_sample(f, o + _CELLS, i, q + _CELLS_I, _CHANNELS, t_ns)
    if how == OLD:
        return 0
    if how == STARTS:
        for c in range(3):
            f[o + RATE + c] = section_settle(SMOOTH, f, o + _Z + 2 * c, f[at + c])
        i[q + MODE] = STANCE
        i[q + _LAND_N] = 0
        _rest(f, o, i, q)
        return 0
    found = 0
    while next_mean(f, o + _CELLS, i, q + _CELLS_I, _CHANNELS, t_ns):
        found |= _cell(f, o, i, q, i[q + _CELLS_I + T_CELL] - CELL_NS // 2)
    return found


@njit(cache=True)
def _rest(f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int) -> None:
    """The next push-off begins here."""
    i[q + _REST_N] = 0
    i[q + _RESTED] = 0
    for c in range(3):
        f[o + _PUSH + c] = 0.0


@njit(cache=True)
def _cell(f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, t_ns: int) -> int:
    """One cell centred at `t_ns`: landing, filter, then the phase that the foot is in."""
    found = 0
    if i[q + _LAND_N] > 0:
        f[o + _AREA] += max(f[o + _MEAN + 3] - GRAVITY_MPS2, 0.0) * CELL_S
        i[q + _LAND_N] -= 1
        if i[q + _LAND_N] == 0:
            f[o + IMPULSE] = f[o + _AREA]
            found = LANDED
    x0, y0, z0 = f[o + RATE], f[o + RATE + 1], f[o + RATE + 2]
    for c in range(3):
        f[o + RATE + c] = section_step(SMOOTH, f, o + _Z + 2 * c, f[o + _MEAN + c])
    x, y, z = f[o + RATE], f[o + RATE + 1], f[o + RATE + 2]
    quiet = x * x + y * y + z * z < REST_RADPS * REST_RADPS
    i[q + _REST_N] = i[q + _REST_N] + 1 if quiet else 0
    if i[q + MODE] == SETTLING:
        if i[q + _REST_N] >= REST_CELLS or t_ns - i[q + _T_TURN] > SETTLE_CELLS * CELL_NS:
            i[q + MODE] = STANCE
            _rest(f, o, i, q)
        return found
    if i[q + MODE] == STANCE:
        _tip(f, o, i, q, t_ns, x0, y0, z0)
    if i[q + MODE] == SWING and _swing(f, o, i, q, t_ns, x0, y0, z0):
        found |= STRUCK
    return found


@njit(cache=True)
def _tip(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, t_ns: int,
    x0: float, y0: float, z0: float,
) -> None:
    """Stance and push-off: sum the rotation since rest; when it turns round, the swing begins."""
    if i[q + _REST_N] >= REST_CELLS:
        i[q + _RESTED] = 1
        for c in range(3):
            f[o + _PUSH + c] = 0.0
    for c in range(3):
        f[o + _PUSH + c] += f[o + RATE + c] * CELL_S
        f[o + _UNIT + c] = f[o + AXIS + c] + f[o + _PUSH + c]
    ux, uy, uz = f[o + _UNIT], f[o + _UNIT + 1], f[o + _UNIT + 2]
    size = sqrt(ux * ux + uy * uy + uz * uz)
    if size <= 0.0:
        return
    ux, uy, uz = ux / size, uy / size, uz / size
    f[o + _UNIT], f[o + _UNIT + 1], f[o + _UNIT + 2] = ux, uy, uz
    tipped = f[o + _PUSH] * ux + f[o + _PUSH + 1] * uy + f[o + _PUSH + 2] * uz
    if i[q + _RESTED] == 0 and tipped < 0.0:
        # Not from rest: the end of a swing that was not seen to begin.
        for c in range(3):
            f[o + _PUSH + c] = 0.0
    elif tipped < -CONTRARY_RAD:
        for c in range(3):
            f[o + AXIS + c] = 0.0
    now = f[o + RATE] * ux + f[o + RATE + 1] * uy + f[o + RATE + 2] * uz
    before = x0 * ux + y0 * uy + z0 * uz
    if now < 0.0 <= before and tipped >= PUSH_RAD:
        i[q + _T_TURN] = t_ns - int(now / (now - before) * CELL_NS)
        i[q + MODE] = SWING
        i[q + _REST_N] = 0
        f[o + _ANGLE] = 0.0


@njit(cache=True)
def _swing(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, t_ns: int,
    x0: float, y0: float, z0: float,
) -> bool:
    """The foot swings through; True when it has turned back and so has struck the ground."""
    ux, uy, uz = f[o + _UNIT], f[o + _UNIT + 1], f[o + _UNIT + 2]
    now = f[o + RATE] * ux + f[o + RATE + 1] * uy + f[o + RATE + 2] * uz
    before = x0 * ux + y0 * uy + z0 * uz
    f[o + _ANGLE] -= now * CELL_S
    since_ns = t_ns - i[q + _T_TURN]
    if f[o + _ANGLE] < 0.0:
        # It was a waver within the push-off, which goes on.
        i[q + MODE] = STANCE
        for c in range(3):
            f[o + _PUSH + c] += f[o + RATE + c] * CELL_S
        return False
    if since_ns > SWING_NS[1] or i[q + _REST_N] >= REST_CELLS:
        # A foot in the air does not rest: it stands, and the landing was not seen.
        i[q + MODE] = STANCE
        _rest(f, o, i, q)
        return False
    turned = before < 0.0 <= now
    if not turned or since_ns < SWING_NS[0] or f[o + _ANGLE] < SWING_RAD:
        return False
    return _strike(f, o, i, q, t_ns - int(now / (now - before) * CELL_NS))


@njit(cache=True)
def _strike(
    f: NDArray[np.float64], o: int, i: NDArray[np.int64], q: int, turn_ns: int
) -> bool:
    """The rotation turned back at `turn_ns`: note the strike, learn the axis from its push-off."""
    strike_ns = turn_ns + STRIKE_LEAD_NS
    toe_ns = i[q + _T_TURN] - TOE_LAG_NS
    i[q + MODE] = SETTLING
    i[q + _T_TURN] = turn_ns
    if i[q + SEEN] > 0 and strike_ns - i[q + T_STRIKE] < STRIKE_GAP_NS:
        _rest(f, o, i, q)
        return False
    i[q + T_BEFORE] = i[q + T_STRIKE]
    i[q + T_STRIKE] = strike_ns
    i[q + T_TOE] = toe_ns
    i[q + SEEN] += 1
    i[q + _LAND_N] = LAND_CELLS
    f[o + _AREA] = 0.0
    for c in range(3):
        f[o + AXIS + c] = KEEP * f[o + AXIS + c] + f[o + _PUSH + c]
    _rest(f, o, i, q)
    return True
