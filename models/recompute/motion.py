"""PlayerLoad once more over all motion rows of a match, those that came late included.

The edge's sums leave out what was not there in time. State is one row per roster device; rows of a
device are taken in order of time, so that any cut of the match gives the same sums.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.columns import frozen
from models.signal.player_load import FLAT, load_merge, load_step, low_passes, new_load
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Roster

_NAMES = KINDS[Kind.IMU].names
_LOAD_AT, _FLAT_AT = _NAMES.index("load_au"), _NAMES.index("load_flat_au")


class LoadAgain:
    """`handle(block)` gives the block in (device, time) order with `load_au` and `load_flat_au`."""

    def __init__(self, roster: Roster) -> None:
        count = len(roster.devices)
        rates = [max(device.rate_hz, 1.0) for device in roster.devices]
        merge = [load_merge(rate) for rate in rates]
        self._rates = frozen(np.array(rates, np.float64))
        self._merge = frozen(np.array(merge, np.int64))
        self._sections = low_passes(rates, merge)
        self._load, self._z = new_load(count)
        self._newest_ns = np.full(count, -(2**62), np.int64)

    def handle(self, block: SampleBlock) -> SampleBlock:
        """The next rows of every device, in any order among each other."""
        ordered = block.take(np.lexsort((block.seq, block.boot, block.t_event_ns, block.device)))
        _add(
            frozen(ordered.device), frozen(ordered.t_event_ns), ordered.values, self._merge,
            self._rates, self._sections, self._load, self._z, self._newest_ns,
        )
        return ordered


@njit(cache=True)
def _add(
    device: NDArray[np.int32], t_ns: NDArray[np.int64], values: NDArray[np.float32],
    merge: NDArray[np.int64], rates: NDArray[np.float64], sections: NDArray[np.float64],
    load: NDArray[np.float64], z: NDArray[np.float64], newest_ns: NDArray[np.int64],
) -> None:
    for n in range(device.shape[0]):
        row = device[n]
        if row < 0:
            continue
        values[_LOAD_AT, n] = load_step(
            load, z, sections, row, merge[row], t_ns[n] - newest_ns[row],
            np.float64(values[0, n]), np.float64(values[1, n]), np.float64(values[2, n]),
            rates[row],
        )
        values[_FLAT_AT, n] = load[row, FLAT]
        newest_ns[row] = t_ns[n]
