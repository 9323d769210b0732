"""The flow pool with real Ray actors, the real log and the real kernel."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.coordinator import Coordinator
from actors.coordinator_ports import CoordinatorPorts
from actors.coordinator_shell import CoordinatorShell, RayLauncher
from actors.net_client import NetClient
from actors.worker import Worker
from actors.worker_ports import WorkerPorts
from actors.worker_shell import snapshot_store
from cluster.eventlog.open import open_log
from cluster.names import COORDINATOR, RAY_NAMESPACE, worker_actor
from cluster.settings import Settings
from models.flows.kernel import FlowKernel
from models.latency import LatencyHistogram
from tests.ray import pool_match as match

SECONDS = 40


@pytest.fixture(scope="module")
def played() -> Any:
    return match.play(SECONDS)


@pytest.fixture(scope="module")
def expected(played: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one worker in this process makes of the match, undisturbed."""
    roster, records = played
    tree = settings_of(tmp_path_factory.mktemp("alone"))
    log = open_log(tree.log.url)
    match.publish_roster(log, roster)
    match.publish(log, roster, match.encode(roster, records))

    class Nobody:
        def start(self, worker_id: int) -> None:
            """The worker is made below."""

        def drain(self, worker_id: int) -> None:
            """It stays."""

    store = snapshot_store(tree)
    coordinator = Coordinator(CoordinatorPorts(log, store, Nobody(), time.time_ns))
    nets = NetClient(None, time.time_ns)
    ports = WorkerPorts(log, store, coordinator, nets, FlowKernel, time.time_ns)
    worker = Worker(0, 1, ports)
    turn_until(lambda: coordinator.status()["all_final"], lambda: one_turn(coordinator, worker))
    found = match.outcome(log, roster.venue_id)
    log.close()
    return found


def one_turn(coordinator: Coordinator, worker: Worker) -> None:
    worker.beat()
    coordinator.tick()
    worker.step()


def settings_of(folder: Path) -> Settings:
    values = {"data_dir": str(folder), "serve": {"nets": False}, "pool": {"snapshot_s": 1.0}}
    return Settings.from_dict(values)


def turn_until(done: Callable[[], bool], turn: Callable[[], None], limit_s: float = 90.0) -> None:
    end_s = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end_s, "not done in time"
        turn()


@pytest.fixture
def pool(ray_local: None, tmp_path: Path) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """Starts a coordinator actor with a fixed number of worker actors; ends them all."""
    import ray

    started: list[tuple[Any, int]] = []

    def start(fixed: int) -> tuple[Any, Any]:
        tree = settings_of(tmp_path)
        shell = ray.remote(CoordinatorShell).options(
            name=COORDINATOR, namespace=RAY_NAMESPACE, num_cpus=0, max_restarts=-1,
            max_concurrency=4,
        )
        handle = shell.remote(tree.to_dict(), fixed, {"num_cpus": 0.1})
        started.append((handle, fixed))
        return handle, open_log(tree.log.url)

    yield start
    for handle, fixed in started:
        ray.kill(handle, no_restart=True)
        for worker in range(fixed):
            RayLauncher({}).drain(worker)


def status(handle: Any) -> dict[str, Any]:
    import ray

    return ray.get(handle.status.remote(), timeout=30)


def test_a_killed_worker_changes_nothing_in_the_results(
    pool: Callable[..., tuple[Any, Any]], played: Any, expected: Any
) -> None:
    import ray

    roster, records = played
    handle, log = pool(3)
    match.publish_roster(log, roster)
    turn_until(lambda: len(status(handle)["venues"].get("arena", {}).get("owners", {})) == 3,
               lambda: time.sleep(0.1))
    encoded = match.encode(roster, records)
    victim = ray.get_actor(worker_actor(1), namespace=RAY_NAMESPACE)
    pid = ray.get(victim.ping.remote(), timeout=30)
    for at in range(0, len(encoded), 4):
        match.publish(log, roster, encoded[at : at + 4])
        time.sleep(0.02)
        if at == len(encoded) // 2 // 4 * 4:
            os.kill(pid, signal.SIGKILL)
    turn_until(lambda: status(handle)["all_final"], lambda: time.sleep(0.1))
    after = status(handle)
    events, finals = match.outcome(log, roster.venue_id)
    assert events == expected[0]
    assert finals == expected[1]
    assert sum(map(len, events.values())) > 20
    reasons = [d["reason"] for d in after["decisions"] if d["action"] == "flows_assigned"]
    assert any("owner_gone" in reason for reason in reasons), reasons
    latency = ray.get(handle.latency.remote(), timeout=30)
    held = LatencyHistogram.from_dict(latency["worker"])
    assert held.count >= len(records)
    assert after["max_size"] == 3
    log.close()


def test_a_killed_coordinator_goes_on_where_it_stopped(
    pool: Callable[..., tuple[Any, Any]], played: Any, expected: Any
) -> None:
    import ray

    roster, records = played
    handle, log = pool(1)
    match.publish_roster(log, roster)
    encoded = match.encode(roster, records)
    match.publish(log, roster, encoded[:100])
    turn_until(lambda: status(handle)["rows_n"] > 0, lambda: time.sleep(0.1))
    epoch = status(handle)["epoch"]
    ray.kill(handle, no_restart=False)
    match.publish(log, roster, encoded[100:])

    def final() -> bool:
        try:
            return status(handle)["all_final"]
        except ray.exceptions.RayError:
            return False

    turn_until(final, lambda: time.sleep(0.1))
    after = status(handle)
    assert after["epoch"] > epoch
    assert "coordinator_restarted" in [d["action"] for d in after["decisions"]]
    assert match.outcome(log, roster.venue_id) == expected
    log.close()
