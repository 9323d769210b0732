"""WorkerShell: a worker as a process: its ports from settings, a thread that works, one that beats.

`ray.remote` is applied where it is launched. A constructor call is a new incarnation, so a worker
that Ray restarts registers anew and gets its flows again. A fault of ours in the loop ends the
process, so that the restart is a clean one.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from actors.lives import next_incarnation
from actors.net_client import NetClient, served_nets
from actors.snapshot_writer import WriteBeside
from actors.worker import Worker
from actors.worker_ports import (
    CoordinatorAwayError,
    CoordinatorPort,
    WorkerConfig,
    WorkerPorts,
)
from actors.worker_warmup import warm_up
from cluster.clock import SteadyClock
from cluster.core_time import core_time
from cluster.eventlog.open import open_log
from cluster.eventlog.port import EventLog
from cluster.heap import settle_heap
from cluster.lean_arrow import spare_pandas
from cluster.names import COORDINATOR, RAY_NAMESPACE, worker_actor
from cluster.settings import Settings
from cluster.snapshots import SnapshotStore
from cluster.storage import open_storage
from models.errors import LogError
from models.flows.kernel import FlowKernel, KeptOutputs
from models.policies.ownership import Assignment, WorkerReport

BEAT_S: Final = 0.5
LATE_BEAT_S: Final = 0.1
LATE_S: Final = 0.2
# A worker that has just come waits for its flows, and they for it: it asks often, for a while.
QUICK_BEAT_S: Final = 0.05
QUICK_BEATS: Final = 40
LIFE_TRIES: Final = 60
APPENDERS: Final = 8
"""Appends that wait for the disk at once: the file system writes its journal for all of them."""
EXIT_CODE: Final = 70
LEAVE_S: Final = 5.0
"""A worker that was retired is ended from outside well before: see `WorkerShell._leave`."""
RETIRED_CODE: Final = 71
_log = logging.getLogger("touchline.worker")


class RayCoordinator:
    """The coordinator by its actor name, looked up anew whenever it did not answer."""

    def __init__(self, name: str = COORDINATOR, timeout_s: float = 5.0) -> None:
        import ray

        self._name, self._timeout_s = name, timeout_s
        self._node = ray.get_runtime_context().get_node_id()
        self._handle: Any = None

    def register(self, worker_id: int, incarnation: int) -> Assignment:
        """Raises CoordinatorAwayError."""
        return self._ask("register", worker_id, incarnation, self._node)

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        """Raises CoordinatorAwayError."""
        return self._ask("heartbeat", worker_id, replace(report, node=self._node))

    def _ask(self, method: str, *args: Any) -> Assignment:
        import ray

        try:
            if self._handle is None:
                self._handle = ray.get_actor(self._name, namespace=RAY_NAMESPACE)
            answer = getattr(self._handle, method).remote(*args)
            assignment: Assignment = ray.get(answer, timeout=self._timeout_s)
        except (ray.exceptions.RayError, ValueError) as error:
            self._handle = None
            raise CoordinatorAwayError(f"{type(error).__name__}: {str(error)[:200]}") from error
        return assignment


def snapshot_store(tree: Settings) -> SnapshotStore:
    """Where flow state and the coordinator's table are kept."""
    return SnapshotStore(open_storage(str(Path(tree.data_dir) / "snapshots")))


def _life(log: EventLog, worker_id: int) -> int:
    """The number of this life; a log that is away is waited for, up to a bound. Raises LogError."""
    for _ in range(LIFE_TRIES - 1):
        try:
            return next_incarnation(log, worker_actor(worker_id))
        except LogError:
            time.sleep(BEAT_S)
    return next_incarnation(log, worker_actor(worker_id))


def beat_pause_s(report: WorkerReport) -> float:
    """Until the next beat: whoever is late says so sooner, since the answer takes time to help."""
    return LATE_BEAT_S if max(report.backlog_s.values(), default=0.0) > LATE_S else BEAT_S


class WorkerShell:
    """One worker of the pool. `coordinator` None: the named Ray actor."""

    def __init__(
        self, settings: dict[str, Any], worker_id: int,
        coordinator: CoordinatorPort | None = None, autostart: bool = True,
        on_fault: Callable[[int], None] = os._exit,
    ) -> None:
        spare_pandas()
        tree = Settings.from_dict(settings)
        clock_ns = SteadyClock()
        self._nets = NetClient(served_nets() if tree.serve.nets else None, clock_ns)
        self._log = open_log(tree.log.url, tree.log.segment_bytes)
        snapshots = snapshot_store(tree)
        self._writer = WriteBeside(snapshots)
        self._appenders = ThreadPoolExecutor(APPENDERS, f"append-{worker_id}")
        ports = WorkerPorts(
            self._log, snapshots, coordinator or RayCoordinator(), self._nets,
            partial(FlowKernel, kept=KeptOutputs()), clock_ns, self._writer, core_time,
            self._appenders,
        )
        config = WorkerConfig(snapshot_ns=int(tree.pool.snapshot_s * 1e9))
        self.worker = Worker(worker_id, _life(self._log, worker_id), ports, config)
        self._poll_s = tree.pool.poll_ms / 1e3
        self._on_fault = on_fault
        self._stop = threading.Event()
        self._warm = threading.Event()
        self._beat_now = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{worker_id}", daemon=True),
            threading.Thread(target=self._beats, name=f"beats-{worker_id}", daemon=True),
        ]
        if autostart:
            self.start()

    def start(self) -> None:
        """Begin to work and to beat."""
        for thread in self._threads:
            thread.start()

    def ping(self) -> int:
        """Answers while the process lives: its pid."""
        return os.getpid()

    def stats(self) -> dict[str, Any]:
        """How the worker stands, for people."""
        return self.worker.stats()

    def report(self) -> WorkerReport:
        """What the next heartbeat says."""
        return self.worker.report

    def stop(self) -> None:
        """Stop working. Flows that are still held go on elsewhere from their snapshots."""
        self._stop.set()
        self._beat_now.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(10.0)
        self._writer.close()
        self._appenders.shutdown()
        self._nets.close()
        self._log.close()

    def _work(self) -> None:
        worker, epoch = self.worker, -1
        try:
            warm_up()
            settle_heap()
            self._warm.set()
            while not self._stop.is_set() and not worker.retired:
                moved = worker.step()
                if worker.report.epoch != epoch:
                    # A hand-over waits for this word of ours.
                    epoch = worker.report.epoch
                    self._beat_now.set()
                if not moved:
                    self._stop.wait(self._poll_s)
        except BaseException:
            _log.exception("worker %d stops at a fault of its own", worker.worker_id)
            # Not at once, so that a fault that comes back at every start does not spin.
            self._stop.wait(1.0)
            self._on_fault(EXIT_CODE)
        else:
            self._leave()

    def _leave(self) -> None:
        """Whoever retires a worker ends its process. A coordinator that died before it did, or that
        was none any more, leaves one that holds the name and does nothing, and that its successor
        would leave alone for ever: so it ends itself, and is started again as a new incarnation."""
        if self.worker.retired and not self._stop.wait(LEAVE_S):
            _log.warning("worker %d was retired and not ended", self.worker.worker_id)
            self._on_fault(RETIRED_CODE)

    def _beats(self) -> None:
        # Whoever registers gets flows: not before they can be worked on.
        while not self._warm.wait(BEAT_S) and not self._stop.is_set():
            continue
        quick = QUICK_BEATS
        while not self._stop.is_set() and not self.worker.retired:
            self.worker.beat()
            quick = 0 if any(self.worker.report.held.values()) else quick - 1
            self._beat_now.wait(QUICK_BEAT_S if quick > 0 else beat_pause_s(self.worker.report))
            self._beat_now.clear()
