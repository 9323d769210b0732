"""The input of a run and what an undisturbed run makes of it, worked out by the kernels alone.

A venue has `devices` sensors, each with one packet per tick, and `flows` subjects.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from models.telemetry.kinds import KINDS, Kind
from models.telemetry.packet import Packet, encode_packet
from models.telemetry.raw import RawBatch
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Device, Role, Roster, Subject
from tests.sim.standins import ROWS, T0_NS, TICK_NS, SimEdgeKernel, SimFlowKernel

Effect = tuple[str, float]
"""(event id, order-sensitive hash) of an event."""


@dataclass
class Expected:
    """events: stream as in the log -> effects in order; made: flow stream -> how many of its events
    come of records before offset k; digests: telemetry record k; finals: subject -> hash."""

    events: dict[str, list[Effect]] = field(default_factory=dict)
    made: dict[str, list[int]] = field(default_factory=dict)
    digests: list[int] = field(default_factory=list)
    finals: dict[str, float] = field(default_factory=dict)
    alarms: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """One venue's match. `packets` per device."""

    venue: str
    devices: int
    flows: int
    packets: int
    match: str = "m1"

    @property
    def roster(self) -> Roster:
        return _roster(self)

    def packet(self, device: int, number: int) -> bytes:
        return _packet(self.venue, self.match, device, number)

    def expected(self) -> Expected:
        return _expected(self)


@lru_cache(64)
def _roster(shape: Shape) -> Roster:
    subjects = tuple(
        Subject(f"{shape.venue}-{k}", Role.ATHLETE, "home") for k in range(shape.flows)
    )
    devices = tuple(
        Device(_tag(shape.venue, shape.match, k), Kind.LPS, f"{shape.venue}-{k % shape.flows}", 20)
        for k in range(shape.devices)
    )
    return Roster(shape.venue, shape.match, subjects=subjects, devices=devices)


def _tag(venue: str, match: str, device: int) -> str:
    return f"{venue}-{match}-tag-{device}"


@lru_cache(4096)
def _packet(venue: str, match: str, device: int, number: int) -> bytes:
    values = np.zeros((len(KINDS[Kind.LPS].channels), ROWS), np.float32)
    values[0] = [(number * ROWS + k) % 97 * 0.25 + device for k in range(ROWS)]
    t_ns = T0_NS + (number + 1) * TICK_NS
    return encode_packet(
        Packet(_tag(venue, match, device), Kind.LPS, 1, number * ROWS, t_ns, 20.0, values)
    )


@lru_cache(64)
def _expected(shape: Shape) -> Expected:
    edge, out = SimEdgeKernel(shape.roster), Expected()
    for device in range(shape.devices):
        for row in range(shape.packets * ROWS):
            edge.held[device][row] = float(np.float32(row % 97 * 0.25 + device))
    effects = edge.handle(RawBatch("end", 0, 0, {}, {}, end=True))
    out.digests = [record.marks["digest"] for record in effects.records]
    out.events[f"edge/{shape.match}"] = [_effect(event) for event in effects.events]
    if effects.health:
        out.alarms[shape.roster.devices[0].device_id] = int(effects.health[0].t_ns[0]) // 10**9
    flows = SimFlowKernel(shape.roster)
    for row, subject in enumerate(shape.roster.subjects):
        _play(flows, row, f"flow/{shape.match}/{subject.subject_id}", effects.records, out)
        out.finals[subject.subject_id] = float(flows._state[row][1])
    return out


def _play(
    flows: SimFlowKernel, row: int, stream: str, records: list[TelemetryRecord], out: Expected
) -> None:
    made: list[Any] = []
    counts = [0]
    for record in records:
        made += flows.handle([record], np.array([row], np.int32)).events
        counts.append(len(made))
    out.events[stream] = [_effect(event) for event in made]
    out.made[stream] = counts


def _effect(event: Any) -> Effect:
    return event.event_id, event.metrics["sum"]
