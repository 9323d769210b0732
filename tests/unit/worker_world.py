"""One worker with everything that it needs, in memory."""

from actors.net_client import NetClient
from actors.snapshot_writer import SnapshotWriter
from actors.worker import Worker
from actors.worker_ports import WorkerConfig, WorkerPorts
from actors.worker_snapshots import flow_stream
from models.events.envelope import from_cloudevent
from models.flows.states import decode_states
from models.policies.ownership import Assignment, VenueGrant, WorkerReport
from tests.unit.fakes_log import (
    Clock,
    FakeKernel,
    FakeLog,
    FakeSnapshots,
    publish,
    publish_roster,
    roster_of,
)

ROSTER = roster_of("a", 4)


class Desk:
    """A coordinator that answers what the test wants."""

    def __init__(self, log: FakeLog) -> None:
        self.log, self.answer = log, Assignment(1)
        self.reports: list[WorkerReport] = []

    def grant(self, rows: tuple[int, ...], epoch: int, fence: bool = True) -> None:
        for row in rows if fence else ():
            self.log.fence("events/a", flow_stream("m1", f"a-{row}"), epoch)
        grants = {"a": VenueGrant("m1", 0, dict.fromkeys(rows, epoch))} if rows else {}
        self.answer = Assignment(epoch, grants)

    def register(self, worker_id: int, incarnation: int) -> Assignment:
        return self.answer

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        self.reports.append(report)
        return self.answer


class Bench:
    """One worker with everything it needs."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.log, self.snapshots = FakeLog(self.clock), FakeSnapshots()
        publish_roster(self.log, ROSTER)
        self.desk = Desk(self.log)
        self.worker = self.new()

    def new(
        self, incarnation: int = 1, nets: NetClient | None = None,
        writer: SnapshotWriter | None = None,
    ) -> Worker:
        client = nets or NetClient(None, self.clock)
        ports = WorkerPorts(
            self.log, self.snapshots, self.desk, client, FakeKernel, self.clock, writer
        )
        return Worker(0, incarnation, ports, WorkerConfig(snapshot_ns=1_000_000_000))

    def turns(self, count: int = 10, worker: Worker | None = None) -> None:
        for _ in range(count):
            self.clock.advance(0.06)
            (worker or self.worker).beat()
            (worker or self.worker).step()

    def send(self, first: int, last: int, final: bool = False, hot: tuple[int, ...] = ()) -> None:
        for seq in range(first, last):
            publish(self.log, ROSTER, seq, hot, final and seq == last - 1)

    def events(self) -> list:
        return [from_cloudevent(r.payload) for r in self.log.all("events/a")]

    def states(self) -> list[dict]:
        return [
            row for r in self.log.all("insights/a") if r.content_type.endswith("states")
            for row in decode_states(r.payload).to_pylist()
        ]
