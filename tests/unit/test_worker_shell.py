"""How often a worker talks to the coordinator, and what its process does when it is retired."""

from pathlib import Path
from typing import Any

import pytest

from actors import worker_shell
from actors.worker_shell import (
    BEAT_S,
    EXIT_CODE,
    LATE_BEAT_S,
    RETIRED_CODE,
    WorkerShell,
    beat_pause_s,
)
from cluster.settings import Settings
from models.policies.ownership import Assignment, WorkerReport

RETIRED = Assignment(1, drain=True, known=False, retired=True)


def report(**backlog_s: float) -> WorkerReport:
    return WorkerReport(1, 1, 0, backlog_s=backlog_s)


def test_a_worker_that_is_late_says_so_sooner() -> None:
    assert beat_pause_s(report()) == beat_pause_s(report(hot=0.0, calm=0.1)) == BEAT_S
    assert beat_pause_s(report(hot=0.3, calm=0.0)) == LATE_BEAT_S < BEAT_S
    assert beat_pause_s(report(hot=0.0, calm=2.0)) == LATE_BEAT_S


class Nobody:
    """A coordinator that has retired the worker, and is asked no more."""

    def register(self, worker_id: int, incarnation: int) -> Assignment:
        raise AssertionError("a retired worker does not register")

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        raise AssertionError("a retired worker does not beat")


@pytest.fixture
def codes() -> list[int]:
    return []


@pytest.fixture
def shell(tmp_path: Path, codes: list[int], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(worker_shell, "warm_up", lambda: None)
    settings = Settings.from_dict({"data_dir": str(tmp_path), "serve": {"nets": False}})
    one = WorkerShell(settings.to_dict(), 3, Nobody(), autostart=False, on_fault=codes.append)
    yield one
    one.stop()


def test_a_retired_worker_that_nobody_ends_makes_room_for_its_successor(
    shell: WorkerShell, codes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_shell, "LEAVE_S", 0.0)
    shell.worker.hear(RETIRED)
    shell._work()
    assert shell.worker.retired
    assert codes == [RETIRED_CODE]


def test_one_that_is_stopped_in_time_just_ends(shell: WorkerShell, codes: list[int]) -> None:
    shell.worker.hear(RETIRED)
    shell.worker.step()
    shell._stop.set()
    shell._work()
    assert shell.worker.retired
    assert codes == []


def test_a_fault_of_its_own_is_no_retirement(
    shell: WorkerShell, codes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> bool:
        shell._stop.set()
        raise ValueError("broken")

    monkeypatch.setattr(shell.worker, "step", broken)
    shell._work()
    assert codes == [EXIT_CODE]
