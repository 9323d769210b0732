"""Mishaps between steps: deaths, pauses, partitions, jumping clocks, full disks, retention."""

from typing import TYPE_CHECKING, Final

from actors.stadium_journal import RAW_GROUP
from actors.supervisor_health import GROUP as SUPERVISOR_GROUP
from actors.worker_snapshots import FlowSnapshot, flow_key
from cluster.snapshots import SnapshotStore
from tests.sim.process import SKEW_NS, Process
from tests.sim.sim_log import LogClient
from tests.sim.sim_storage import SimStorage

if TYPE_CHECKING:
    from tests.sim.world import World

S: Final = 1_000_000_000
_ORPHANS: Final = ("worker", "stadium", "coordinator", "webhooks")


class Mishaps:
    """`happen` rolls the dice for each kind once per step."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def happen(self) -> None:
        world = self._world
        for proc in [one for one in world.procs if 0 < one.dies_ns < world.now_ns]:
            world.story.say(f"the node of {proc.who} is gone for good")
            world.kill(proc)
        for kind in ("crash", "orphan", "pause", "partition", "log_down", "store_down", "clock"):
            if world.dice.roll(kind):
                found = self._victims(kind)
                if found:
                    proc = world.dice.of(kind).choice(found)
                    world.story.fault(kind, getattr(self, f"_{kind}")(proc))
        for kind in ("power", "disk_full", "scale", "trim", "receiver_down"):
            if world.dice.roll(kind):
                world.story.fault(kind, getattr(self, f"_{kind}")())
        if world.disk.capacity is not None and world.now_ns > self._full_until_ns:
            world.disk.capacity = None
            world.story.say("the disk has room again")

    _full_until_ns = 0

    def _victims(self, kind: str) -> list[Process]:
        procs = self._world.procs
        if kind == "orphan":
            return [p for p in procs if p.named and p.name.partition("/")[0] in _ORPHANS]
        if kind == "partition":
            return [p for p in procs if p.name.startswith("worker/")]
        return procs

    def _until(self, kind: str, longest_s: float) -> int:
        return self._world.now_ns + int(self._world.dice.of(kind).uniform(0.05, longest_s) * S)

    def _crash(self, proc: Process) -> str:
        self._world.kill(proc)
        return f"{proc.who} dies"

    def _orphan(self, proc: Process) -> str:
        rng = self._world.dice.of("orphan")
        self._world.orphan(proc, self._world.now_ns + int(rng.uniform(0.5, 8.0) * S))
        if rng.random() < 0.5:
            proc.cut_until = proc.dies_ns
        return f"{proc.who} counts as dead and runs on" + (", cut off" if proc.cut_off else "")

    def _pause(self, proc: Process) -> str:
        proc.paused_until = self._until("pause", 4.0)
        return f"{proc.who} stands still"

    def _partition(self, proc: Process) -> str:
        proc.cut_until = self._until("partition", 5.0)
        return f"{proc.who} cannot reach the coordinator"

    def _log_down(self, proc: Process) -> str:
        proc.log_down_until = self._until("log_down", 3.0)
        return f"the log does not answer {proc.who}"

    def _store_down(self, proc: Process) -> str:
        proc.store_down_until = self._until("store_down", 3.0)
        return f"the snapshot store does not answer {proc.who}"

    def _clock(self, proc: Process) -> str:
        """The wall clock where the process runs is set anew; the next process there inherits it."""
        world, rng = self._world, self._world.dice.of("clock")
        span_ns = rng.choice((S, 10 * S, SKEW_NS))
        offset_ns = rng.randint(-span_ns, span_ns)
        moved_ns = offset_ns - proc.offset_ns
        proc.offset_ns = world.offsets_ns[proc.name] = offset_ns
        return f"the clock of {proc.who} jumps by {moved_ns / 1e9:+.3f} s"

    def _power(self) -> str:
        self._world.power_loss()
        return "the machine loses power"

    def _disk_full(self) -> str:
        disk = self._world.disk
        room = self._world.dice.of("disk_full").choice((0, 200, 2000))
        disk.capacity = disk.used + room
        self._full_until_ns = self._until("disk_full", 3.0)
        return f"the disk has {room} bytes left"

    def _scale(self) -> str:
        self._world.pool_size = self._world.dice.of("scale").randint(1, 3)
        return f"the pool should have {self._world.pool_size} workers"

    def _receiver_down(self) -> str:
        world = self._world
        if not world.receivers:
            return "there is no receiver that could be away"
        name = world.dice.of("receiver_down").choice(sorted(world.receivers))
        world.receivers[name].down_until = self._until("receiver_down", 4.0)
        return f"the receiver {name} is away"

    def _trim(self) -> str:
        """What `jobs.retention` leaves: all that recovery may still need."""
        world = self._world
        client = LogClient(world.store, lambda: world.now_ns, "retention")
        snapshots = SnapshotStore(SimStorage(world.disk))
        begins = []
        for shape in world.shapes.values():
            raw, telemetry = f"raw/{shape.venue}", f"telemetry/{shape.venue}"
            health = f"device-health/{shape.venue}"
            offsets = []
            for subject in shape.roster.subjects:
                found = snapshots.get(flow_key(shape.venue, shape.match, subject.subject_id))
                offsets.append(FlowSnapshot.decode(found[0]).offset if found else 0)
            begins.append(client.trim(raw, client.cursor(raw, RAW_GROUP)))
            begins.append(client.trim(telemetry, min(offsets)))
            begins.append(client.trim(health, client.cursor(health, SUPERVISOR_GROUP)))
        return f"retention leaves the topics from {begins} on"
