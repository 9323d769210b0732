"""The course of all persons of a match: every accepted position with its zero-phase estimate.

A match is smoothed whole, because a backward pass needs the end first; it is handed to the flow
kernel in slices of time, so that only positions, and not the motion rows, must be in memory whole.
"""

import numpy as np
from numpy.typing import NDArray

from models.flows.arrange import positions_of
from models.flows.limits import Limits
from models.flows.subjects import DeviceMap
from models.flows.tables import GIVEN_WIDTH, Positions
from models.recompute.smoother import smooth_person
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import Kind
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Roster


class Course:
    """Positions of one match in (subject, time) order, as they came or `smoothed`."""

    def __init__(self, positions: Positions) -> None:
        self.positions = positions

    @staticmethod
    def of(roster: Roster, blocks: dict[Kind, SampleBlock]) -> "Course":
        """As they came. `blocks` hold all position rows, in (device, boot, seq) order, each
        once."""
        devices, count = DeviceMap(roster), len(roster.subjects)
        record = TelemetryRecord(roster.venue_id, roster.match_id, 0, 0, 0, blocks)
        return Course(positions_of([record], devices, count))

    def smoothed(self, limits: Limits) -> "Course":
        """With zero-phase estimates, each person with the own `limits`."""
        return Course(_smoothed(self.positions, limits))

    def between(self, since_ns: int, until_ns: int) -> Positions:
        """The rows with since_ns <= t < until_ns, as the flow kernel takes them."""
        pos = self.positions
        parts, begin = [], np.zeros(len(pos.begin), np.int64)
        for s in range(len(pos.begin) - 1):
            first, last = int(pos.begin[s]), int(pos.begin[s + 1])
            inside = np.searchsorted(pos.t_ns[first:last], (since_ns, until_ns)) + first
            parts.append(np.arange(inside[0], inside[1]))
            begin[s + 1] = begin[s] + inside[1] - inside[0]
        rows = np.concatenate(parts) if parts else np.empty(0, np.int64)
        given = np.ascontiguousarray(pos.given[:, rows]) if pos.given.shape[1] else pos.given
        return Positions(
            pos.t_ns[rows], pos.x_m[rows], pos.y_m[rows], pos.r_m[rows], pos.doppler_mps[rows],
            pos.rank[rows], begin, given,
        )


def _smoothed(pos: Positions, limits: Limits) -> Positions:
    n = len(pos.t_ns)
    x_m, y_m = np.empty(n, np.float32), np.empty(n, np.float32)
    given: NDArray[np.float32] = np.full((GIVEN_WIDTH, n), np.nan, np.float32)
    for s in range(len(pos.begin) - 1):
        config = limits.configs[s]
        smooth_person(
            pos, s, config.accel_tau_s, config.max_speed_mps, config.max_accel_mps2, x_m, y_m, given
        )
    return pos._replace(x_m=x_m, y_m=y_m, given=given)
