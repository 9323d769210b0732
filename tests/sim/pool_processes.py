"""Coordinator and workers as simulated processes, and the messages between them.

The coordinator's answer to a beat may come late, never, or to a question that was asked twice; a
question may arrive after the worker has stopped waiting for it. Within one worker there is one beat
at a time, as in its shell.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from actors.coordinator import Coordinator
from actors.coordinator_ports import CoordinatorConfig, CoordinatorPorts
from actors.net_client import NetClient
from actors.supervisor_shell import judge_stats
from actors.worker import Worker
from actors.worker_ports import CoordinatorAwayError, WorkerConfig, WorkerPorts
from models.flows.pending import PendingConfig
from models.policies.assignment import AssignmentConfig
from models.policies.ownership import Assignment, WorkerReport
from models.policies.pool import PoolConfig, PoolSignals, Scale, ScaleReason
from models.policies.supervision import Health
from tests.sim.process import Process

if TYPE_CHECKING:
    from tests.sim.world import World

BEAT_TIMEOUT_NS: Final = 2_000_000_000
S: Final = 1_000_000_000
LEAVE_NS: Final = 2 * S
POOL: Final = PoolConfig(
    min_workers=1, max_workers=3, hot_backlog_s=0.3, calm_backlog_s=0.6, up_after_s=0.3,
    down_after_s=1.0, up_cooldown_s=0.5, down_cooldown_s=0.5, no_gain_s=2.0,
)
CONFIG: Final = CoordinatorConfig(
    pool=POOL, dead_after_ns=S, stalled_after_ns=20 * S,
    release_ns=2 * S, start_patience_ns=5 * S, observe_ns=S // 5, rebalance_ns=S,
)
WORKER: Final = WorkerConfig(
    snapshot_ns=S // 2, budget_ns=S, pending=PendingConfig(
        max_records=6, read_records=4, calm_batch=3, together=2, max_lanes=2,
    ),
)


class WantedSize:
    """A pool policy that wants what the world says."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def decide(self, signals: PoolSignals) -> Scale:
        return Scale(self._world.pool_size, ScaleReason.FIXED)


class CoordinatorProcess(Process):
    """Raises LogError, StorageError when its predecessor's table cannot be had."""

    def __init__(self, world: "World", name: str, life: int) -> None:
        super().__init__(world, name, life)
        ports = CoordinatorPorts(
            self.log(), self.snapshots(), Launcher(world), world.clock_of(self)
        )
        venues = tuple(world.shapes)
        assignment = AssignmentConfig(even=world.even)
        # What a recording becomes is compared with a run in which nothing was late.
        unhurried = frozenset(venues if world.PLAYED else ())
        config = replace(CONFIG, venues=venues, assignment=assignment, unhurried=unhurried)
        policy = None if world.elastic else WantedSize(world)
        self.coordinator = Coordinator(ports, config, policy)

    def turn(self) -> str:
        self.coordinator.tick()
        errors = self.coordinator.errors
        return "tick" + (f" ({sorted(errors.items())})" if errors else "")

    def probe(self) -> tuple[Health, dict[str, Any]]:
        stats = {"superseded": self.coordinator.superseded}
        return judge_stats(stats), stats


class Launcher:
    """As the launcher of Ray actors: one of that name is left alone, whatever state it is in."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def start(self, worker_id: int) -> None:
        self._world.launch(f"worker/{worker_id}")

    def drain(self, worker_id: int) -> None:
        self._world.remove(f"worker/{worker_id}")


@dataclass
class Message:
    """A question on its way to the coordinator, or (`answer` set) what comes back."""

    beat: int
    proc: "WorkerProcess"
    report: WorkerReport | None
    due_step: int
    answer: Assignment | None = None


class WorkerProcess(Process):
    """`beat_n` counts beats; `waits_since_ns` > 0 while one is out; `retired_ns`: since when it is
    known to be retired."""

    def __init__(self, world: "World", name: str, life: int) -> None:
        super().__init__(world, name, life)
        clock_ns = world.clock_of(self)
        self.worker_id = int(name.rpartition("/")[2])
        log = self.log()
        ports = WorkerPorts(
            log, self.snapshots(), self, NetClient(None, clock_ns), world.flow_kernel, clock_ns,
        )
        incarnation = world.incarnation(self, log)
        self.worker = Worker(self.worker_id, incarnation, ports, WORKER)
        self.who = f"{name}/{incarnation}"
        log.who = self.who
        self.beat_n = self.waits_since_ns = self.retired_ns = 0

    def turn(self) -> str:
        if self.worker.retired:
            return self._leave()
        moved = self.worker.step()
        held = {v: dict(f.epochs) for v, f in self.worker._venues.items()}
        return f"step{' moved' if moved else ''}, holds {held}"

    def _leave(self) -> str:
        """As `WorkerShell._leave`."""
        self.retired_ns = self.retired_ns or self.world.now_ns
        if self.world.now_ns - self.retired_ns < LEAVE_NS:
            return "waits to be ended"
        self.world.kill(self)
        return "was retired and ends itself"

    # -- the coordinator, at once ------------------------------------------------------------------

    def register(self, worker_id: int, incarnation: int) -> Assignment:
        return self._reached().register(worker_id, incarnation)

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        return self._reached().heartbeat(worker_id, report)

    def _reached(self) -> Coordinator:
        found = None if self.cut_off else self.world.coordinator_for(self)
        if found is None:
            raise CoordinatorAwayError("no coordinator")
        return found

    @property
    def may_ask(self) -> bool:
        """Whether no beat is out, or one for too long; its thread ends when it is retired."""
        return not self.worker.retired and self.world.now_ns - self.waits_since_ns > BEAT_TIMEOUT_NS

    # -- the coordinator, by messages --------------------------------------------------------------

    def ask(self) -> list[Message]:
        """Begin a beat; or give up the one that is out for too long."""
        if self.waits_since_ns:
            self.waits_since_ns = 0
            self.worker.unheard(CoordinatorAwayError("no answer in time"))
            return []
        self.beat_n += 1
        self.waits_since_ns = self.world.now_ns
        return [Message(self.beat_n, self, self.worker.question(), self.world.story.step)]

    def receive(self, message: Message) -> None:
        """The answer to the beat that is out; later ones are thrown away."""
        if self.waits_since_ns and message.beat == self.beat_n and message.answer is not None:
            self.waits_since_ns = 0
            self.worker.hear(message.answer)


def answer(message: Message, coordinator: Coordinator) -> Assignment:
    """What the coordinator says to a question."""
    worker = message.proc.worker
    if message.report is None:
        return coordinator.register(worker.worker_id, worker.incarnation)
    return coordinator.heartbeat(worker.worker_id, message.report)


class Network:
    """Messages between workers and coordinator: lost, late, doubled, in any order."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.waiting: list[Message] = []

    def send(self, message: Message) -> None:
        dice, story = self._world.dice, self._world.story
        what = "answer" if message.answer is not None else "question"
        if dice.roll("net_loss"):
            story.fault("net_loss", f"{what} of {message.proc.who} beat {message.beat}")
            return
        if dice.roll("net_delay"):
            message.due_step += dice.of("net_delay").randint(5, 60)
            story.fault("net_delay", f"{what} of {message.proc.who} beat {message.beat}")
        self.waiting.append(message)
        if dice.roll("net_dup"):
            later = message.due_step + dice.of("net_dup").randint(1, 40)
            story.fault("net_dup", f"{what} of {message.proc.who} beat {message.beat}")
            self.waiting.append(replace(message, due_step=later))

    def due(self) -> list[Message]:
        return [one for one in self.waiting if one.due_step <= self._world.story.step]

    def deliver(self, message: Message) -> str:
        self.waiting.remove(message)
        proc = message.proc
        if message.answer is not None:
            if proc.alive and not proc.paused and not proc.cut_off:
                proc.receive(message)
            return f"{proc.who} gets the answer to beat {message.beat}: {_said(message.answer)}"
        coordinator = None if proc.cut_off else self._world.coordinator_for(proc)
        if coordinator is None:
            return f"beat {message.beat} of {proc.who} finds no coordinator"
        said = answer(message, coordinator)
        back = Message(message.beat, proc, None, self._world.story.step, said)
        self.send(back)
        kind = "registers" if message.report is None else "beats"
        return f"{proc.who} {kind} (beat {message.beat}): {_said(said)}"


def _said(said: Assignment) -> str:
    flags = [name for name, on in (
        ("drain", said.drain), ("unknown", not said.known), ("retired", said.retired)) if on]
    venues = {v: g.subjects for v, g in said.venues.items()}
    return f"epoch {said.epoch} {venues} {' '.join(flags)}".rstrip()


