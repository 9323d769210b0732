"""The same world with the real edge and flow kernels: a simulated match, a few seconds long.

What the effects must be is learnt from a run in which nothing happens; every byte of a record or
event that does not come from a clock counts.
"""

import json
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

from actors.sources.played import PlayedSource
from actors.sources.port import Source
from actors.sources.simulator import SimulatedTrack
from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.events.envelope import Event, from_cloudevent
from models.flows.kernel import FlowKernel
from models.simulator.config import MatchConfig
from models.simulator.match import MatchSimulator
from models.telemetry.record import decode_header
from models.telemetry.roster import Roster
from tests.sim.ending import finals
from tests.sim.faults import Plan
from tests.sim.match import Effect, Expected
from tests.sim.story import Violation
from tests.sim.watch import Watch
from tests.sim.world import World

SECONDS: Final = 10
SOURCE: Final = "simulator-0"


@lru_cache(1)
def simulator() -> MatchSimulator:
    """Faults of sensors included: what the edge repairs and refuses is part of it."""
    return MatchSimulator(MatchConfig(3, SECONDS, venue_id="arena", match_id="m1"))


@dataclass
class RealShape:
    """A venue that plays the simulator's match; `learnt` is what an undisturbed run made of it."""

    learnt: Expected = field(default_factory=Expected)
    venue: str = "arena"
    match: str = "m1"
    devices: int = 0

    @property
    def roster(self) -> Roster:
        return simulator().roster

    def expected(self) -> Expected:
        return self.learnt


class RealWatch(Watch):
    """Compares whole events, records and final rows."""

    def effect(self, event: Event) -> Effect:
        text = json.dumps(event.canonical(), sort_keys=True)
        return event.event_id, float(crc32(text.encode()))

    def digest(self, payload: bytes) -> int:
        header, offset = decode_header(payload)
        del header["marks"]
        return crc32(payload[offset:], crc32(json.dumps(header, sort_keys=True).encode()))

    def final(self, row: dict[str, Any]) -> Any:
        return repr(row)

    def _flow_snapshot(self, key: str, payload: bytes) -> None:
        """How many events come of how many records is not known here; the kernel would miss one."""


class RealWorld(World):
    """`shape` is what `learn` has learnt. No webhooks: to them all events are alike."""

    PLAYED = True
    HOOKS = ()
    shape: RealShape

    def make_shapes(self) -> list[Any]:
        return [self.shape]

    def make_watch(self, shapes: list[Any]) -> Watch:
        return RealWatch(self.store, shapes)

    def played(self, cursors: dict[str, int]) -> list[Source]:
        track = SimulatedTrack(simulator())
        return [PlayedSource(SOURCE, track, 1.0, cursors.get(SOURCE, 0))]

    def all_acknowledged(self, shape: Any) -> bool:
        """The match ends with its recording."""
        return False

    def flow_kernel(self, roster: Any) -> Any:
        return FlowKernel(roster)

    def edge_kernel(self, roster: Any) -> Any:
        return EdgeKernel(roster, EdgeConfig())


class Learning(RealWatch):
    """Takes what comes for what has to come."""

    def _event(self, who: str, venue: str, one: Any, epoch: int) -> None:
        event, stream = from_cloudevent(one.record.payload), one.record.stream
        wanted = self.of(venue, stream)
        if stream.startswith("supervisor/"):
            wanted.alarms[stream.rpartition("/")[2]] = one.record.seq
        else:
            wanted.events.setdefault(stream, []).append(self.effect(event))

    def _telemetry(self, venue: str, one: Any) -> None:
        stream = one.record.stream
        self.records[venue, stream].append(one.offset)
        self.of(venue, stream).digests.append(self.digest(one.record.payload))


class Undisturbed(RealWorld):
    """Plays the match in quiet rounds only, and remembers the outcome."""

    def make_watch(self, shapes: list[Any]) -> Watch:
        return Learning(self.store, shapes)

    def _final_look(self) -> None:
        self.shape.learnt.finals = finals(self, "arena", "m1")


@lru_cache(1)
def learn() -> RealShape:
    shape = RealShape()
    world_of(shape, Undisturbed)(replace(Plan.draw(0), kinds=(), steps=1)).run()
    if not shape.learnt.finals or not shape.learnt.events:
        raise Violation("undisturbed", "nothing came of the match")
    return shape


def world_of(shape: RealShape, kind: type[RealWorld] = RealWorld) -> type[RealWorld]:
    return type(kind.__name__, (kind,), {"shape": shape})
