"""A simulated process: its clock, its way to log and disk, and what may happen to its calls."""

from typing import TYPE_CHECKING, Any, Final

from cluster.snapshots import SnapshotStore
from cluster.storage import StorageError
from models.errors import LogError
from models.policies.supervision import Health
from tests.sim.sim_log import LogClient, PowerLostError, ProcessCrashError
from tests.sim.sim_storage import SimStorage

if TYPE_CHECKING:
    from tests.sim.world import World

_READS: Final = frozenset({"read", "get"})
_STORE: Final = frozenset({"put", "get"})
SKEW_NS: Final = 300_000_000_000


class Process:
    """One life of an actor. `named`: the others find it; an orphan runs on without a name.

    wall_ns jumps and differs between processes, mono_ns only ever rises. `paused_until` and the
    like are virtual times in ns; `dies_ns`: when an orphan's node is gone for good (0: never).
    """

    def __init__(self, world: "World", name: str, life: int) -> None:
        self.world, self.name = world, name
        self.who = f"{name}/{life}"
        self.alive = self.named = True
        self.offset_ns = world.host_offset_ns(name)
        self.paused_until = self.log_down_until = self.store_down_until = self.cut_until = 0
        self.dies_ns = 0
        self._born_ns = world.now_ns
        self._fate: Any = None

    def wall_ns(self) -> int:
        return self.world.now_ns + self.offset_ns

    def mono_ns(self) -> int:
        return self.world.now_ns - self._born_ns + 1

    @property
    def paused(self) -> bool:
        return self.world.now_ns < self.paused_until

    @property
    def cut_off(self) -> bool:
        """Whether the coordinator cannot be reached."""
        return self.world.now_ns < self.cut_until

    def turn(self) -> str:
        """One product call, and what came of it in words."""
        raise NotImplementedError

    def probe(self) -> tuple[Health, dict[str, Any]]:
        """How it answers the supervisor."""
        return Health.OK, {}

    # -- ports -------------------------------------------------------------------------------------

    def log(self) -> LogClient:
        return self.world.log_client(self)

    def snapshots(self) -> SnapshotStore:
        return SnapshotStore(SimStorage(self.world.disk, self, self.world.watch.blob))

    # -- the gate ----------------------------------------------------------------------------------

    def before(self, op: str, what: str) -> None:
        dice, now_ns = self.world.dice, self.world.now_ns
        self._fate = None
        if not dice.on:
            return
        stored, share = op in _STORE, 0.25 if op in _READS else 1.0
        if stored and now_ns < self.store_down_until:
            raise StorageError(f"{what}: the store does not answer")
        if not stored and now_ns < self.log_down_until:
            raise LogError(f"{what}: the log does not answer")
        if stored and dice.roll("store_error", share):
            self.world.story.fault("store_error", f"{self.who}: {op} {what}")
            raise StorageError(f"{what}: input/output error")
        if not stored and dice.roll("log_error", share):
            self.world.story.fault("log_error", f"{self.who}: {op} {what}")
            raise LogError(f"{what}: input/output error")
        if dice.roll("crash_mid", share):
            point = dice.of("crash_mid").choice(("before", "mid", "after"))
            if point == "before" or op in _READS:
                self._crash(op, what, "before")
            self._fate = point
        elif dice.roll("power_mid", share):
            self._fate = "power"
        elif not stored and op not in _READS and dice.roll("lost_answer"):
            self._fate = "lost"

    def mid(self, op: str, what: str) -> None:
        if self._fate == "mid":
            self._crash(op, what, "in the middle of")
        if self._fate == "power":
            self.world.story.fault("power_mid", f"while {self.who} did {op} {what}")
            raise PowerLostError

    def after(self, op: str, what: str) -> None:
        fate, self._fate = self._fate, None
        if fate == "after":
            self._crash(op, what, "right after")
        if fate == "lost":
            self.world.story.fault("lost_answer", f"{self.who}: {op} {what} is durable")
            raise LogError(f"{what}: the answer was lost")

    def _crash(self, op: str, what: str, point: str) -> None:
        self.world.story.fault("crash_mid", f"{self.who} dies {point} {op} {what}")
        raise ProcessCrashError(self.who)
