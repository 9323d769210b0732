"""SupervisorShell: the supervisor as a process: probes of Ray actors by name, restarts, one thread.

`ray.remote` is applied where it is launched. An actor that hangs is killed, upon which Ray starts
it anew; one that is gone for good is created by `relaunch`, which whoever composes the system
hands in.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from actors.net_client import NetClient, served_nets
from actors.supervisor import Probe, Supervisor, SupervisorConfig, SupervisorPorts
from cluster.clock import SteadyClock
from cluster.eventlog.open import open_log
from cluster.heap import settle_heap
from cluster.lean_arrow import spare_pandas
from cluster.names import COORDINATOR, RAY_NAMESPACE, TWIN_STORE, WEBHOOKS, stadium_actor
from cluster.settings import Settings, played_faster
from models.edge.effects import decode_health
from models.nets.tracker import FailureTracker
from models.policies.supervision import Health

PROBE_S: Final = 2.0
IDLE_S: Final = 0.1
_log = logging.getLogger("touchline.supervisor")


def judge_stats(stats: Mapping[str, Any]) -> Health:
    """What an actor says of itself: whether it has to be started again.

    One that failed; and one that another life of it has pushed aside: whoever is asked by name is
    the one that counts, and the other one is on its way out.
    """
    gone = stats.get("state") in ("failed", "fenced") or stats.get("superseded") is True
    return Health.DEAD if gone else Health.OK


def ray_probe(name: str, method: str) -> Probe:
    """Calls `method` of the named actor. No answer in time: stalled; no actor: dead."""

    def probe() -> tuple[Health, dict[str, Any]]:
        import ray

        try:
            handle = ray.get_actor(name, namespace=RAY_NAMESPACE)
            facts = ray.get(getattr(handle, method).remote(), timeout=PROBE_S)
        except ray.exceptions.GetTimeoutError:
            return Health.STALLED, {"error": f"no answer in {PROBE_S} s"}
        except (ray.exceptions.RayError, ValueError) as error:
            return Health.DEAD, {"error": f"{type(error).__name__}: {str(error)[:160]}"}
        known = dict(facts) if isinstance(facts, Mapping) else {}
        return judge_stats(known), known

    return probe


def default_targets(tree: Settings) -> dict[str, str]:
    """Actor name -> method that its probe calls."""
    targets = {COORDINATOR: "status", TWIN_STORE: "venues"}
    if tree.webhooks:
        targets[WEBHOOKS] = "stats"
    return targets | {stadium_actor(venue.id): "stats" for venue in tree.venues}


class SupervisorShell:
    """One supervisor. `relaunch(name)` creates an actor that is gone; `targets` as in
    `default_targets`."""

    def __init__(
        self, settings: dict[str, Any], relaunch: Callable[[str], None] | None = None,
        targets: dict[str, str] | None = None, autostart: bool = True,
    ) -> None:
        spare_pandas()
        tree = Settings.from_dict(settings)
        self._log = open_log(tree.log.url, tree.log.segment_bytes)
        clock_ns = SteadyClock()
        self._nets = NetClient(served_nets() if tree.serve.nets else None, clock_ns)
        self._relaunch = relaunch
        named = default_targets(tree) if targets is None else targets
        probes = {name: ray_probe(name, method) for name, method in named.items()}
        ports = SupervisorPorts(
            self._log, self._nets, lambda: probes, self._restart, FailureTracker, decode_health,
            clock_ns,
        )
        config = SupervisorConfig(unhurried=played_faster(tree))
        self.supervisor = Supervisor(time.time_ns(), ports, config)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        if autostart:
            self.start()

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stats(self) -> dict[str, Any]:
        """See `Supervisor.stats`."""
        return self.supervisor.stats()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10.0)
        self._nets.close()
        self._log.close()

    def _restart(self, name: str) -> None:
        """Raises ValueError when the actor is gone and nobody can create it."""
        import ray

        try:
            handle = ray.get_actor(name, namespace=RAY_NAMESPACE)
        except ValueError:
            if self._relaunch is None:
                raise
            self._relaunch(name)
            return
        ray.kill(handle, no_restart=False)

    def _loop(self) -> None:
        settle_heap()
        while not self._stop.is_set():
            try:
                moved = self.supervisor.step()
            except Exception:
                _log.exception("a turn of the supervisor failed; the next one goes on")
                moved = False
            if not moved:
                self._stop.wait(IDLE_S)
