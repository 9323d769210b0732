"""Hits of the ball, as the DEBS 2013 challenge defines them: a player's sensor within a metre of
the ball, and the ball accelerated by 55 m/s^2 or more.

The ball's acceleration comes from its own sensor where it has one. From positions it is a change of
velocity between two spans of 80 ms (`models.flows.ball_track`): 4.4 m/s there is 55 m/s^2.
"""

from math import hypot
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.analyses.samples import BALL, KNOCK, PERSON, Samples
from models.flows import layout as L  # noqa: N812
from models.flows.ball_track import REFUSED, known_z, open_up, touch_change, track_step
from models.metrics.goal import BALL_RADIUS_M

HIT_MPS2: Final = 55.0
REACH_M: Final = 1.0
REACH_Z_M: Final = 2.5
SPAN_NS: Final = 80_000_000
SENSED_NS: Final = 1_000_000_000
SEEN_NS: Final = 500_000_000
KNOCK_GAP_NS: Final = 80_000_000
REPEAT_NS: Final = 300_000_000
SAME_CHANGE_NS: Final = 160_000_000
BALL_R_M: Final = 0.10
T_HIT, HITTER, T_KNOCK = range(3)
NOBODY: Final = -1
NO_FIX: Final = -2


class Watch(NamedTuple):
    """What is remembered of ball and players. f (FLOATS,), i (INTS,): the ball's track, laid out as
    in the flow kernel; place (D, 2), seen (D,): where every person's sensor was last; last (3,):
    time of the last hit, its player, time of the last knock."""

    f: NDArray[np.float64]
    i: NDArray[np.int64]
    place: NDArray[np.float64]
    seen: NDArray[np.int64]
    last: NDArray[np.int64]


def new_watch(devices: int) -> Watch:
    """Nothing seen yet."""
    i = np.zeros(L.INTS, np.int64)
    i[[L.KT_POS, L.KT_IMU]] = L.NONE_NS
    return Watch(
        np.zeros(L.FLOATS), i, np.zeros((devices, 2)), np.full(devices, L.NONE_NS, np.int64),
        np.array([L.NONE_NS, NOBODY, L.NONE_NS], np.int64),
    )


@njit(cache=True)
def watch_row(
    watch: Watch, rows: Samples, row: int, owner: NDArray[np.int64], plays: NDArray[np.int64],
    reach_m: float,
) -> int:
    """Take one row. The player (roster row) who hits the ball with it, NOBODY when nobody does, or
    NO_FIX when the row is a position of the ball that is impossible. owner (D,) roster row of each
    device's wearer, plays (S,) 1 for players."""
    t_ns, what, device = rows.t_ns[row], rows.what[row], rows.device[row]
    if what == PERSON:
        if plays[rows.subject[row]] == 1:
            watch.place[device, 0], watch.place[device, 1] = rows.x_m[row], rows.y_m[row]
            watch.seen[device] = t_ns
        return NOBODY
    f, i, last = watch.f, watch.i, watch.last
    if what == KNOCK:
        i[L.KT_IMU] = t_ns
        gap = t_ns - last[T_KNOCK]
        if not rows.accel_mps2[row] >= HIT_MPS2:
            return NOBODY
        last[T_KNOCK] = t_ns
        if gap < KNOCK_GAP_NS or t_ns - i[L.KT_POS] > SENSED_NS:
            return NOBODY
        open_up(f)
        return _hit(watch, t_ns, who_is_near(watch, owner, t_ns, reach_m))
    z = known_z(rows.z_m[row], BALL_RADIUS_M)
    if track_step(f, i, t_ns, rows.x_m[row], rows.y_m[row], z, BALL_R_M) == REFUSED:
        return NO_FIX
    if t_ns - i[L.KT_IMU] <= SENSED_NS:
        return NOBODY
    if touch_change(f, i, SPAN_NS) < HIT_MPS2 * SPAN_NS * 1e-9:
        return NOBODY
    who = who_is_near(watch, owner, t_ns, reach_m)
    wait = REPEAT_NS if who == last[HITTER] else SAME_CHANGE_NS
    if t_ns - last[T_HIT] < wait:
        return NOBODY
    return _hit(watch, t_ns, who)


@njit(cache=True)
def _hit(watch: Watch, t_ns: int, who: int) -> int:
    if who >= 0:
        watch.last[T_HIT], watch.last[HITTER] = t_ns, who
    return who


@njit(cache=True)
def who_is_near(watch: Watch, owner: NDArray[np.int64], t_ns: int, reach_m: float) -> int:
    """The player with the sensor nearest to the ball within `reach_m`, or NOBODY; on the ground
    plan, for a ball that is not above reach."""
    f = watch.f
    if f[L.K_OLD_Z] > REACH_Z_M:
        return NOBODY
    best, best_m = NOBODY, reach_m
    for device in range(watch.seen.shape[0]):
        if t_ns - watch.seen[device] <= SEEN_NS:
            metres = hypot(
                watch.place[device, 0] - f[L.K_OLD_X], watch.place[device, 1] - f[L.K_OLD_Y]
            )
            if metres <= best_m:
                best, best_m = owner[device], metres
    return int(best)


@njit(cache=True)
def is_ball(rows: Samples, row: int) -> bool:
    """Whether a row is a position of the ball."""
    return bool(rows.what[row] == BALL)
