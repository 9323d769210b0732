"""What the coordinator of the flow pool needs from outside, and how it is set."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from actors.nodes import NodePort, NoNodes
from actors.worker_snapshots import SnapshotPort
from cluster.eventlog.port import EventLog
from models.policies.assignment import AssignmentConfig
from models.policies.pool import PoolConfig, PoolSignals, Scale
from models.policies.prewarm import PrewarmConfig
from models.policies.thinning import ThinConfig


class Launcher(Protocol):
    """Starts and ends worker processes. Both calls return at once and may be repeated."""

    def start(self, worker_id: int) -> None:
        """See to it that the worker runs."""
        ...

    def drain(self, worker_id: int) -> None:
        """End a worker that holds no flows any more."""
        ...


class Policy(Protocol):
    """What is needed of `PoolPolicy`."""

    def decide(self, signals: PoolSignals) -> Scale: ...


@dataclass(frozen=True, slots=True)
class CoordinatorConfig:
    """Times in ns. `venues`: those that must be there before the pool can be all final;
    `unhurried`: those whose calm flows are never thinned for the pool's sake."""

    pool: PoolConfig = field(default_factory=PoolConfig)
    assignment: AssignmentConfig = field(default_factory=AssignmentConfig)
    thin: ThinConfig = field(default_factory=ThinConfig)
    prewarm: PrewarmConfig = field(default_factory=PrewarmConfig)
    venues: tuple[str, ...] = ()
    unhurried: frozenset[str] = frozenset()
    dead_after_ns: int = 3_000_000_000
    stalled_after_ns: int = 120_000_000_000
    release_ns: int = 10_000_000_000
    start_patience_ns: int = 60_000_000_000
    observe_ns: int = 500_000_000
    thin_ns: int = 100_000_000
    load_ns: int = 200_000_000
    rebalance_ns: int = 5_000_000_000
    forecast_s: float = 10.0
    timetable_s: float = 30.0


@dataclass(frozen=True, slots=True)
class CoordinatorPorts:
    """What the coordinator needs from outside. `clock_ns` is wall clock; `nodes` is asked for room
    for workers before they are started."""

    log: EventLog
    snapshots: SnapshotPort
    launcher: Launcher
    clock_ns: Callable[[], int]
    nodes: NodePort = field(default_factory=NoNodes)
