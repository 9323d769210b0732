"""A small venue for the tests of sources: a roster, its index, packets and blocks that fit it."""

import numpy as np

from models.telemetry.block import SampleBlock
from models.telemetry.devices import DeviceIndex, index_of
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.packet import Packet
from models.telemetry.roster import Device, Role, Roster, Subject

START_NS = 1_767_376_800_000_000_000


def roster(athletes: int = 2, match_id: str = "m1") -> Roster:
    """Athletes with a position tag (20 Hz) and an inertial unit (100 Hz) each."""
    subjects = tuple(Subject(f"ath_{i}", Role.ATHLETE, "home", i) for i in range(athletes))
    devices = tuple(
        Device(f"{name}_{i}", kind, f"ath_{i}", rate)
        for i in range(athletes)
        for name, kind, rate in (("tag", Kind.LPS, 20.0), ("imu", Kind.IMU, 100.0))
    )
    return Roster("test-park", match_id, subjects=subjects, devices=devices)


def index(athletes: int = 2) -> DeviceIndex:
    return index_of(roster(athletes))


def packet(
    device: str = "tag_0", seq: int = 0, n: int = 4, t_ns: int = START_NS, kind: Kind = Kind.LPS,
) -> Packet:
    """A healthy packet of `n` samples, the last one at `t_ns`."""
    values = np.zeros((len(KINDS[kind].channels), n), np.float32)
    if kind == Kind.IMU:
        values[2] = 9.81
        values[-1] = 1.0
    else:
        values[0] = np.arange(seq, seq + n) * 0.1
    rate = 20.0 if kind == Kind.LPS else 100.0
    return Packet(device, kind, 1, seq, t_ns, rate, values)


def block(
    rows: int, start_ns: int = START_NS, step_ns: int = 50_000_000, device: int = 0, seq: int = 0
) -> SampleBlock:
    """`rows` position rows of one tag, arriving 20 ms after they were measured."""
    t_ns = start_ns + np.arange(rows, dtype=np.int64) * step_ns
    values = np.zeros((len(KINDS[Kind.LPS].channels), rows), np.float32)
    values[0] = np.arange(rows) * 0.1
    return SampleBlock(
        Kind.LPS, np.full(rows, device, np.int32), np.ones(rows, np.uint32),
        np.arange(seq, seq + rows, dtype=np.uint32), t_ns - 20_000_000, t_ns,
        np.zeros(rows, np.uint32), values,
    )
