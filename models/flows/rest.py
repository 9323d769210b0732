"""Rest: whose state rows are a second apart, as the records of a call say."""

from array import array
from collections.abc import Sequence
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.columns import frozen
from models.flows.tables import Rest
from models.telemetry.record import TelemetryRecord

NO_REST: Final = Rest(frozen(np.empty(0, np.int64)), frozen(np.empty((0, 0), np.uint8)))
MOST_MARKED: Final = 256


class RestReader:
    """Reads who is at rest, for a roster of so many `subjects`. It remembers the last sets, for
    they stay the same over many records; results do not depend on it."""

    def __init__(self, subjects: int) -> None:
        self._subjects = subjects
        self._marked: dict[bytes, bytes] = {}

    def read(self, records: Sequence[TelemetryRecord]) -> Rest:
        """Who is at rest in which of consecutive `records`."""
        if not any(len(record.flows.rest) for record in records):
            return NO_REST
        mine = b"".join([self._marks(record.flows.rest) for record in records])
        ends = array("q", [record.t_to_ns for record in records])
        return Rest(
            frozen(np.frombuffer(ends, np.int64)),
            np.frombuffer(mine, np.uint8).reshape(len(records), self._subjects),
        )

    def _marks(self, rest: NDArray[np.int32]) -> bytes:
        """A byte for each subject; rows that the roster does not have are passed over."""
        key = rest.tobytes()
        found = self._marked.get(key)
        if found is None:
            marks = np.zeros(self._subjects, np.uint8)
            marks[rest[(rest >= 0) & (rest < self._subjects)]] = 1
            if len(self._marked) >= MOST_MARKED:
                self._marked.clear()
            found = self._marked[key] = marks.tobytes()
        return found


@njit(cache=True, forceinline=True)
def at_rest(rest: Rest, s: int, t_ns: int) -> bool:
    """Whether subject `s` is at rest in the record that ends at `t_ns` or goes on over it."""
    for n in range(rest.to_ns.shape[0]):
        if t_ns <= rest.to_ns[n]:
            return bool(rest.mine[n, s] != 0)
    return False
