"""One position of a person whose speed and acceleration are known already: a recomputation's row.

Owns only how such a row enters the state; all that follows from speed and acceleration is what the
live path does with them.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.config import FlowConfig
from models.flows.person_position import go_on, start_track
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


@njit(cache=True)
def take_given(
    f: NDArray[np.float64], i: NDArray[np.int64], k: NDArray[np.float64], bins: NDArray[np.float64],
    p: NDArray[np.float64], cfg: FlowConfig, t_ns: int, pos: Positions, row: int,
) -> int:
    """Take row `row` of `pos` with what is `given` of it; returns what `take_position` does. f, i,
    k and bins are the flow's own rows."""
    code = int(pos.given[G_CODE, row])
    if code == K.STEP_GATED:
        i[L.GATED_N] += 1
    if code != K.STEP_OK and code != K.STEP_RESET:
        return 0
    k[K.X], k[K.Y] = np.float64(pos.x_m[row]), np.float64(pos.y_m[row])
    k[K.VX], k[K.VY] = np.float64(pos.given[G_VX, row]), np.float64(pos.given[G_VY, row])
    speed = np.float64(pos.given[G_SPEED, row])
    dt_s = (t_ns - i[L.T_POS]) * 1e-9
    i[L.T_POS] = t_ns
    i[L.POS_RANK] = pos.rank[row]
    if code == K.STEP_RESET:
        return start_track(f, i, t_ns, speed)
    if dt_s <= 0.0:
        return 0
    f[L.LAG1] = f[L.LAG2] = np.float64(pos.given[G_LAGGED, row])
    f[L.ACCEL] = np.float64(pos.given[G_ACCEL, row])
    return go_on(f, i, k, bins, p, cfg, t_ns, dt_s, speed)
