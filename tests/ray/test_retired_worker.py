"""A worker that a coordinator retires and does not end, as one that dies in between."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.coordinator_shell import RayLauncher
from cluster.names import COORDINATOR, RAY_NAMESPACE
from cluster.settings import Settings
from models.policies.ownership import Assignment, WorkerReport

WORKER = 7
WITHIN_S = 120.0


class Forgetful:
    """Retires the first life of a worker, and takes every other."""

    def __init__(self) -> None:
        self._lives: list[int] = []

    def register(self, worker_id: int, incarnation: int, node: str) -> Assignment:
        first = not self._lives or incarnation == self._lives[0]
        if incarnation not in self._lives:
            self._lives.append(incarnation)
        return Assignment(1, drain=first, known=not first, retired=first)

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        return Assignment(1)

    def lives(self) -> list[int]:
        return self._lives


@pytest.fixture
def coordinator(ray_local: None) -> Iterator[Any]:
    import ray

    actor = ray.remote(Forgetful).options(
        name=COORDINATOR, namespace=RAY_NAMESPACE, num_cpus=0
    ).remote()
    yield actor
    ray.kill(actor)


def test_the_name_is_not_held_by_a_worker_that_does_nothing(
    coordinator: Any, tmp_path: Path
) -> None:
    import ray

    launcher = RayLauncher(Settings.from_dict({"data_dir": str(tmp_path)}).to_dict())
    launcher.start(WORKER)
    try:
        end_s = time.monotonic() + WITHIN_S
        while len(lives := ray.get(coordinator.lives.remote())) < 2:
            assert time.monotonic() < end_s, lives
            # As the next coordinator does: it leaves the name alone as long as it is taken.
            launcher.start(WORKER)
            time.sleep(0.5)
        assert lives == sorted(lives)
    finally:
        launcher.drain(WORKER)
