"""Puts a stadium together from settings: roster, kernel, journal, snapshots; sources come after.

`StadiumPorts` is what tests replace; `StadiumParts` what one life of a stadium works with.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from actors.sources.arrival import ArrivalClock
from actors.sources.orders import ORDER_SOURCE, OrderSource
from actors.sources.port import Source
from actors.sources.push import PushSource
from actors.stadium_feeds import Feeds
from actors.stadium_journal import Counters, Journal
from actors.stadium_recovery import save
from actors.stadium_sources import SourceContext, make_sources, played_in, roster_of
from actors.stadium_warmup import warm_up
from cluster.clock import SteadyClock
from cluster.core_time import core_time
from cluster.edge_settings import edge_config
from cluster.eventlog.open import open_log
from cluster.eventlog.port import EventLog
from cluster.heap import keep_heap, settle_heap
from cluster.lean_arrow import spare_pandas
from cluster.settings import Settings, VenueSettings
from cluster.snapshots import SnapshotStore
from cluster.storage import open_storage
from models.edge.kernel import EdgeKernel
from models.policies.linger import CoreTime
from models.telemetry.devices import index_of


@dataclass(frozen=True, slots=True)
class StadiumPorts:
    """What a stadium needs from outside; tests give their own.

    wall_ns stamps arrivals; steady_ns paces the loop (`cluster.clock`), None: wall_ns does;
    core_time tells how crowded the machine is.
    """

    log: EventLog
    snapshots: SnapshotStore
    wall_ns: Callable[[], int] = time.time_ns
    steady_ns: Callable[[], int] | None = None
    core_time: Callable[[], CoreTime] = CoreTime

    @staticmethod
    def of(settings: dict[str, Any]) -> "StadiumPorts":
        """The real ones. Raises ConfigError."""
        spare_pandas()
        keep_heap()
        tree = Settings.from_dict(settings)
        log = open_log(tree.log.url, tree.log.segment_bytes)
        store = SnapshotStore(open_storage(str(Path(tree.data_dir) / "state")))
        return StadiumPorts(log, store, steady_ns=SteadyClock(), core_time=core_time)


@dataclass(slots=True)
class StadiumParts:
    """A stadium's organs. The feeds are empty until it has recovered: sources need cursors."""

    journal: Journal
    kernel: EdgeKernel
    snapshots: SnapshotStore
    clock: ArrivalClock
    feeds: Feeds
    snapshot_every_ns: int
    sources: Callable[[Counters], list[Source]]
    push: PushSource | None = None
    snapshot_bytes: int = 0
    snapshots_taken: int = 0
    snapshot_errors: int = 0
    snapshot_offset: int = -1
    closed: bool = field(default=False)

    def open_sources(self) -> None:
        """Make all sources, each at its cursor, and start them. Raises ConfigError."""
        counters = self.journal.counters
        self.clock.advance(counters.floor_ns)
        sources = self.sources(counters)
        orders = OrderSource(
            self.journal.log, self.journal.venue_id, self.journal.roster.match_id, self.clock,
            counters.cursors.get(ORDER_SOURCE),
        )
        self.feeds = Feeds(sources, self.clock, orders)
        self.push = next(source for source in sources if isinstance(source, PushSource))
        if not counters.ended:
            self.feeds.start()

    def save_snapshot(self) -> None:
        """Store the state; all effects up to here are durable. Raises FencedError, StorageError."""
        self.snapshot_bytes = save(self.journal, self.kernel, self.snapshots)
        self.snapshot_offset = self.journal.counters.raw_offset
        self.snapshots_taken += 1

    def buffered(self) -> int:
        """Rows that the kernel holds back for now."""
        return int(self.kernel.account().buffered)

    def close(self) -> None:
        """Close sources and log; a second call does nothing."""
        if not self.closed:
            self.closed = True
            self.feeds.close()
            self.journal.log.close()


def build_parts(
    settings: dict[str, Any], venue: dict[str, Any], ports: StadiumPorts,
    wake: Callable[[], None],
) -> StadiumParts:
    """Everything but the sources, which come after recovery. Raises ConfigError."""
    tree = Settings.from_dict(settings)
    place = VenueSettings.model_validate(venue)
    played = played_in(place)
    roster = replace(roster_of(place, played), venue_id=place.id, match_id=place.match_id)
    clock = ArrivalClock(ports.wall_ns, virtual=played is not None)

    def sources(counters: Counters) -> list[Source]:
        context = SourceContext(tree, place, index_of(roster), clock, wake, ports.wall_ns)
        return make_sources(context, played, counters.cursors)

    config = edge_config(tree.edge)
    warm_up(roster, config)
    parts = StadiumParts(
        Journal(ports.log, roster), EdgeKernel(roster, config), ports.snapshots, clock,
        Feeds((), clock), int(tree.pool.snapshot_s * 1e9), sources,
    )
    settle_heap()
    return parts
