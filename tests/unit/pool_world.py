"""A whole flow pool on a virtual clock: coordinator, workers that come and go, one log."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from actors.coordinator import Coordinator
from actors.coordinator_ports import CoordinatorConfig, CoordinatorPorts
from actors.net_client import NetClient
from actors.nodes import NodePort, NoNodes
from actors.worker import Worker
from actors.worker_ports import CoordinatorAwayError, WorkerConfig, WorkerPorts
from actors.worker_venue import Kernel
from models.events.envelope import from_cloudevent
from models.policies.assignment import AssignmentConfig
from models.policies.linger import CoreTime
from models.policies.ownership import Assignment, WorkerReport
from models.policies.pool import PoolSignals, Scale, ScaleReason
from models.policies.prewarm import PrewarmConfig
from models.telemetry.roster import Roster
from tests.unit.fakes_log import Clock, FakeKernel, FakeLog, FakeSnapshots, publish, publish_roster


@dataclass
class ScriptedPolicy:
    """A pool policy that wants what the test wants."""

    target: int = 1
    reason: ScaleReason = ScaleReason.FIXED
    told: list[PoolSignals] = field(default_factory=list)

    def decide(self, signals: PoolSignals) -> Scale:
        self.told.append(signals)
        return Scale(self.target, self.reason)


@dataclass
class World:
    """`workers` are the live ones; the launcher's calls create and remove them."""

    rosters: list[Roster]
    size: int = 1
    even: bool = True
    clock: Clock = field(default_factory=Clock)
    snapshot_s: float = 2.0
    kernel: Callable[[Roster], Kernel] = FakeKernel
    nodes: NodePort = field(default_factory=NoNodes)
    core_time: Callable[[], CoreTime] = CoreTime
    workers: dict[int, Worker] = field(default_factory=dict)
    away: bool = False
    crashed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = FakeLog(self.clock)
        self.snapshots = FakeSnapshots()
        self.policy = ScriptedPolicy(self.size)
        self._incarnation = 0
        self._sent = {roster.venue_id: 0 for roster in self.rosters}
        for roster in self.rosters:
            publish_roster(self.log, roster)
        self.restart_coordinator()

    # -- ports -----------------------------------------------------------------------------------

    def start(self, worker_id: int) -> None:
        if worker_id not in self.workers:
            self._incarnation += 1
            nets = NetClient(None, self.clock)
            ports = WorkerPorts(
                self.log, self.snapshots, self, nets, self.kernel, self.clock,
                core_time=self.core_time,
            )
            config = WorkerConfig(snapshot_ns=int(self.snapshot_s * 1e9))
            self.workers[worker_id] = Worker(worker_id, self._incarnation, ports, config)

    def drain(self, worker_id: int) -> None:
        self.workers.pop(worker_id, None)

    def register(self, worker_id: int, incarnation: int) -> Assignment:
        if self.away:
            raise CoordinatorAwayError("away")
        return self.coordinator.register(worker_id, incarnation)

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        if self.away:
            raise CoordinatorAwayError("away")
        return self.coordinator.heartbeat(worker_id, report)

    # -- what happens ----------------------------------------------------------------------------

    def restart_coordinator(self) -> None:
        config = CoordinatorConfig(
            assignment=AssignmentConfig(even=self.even),
            prewarm=PrewarmConfig(node_start_s=60.0, hold_s=5.0),
            venues=tuple(roster.venue_id for roster in self.rosters),
        )
        ports = CoordinatorPorts(self.log, self.snapshots, self, self.clock, self.nodes)
        brisk = replace(config, rebalance_ns=1_000_000_000)
        self.coordinator = Coordinator(ports, brisk, self.policy)

    def crash(self, worker_id: int) -> None:
        """kill -9: nothing is said, nothing is stored. Its launcher will be asked for a new one."""
        del self.workers[worker_id]

    def send(self, roster: Roster, count: int = 1, hot: tuple[int, ...] = (), final: bool = False):
        for k in range(count):
            seq = self._sent[roster.venue_id]
            publish(self.log, roster, seq, hot, final and k == count - 1)
            self._sent[roster.venue_id] += 1

    def turn(self, seconds: float = 0.05) -> None:
        """Everybody does one thing."""
        self.clock.advance(seconds)
        self.coordinator.tick()
        for worker in list(self.workers.values()):
            worker.beat()
            worker.step()

    def settle(self, turns: int = 400) -> None:
        """Turn until every flow is final."""
        for _ in range(turns):
            self.turn()
            if self.coordinator.status()["all_final"]:
                return
        raise AssertionError(self.coordinator.status())

    # -- what came of it -------------------------------------------------------------------------

    def events(self, venue: str) -> dict[str, list[dict]]:
        """Canonical events by flow, in log order."""
        found: dict[str, list[dict]] = {}
        for record in self.log.all(f"events/{venue}"):
            event = from_cloudevent(record.payload)
            found.setdefault(event.stream, []).append(event.canonical())
        return found

    def finals(self, venue: str) -> dict[str, dict]:
        """The last final row of every flow."""
        from models.flows.states import decode_states

        rows = {}
        for record in self.log.all(f"insights/{venue}"):
            if record.content_type.endswith("states"):
                for row in decode_states(record.payload).to_pylist():
                    if row["status"] == "final":
                        rows[row["subject_id"], row["t_ns"]] = row
        newest = {}
        for (subject, _), row in sorted(rows.items()):
            newest[subject] = row
        return newest

    def actions(self) -> list[dict]:
        return [json.loads(record.payload) for record in self.log.all("actions")]
