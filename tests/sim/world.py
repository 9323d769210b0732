"""One run: processes, network, disk and time under one seed. A step is one product call.

First a disturbed phase of a bounded number of steps, then a quiet one, in which everybody is
started again and takes turns; it must drain everything within `QUIET_ROUNDS`.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from actors.coordinator import Coordinator
from actors.lives import next_incarnation
from actors.sources.port import Source
from cluster.clock import SteadyClock
from models.errors import TouchlineError
from models.policies.supervision import Health
from tests.sim import ending
from tests.sim.disk import SimDisk
from tests.sim.edge_processes import Gateway, StadiumProcess, SupervisorProcess, TwinProcess
from tests.sim.faults import Dice, Plan
from tests.sim.match import Shape
from tests.sim.mishaps import Mishaps
from tests.sim.pool_processes import CoordinatorProcess, Message, Network, WorkerProcess
from tests.sim.process import Process
from tests.sim.sim_log import LogClient, LogStore, PowerLostError, ProcessCrashError
from tests.sim.standins import T0_NS, SimEdgeKernel, SimFlowKernel
from tests.sim.story import Story, Violation
from tests.sim.watch import Watch
from tests.sim.webhook_processes import Post, PostOffice, Receiver, WebhookProcess, subscriptions

QUIET_ROUNDS: Final = 150
QUIET_STEP_NS: Final = 100_000_000
POSTS_A_ROUND: Final = 4
"""A tenth of a second is time for so many posts to one receiver, one after the other."""
_MAKERS: Final[dict[str, Callable[..., Process]]] = {
    "coordinator": CoordinatorProcess, "worker": WorkerProcess, "stadium": StadiumProcess,
    "twin-store": TwinProcess, "supervisor": SupervisorProcess, "webhooks": WebhookProcess,
}
_WEIGHTS: Final = {
    "coordinator": 3, "worker": 3, "stadium": 3, "twin-store": 1, "supervisor": 2, "webhooks": 3,
}


class World:
    """`PLAYED`: the input is a recording, not packets from gateways. `HOOKS`: webhooks."""

    PLAYED = False
    HOOKS: tuple[str, ...] = ("board", "risk")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(f"{plan.seed}/schedule")
        self.dice = Dice(plan)
        self.story = Story()
        self.now_ns = T0_NS
        shapes = self.make_shapes()
        self.shapes = {shape.venue: shape for shape in reversed(shapes)}
        self.later = [shape for shape in shapes if shape not in self.shapes.values()]
        self.disk = SimDisk()
        self.store = LogStore(self.disk, segment_bytes=2048)
        self.watch = self.make_watch(shapes)
        self.network, self.posts = Network(self), PostOffice(self)
        self.receivers = {one.hook_id: Receiver(self, one) for one in subscriptions(self.HOOKS)}
        self.watch.receivers = self.receivers
        self.mishaps = Mishaps(self)
        self.pool_size = self.rng.randint(1, 3)
        # A pool that sizes itself, or one whose size is the dice's; spread by count or by load.
        self.elastic, self.even = self.rng.random() < 0.4, self.rng.random() < 0.5
        self.offsets_ns: dict[str, int] = {}
        self.lives: Counter[str] = Counter()
        self.procs: list[Process] = []
        self.named: dict[str, Process] = {}
        self.due: dict[str, int] = {}
        self.gateways = [
            Gateway(self, shape, device)
            for shape in shapes for device in range(shape.devices)
        ]
        for name in (*self.watched(), "supervisor"):
            self.launch(name)

    # -- a run -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Raises Violation."""
        for _ in range(self.plan.steps):
            self.now_ns += self._pause_ns()
            self._begin_step()
            self.mishaps.happen()
            self._one_of_many()
            self.watch.after_step(self)
        self._quieten()
        for round_n in range(QUIET_ROUNDS):
            self.now_ns += QUIET_STEP_NS
            self._round()
            if round_n % 4 == 3 and self.finished():
                self._final_look()
                return
        raise Violation("liveness", f"not drained in {QUIET_ROUNDS} quiet rounds: {self._open()}")

    def _one_of_many(self) -> None:
        self._start_due()
        choices: list[tuple[str, Callable[[], str]]] = []
        for proc in self.procs:
            if not proc.paused and not getattr(proc, "idle", False):
                weight = _WEIGHTS[proc.name.partition("/")[0]]
                choices += [(proc.who, self._turn_of(proc))] * weight
                if isinstance(proc, WorkerProcess) and proc.may_ask:
                    choices += [(proc.who, self._beat_of(proc))] * 2
        choices += [(one.name, one.turn) for one in self.gateways if one.ready] * 2
        if self._match_is_over():
            choices += [("operator", self.next_match)] * 2
        choices += [("network", self._delivery(one)) for one in self.network.due()] * 2
        choices += [("network", self._post(one)) for one in self.posts.due()] * 2
        if choices:
            self._do(*self.rng.choice(choices))

    def _round(self) -> None:
        """Everybody once, in a fixed order."""
        self._begin_step()
        self._start_due()
        for proc in list(self.procs):
            if proc.alive and not getattr(proc, "idle", False):
                if isinstance(proc, WorkerProcess) and proc.may_ask:
                    self._step(proc.who, self._beat_of(proc))
                self._step(proc.who, self._turn_of(proc))
        for one in self.gateways:
            if one.ready:
                self._step(one.name, one.turn)
        if self._match_is_over():
            self._step("operator", self.next_match)
        for message in self.network.due():
            self._step("network", self._delivery(message))
        for _ in range(POSTS_A_ROUND):
            for post in self.posts.due():
                self._step("network", self._post(post))
            for hooks in self.webhooks():
                self._step(hooks.who, hooks.turn)

    def _step(self, who: str, do: Callable[[], str]) -> None:
        self._begin_step()
        self._do(who, do)
        self.watch.after_step(self)

    def _begin_step(self) -> None:
        self.story.step += 1
        self.story.time_s = (self.now_ns - T0_NS) / 1e9

    def _do(self, who: str, do: Callable[[], str]) -> None:
        try:
            self.story.say(f"{who}: {do()}")
        except ProcessCrashError as error:
            # Not always whoever has the turn: a question can kill the coordinator that it reaches.
            self.kill(next(one for one in self.procs if one.who == error.who))
        except PowerLostError:
            self.power_loss()
        except Violation:
            raise
        except Exception as error:  # no call of the product may raise what its shell does not take
            raise Violation("no fault of its own", f"{who}: {type(error).__name__}: {error}") \
                from error

    def _turn_of(self, proc: Process) -> Callable[[], str]:
        return proc.turn

    def _beat_of(self, proc: WorkerProcess) -> Callable[[], str]:
        def beat() -> str:
            messages = proc.ask()
            for message in messages:
                self.network.send(message)
            return "asks the coordinator" if messages else "gives up waiting for the coordinator"

        return beat

    def _delivery(self, message: Message) -> Callable[[], str]:
        return lambda: self.network.deliver(message)

    def _post(self, post: Post) -> Callable[[], str]:
        return lambda: self.posts.deliver(post)

    def _pause_ns(self) -> int:
        if self.dice.roll("long_gap"):
            gap_ms = self.dice.of("long_gap").randint(1_000, 6_000)
            self.story.fault("long_gap", f"nothing happens for {gap_ms} ms")
            return gap_ms * 1_000_000
        return self.rng.randint(1, 60) * 1_000_000

    # -- lives -------------------------------------------------------------------------------------

    def launch(self, name: str) -> None:
        """See to it that there will be a process of that name."""
        if name not in self.named and name not in self.due:
            self.due[name] = self.story.step + self.rng.randint(1, 12 if self.story.step else 3)

    def remove(self, name: str) -> None:
        """End the process of that name for good."""
        self.due.pop(name, None)
        proc = self.named.get(name)
        if proc is not None:
            self._bury(proc)

    def restart(self, name: str) -> None:
        """Kill what has the name, if anything; it starts anew."""
        self.story.say(f"{name} is restarted")
        self.remove(name)
        self.launch(name)

    def kill(self, proc: Process) -> None:
        """The process dies on the spot; one with a name is started again."""
        self._bury(proc)
        if proc.named:
            self.launch(proc.name)

    def orphan(self, proc: Process, dies_ns: int) -> None:
        """Its node counts as dead: another takes its name, and it runs on for a while."""
        proc.named = False
        proc.dies_ns = dies_ns
        del self.named[proc.name]
        self.launch(proc.name)

    def power_loss(self) -> None:
        """All processes die, un-synced bytes are gone, everything starts again."""
        for proc in list(self.procs):
            self.kill(proc)
        self.network.waiting.clear()
        lost = self.disk.lose_power(self.dice.of("power"))
        self.store.reopen()
        self.story.say(f"the machine starts again, {lost} un-synced frames are gone")
        self.watch.after_power_loss()

    def _bury(self, proc: Process) -> None:
        proc.alive = False
        self.procs = [one for one in self.procs if one is not proc]
        if self.named.get(proc.name) is proc:
            del self.named[proc.name]

    def _start_due(self) -> None:
        for name, step in list(self.due.items()):
            if step > self.story.step:
                continue
            del self.due[name]
            self.lives[name] += 1
            try:
                proc = _MAKERS[name.partition("/")[0]](self, name, self.lives[name])
            except (TouchlineError, ProcessCrashError) as error:
                self.story.say(f"{name} does not start: {type(error).__name__} {error}")
                self.launch(name)
            except PowerLostError:
                self.launch(name)
                self.power_loss()
                return
            else:
                self.procs.append(proc)
                self.named[name] = proc
                self.story.say(f"{proc.who} starts")

    # -- what the run is made of -------------------------------------------------------------------

    def make_shapes(self) -> list[Shape]:
        rng, count = self.rng, 1 if self.rng.random() < 0.8 else 2
        shapes = [
            Shape(venue, rng.randint(1, 3), rng.randint(2, 5), rng.choice((10, 16, 24)))
            for venue in ("arena", "bowl")[:count]
        ]
        if rng.random() < 0.25:
            shapes.append(Shape("arena", rng.randint(1, 2), rng.randint(2, 5), 10, "m2"))
        return shapes

    def make_watch(self, shapes: list[Shape]) -> Watch:
        return Watch(self.store, shapes)

    def played(self, cursors: dict[str, int]) -> list[Source]:
        """Recordings that a stadium plays, from its cursors."""
        return []

    # -- what processes need -----------------------------------------------------------------------

    def log_client(self, proc: Process) -> LogClient:
        return LogClient(self.store, proc.wall_ns, proc.who, proc)

    def host_offset_ns(self, name: str) -> int:
        """How far the wall clock is off where `name` runs."""
        return self.offsets_ns.get(name, 0)

    def clock_of(self, proc: Process) -> Callable[[], int]:
        """The clock that the shells give: see `SteadyClock`."""
        return SteadyClock(proc.wall_ns, proc.mono_ns)

    def incarnation(self, proc: Process, log: LogClient) -> int:
        return next_incarnation(log, proc.name)

    def flow_kernel(self, roster: Any) -> Any:
        return SimFlowKernel(roster)

    def edge_kernel(self, roster: Any) -> Any:
        return SimEdgeKernel(roster)

    def coordinator(self) -> Coordinator | None:
        proc = self.named.get("coordinator")
        return proc.coordinator if isinstance(proc, CoordinatorProcess) else None

    def coordinator_for(self, proc: Process) -> Coordinator | None:
        """Who answers when `proc` asks: mostly the named one, now and then one without a name."""
        found: list[Process] = [one for one in self.procs if one.name == "coordinator"]
        if not found:
            return None
        one = self.rng.choice(found) if len(found) > 1 else found[0]
        assert isinstance(one, CoordinatorProcess)
        return None if one.paused else one.coordinator

    def stadium_for(self, venue: str) -> StadiumProcess | None:
        found = [one for one in self.stadiums() if one.shape.venue == venue and not one.paused]
        return self.rng.choice(found) if found else None

    def plays(self, shape: Shape) -> bool:
        """Whether the match is the venue's present one, and somebody takes its packets."""
        return self.shapes[shape.venue] == shape and f"stadium/{shape.venue}" in self.named

    def next_match(self) -> str:
        """Whoever runs the venue starts its next match, once the one before has been taken in."""
        shape = self.later.pop(0)
        self.shapes[shape.venue] = shape
        self.restart(f"stadium/{shape.venue}")
        return f"{shape.venue} plays {shape.match}"

    def _match_is_over(self) -> bool:
        proc = self.named.get(f"stadium/{self.later[0].venue}") if self.later else None
        return isinstance(proc, StadiumProcess) and proc.stadium.done()

    def workers(self) -> list[WorkerProcess]:
        return [one for one in self.procs if isinstance(one, WorkerProcess)]

    def stadiums(self) -> list[StadiumProcess]:
        return [one for one in self.procs if isinstance(one, StadiumProcess)]

    def webhooks(self) -> list[WebhookProcess]:
        return [one for one in self.procs if isinstance(one, WebhookProcess)]

    def all_acknowledged(self, shape: Shape) -> bool:
        return all(one.done for one in self.gateways if one.shape == shape)

    def watched(self) -> list[str]:
        return ["coordinator", "twin-store", "webhooks", *self._stadium_names()]

    def probe(self, name: str) -> Callable[[], tuple[Health, dict[str, Any]]]:
        def look() -> tuple[Health, dict[str, Any]]:
            proc = self.named.get(name)
            if proc is None:
                return Health.DEAD, {"error": "no such actor"}
            if proc.paused:
                return Health.STALLED, {"error": "no answer"}
            return proc.probe()

        return look

    def _stadium_names(self) -> list[str]:
        return [f"stadium/{venue}" for venue in self.shapes]

    # -- the end -----------------------------------------------------------------------------------

    def _quieten(self) -> None:
        """Faults are over: orphans' nodes are gone, links and disks are whole. Clocks stay off."""
        self.story.say("faults are over")
        self.dice.on = False
        self.disk.capacity = None
        for receiver in self.receivers.values():
            receiver.down_until = 0
        for proc in list(self.procs):
            proc.paused_until = proc.log_down_until = proc.store_down_until = proc.cut_until = 0
            if not proc.named:
                self._bury(proc)

    def finished(self) -> bool:
        return not self._open()

    def _open(self) -> str:
        """What is not done yet, in words."""
        return ending.left_to_do(self)

    def _final_look(self) -> None:
        ending.final_look(self)
