"""CoordinatorShell: the coordinator as a process, and the launcher of workers as Ray actors.

`ray.remote` is applied to the shells where they are launched; workers are launched here, because
the pool's size is the coordinator's to change. They are detached: they outlive a coordinator that
is started again, and end when they are drained or with the cluster.
"""

import threading
from contextlib import suppress
from typing import Any, Final

from actors.coordinator import Coordinator
from actors.coordinator_ports import CoordinatorConfig, CoordinatorPorts, Launcher
from actors.nodes import GivenNodes, NodePort, NodesAwayError, RayNodes, bundle_of
from actors.pool_metrics import PoolMetrics
from actors.worker_shell import WorkerShell, snapshot_store
from cluster.clock import SteadyClock
from cluster.eventlog.open import open_log
from cluster.heap import settle_heap
from cluster.metrics import Metrics
from cluster.names import RAY_NAMESPACE, worker_actor
from cluster.placement import FLOW_SLOT
from cluster.settings import Settings, played_faster
from models.policies.assignment import AssignmentConfig
from models.policies.ownership import Assignment, WorkerReport
from models.policies.pool import PoolConfig
from models.policies.prewarm import PrewarmConfig
from models.policies.thinning import ThinConfig

TICK_S: Final = 0.1
SHOW_TICKS: Final = 20


class RayLauncher:
    """Workers as named, detached, restarting actors. `options` add to or replace the defaults."""

    def __init__(self, settings: dict[str, Any], options: dict[str, Any] | None = None) -> None:
        self._settings = settings
        self._options = {
            "num_cpus": 0.25, "max_restarts": -1, "max_task_retries": 0, "max_concurrency": 4,
            "lifetime": "detached", **(options or {}),
        }

    def start(self, worker_id: int) -> None:
        """Create the actor, or leave the one of that name alone."""
        import ray

        actor = ray.remote(WorkerShell).options(
            name=worker_actor(worker_id), namespace=RAY_NAMESPACE, get_if_exists=True,
            **self._options,
        )
        actor.remote(self._settings, worker_id)

    def drain(self, worker_id: int) -> None:
        """End the actor for good; it holds nothing."""
        import ray

        try:
            handle = ray.get_actor(worker_actor(worker_id), namespace=RAY_NAMESPACE)
        except ValueError:
            return
        ray.kill(handle, no_restart=True)


class CoordinatorShell:
    """The one coordinator. fixed: size of the pool, 0 = elastic; `launcher` None: Ray actors."""

    def __init__(
        self, settings: dict[str, Any], fixed: int = 0,
        worker_options: dict[str, Any] | None = None, launcher: Launcher | None = None,
        autostart: bool = True,
    ) -> None:
        tree = Settings.from_dict(settings)
        self._log = open_log(tree.log.url, tree.log.segment_bytes)
        ports = CoordinatorPorts(
            self._log, snapshot_store(tree), launcher or RayLauncher(settings, worker_options),
            SteadyClock(), node_port(worker_options or {}),
        )
        elastic = not fixed and isinstance(ports.nodes, RayNodes)
        self.coordinator = Coordinator(ports, coordinator_config(tree, fixed, elastic))
        self._metrics = PoolMetrics(Metrics("coordinator"))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ticks, name="coordinator", daemon=True)
        if autostart:
            self.start()

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def register(self, worker_id: int, incarnation: int, node: str = "") -> Assignment:
        """See `Coordinator.register`."""
        return self.coordinator.register(worker_id, incarnation, node)

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        """See `Coordinator.heartbeat`."""
        return self.coordinator.heartbeat(worker_id, report)

    def status(self) -> dict[str, Any]:
        """See `Coordinator.status`."""
        return self.coordinator.status()

    def latency(self) -> dict[str, dict[str, Any]]:
        """See `Coordinator.latency`."""
        return self.coordinator.latency()

    def stop(self) -> None:
        """Stop deciding, and want no nodes any more; workers go on with what they hold."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10.0)
        with suppress(NodesAwayError):  # the cluster is gone, and its nodes with it
            self.coordinator.let_nodes_go()
        self._log.close()

    def _ticks(self) -> None:
        settle_heap()
        shown = 0
        while not self._stop.wait(TICK_S):
            self.coordinator.tick()
            shown += 1
            if shown % SHOW_TICKS == 0:
                self._metrics.show(self.coordinator.status())


def node_port(worker_options: dict[str, Any]) -> NodePort:
    """Asks the autoscaler where workers take a share of nodes that it adds, and nobody else."""
    if FLOW_SLOT in worker_options.get("resources", {}):
        return RayNodes(bundle_of(worker_options))
    return GivenNodes()


def coordinator_config(
    tree: Settings, fixed: int = 0, elastic: bool = False
) -> CoordinatorConfig:
    """The coordinator's part of the settings; elastic: nodes can be had by asking."""
    told = tree.pool
    pool = PoolConfig(
        min_workers=told.min_workers, max_workers=told.max_workers, fixed=fixed,
        busy_high=told.busy_high, busy_low=told.busy_low, down_after_s=told.down_after_s,
    )
    prewarm = PrewarmConfig(
        max_workers=told.max_workers, node_start_s=told.node_start_s if elastic else 0.0,
        busy_high=told.busy_high, headroom=pool.headroom,
    )
    thin = ThinConfig(
        told.thin_level, enter_s=told.thin_after_s, leave_s=told.thin_after_s / 2
    )
    return CoordinatorConfig(
        pool=pool, prewarm=prewarm, thin=thin, unhurried=played_faster(tree),
        assignment=AssignmentConfig.beside(told.busy_high, even=fixed > 1),
        venues=tuple(venue.id for venue in tree.venues),
    )
