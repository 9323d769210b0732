"""From records to sample tables: rows of all records of a call, by subject and then by event time.

Because records are complete in event time, ordering by (subject, time) gives one order of rows for
every way of cutting the stream. Rows of a stuck sensor and of devices without a flow are left out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.columns import frozen
from models.flows.subjects import DeviceMap
from models.flows.tables import (
    GIVEN_WIDTH,
    Boots,
    Fixes,
    Hearts,
    Knocks,
    Motions,
    Positions,
)
from models.signal.position_noise import (
    GNSS_LEAST_M,
    GNSS_M,
    GNSS_MOST_M,
    GNSS_PER_HDOP_M,
    LPS_M,
    LPS_MOST_M,
)
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.record import TelemetryRecord

NLOS_FACTOR = 3.0
STUCK = int(Flag.STUCK)


@njit(cache=True)
def group_rows(
    device: NDArray[np.int32], flags: NDArray[np.uint32], t_ns: NDArray[np.int64],
    subject_of: NDArray[np.int32], begin: NDArray[np.int64], order: NDArray[np.int64],
    stuck: int,
) -> int:
    """Counting sort of rows by subject: fills begin (S + 1,) and order (n,), keeps the row order.

    Returns 0 when the order is every row as it stands, 1 when rows must be gathered, 2 when times
    within a subject are not ascending yet. begin[-1] is the number of rows kept.
    """
    begin[:] = 0
    for row in range(device.shape[0]):
        owner = subject_of[device[row]] if device[row] >= 0 else -1
        if owner >= 0 and flags[row] & stuck == 0:
            begin[owner + 1] += 1
    for s in range(1, begin.shape[0]):
        begin[s] += begin[s - 1]
    code = 0 if begin[-1] == device.shape[0] else 1
    fill = begin[:-1].copy()
    for row in range(device.shape[0]):
        owner = subject_of[device[row]] if device[row] >= 0 else -1
        if owner < 0 or flags[row] & stuck != 0:
            continue
        place = fill[owner]
        if place > begin[owner] and t_ns[order[place - 1]] > t_ns[row]:
            code = 2
        order[place] = row
        fill[owner] = place + 1
        if code == 0 and place != row:
            code = 1
    return code


class Gatherer:
    """Rows of one call of the given kinds, in table order; columns are fetched by channel name.

    `sizes` (kinds,) rows per kind, kinds one after the other before ordering.
    """

    def __init__(
        self, records: Sequence[TelemetryRecord], kinds: Sequence[Kind], devices: DeviceMap,
        subjects: int,
    ) -> None:
        self.kinds = kinds
        lists = [[r.blocks[k] for r in records if k in r.blocks] for k in kinds]
        blocks = [block for found in lists for block in found]
        self.sizes = [sum(len(block) for block in found) for found in lists]
        self.values = [_joined([b.values for b in found], np.float32, 1) for found in lists]
        self.device = _joined([b.device for b in blocks], np.int32)
        t_ns = _joined([b.t_event_ns for b in blocks], np.int64)
        flags = _joined([b.flags for b in blocks], np.uint32)
        begin = np.zeros(subjects + 1, np.int64)
        order = np.empty(self.device.shape[0], np.int64)
        code = group_rows(
            frozen(self.device, np.int32), frozen(flags, np.uint32), frozen(t_ns, np.int64),
            devices.subject, begin, order, STUCK,
        )
        order = order[: begin[-1]]
        if code == 2:
            owner = devices.subject[self.device[order]]
            order = order[np.lexsort((t_ns[order], owner))]
        self.order: NDArray[np.int64] | None = order if code else None
        self.t_ns = self.ordered(t_ns)
        self.begin = frozen(begin)

    def ordered(self, column: NDArray[Any]) -> NDArray[Any]:
        """A joined column in table order, frozen."""
        return frozen(column if self.order is None else column[self.order])

    def channel(self, name: str) -> NDArray[np.float32]:
        """Channel `name` of all rows before ordering, NaN where the kind has no such channel."""
        parts = []
        for kind, size, values in zip(self.kinds, self.sizes, self.values, strict=True):
            names = KINDS[kind].names
            if size and name in names:
                parts.append(values[names.index(name)])
            elif size:
                parts.append(np.full(size, np.nan, np.float32))
        return _joined(parts, np.float32)


def _joined(parts: list[NDArray[Any]], dtype: type[np.generic], axis: int = 0) -> NDArray[Any]:
    if not parts:
        return np.empty(0, dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


def positions_of(
    records: Sequence[TelemetryRecord], devices: DeviceMap, subjects: int
) -> Positions:
    """Positions of persons from every source; `r_m` from what the sensor says of its own error."""
    rows = Gatherer(records, (Kind.LPS, Kind.GNSS), devices, subjects)
    local = np.clip(rows.channel("residual_m"), LPS_M, LPS_MOST_M)
    local = np.where(rows.channel("nlos_p") > 0.5, local * NLOS_FACTOR, local)
    r_m = np.where(np.isnan(local), np.float32(LPS_M), local)
    if rows.sizes[1]:
        distant = rows.channel("hdop") * np.float32(GNSS_PER_HDOP_M)
        distant = np.clip(distant, GNSS_LEAST_M, GNSS_MOST_M)
        distant = np.where(np.isnan(distant), np.float32(GNSS_M), distant)
        r_m = np.where(np.arange(len(r_m)) >= rows.sizes[0], distant, r_m)
    return Positions(
        rows.t_ns, rows.ordered(rows.channel("pos_x_m")), rows.ordered(rows.channel("pos_y_m")),
        rows.ordered(r_m.astype(np.float32)), rows.ordered(rows.channel("speed_dop_mps")),
        rows.ordered(devices.rank[rows.device]), rows.begin,
        frozen(np.empty((GIVEN_WIDTH, 0), np.float32)),
    )


def motions_of(records: Sequence[TelemetryRecord], devices: DeviceMap, subjects: int) -> Motions:
    """Motion rows of persons."""
    rows = Gatherer(records, (Kind.IMU,), devices, subjects)
    names = KINDS[Kind.IMU].names
    wanted = [*range(6), names.index("load_au"), names.index("peak_mps2")]
    wanted.append(names.index("load_flat_au"))
    values = np.empty((len(wanted), len(rows.t_ns)), np.float32)
    for at, channel in enumerate(wanted):
        if rows.sizes[0]:
            column = rows.values[0][channel]
            values[at] = column if rows.order is None else column[rows.order]
    return Motions(rows.t_ns, frozen(values), rows.begin)


def hearts_of(records: Sequence[TelemetryRecord], devices: DeviceMap, subjects: int) -> Hearts:
    """Heart rates; 0 (no rate) while the strap says that it has no contact."""
    rows = Gatherer(records, (Kind.HEART,), devices, subjects)
    rate = np.where(rows.channel("contact") < 0.5, np.float32(0.0), rows.channel("hr_bpm"))
    return Hearts(
        rows.t_ns, rows.ordered(rate.astype(np.float32)), rows.begin,
        rows.ordered(rows.channel("rr_ms")),
    )


def boots_of(records: Sequence[TelemetryRecord], devices: DeviceMap, subjects: int) -> Boots:
    """Foot sensors of persons."""
    rows = Gatherer(records, (Kind.BOOT,), devices, subjects)
    values = np.empty((6, len(rows.t_ns)), np.float32)
    if rows.sizes[0]:
        for channel in range(6):
            values[channel] = rows.ordered(rows.values[0][channel])
    side = rows.ordered(devices.side[rows.device])
    return Boots(rows.t_ns, frozen(values), side, rows.begin)


def fixes_of(records: Sequence[TelemetryRecord], devices: DeviceMap, subjects: int) -> Fixes:
    """Ball positions."""
    rows = Gatherer(records, (Kind.BALL_POS,), devices, subjects)
    x, y, z = (rows.ordered(rows.channel(f"pos_{axis}_m")) for axis in "xyz")
    in_play, spin = (rows.ordered(rows.channel(name)) for name in ("in_play", "spin_radps"))
    return Fixes(rows.t_ns, x, y, z, in_play, rows.begin, spin)


def knocks_of(records: Sequence[TelemetryRecord], devices: DeviceMap, subjects: int) -> Knocks:
    """The ball's own sensor."""
    rows = Gatherer(records, (Kind.BALL_IMU,), devices, subjects)
    x, y, z = (rows.channel(f"acc_{axis}_mps2") for axis in "xyz")
    size = np.fmax(np.sqrt(x * x + y * y + z * z), rows.channel("peak_mps2"))
    return Knocks(
        rows.t_ns, rows.ordered(size.astype(np.float32)), rows.ordered(rows.channel("clip")),
        rows.begin,
    )
