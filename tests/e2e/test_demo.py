"""The demo as a user runs it, and as a user interrupts it."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

LIMIT_S = 240


def wait_until(path: Path, fraction: float, command: object, limit_s: float = 120) -> None:
    """Until the run says that it is this far."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if path.exists() and json.loads(path.read_text() or "{}").get("done", 0) >= fraction:
            return
        assert command.process.poll() is None, command.output()[-3000:]
        time.sleep(0.2)
    raise AssertionError("the run did not get that far:\n" + command.output()[-3000:])


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
