"""The GCS, and then one node of three, killed under a match: `tests.e2e.faults_nodes` plays it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.connection import TUNED, TUNED_NODES
from cluster.names import events_topic, insights_topic, telemetry_topic
from tests.e2e import faults_run as faults
from tests.e2e.faults_nodes import VENUE
from tests.e2e.faults_record import note
from tests.e2e.live_world import free_ports

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]
ROOT = Path(__file__).resolve().parents[2]
MINUTES, SPEED, LIMIT_S = 3, 3, 600
TELEMETRY, EVENTS = telemetry_topic(VENUE), events_topic(VENUE)
INSIGHTS = insights_topic(VENUE)
DETACHED = (faults.STADIUM, faults.WORKER, faults.COORDINATOR, "ray::TwinStore",
            "ray::SupervisorShell")


class Nodes:
    """One run of the script, in a folder of its own."""

    def __init__(self, folder: Path, speed: float) -> None:
        self.folder = folder
        port = free_ports(1)[0]
        words = [str(folder), str(MINUTES), str(speed), str(port)]
        self.output = folder / "output.txt"
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.faults_nodes", *words], cwd=ROOT, stdout=out,
                stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def wait(self) -> dict[str, Any]:
        code = self.process.wait(LIMIT_S)
        assert code == 0, self.output.read_text()[-4000:]
        return json.loads((self.folder / "report.json").read_text())

    def play_to(self, fraction: float) -> None:
        path = self.folder / "data" / "progress.json"

        def there() -> bool:
            assert self.process.poll() is None, self.output.read_text()[-3000:]
            return path.exists() and json.loads(path.read_text())["done"] >= fraction

        faults.until(there, f"{fraction:.0%} of the run", 300)

    def pids(self) -> dict[str, int]:
        return {begin: faults.the_one(self.process.pid, begin).pid for begin in DETACHED}

    def end(self) -> None:
        if self.process.poll() is None:
            family = psutil.Process(self.process.pid).children(recursive=True)
            self.process.terminate()
            psutil.wait_procs(family, 20)
            for one in [self.process, *family]:
                if isinstance(one, psutil.Process) and one.is_running():
                    one.kill()
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Any]:
    runs: list[Nodes] = []

    def start(name: str, speed: float) -> Nodes:
        (tmp_path / name).mkdir()
        runs.append(Nodes(tmp_path / name, speed))
        return runs[-1]

    yield start
    for run in runs:
        run.end()


def kill_gcs(run: Nodes, log: faults.Log) -> float:
    """Detached actors go on as they are. Then a worker dies as well, which only a GCS can heal."""
    pid, before = run.process.pid, run.pids()
    t_ns = faults.kill(faults.the_one(pid, "gcs_server"), pid)
    log.seconds_until(TELEMETRY, t_ns, log.ends()[TELEMETRY])
    assert run.pids() == before
    since = log.ends()[INSIGHTS]
    dead_ns = faults.kill(faults.the_one(pid, faults.WORKER), pid)
    seconds = log.seconds_until(INSIGHTS, dead_ns, since, "worker/") + (dead_ns - t_ns) / 1e9
    after = run.pids()
    assert after.pop(faults.WORKER) != before.pop(faults.WORKER)
    assert after == before
    return seconds


def kill_node(run: Nodes, log: faults.Log) -> float:
    """The stadium's node dies, and the stadium itself is only held up: it wakes when another one
    has its place, and whatever it still writes is refused. It wakes, or dies, in any case: it is
    nobody's child by then."""
    stadium = faults.the_one(run.process.pid, faults.STADIUM)
    raylet = stadium.parent()
    assert raylet is not None
    raylets = json.loads((run.folder / "nodes.json").read_text())
    assert raylet.pid in {pid for role, pid in raylets.items() if role.startswith("edge")}
    faults.suspend_between_writes(stadium)
    since = log.ends()[TELEMETRY]
    t_ns = faults.kill(raylet, run.process.pid)
    try:
        seconds = log.seconds_until(TELEMETRY, t_ns, since)
    finally:
        # Ray may have ended the orphan by now, and may not have.
        with suppress(psutil.NoSuchProcess):
            stadium.resume()
    time.sleep(3.0)  # in which it would write, were it not refused
    return seconds


def test_a_dead_gcs_and_a_dead_node_lose_and_double_nothing(played: Any) -> None:
    whole = played("whole", 0)
    expected = whole.wait()
    run = played("hurt", SPEED)
    run.play_to(0.05)
    log = faults.Log(run.folder / "data")
    for name, count in (("raylet", 3), ("gcs_server", 1)):
        found = faults.descendants(run.process.pid, name)
        assert len(found) == count
        assert all((TUNED | TUNED_NODES).items() <= one.environ().items() for one in found)
    asked = json.loads((run.folder / "asked.json").read_text())
    wanted = {name: float(value) for name, value in (TUNED | TUNED_NODES).items() if name in asked}
    assert asked == wanted
    assert len(wanted) == 5
    seconds = {"GCS killed, then a worker": kill_gcs(run, log)}
    time.sleep(1.0)
    seconds["one node of three dead"] = kill_node(run, log)
    report = run.wait()

    calm = faults.Log(whole.folder / "data")
    lost = len(calm.flow_events(EVENTS) - log.flow_events(EVENTS))
    lost += abs(expected["samples"]["in"] - report["samples"]["in"])
    doubled = sum(faults.doubled(log.ids(topic)) for topic in (TELEMETRY, EVENTS))
    for fault, recovery_s in seconds.items():
        note(fault, recovery_s, lost, doubled)
    assert (lost, doubled, log.damaged()) == (0, 0, 0)
    assert report["digest"] == expected["digest"]
    assert report["samples"] == expected["samples"]
    log.close()
    calm.close()
