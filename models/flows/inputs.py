"""From records to sample tables: rows of all records of a call, by subject and then by event time.

Because records are complete in event time, ordering by (subject, time) gives one order of rows for
every way of cutting the stream. Rows of a stuck sensor and of devices without a flow are left out.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.columns import frozen, sealed
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
_AXES = ("acc_x_mps2", "acc_y_mps2", "acc_z_mps2")
_PLACE = ("pos_x_m", "pos_y_m", "speed_dop_mps", "residual_m", "nlos_p", "hdop")
_MOTION = ("load_au", "peak_mps2", "load_flat_au")
_HEART = ("hr_bpm", "rr_ms", "contact")
_FIX = ("pos_x_m", "pos_y_m", "pos_z_m", "in_play", "spin_radps")
_KNOCK = (*_AXES, "peak_mps2", "clip")


class Table(NamedTuple):
    """Rows by (subject, time). t_ns (n,); values (C, n) float32, NaN where the kind has no such
    channel; device (n,) roster row; begin (S + 1,) the rows of each subject."""

    t_ns: NDArray[np.int64]
    values: NDArray[np.float32]
    device: NDArray[np.int64]
    begin: NDArray[np.int64]


@njit(cache=True)
def arrange(
    device: NDArray[np.int32], flags: NDArray[np.uint32], t_ns: NDArray[np.int64],
    values: NDArray[np.float32], channels: NDArray[np.int64], subject_of: NDArray[np.int32],
    subjects: int, stuck: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """The parts of a `Table` of rows in any order: counting sort by subject, then by time where
    times are not ascending yet; equal times keep their order. `channels` of -1 become NaN."""
    begin = np.zeros(subjects + 1, np.int64)
    for row in range(device.shape[0]):
        owner = subject_of[device[row]] if device[row] >= 0 else -1
        if owner >= 0 and flags[row] & stuck == 0:
            begin[owner + 1] += 1
    for s in range(1, subjects + 1):
        begin[s] += begin[s - 1]
    kept = begin[subjects]
    fill = begin[:-1].copy()
    order = np.empty(kept, np.int64)
    mixed = np.zeros(subjects, np.bool_)
    for row in range(device.shape[0]):
        owner = subject_of[device[row]] if device[row] >= 0 else -1
        if owner < 0 or flags[row] & stuck != 0:
            continue
        place = fill[owner]
        if place > begin[owner] and t_ns[order[place - 1]] > t_ns[row]:
            mixed[owner] = True
        order[place] = row
        fill[owner] = place + 1
    for s in range(subjects):
        if mixed[s]:
            mine = order[begin[s] : begin[s + 1]].copy()
            turn = np.argsort(t_ns[mine], kind="mergesort")
            order[begin[s] : begin[s + 1]] = mine[turn]
    t_out, device_out = np.empty(kept, np.int64), np.empty(kept, np.int64)
    for at in range(kept):
        t_out[at] = t_ns[order[at]]
        device_out[at] = device[order[at]]
    out = np.empty((channels.shape[0], kept), np.float32)
    for c in range(channels.shape[0]):
        channel = channels[c]
        for at in range(kept):
            out[c, at] = values[channel, order[at]] if channel >= 0 else np.nan
    return t_out, out, device_out, begin


@lru_cache(maxsize=64)
def _channels(kind: Kind, names: tuple[str, ...]) -> NDArray[np.int64]:
    known = KINDS[kind].names
    return frozen(np.array([known.index(n) if n in known else -1 for n in names], np.int64))


def table_of(
    records: Sequence[TelemetryRecord], kind: Kind, names: tuple[str, ...],
    subject_of: NDArray[np.int32], subjects: int,
) -> Table:
    """Rows of one kind of all records. subject_of (D,): the subject of each device, -1 where its
    rows are to be left out."""
    blocks = [record.blocks[kind] for record in records if kind in record.blocks]
    if not blocks:
        return _nothing(len(names), subjects)
    t_ns, values, device, begin = arrange(
        _joined([b.device for b in blocks], np.int32),
        _joined([b.flags for b in blocks], np.uint32),
        _joined([b.t_event_ns for b in blocks], np.int64),
        _joined([b.values for b in blocks], np.float32, 1),
        _channels(kind, names), subject_of, subjects, STUCK,
    )
    return Table(sealed(t_ns), sealed(values), sealed(device), sealed(begin))


@lru_cache(maxsize=64)
def _nothing(channels: int, subjects: int) -> Table:
    return Table(
        frozen(np.empty(0, np.int64)), frozen(np.empty((channels, 0), np.float32)),
        frozen(np.empty(0, np.int64)), frozen(np.zeros(subjects + 1, np.int64)),
    )


def _joined(parts: list[NDArray[Any]], dtype: Any, axis: int = 0) -> NDArray[Any]:
    if len(parts) == 1:
        return frozen(parts[0], dtype)
    whole = np.concatenate(parts, axis=axis)
    return sealed(whole) if whole.dtype == dtype else frozen(whole, dtype)


@njit(cache=True)
def _local_noise_m(
    residual_m: NDArray[np.float32], nlos_p: NDArray[np.float32]
) -> NDArray[np.float32]:
    r_m = np.empty(residual_m.shape[0], np.float32)
    for n in range(residual_m.shape[0]):
        r = residual_m[n]
        if np.isnan(r):
            r_m[n] = LPS_M
        else:
            r = min(max(r, np.float32(LPS_M)), np.float32(LPS_MOST_M))
            r_m[n] = r * np.float32(NLOS_FACTOR) if nlos_p[n] > 0.5 else r
    return r_m


@njit(cache=True)
def _rates_bpm(
    hr_bpm: NDArray[np.float32], contact: NDArray[np.float32]
) -> NDArray[np.float32]:
    rates = np.empty(hr_bpm.shape[0], np.float32)
    for n in range(hr_bpm.shape[0]):
        rates[n] = 0.0 if contact[n] < 0.5 else hr_bpm[n]
    return rates


def _distant_noise_m(hdop: NDArray[np.float32]) -> NDArray[Any]:
    r_m = np.clip(hdop * np.float32(GNSS_PER_HDOP_M), GNSS_LEAST_M, GNSS_MOST_M)
    return np.where(np.isnan(r_m), np.float32(GNSS_M), r_m)


def positions_of(
    records: Sequence[TelemetryRecord], devices: DeviceMap, subjects: int
) -> Positions:
    """Positions of persons from every source; `r_m` from what the sensor says of its own error."""
    local = table_of(records, Kind.LPS, _PLACE, devices.subject, subjects)
    distant = table_of(records, Kind.GNSS, _PLACE, devices.subject, subjects)
    found = []
    if len(local.t_ns) or not len(distant.t_ns):
        r_m = _local_noise_m(local.values[3], local.values[4])
        found.append(_placed(local, r_m, devices))
    if len(distant.t_ns):
        found.append(_placed(distant, _distant_noise_m(distant.values[5]), devices))
    return found[0] if len(found) == 1 else _merged(found)


def _placed(table: Table, r_m: NDArray[Any], devices: DeviceMap) -> Positions:
    x_m, y_m, doppler_mps = table.values[0], table.values[1], table.values[2]
    return Positions(
        table.t_ns, x_m, y_m, frozen(r_m, np.float32), doppler_mps,
        frozen(devices.rank[table.device]), table.begin, _NOTHING_GIVEN,
    )


_NOTHING_GIVEN = frozen(np.empty((GIVEN_WIDTH, 0), np.float32))


def _merged(parts: Sequence[Positions]) -> Positions:
    """Tables of two kinds as one; at equal times rows of the first go first."""
    t_ns = np.concatenate([part.t_ns for part in parts])
    owner = np.concatenate([
        np.repeat(np.arange(len(part.begin) - 1), np.diff(part.begin)) for part in parts
    ])
    order = np.lexsort((t_ns, owner))
    x_m, y_m, r_m, doppler_mps, rank = (
        frozen(np.concatenate(column)[order])
        for column in zip(*(part[1:6] for part in parts), strict=True)
    )
    begin = frozen(np.sum([part.begin for part in parts], axis=0))
    return Positions(
        frozen(t_ns[order]), x_m, y_m, r_m, doppler_mps, rank, begin, _NOTHING_GIVEN
    )


def motions_of(
    records: Sequence[TelemetryRecord], subject_of: NDArray[np.int32], subjects: int
) -> Motions:
    """Motion rows of persons."""
    names = (*KINDS[Kind.IMU].names[:6], *_MOTION)
    table = table_of(records, Kind.IMU, names, subject_of, subjects)
    return Motions(table.t_ns, table.values, table.begin)


def hearts_of(
    records: Sequence[TelemetryRecord], subject_of: NDArray[np.int32], subjects: int
) -> Hearts:
    """Heart rates; 0 (no rate) while the strap says that it has no contact."""
    table = table_of(records, Kind.HEART, _HEART, subject_of, subjects)
    hr_bpm, rr_ms, contact = table.values
    return Hearts(table.t_ns, sealed(_rates_bpm(hr_bpm, contact)), table.begin, rr_ms)


def boots_of(
    records: Sequence[TelemetryRecord], devices: DeviceMap, subject_of: NDArray[np.int32],
    subjects: int,
) -> Boots:
    """Foot sensors of persons."""
    names = KINDS[Kind.BOOT].names[:6]
    table = table_of(records, Kind.BOOT, names, subject_of, subjects)
    return Boots(table.t_ns, table.values, frozen(devices.side[table.device]), table.begin)


def fixes_of(records: Sequence[TelemetryRecord], devices: DeviceMap, subjects: int) -> Fixes:
    """Ball positions."""
    table = table_of(records, Kind.BALL_POS, _FIX, devices.subject, subjects)
    x_m, y_m, z_m, in_play, spin_radps = table.values
    return Fixes(table.t_ns, x_m, y_m, z_m, in_play, table.begin, spin_radps)


def knocks_of(
    records: Sequence[TelemetryRecord], subject_of: NDArray[np.int32], subjects: int
) -> Knocks:
    """The ball's own sensor."""
    table = table_of(records, Kind.BALL_IMU, _KNOCK, subject_of, subjects)
    x, y, z, peak, clip = table.values
    size = np.fmax(np.sqrt(x * x + y * y + z * z), peak)
    return Knocks(table.t_ns, frozen(size, np.float32), clip, table.begin)
