"""Tables: the roster as arrays that compiled kernels read, one row per roster device or subject.

A *stream* is one (device_id, kind) with its own counter and clock; re-assigned devices have several
roster rows and one stream, named by the first of them (`first`). All state of a stream is kept in
that row. Times ns, rates Hz.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.columns import frozen
from models.edge.config import EdgeConfig
from models.signal.player_load import load_merge
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Device, Role, Roster, source_order

KIND_LIST: Final = tuple(KINDS)
KIND_CODE: Final = {kind: code for code, kind in enumerate(KIND_LIST)}
INERTIAL: Final = (Kind.IMU, Kind.BALL_IMU, Kind.BOOT)
POSITIONS: Final = (Kind.LPS, Kind.GNSS, Kind.BALL_POS)
SCALARS: Final = tuple(kind for kind in KIND_LIST if kind not in INERTIAL + POSITIONS)
MAX_MERGE: Final = 200
INERTIAL_HZ: Final = (25.0, 10.0, 5.0)
POSITION_HZ: Final = (10.0, 5.0, 4.0)
"""Rates of calm athletes at thinning levels 1, 2, 3. Sums and peaks survive in merged rows at any
rate, so what is given up is the shape of motion: 25 Hz still has the stride (under 3 Hz) and its
impacts, 10 Hz the stride, 5 Hz neither. Positions of 10 and 5 Hz are what GNSS vests send; slower
than 4 Hz, a lost one would make a gap that ends an effort (0.5 s)."""
LEVELS: Final = 1 + len(INERTIAL_HZ)
RECORD_TICKS: Final = (1, 1, 2, 3)
"""Ticks in a record at each level: half of what a record costs its readers does not depend on how
many rows are in it. Hot flows are in the same records and wait for 0.2 s more at the most."""
FULL_POST_ROLL: Final = (True, True, True, False)
"""Whether, at each level, a flow keeps its full rate for a while after it has turned calm: these
are half of the rows that the highest level leaves, and none of them are of flows that are hot."""
STATES_AT_REST: Final = (False, False, False, True)
"""Whether, at each level, calm athletes are at rest: a state row a second instead of four. Each has
a hundred columns, and they are as many at every level: who reads them is relieved."""
Whole = int | np.int64
"""A whole number in compiled code, whichever side made it."""


class Streams(NamedTuple):
    """Per roster device (D,): read-only.

    kind code of the kind; first row that holds the stream's state; after next row of the stream, -1
    at its end; begin/end validity ns; subject row or -1; rate Hz; period ns; full_scale m/s^2;
    wrap counter width as a mask; word/words where its seq window lies in the bit table; rank among
    position sources (0 best); group rows of one device_id; silent ns after which it is failed
    (0 = never judged); merge samples per thinned row; load_merge samples per 100 Hz step, or
    RESAMPLE; ball 1 for the ball's devices; shared 1 when its subject has several position streams.
    """

    kind: NDArray[np.int64]
    first: NDArray[np.int64]
    after: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    subject: NDArray[np.int64]
    rate: NDArray[np.float64]
    period: NDArray[np.int64]
    full_scale: NDArray[np.float64]
    wrap: NDArray[np.int64]
    word: NDArray[np.int64]
    words: NDArray[np.int64]
    rank: NDArray[np.int64]
    group: NDArray[np.int64]
    silent: NDArray[np.int64]
    merge: NDArray[np.int64]
    load_merge: NDArray[np.int64]
    ball: NDArray[np.int64]
    shared: NDArray[np.int64]


class Tables:
    """`streams`; `groups` device ids; `ball` row of the ball or -1; is_ball (S,) bool.
    merges (LEVELS, D): `merge` at each level of thinning; `levels` the streams with it, level 0
    being `streams` itself."""

    def __init__(self, roster: Roster, config: EdgeConfig) -> None:
        self.roster = roster
        self.device_n = len(roster.devices)
        self.subject_n = len(roster.subjects)
        rows = roster.subject_row()
        balls = [s for s, subject in enumerate(roster.subjects) if subject.role == Role.BALL]
        self.ball = balls[0] if balls else -1
        self.is_ball = frozen(np.isin(np.arange(self.subject_n), balls))
        self.groups = list(dict.fromkeys(device.device_id for device in roster.devices))
        self.streams = _streams(roster, config, rows, set(balls))
        self.bit_words = int(4 * self.streams.words.sum())
        self.many_sources = bool(self.streams.shared.any())
        self.merges = frozen(np.array(
            [_merges(roster, config, self.streams, level) for level in range(LEVELS)], np.int64
        ).reshape(LEVELS, self.device_n))
        self.levels = tuple(self.streams._replace(merge=merge) for merge in self.merges)


def _streams(
    roster: Roster, config: EdgeConfig, rows: dict[str, int], balls: set[int]
) -> Streams:
    devices = roster.devices
    first, after = _chains(devices)
    subject = [rows.get(d.subject, -1) for d in devices]
    words = [
        _window_words(d.rate_hz, config) if first[row] == row else 0
        for row, d in enumerate(devices)
    ]
    groups = {d: n for n, d in enumerate(dict.fromkeys(d.device_id for d in devices))}
    rank = _ranks(devices)
    word = np.concatenate([[0], 4 * np.cumsum(words)])[: len(devices)]

    def column(values: object, dtype: type = np.int64) -> NDArray[np.int64]:
        return frozen(np.array(values, dtype))

    return Streams(
        column([KIND_CODE[d.kind] for d in devices]), column(first), column(after),
        column([d.valid_from_ns for d in devices]), column([d.valid_to_ns for d in devices]),
        column(subject), frozen(np.array([_rate(d) for d in devices], np.float64)),
        column([round(1e9 / _rate(d)) for d in devices]),
        frozen(np.array([d.full_scale for d in devices], np.float64)),
        column([(1 << min(max(d.counter_bits, 1), 32)) - 1 for d in devices]),
        column(word), column(words), column(rank),
        column([groups[d.device_id] for d in devices]),
        column([_silent_ns(d, config) for d in devices]),
        column([_merge(d, config) for d in devices]),
        column([load_merge(_rate(d)) for d in devices]),
        column([int(s in balls) for s in subject]), column(_shared(devices, subject, first)),
    )


def _rate(device: Device) -> float:
    return float(min(max(device.rate_hz, 1e-3), KINDS[device.kind].max_rate_hz))


def _chains(devices: tuple[Device, ...]) -> tuple[list[int], list[int]]:
    """First row and next row of each row's stream."""
    first, after = [], [-1] * len(devices)
    heads: dict[tuple[str, Kind], int] = {}
    last: dict[tuple[str, Kind], int] = {}
    for row, device in enumerate(devices):
        key = (device.device_id, device.kind)
        first.append(heads.setdefault(key, row))
        if key in last:
            after[last[key]] = row
        last[key] = row
    return first, after


def _window_words(rate_hz: float, config: EdgeConfig) -> int:
    """64-bit words of a seq window that covers the late bound; a power of two."""
    samples = 1.25 * rate_hz * config.late_bound_ns / 1e9
    words = 4
    while words * 64 < samples and words < 1024:
        words *= 2
    return words


def _ranks(devices: tuple[Device, ...]) -> list[int]:
    """Truth-source order over all rows."""
    keys = [source_order(device, row) for row, device in enumerate(devices)]
    place = {key: n for n, key in enumerate(sorted(keys))}
    return [place[key] for key in keys]


def _silent_ns(device: Device, config: EdgeConfig) -> int:
    """Time without a row after which a device has failed; event-driven devices are never judged."""
    if device.kind == Kind.REFEREE or device.rate_hz <= 0:
        return 0
    return max(config.silent_ns, round(5e9 / _rate(device)))


def _ratio(rate_hz: float, target_hz: float) -> int:
    return min(max(round(rate_hz / target_hz), 1), MAX_MERGE)


def _merge(device: Device, config: EdgeConfig) -> int:
    targets = {Kind.IMU: config.imu_hz, Kind.BALL_IMU: config.ball_imu_hz}
    targets |= dict.fromkeys(POSITIONS, config.position_hz)
    if not config.thin or device.kind not in targets:
        return 1
    return _ratio(_rate(device), targets[device.kind])


def _merges(roster: Roster, config: EdgeConfig, streams: Streams, level: int) -> list[int]:
    """`merge` of every device at `level`: balls, boots and hearts as always."""
    targets = dict.fromkeys((Kind.LPS, Kind.GNSS), POSITION_HZ[level - 1])
    targets[Kind.IMU] = INERTIAL_HZ[level - 1]
    usual = streams.merge.tolist()
    if level == 0 or not config.thin:
        return usual
    return [
        max(merge, _ratio(_rate(device), targets[device.kind]))
        if device.kind in targets and not ball else merge
        for device, merge, ball in zip(roster.devices, usual, streams.ball.tolist(), strict=True)
    ]


def _shared(devices: tuple[Device, ...], subject: list[int], first: list[int]) -> list[int]:
    """1 for rows of position streams whose subject has more than one of them."""
    streams: dict[int, set[int]] = {}
    for row, device in enumerate(devices):
        if device.kind in POSITIONS and subject[row] >= 0:
            streams.setdefault(subject[row], set()).add(first[row])
    return [
        int(d.kind in POSITIONS and len(streams.get(s, ())) > 1)
        for d, s in zip(devices, subject, strict=True)
    ]
