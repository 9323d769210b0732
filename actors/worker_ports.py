"""What a worker is given: its settings, its ports, and how it reaches the coordinator."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from actors.net_client import NetClient
from actors.snapshot_writer import SnapshotWriter
from actors.worker_snapshots import SnapshotPort
from actors.worker_venue import Kernel
from cluster.eventlog.port import EventLog
from models.errors import TouchlineError
from models.flows.pending import PendingConfig
from models.policies.linger import CoreTime
from models.policies.ownership import Assignment, WorkerReport
from models.telemetry.roster import Roster


class CoordinatorPort(Protocol):
    """How a worker reaches the coordinator; every call may raise CoordinatorAwayError."""

    def register(self, worker_id: int, incarnation: int) -> Assignment: ...

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment: ...


class CoordinatorAwayError(TouchlineError):
    """The coordinator did not answer; it is asked again with the next beat."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """budget_ns: after so long a turn appends what it has, whatever else waits; late_ns: one that
    needs longer to look after all its venues is late, and calm records may wait for linger_ns;
    publish_ns: between two reports."""

    snapshot_ns: int = 5_000_000_000
    budget_ns: int = 20_000_000
    late_ns: int = 150_000_000
    linger_ns: int = 400_000_000
    publish_ns: int = 50_000_000
    pending: PendingConfig = field(default_factory=PendingConfig)


@dataclass(frozen=True, slots=True)
class WorkerPorts:
    """What a worker needs from outside. `clock_ns` is wall clock; `writer` of snapshots, None: each
    is written at once; core_time of the thread that works; appenders as in `Outbox`."""

    log: EventLog
    snapshots: SnapshotPort
    coordinator: CoordinatorPort
    nets: NetClient
    make_kernel: Callable[[Roster], Kernel]
    clock_ns: Callable[[], int]
    writer: SnapshotWriter | None = None
    core_time: Callable[[], CoreTime] = CoreTime
    appenders: Executor | None = None
