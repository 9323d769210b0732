"""The stadium, its sensors' gateways, and the independent readers as simulated processes."""

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from actors.net_client import NetClient
from actors.sources.arrival import ArrivalClock
from actors.sources.port import Source
from actors.sources.push import PushSource
from actors.stadium import Stadium
from actors.stadium_build import StadiumParts, StadiumPorts
from actors.stadium_feeds import Feeds
from actors.stadium_journal import Counters, Journal
from actors.supervisor import Probe, Supervisor, SupervisorConfig, SupervisorPorts
from actors.supervisor_shell import judge_stats
from actors.twin_store import TwinStore
from models.edge.effects import decode_health
from models.errors import FencedError, TouchlineError
from models.nets.tracker import FailureTracker
from models.policies.supervision import Health, SupervisionConfig, SupervisionPolicy
from models.telemetry.devices import index_of
from tests.sim.match import Shape
from tests.sim.process import Process

if TYPE_CHECKING:
    from tests.sim.world import World

WINDOW: Final = 4
RESEND_NS: Final = 1_500_000_000
SNAPSHOT_NS: Final = 400_000_000
SUPERVISION: Final = SupervisionConfig(
    dead_after_s=0.5, stalled_after_s=3.0, cooldown_s=0.5, cooldown_max_s=2.0, max_restarts=8,
    window_s=10.0,
)


class AtOnce:
    """An event whose waits end at once: virtual time does not pass while a step runs."""

    def __init__(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._set


class SimStadium(Stadium):
    """The stadium with the organs that the world gives it."""

    world: "World"
    shape: Shape

    def _publish(self) -> None:
        """Only what people read, and it asks the real clock."""

    def _build(self) -> StadiumParts:
        roster, ports = self.shape.roster, self._ports
        clock = ArrivalClock(ports.wall_ns, virtual=self.world.PLAYED)

        def sources(counters: Counters) -> list[Source]:
            pushed = PushSource(
                "http", index_of(roster), clock, lambda: None, ports.wall_ns, 8,
                counters.cursors.get("http", 0),
            )
            return [*self.world.played(counters.cursors), pushed]

        kernel: Any = self.world.edge_kernel(roster)
        return StadiumParts(
            Journal(ports.log, roster), kernel, ports.snapshots, clock, Feeds((), clock),
            SNAPSHOT_NS, sources,
        )


class StadiumProcess(Process):
    """One venue's stadium; `turn` is one round of its loop."""

    def __init__(self, world: "World", name: str, life: int) -> None:
        super().__init__(world, name, life)
        self.shape = world.shapes[name.removeprefix("stadium/")]
        ports = StadiumPorts(
            self.log(), self.snapshots(), self.wall_ns, world.clock_of(self)
        )
        made = SimStadium({}, {"id": self.shape.venue, "match_id": self.shape.match}, ports=ports)
        made.world, made.shape = world, self.shape
        made._stop = AtOnce()  # type: ignore[assignment]
        self.stadium = made

    @property
    def idle(self) -> bool:
        return self.stadium.state in ("finished", "stopped", "fenced", "failed")

    def turn(self) -> str:
        stadium = self.stadium
        try:
            if stadium._opened is None:
                stadium._open_or_wait()
            else:
                if self.world.all_acknowledged(self.shape):
                    stadium.finish()
                stadium.run_step()
        except FencedError as error:
            stadium.state, stadium.error = "fenced", str(error)
        except TouchlineError as error:
            stadium.state, stadium.error = "failed", f"{type(error).__name__}: {error}"
        if self.idle:
            stadium._wind_down()
        parts = stadium._opened
        raw = f", raw {parts.journal.counters.raw_offset}" if parts is not None else ""
        return f"{stadium.state}{raw} {stadium.error}".rstrip()

    def probe(self) -> tuple[Health, dict[str, Any]]:
        stats = {"state": self.stadium.state, "error": self.stadium.error}
        return judge_stats(stats), stats


class Gateway:
    """Sends one device's packets, several at a time, each until it is acknowledged."""

    def __init__(self, world: "World", shape: Shape, device: int) -> None:
        self.world, self.shape, self.device = world, shape, device
        self.name = f"gateway {shape.venue}-{shape.match}-{device}"
        self.acked: set[int] = set()
        self._low = 0
        self._out: dict[int, tuple[Future[Any], int]] = {}

    @property
    def done(self) -> bool:
        return self._low >= self.shape.packets

    @property
    def ready(self) -> bool:
        """Whether it has something to send, or to hear, and somebody to send it to."""
        if self.done or not self.world.plays(self.shape):
            return False
        return any(ticket.done() for ticket, _ in self._out.values()) or any(
            self._wants(number) for number in self._window()
        )

    def _window(self) -> range:
        return range(self._low, min(self._low + WINDOW, self.shape.packets))

    def _wants(self, number: int) -> bool:
        if number in self.acked:
            return False
        sent = self._out.get(number)
        return sent is None or self.world.now_ns - sent[1] > RESEND_NS

    def turn(self) -> str:
        """Take answers, then send the next packet or one again."""
        self._hear()
        dice, window = self.world.dice, self._window()
        if window and dice.roll("resend"):
            number = dice.of("resend").choice(window)
            self.world.story.fault("resend", f"{self.name}: packet {number}, whatever was said")
            return self._send(number)
        for number in window:
            if self._wants(number):
                return self._send(number)
        return f"waits, {len(self.acked)} acknowledged"

    def _send(self, number: int) -> str:
        proc = self.world.stadium_for(self.shape.venue)
        if proc is None:
            return "finds no stadium"
        payload = self.shape.packet(self.device, number)
        ticket = proc.stadium.offer(payload, "application/octet-stream", self.name)
        self._out[number] = (ticket, self.world.now_ns)
        return f"sends packet {number} to {proc.who}"

    def _hear(self) -> None:
        for number, (ticket, _) in list(self._out.items()):
            if ticket.done():
                (one,) = ticket.result(0)
                del self._out[number]
                if one["accepted"] or one["reason"] == "duplicate":
                    self.acked.add(number)
        while self._low in self.acked:
            self._low += 1


class TwinProcess(Process):
    """The read model's owner: an independent reader with cursors of its own, in memory."""

    def __init__(self, world: "World", name: str, life: int) -> None:
        super().__init__(world, name, life)
        self.twin = TwinStore(
            {}, autostart=False, log=self.log(), now_ns=world.clock_of(self),
            monotonic_s=lambda: self.mono_ns() / 1e9,
        )

    def turn(self) -> str:
        try:
            return f"takes {self.twin.step()}"
        except TouchlineError as error:
            return f"cannot read: {error}"

    def seen(self, venue: str) -> list[str]:
        """Event ids in the order in which they were taken."""
        if venue not in self.twin._model.venues:
            return []
        page = self.twin._model.events(venue, 0, 10_000)
        return [event["event_id"] for event in page["events"]]


class SupervisorProcess(Process):
    """Reads device health with a durable cursor, and restarts what is dead."""

    def __init__(self, world: "World", name: str, life: int) -> None:
        super().__init__(world, name, life)
        clock_ns = world.clock_of(self)
        ports = SupervisorPorts(
            self.log(), NetClient(None, clock_ns), self._probes, world.restart, FailureTracker,
            decode_health, clock_ns,
        )
        # What a recording becomes is compared with a run in which nothing was ordered.
        unhurried = frozenset(self.world.shapes if self.world.PLAYED else ())
        config = SupervisorConfig(
            probe_ns=200_000_000, discover_ns=200_000_000, unhurried=unhurried
        )
        policy = SupervisionPolicy(SUPERVISION)
        self.supervisor = Supervisor(life, ports, config, policy)

    def turn(self) -> str:
        moved = self.supervisor.step()
        return f"looks around{', moved' if moved else ''} {self.supervisor.error}".rstrip()

    def _probes(self) -> dict[str, Probe]:
        return {name: self.world.probe(name) for name in self.world.watched()}


