"""One worker of the flow pool, its coordinator and the edges of its venues, on a virtual clock.

The clock moves by the CPU time that the worker takes. Edge kernels, coordinator, worker, codecs are
the real ones; the log is in memory. Venues play one simulated match from `PHASES` different moments
on; those of the same moment that begin at the same time share an edge kernel, since they are told
the same at the same time.
"""

import gc
import json
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.coordinator import Coordinator
from actors.coordinator_ports import CoordinatorConfig, CoordinatorPorts
from actors.coordinator_shell import TICK_S as COORDINATOR_S
from actors.net_client import NetClient
from actors.worker import Worker
from actors.worker_ports import WorkerConfig, WorkerPorts
from actors.worker_shell import beat_pause_s
from cluster.eventlog.port import Record
from cluster.names import ACTIONS_TOPIC, insights_topic, orders_topic
from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.flows.effects import FlowEffects
from models.flows.kernel import FlowKernel, KeptOutputs
from models.flows.lanes import Work
from models.flows.pending import Backlog
from models.policies.pool import PoolConfig
from models.policies.thinning import ThinConfig
from models.simulator.match import MatchConfig, MatchSimulator
from models.telemetry.block import SampleBlock
from models.telemetry.devices import index_of
from models.telemetry.flow_records import RecordDecoder
from models.telemetry.ipc_write import StreamWriter
from models.telemetry.kinds import Kind
from models.telemetry.orders import Order, decode_order
from models.telemetry.raw import RawBatch
from models.telemetry.record import TelemetryRecord, encode_record
from models.telemetry.roster import Roster
from tests.bench.overload_clock import WorkClock
from tests.unit.fakes_log import FakeLog, FakeSnapshots, publish_roster

TICK_NS = 100_000_000
PHASES = 24
PHASE_S = 12
PACE_TRIES = 4
Course = tuple[int, int]
"""The tick with which a venue begins, and the moment from which on it plays."""
PIN_NS = 600_000_000_000
STATES_TOPICS = insights_topic("")
COORDINATOR_NS = int(COORDINATOR_S * 1e9)


class Pace:
    """How fast this machine is just now, other work on it included: CPU time that decoding the same
    few records takes, in comparison with what it took when this was made. The least of some tries,
    for the first finds in the processor's caches what the work before has left there, and that is
    not the machine's doing."""

    def __init__(self, match: "Match") -> None:
        edge = EdgeKernel(match.roster, EdgeConfig())
        ids = [device.device_id for device in match.roster.devices]
        batches = [RawBatch("pace", n, match.start_ns + (n + 1) * TICK_NS, match.raw(0, n))
                   for n in range(20)]
        made = [record for batch in batches for record in edge.handle(batch).records]
        self._payloads = [encode_record(record, ids) for record in made[-4:]]
        self._decoder = RecordDecoder(index_of(match.roster).rows_of)
        self._last_ns = deque([self._least_ns() for _ in range(50)], 5)
        self._usual_ns = statistics.median(self._least_ns() for _ in range(100))

    def now(self) -> float:
        """CPU time counts so many times what it would have counted then."""
        self._last_ns.append(self._least_ns())
        return self._usual_ns / statistics.median(self._last_ns)

    def _least_ns(self) -> int:
        return min(self._once_ns() for _ in range(PACE_TRIES))

    def _once_ns(self) -> int:
        begin_ns = time.process_time_ns()
        for payload in self._payloads:
            self._decoder.decode(payload)
        return time.process_time_ns() - begin_ns


@dataclass
class Match:
    """A simulated match as its sensors send it, cut by arrival into ticks of 0.1 s."""

    roster: Roster
    start_ns: int
    ticks: list[dict[Kind, SampleBlock]]

    @property
    def first_ns(self) -> int:
        """Where the first tenth of a second of event time begins that can be in a record."""
        return self.start_ns - self.start_ns % TICK_NS - 10 * TICK_NS

    def raw(self, phase: int, tick: int) -> dict[Kind, SampleBlock]:
        """What arrives in `tick` at a venue that began `phase * PHASE_S` into the match, with the
        times of one that begins now."""
        moved_ns = phase * PHASE_S * 1_000_000_000
        return {
            kind: replace(
                block, t_event_ns=block.t_event_ns - moved_ns,
                t_ingest_ns=block.t_ingest_ns - moved_ns,
            )
            for kind, block in self.ticks[phase * PHASE_S * 10 + tick].items()
        }


def simulate(seconds: int, seed: int = 3) -> Match:
    """A match long enough for every phase to be played for `seconds`."""
    whole_s = seconds + (PHASES - 1) * PHASE_S + 1
    simulator = MatchSimulator(MatchConfig(seed=seed, duration_s=whole_s))
    start_ns, ticks = 0, []
    for second in range(whole_s):
        chunk = {kind: block for kind, block in simulator.chunk(second).items() if len(block)}
        begin_ns = min(int(block.t_ingest_ns.min()) for block in chunk.values())
        start_ns = start_ns or begin_ns
        place = {
            kind: np.clip((block.t_ingest_ns - begin_ns) // TICK_NS, 0, 9)
            for kind, block in chunk.items()
        }
        ticks += [
            {kind: block.take(place[kind] == tick) for kind, block in chunk.items()}
            for tick in range(10)
        ]
    return Match(simulator.roster, start_ns, ticks)


class Edges:
    """The edge kernels, one for each course. Ticks come in order, from where the course begins.

    keep: for runs without orders; what was made once is given again to the next run.
    """

    def __init__(self, match: Match, pace: Pace, keep: bool = False) -> None:
        self._match, self._keep = match, keep
        self.pace = pace
        self._kernels: dict[Course, EdgeKernel] = {}
        self._ids = [device.device_id for device in match.roster.devices]
        self._writer = StreamWriter(self._ids, [device.kind for device in match.roster.devices])
        self._made: dict[tuple[Course, int], list[tuple[TelemetryRecord, bytes]]] = {}
        self.hot: dict[tuple[Course, int], NDArray[np.int32]] = {}
        """(course, number of the record's first tenth of a second) -> subjects that are hot."""

    def tick(
        self, course: Course, tick: int, orders: Sequence[Order]
    ) -> list[tuple[TelemetryRecord, bytes]]:
        """The records that the edge of a course seals in `tick`, and their bytes."""
        assert not (self._keep and orders), orders
        found = self._made.get((course, tick))
        if found is None:
            found = self._seal(course, tick, orders)
            if self._keep:
                self._made[course, tick] = found
        return found

    def play(self, begins: Sequence[int], ticks: int) -> None:
        """Seal the courses of venues that begin so, up to tick `ticks`, without orders."""
        for course in sorted({(begin, venue % PHASES) for venue, begin in enumerate(begins)}):
            for tick in range(course[0], ticks):
                self.tick(course, tick, ())

    def _seal(
        self, course: Course, tick: int, orders: Sequence[Order]
    ) -> list[tuple[TelemetryRecord, bytes]]:
        match = self._match
        if course not in self._kernels:
            self._kernels[course] = EdgeKernel(match.roster, EdgeConfig())
        now_ns = match.start_ns + (tick + 1) * TICK_NS
        batch = RawBatch("bench", tick, now_ns, match.raw(course[1], tick), orders=tuple(orders))
        found = []
        for record in self._kernels[course].handle(batch).records:
            marked = replace(record, supplements={}, marks={"source": record.t_from_ns})
            found.append((marked, encode_record(marked, self._ids, self._writer)))
            hot = record.flows.subject[record.flows.hot]
            for at_ns in range(record.t_from_ns, record.t_to_ns, TICK_NS):
                self.hot[course, (at_ns - match.first_ns) // TICK_NS] = hot
        return found


@dataclass
class Done:
    """What was handled when: one entry per batch of a venue."""

    clock: Callable[[], int]
    batches: list[tuple[Any, ...]] = field(default_factory=list)

    def add(
        self, venue: int, records: Sequence[TelemetryRecord], subjects: NDArray[np.int32],
        since_ns: NDArray[np.int64] | None,
    ) -> None:
        """A batch was handled just now. Arrays are made later: this is on the worker's time."""
        spans = [(record.t_from_ns, record.t_to_ns) for record in records]
        self.batches.append((venue, subjects, since_ns, spans, self.clock()))


class WatchedKernel:
    """The flow kernel; notes when it has handled what."""

    def __init__(self, roster: Roster, done: Done, kept: KeptOutputs) -> None:
        self._kernel, self._done = FlowKernel(roster, kept=kept), done
        self._venue = int(roster.venue_id.removeprefix("v"))
        self.snapshot, self.restore = self._kernel.snapshot, self._kernel.restore
        self.forget = self._kernel.forget

    def handle(
        self, records: Sequence[TelemetryRecord], subjects: NDArray[np.int32], *,
        since_ns: NDArray[np.int64] | None = None,
    ) -> FlowEffects:
        effects = self._kernel.handle(records, subjects, since_ns=since_ns)
        self._done.add(self._venue, records, subjects, since_ns)
        return effects


class Fifo(Backlog):
    """Plain first in, first out: no flow is hot, and nothing waits for company."""

    def _hot_now(self) -> frozenset[int]:
        return frozenset()

    def next_work(self, calm_since_ns: int | None = None) -> Work | None:
        return super().next_work()


class BenchLog(FakeLog):
    """Lets states go: kept, they lie in memory that nobody has used before, and to get that costs
    the worker more than to write them. A log on disk does not ask it of a worker."""

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        offsets = super().append(topic, records, epoch)
        if topic.startswith(STATES_TOPICS):
            self.trim(topic, max(offsets) + 1)
        return offsets


class World:
    """One worker and its venues, of which each begins with the tick of `begins`. `medical`: venue
    -> row that is pinned."""

    def __init__(
        self, match: Match, edges: Edges, begins: Sequence[int],
        medical: dict[int, int], fifo: bool,
    ) -> None:
        self.match, self.edges, self.venues = match, edges, len(begins)
        self.courses = [(begin, venue % PHASES) for venue, begin in enumerate(begins)]
        self.clock = WorkClock(match.start_ns, edges.pace, self._beside)
        self.log, self.done = BenchLog(self.clock), Done(self.clock)
        self._worker: Worker | None = None
        for venue in range(self.venues):
            publish_roster(self.log, replace(match.roster, venue_id=f"v{venue}"))
        self._snapshots = FakeSnapshots()
        config = CoordinatorConfig(
            pool=PoolConfig(fixed=1), thin=ThinConfig(most=0) if fifo else ThinConfig(),
            dead_after_ns=1 << 62, stalled_after_ns=1 << 62,
        )
        ports = CoordinatorPorts(self.log, self._snapshots, self, self.clock)
        self.coordinator = Coordinator(ports, config)
        self._begin(medical, fifo)
        self._sent = [0] * self.venues
        self._order_at = [0] * PHASES
        self._beat_ns = self._tick_ns = 0
        self.rows: list[int] = []

    # -- the launcher ------------------------------------------------------------------------------

    def start(self, worker_id: int) -> None:
        """Launch the one worker."""
        kept = KeptOutputs()
        ports = WorkerPorts(
            self.log, self._snapshots, self.coordinator, NetClient(None, self.clock),
            lambda roster: WatchedKernel(roster, self.done, kept), self.clock,
        )
        # A report of so few venues costs as much of this slow clock as one of many at full speed.
        config = WorkerConfig(snapshot_ns=1 << 62, publish_ns=2 * WorkerConfig().publish_ns)
        self._worker = Worker(worker_id, 1, ports, config)

    def drain(self, worker_id: int) -> None:
        raise AssertionError("the pool is of one worker")

    @property
    def worker(self) -> Worker:
        assert self._worker is not None
        return self._worker

    def _begin(self, medical: dict[int, int], fifo: bool) -> None:
        for _ in range(50):
            self.clock.at_ns += 1_000_000
            self.coordinator.tick()
            if self._worker is not None:
                self._worker.beat()
                self._worker.step()
                if len(self._worker._venues) == self.venues:
                    break
        for venue in range(self.venues):
            if fifo:
                self.backlog(venue).__class__ = Fifo
            elif venue in medical:
                self.backlog(venue).pin(medical[venue], self.clock.at_ns + PIN_NS)

    # -- time --------------------------------------------------------------------------------------

    def backlog(self, venue: int) -> Backlog:
        return self.worker._venues[f"v{venue}"].backlog

    def send(self, ticks: Mapping[int, int], due_ns: int, venues: int) -> None:
        """What arrives at the first `venues` venues, in the tick that `ticks` has for their
        beginning, goes through their edges into the log as of `due_ns`; takes no time."""
        kept, self.clock.at_ns = self.clock.at_ns, due_ns
        orders = [self._orders(phase, due_ns) for phase in range(PHASES)]
        rows = 0
        for course in dict.fromkeys(self.courses[:venues]):
            made = self.edges.tick(course, ticks[course[0]], orders[course[1]])
            for venue in range(course[1], venues, PHASES):
                if self.courses[venue] != course:
                    continue
                for record, payload in made:
                    rows += record.rows
                    stored = Record("edge", self._sent[venue], due_ns, payload)
                    self._sent[venue] += 1
                    self.log.append(f"telemetry/v{venue}", [stored], 1 << 40)
        self.rows.append(rows)
        self.clock.at_ns = kept
        # What the bench keeps is not the worker's to look through for garbage.
        gc.freeze()

    def _orders(self, phase: int, due_ns: int) -> list[Order]:
        """Orders to the first venue of a phase that have come since the last call."""
        records = self.log._records[orders_topic(f"v{phase}")][self._order_at[phase] :]
        found = [stored.record.payload for stored in records if stored.t_append_ns <= due_ns]
        self._order_at[phase] += len(found)
        return [decode_order(payload) for payload in found]

    def step(self, slow: float) -> bool:
        """One turn of the worker, for as long as its CPU time says."""
        self.clock.run(slow)
        moved = self.worker.step()
        self.clock.hold()
        return moved

    def _beside(self) -> None:
        """The coordinator, and the worker's thread that talks to it."""
        now_ns = self.clock.at_ns
        if now_ns - self._tick_ns >= COORDINATOR_NS:
            self._tick_ns = now_ns
            self.coordinator.tick()
        if now_ns - self._beat_ns >= beat_pause_s(self.worker.report) * 1e9:
            self._beat_ns = now_ns
            self.worker.beat()

    def waits_s(self) -> tuple[float, float]:
        """Age of the oldest record in the log that is not done, for hot and for other flows."""
        now_ns, worst = self.clock(), [0.0, 0.0]
        for venue in range(self.venues):
            held, backlog = self.log._records[f"telemetry/v{venue}"], self.backlog(venue)
            hot = Backlog._hot_now(backlog)
            for row, offset in backlog.offsets().items():
                if offset < len(held):
                    at = 0 if row in hot else 1
                    worst[at] = max(worst[at], (now_ns - held[offset].t_append_ns) / 1e9)
        return worst[0], worst[1]

    def actions(self) -> list[dict[str, object]]:
        """What the coordinator did, and why."""
        return [json.loads(record.payload) for record in self.log.all(ACTIONS_TOPIC)]
