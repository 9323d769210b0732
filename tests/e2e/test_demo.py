"""The demo as a user runs it, and with its processes killed under it."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

LIMIT_S = 240
MINUTES = "2"


def victim(data: Path, name: str) -> int:
    """The pid that the run has noted for one of its own actors."""
    return int(json.loads((data / "processes.json").read_text())[name])


def wait_until(path: Path, fraction: float, command: object, limit_s: float = 120) -> None:
    """Until the run says that it is this far."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if path.exists() and json.loads(path.read_text() or "{}").get("done", 0) >= fraction:
            return
        assert command.process.poll() is None, command.output()[-3000:]
        time.sleep(0.2)
    raise AssertionError("the run did not get that far:\n" + command.output()[-3000:])


def kill(pid: int, run_pid: int) -> None:
    """kill -9, of a process that descends from the run and of no other."""
    assert run_pid in {parent.pid for parent in psutil.Process(pid).parents()}
    os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(900)
def test_killing_actors_during_the_demo_loses_and_doubles_nothing(
    touchline: Callable[..., object],
) -> None:
    words = ("demo", "--minutes", MINUTES, "--speed", "6")
    whole = touchline(*words, "--no-nets", "--speed", "max", name="whole").wait(LIMIT_S)
    assert whole.code == 0, whole.output[-3000:]

    hurt = touchline(*words, name="hurt")
    data = hurt.folder / "data"
    wait_until(data / "progress.json", 0.15, hurt)
    for name in ("stadium/demo-park", "worker/0", "replica/event-net"):
        kill(victim(data, name), hurt.process.pid)
        time.sleep(3.0)
    ended = hurt.wait(LIMIT_S)

    assert ended.code == 0, ended.output[-4000:]
    assert ended.report["digest"] == whole.report["digest"]
    assert ended.report["samples"] == whole.report["samples"]
    assert ended.report["conservation"]["holds"]


@pytest.mark.timeout(300)
def test_interrupting_the_demo_stops_everything_and_a_second_start_works(
    touchline: Callable[..., object],
) -> None:
    first = touchline("demo", "--minutes", "5", "--speed", "5", "--no-nets", name="first")
    wait_until(first.folder / "data" / "progress.json", 0.02, first)
    children = psutil.Process(first.process.pid).children(recursive=True)
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(timeout=60) != 0
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive, [p.cmdline() for p in alive]
    second = touchline(
        "demo", "--minutes", "0.5", "--speed", "max", "--no-nets", name="second"
    ).wait(LIMIT_S)
    assert second.code == 0, second.output[-3000:]
    assert second.report["events"]
