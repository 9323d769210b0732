"""From the rows of a call to sample tables: by subject and then by event time.

Because records are complete in event time, ordering by (subject, time) gives one order of rows for
every way of cutting the stream. Rows of a stuck sensor and of devices without a flow are left out.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows.inputs import CODES, Gatherer
from models.flows.subjects import DeviceMap
from models.flows.tables import (
    GIVEN_WIDTH,
    P_COUNT,
    P_DEVICE,
    P_FLAGS,
    P_KIND,
    P_MAP,
    P_MAP_N,
    P_STRIDE,
    P_TIME,
    P_VALUES,
    Boots,
    Fixes,
    Hearts,
    Knocks,
    Motions,
    Places,
    Positions,
    Rows,
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
from models.telemetry.kinds import Kind
from models.telemetry.record import TelemetryRecord

K_LPS: Final = CODES[Kind.LPS]
K_GNSS: Final = CODES[Kind.GNSS]
K_IMU: Final = CODES[Kind.IMU]
K_HEART: Final = CODES[Kind.HEART]
K_BOOT: Final = CODES[Kind.BOOT]
K_BALL_POS: Final = CODES[Kind.BALL_POS]
K_BALL_IMU: Final = CODES[Kind.BALL_IMU]
NLOS_FACTOR: Final = 3.0
STUCK: Final = int(Flag.STUCK)


class Table(NamedTuple):
    """Rows by (subject, time). t_ns (n,); values (C, n) float32, NaN where the kind has no such
    channel; device (n,) roster row; begin (S + 1,) the rows of each subject."""

    t_ns: NDArray[np.int64]
    values: NDArray[np.float32]
    device: NDArray[np.int64]
    begin: NDArray[np.int64]


@njit(cache=True, forceinline=True)
def _device(rows: Rows, part: int, row: int) -> int:
    number = rows.words[rows.parts[part, P_DEVICE] + row]
    begin = rows.parts[part, P_MAP]
    if begin < 0:
        return int(number)
    if number < 0 or number >= rows.parts[part, P_MAP_N]:
        return -1
    return int(rows.maps[begin + number])


@njit(cache=True, forceinline=True)
def _owner(
    rows: Rows, part: int, row: int, device: int, subject_of: NDArray[np.int32]
) -> int:
    if device < 0 or rows.words[rows.parts[part, P_FLAGS] + row] & STUCK:
        return -1
    return int(subject_of[device])


@njit(cache=True)
def table_of(
    rows: Rows, places: Places, kind: int, subject_of: NDArray[np.int32], subjects: int
) -> Table:
    """Rows of one kind: counting sort by subject, then by time where times are not ascending yet;
    equal times keep their order. subject_of (D,): the subject of each device, -1 where its rows are
    to be left out."""
    parts = rows.parts
    begin = np.zeros(subjects + 1, np.int64)
    for part in range(parts.shape[0]):
        if parts[part, P_KIND] == kind:
            for row in range(parts[part, P_COUNT]):
                owner = _owner(rows, part, row, _device(rows, part, row), subject_of)
                if owner >= 0:
                    begin[owner + 1] += 1
    for s in range(1, subjects + 1):
        begin[s] += begin[s - 1]
    kept = begin[subjects]
    fill, mixed = begin[:-1].copy(), np.zeros(subjects, np.bool_)
    t_ns, device = np.empty(kept, np.int64), np.empty(kept, np.int64)
    first, stride = np.empty(kept, np.int64), np.empty(kept, np.int64)
    for part in range(parts.shape[0]):
        if parts[part, P_KIND] != kind:
            continue
        for row in range(parts[part, P_COUNT]):
            number = _device(rows, part, row)
            owner = _owner(rows, part, row, number, subject_of)
            if owner < 0:
                continue
            at, t = fill[owner], rows.longs[parts[part, P_TIME] + row]
            if at > begin[owner] and t_ns[at - 1] > t:
                mixed[owner] = True
            t_ns[at], device[at] = t, number
            first[at], stride[at] = parts[part, P_VALUES] + row, parts[part, P_STRIDE]
            fill[owner] = at + 1
    for s in range(subjects):
        if mixed[s]:
            mine = slice(begin[s], begin[s + 1])
            turn = np.argsort(t_ns[mine], kind="mergesort")
            t_ns[mine], device[mine] = t_ns[mine][turn], device[mine][turn]
            first[mine], stride[mine] = first[mine][turn], stride[mine][turn]
    return Table(t_ns, _values(rows, places.channels[kind], first, stride), device, begin)


@njit(cache=True, forceinline=True)
def _values(
    rows: Rows, channels: NDArray[np.int64], first: NDArray[np.int64], stride: NDArray[np.int64]
) -> NDArray[np.float32]:
    wanted = 0
    while wanted < channels.shape[0] and channels[wanted] > -2:
        wanted += 1
    values = np.empty((wanted, first.shape[0]), np.float32)
    for c in range(wanted):
        channel = channels[c]
        for at in range(first.shape[0]):
            if channel >= 0:
                values[c, at] = rows.floats[first[at] + channel * stride[at]]
            else:
                values[c, at] = np.nan
    return values


@njit(cache=True)
def _local_noise_m(residual_m: np.float32, nlos_p: np.float32) -> np.float32:
    if np.isnan(residual_m):
        return np.float32(LPS_M)
    r_m = np.float32(min(max(residual_m, np.float32(LPS_M)), np.float32(LPS_MOST_M)))
    return r_m * np.float32(NLOS_FACTOR) if nlos_p > 0.5 else r_m


@njit(cache=True)
def _distant_noise_m(hdop: np.float32) -> np.float32:
    if np.isnan(hdop):
        return np.float32(GNSS_M)
    r_m = hdop * np.float32(GNSS_PER_HDOP_M)
    return np.float32(min(max(r_m, np.float32(GNSS_LEAST_M)), np.float32(GNSS_MOST_M)))


@njit(cache=True)
def _placed(table: Table, rank: NDArray[np.int64], local: bool) -> Positions:
    values = table.values
    n = table.t_ns.shape[0]
    r_m, ranks = np.empty(n, np.float32), np.empty(n, np.int64)
    for at in range(n):
        if local:
            r_m[at] = _local_noise_m(values[3, at], values[4, at])
        else:
            r_m[at] = _distant_noise_m(values[5, at])
        ranks[at] = rank[table.device[at]]
    return Positions(
        table.t_ns, values[0], values[1], r_m, values[2], ranks, table.begin,
        np.empty((GIVEN_WIDTH, 0), np.float32),
    )


@njit(cache=True)
def _copy(source: Positions, row: int, to: Positions, at: int) -> None:
    to.t_ns[at], to.rank[at] = source.t_ns[row], source.rank[row]
    to.x_m[at], to.y_m[at] = source.x_m[row], source.y_m[row]
    to.r_m[at], to.doppler_mps[at] = source.r_m[row], source.doppler_mps[row]


@njit(cache=True)
def _merged(one: Positions, other: Positions) -> Positions:
    """Tables of two kinds as one; at equal times rows of the first go first."""
    n = one.t_ns.shape[0] + other.t_ns.shape[0]
    out = Positions(
        np.empty(n, np.int64), np.empty(n, np.float32), np.empty(n, np.float32),
        np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int64),
        one.begin + other.begin, np.empty((GIVEN_WIDTH, 0), np.float32),
    )
    at = 0
    for s in range(one.begin.shape[0] - 1):
        a, b = one.begin[s], other.begin[s]
        while a < one.begin[s + 1] or b < other.begin[s + 1]:
            first = b >= other.begin[s + 1]
            if not first and a < one.begin[s + 1]:
                first = one.t_ns[a] <= other.t_ns[b]
            if first:
                _copy(one, a, out, at)
                a += 1
            else:
                _copy(other, b, out, at)
                b += 1
            at += 1
    return out


@njit(cache=True)
def positions(
    rows: Rows, places: Places, subject_of: NDArray[np.int32], subjects: int
) -> Positions:
    """Positions of persons from every source; `r_m` from what the sensor says of its own error."""
    local = table_of(rows, places, K_LPS, subject_of, subjects)
    distant = table_of(rows, places, K_GNSS, subject_of, subjects)
    if distant.t_ns.shape[0] == 0:
        return _placed(local, places.rank, True)
    if local.t_ns.shape[0] == 0:
        return _placed(distant, places.rank, False)
    return _merged(_placed(local, places.rank, True), _placed(distant, places.rank, False))


@njit(cache=True)
def motions(
    rows: Rows, places: Places, subject_of: NDArray[np.int32], subjects: int
) -> Motions:
    """Motion rows of persons."""
    table = table_of(rows, places, K_IMU, subject_of, subjects)
    return Motions(table.t_ns, table.values, table.begin)


@njit(cache=True)
def hearts(rows: Rows, places: Places, subject_of: NDArray[np.int32], subjects: int) -> Hearts:
    """Heart rates; 0 (no rate) while the strap says that it has no contact."""
    table = table_of(rows, places, K_HEART, subject_of, subjects)
    hr_bpm, rr_ms, contact = table.values[0], table.values[1], table.values[2]
    for at in range(hr_bpm.shape[0]):
        if contact[at] < 0.5:
            hr_bpm[at] = 0.0
    return Hearts(table.t_ns, hr_bpm, table.begin, rr_ms)


@njit(cache=True)
def boots(rows: Rows, places: Places, subject_of: NDArray[np.int32], subjects: int) -> Boots:
    """Foot sensors of persons."""
    table = table_of(rows, places, K_BOOT, subject_of, subjects)
    side = np.empty(table.device.shape[0], np.int64)
    for at in range(side.shape[0]):
        side[at] = places.side[table.device[at]]
    return Boots(table.t_ns, table.values, side, table.begin)


@njit(cache=True)
def fixes(rows: Rows, places: Places, subject_of: NDArray[np.int32], subjects: int) -> Fixes:
    """Ball positions."""
    table = table_of(rows, places, K_BALL_POS, subject_of, subjects)
    v = table.values
    return Fixes(table.t_ns, v[0], v[1], v[2], v[3], table.begin, v[4])


@njit(cache=True)
def knocks(rows: Rows, places: Places, subject_of: NDArray[np.int32], subjects: int) -> Knocks:
    """The ball's own sensor."""
    table = table_of(rows, places, K_BALL_IMU, subject_of, subjects)
    v = table.values
    peak = np.empty(table.t_ns.shape[0], np.float32)
    for at in range(peak.shape[0]):
        size = np.float32(sqrt(v[0, at] * v[0, at] + v[1, at] * v[1, at] + v[2, at] * v[2, at]))
        felt = v[3, at]
        peak[at] = felt if np.isnan(size) or felt > size else size
    return Knocks(table.t_ns, peak, v[4], table.begin)


def positions_of(
    records: Sequence[TelemetryRecord], devices: DeviceMap, subjects: int
) -> Positions:
    """`positions` of whole records."""
    places = devices.places
    return positions(Gatherer().gather(records), places, places.subject, subjects)
