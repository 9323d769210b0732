"""EdgeState: everything that the edge kernel remembers about devices and subjects, as arrays.

Bytes per device row are bounded and stated by `device_bytes`; nothing here grows with time. Reorder
buffer and pre-roll hold rows, not state, and belong to the kernel.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.edge.cells import TRACK_WIDTH, OpenSecond, open_second
from models.edge.inertial import new_inertial
from models.edge.intensity import new_flows
from models.edge.movement import new_movement
from models.edge.positions import new_positions
from models.edge.scalars import new_scalars
from models.edge.sequence import new_counters
from models.edge.standing import new_orders
from models.edge.tables import KIND_LIST, Tables
from models.edge.thinning import new_thinning
from models.edge.timeline import new_timeline
from models.edge.truth import new_truth
from models.edge.vitals import new_vitals
from models.signal.clock import new_clocks, saved_clocks
from models.telemetry.reasons import Reason

IN, FORWARDED, THINNED, PRE_ROLL = range(4)
FIRST_REASON: Final = 4
TALLY_WIDTH: Final = FIRST_REASON + len(Reason)
_GROUPS: Final = (
    "counters", "inertial", "positions", "scalars", "vitals", "timeline", "flows", "truth", "thin",
    "open", "orders",
)
_SINGLES: Final = ("clocks", "track", "movement", "tallies")


class EdgeState:
    """One row per roster device or subject in every array; `tallies` (kinds, TALLY_WIDTH) int64."""

    def __init__(self, tables: Tables) -> None:
        devices, subjects, groups = tables.device_n, tables.subject_n, len(tables.groups)
        self.counters = new_counters(devices, tables.bit_words)
        self.clocks = new_clocks(devices)
        self.track = np.zeros((devices, TRACK_WIDTH), np.int64)
        self.inertial = new_inertial(devices)
        self.positions = new_positions(devices)
        self.scalars = new_scalars(devices)
        self.movement = new_movement(subjects)
        self.vitals = new_vitals(devices, groups)
        self.timeline = new_timeline(devices, subjects)
        self.flows = new_flows(subjects)
        self.truth = new_truth(devices, subjects)
        self.thin = new_thinning(devices)
        self.orders = new_orders(devices, subjects)
        self.open: OpenSecond = open_second(devices, subjects, groups)
        self.tallies = np.zeros((len(KIND_LIST), TALLY_WIDTH), np.int64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, for a snapshot."""
        return dict(self._named())

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over the arrays of a snapshot. Raises KeyError or ValueError if they do not fit."""
        for name, mine in self._named():
            if name.startswith("orders.") and name not in arrays:
                continue  # made before there were orders
            theirs = saved_clocks(arrays[name]) if name == "clocks" else arrays[name]
            if theirs.shape != mine.shape or theirs.dtype != mine.dtype:
                raise ValueError(f"{name}: {theirs.dtype} {theirs.shape} for {mine.shape}")
            mine[...] = theirs

    def device_bytes(self) -> int:
        """Bytes of state per roster device, on average, subjects included."""
        total = sum(array.nbytes for _, array in self._named())
        return total // max(len(self.track), 1)

    def _named(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for name in _SINGLES:
            yield name, getattr(self, name)
        for name in _GROUPS:
            group = getattr(self, name)
            for part, array in zip(group._fields, group, strict=True):
                yield f"{name}.{part}", array
