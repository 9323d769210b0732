"""A match through the whole system while its processes are killed under it, one after the other.

The undisturbed run is the measure: the same digest, the same account, nothing missing, nothing
twice. How long each fault lasted goes to `faults_record`.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.connection import TUNED, TUNED_NODES
from cluster.identity import open_issuer
from cluster.names import ACTIONS_TOPIC, events_topic, insights_topic, telemetry_topic
from cluster.settings import load_settings
from tests.e2e import faults_run as faults
from tests.e2e.faults_record import note

LIMIT_S = 400
VENUE = "demo-park"
WORDS = ("demo", "--minutes", "4", "--speed", "3", "--workers", "1")
TELEMETRY, EVENTS = telemetry_topic(VENUE), events_topic(VENUE)
figures: list[tuple[str, float]] = []


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Like the fixture `touchline`, for the whole module."""
    from tests.e2e.conftest import Command

    started: list[Command] = []

    def start(name: str, *words: str) -> Command:
        folder = tmp_path_factory.mktemp(name)
        places = ("--data-dir", str(folder / "data"), "--port", str(8170 + len(started)))
        made = Command([*words, *places, "--json", str(folder / "report.json")], folder)
        started.append(made)
        return made

    yield start
    for one in started:
        one.end()


@pytest.fixture(scope="module")
def whole(command: Callable[..., Any]) -> tuple[Any, Path]:
    """The undisturbed run."""
    run = command("whole", *WORDS, "--no-nets", "--speed", "max")
    ended = run.wait(LIMIT_S)
    assert ended.code == 0, ended.output[-3000:]
    return ended, run.folder / "data"


def ask_api(data: Path, port: int) -> Callable[[], bool]:
    """Whether the interface answers a question that only the proxy and its replica take part in."""
    issuer = open_issuer(load_settings(None, {"data_dir": str(data)}).identity)
    headers = {"Authorization": f"Bearer {issuer.mint('watch', 'ops')}"}

    def ask() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/v1/venues", headers=headers)
            return connection.getresponse().status == 200
        except http.client.HTTPException:
            return False
        finally:
            connection.close()

    return ask


def environment(process: psutil.Process) -> set[tuple[str, str]]:
    return set(process.environ().items())


def play_to(run: Any, fraction: float) -> None:
    path = run.folder / "data" / "progress.json"

    def there() -> bool:
        assert run.process.poll() is None, run.output()[-3000:]
        return path.exists() and json.loads(path.read_text())["done"] >= fraction

    faults.until(there, f"{fraction:.0%} of the run", 240)


def kill_actors(run: Any, log: faults.Log) -> None:
    """Stadium, worker and coordinator; each one once the last one's effects go on."""
    pid = run.process.pid
    for fault, begin, topic, writer, how in (
        ("stadium actor killed", faults.STADIUM, TELEMETRY, "", faults.kill),
        ("worker killed in mid batch", faults.WORKER, insights_topic(VENUE), "worker/",
         faults.kill_in_mid_batch),
        ("coordinator killed", faults.COORDINATOR, ACTIONS_TOPIC, "actions/coordinator/",
         faults.kill),
    ):
        since = log.ends()[topic]
        t_ns = how(faults.the_one(pid, begin), pid)
        figures.append((fault, log.seconds_until(topic, t_ns, since, writer)))
        time.sleep(1.0)


def kill_serve(run: Any, ask: Callable[[], bool]) -> None:
    pid = run.process.pid
    for fault, begin in (
        ("Serve replica killed", faults.API), ("Serve proxy killed", faults.PROXY),
    ):
        watch = faults.HttpWatch(ask)
        with watch.running():
            faults.until(lambda watch=watch: watch.good_ns, "an answer before the fault")
            t_ns = faults.kill(faults.the_one(pid, begin), pid)
            figures.append((fault, watch.first_good_after(t_ns)))
        time.sleep(1.0)


@pytest.mark.timeout(1200)
def test_killing_stadium_worker_coordinator_replica_and_proxy_loses_and_doubles_nothing(
    command: Callable[..., Any], whole: tuple[Any, Path]
) -> None:
    run = command("hurt", *WORDS)
    data = run.folder / "data"
    play_to(run, 0.05)
    log = faults.Log(data)
    for name in ("gcs_server", "raylet"):
        told = environment(faults.the_one(run.process.pid, name))
        assert TUNED.items() <= told
        assert not told & TUNED_NODES.items()
    kill_actors(run, log)
    kill_serve(run, ask_api(data, 8171))
    faults.kill(faults.the_one(run.process.pid, faults.EVENT_NET), run.process.pid)
    ended = run.wait(LIMIT_S)

    assert ended.code == 0, ended.output[-4000:]
    expected, calm = whole[0].report, faults.Log(whole[1])
    assert ended.report["conservation"]["holds"]
    lost = len(calm.flow_events(EVENTS) - log.flow_events(EVENTS))
    lost += abs(expected["samples"]["in"] - ended.report["samples"]["in"])
    doubled = sum(faults.doubled(log.ids(topic)) for topic in (TELEMETRY, EVENTS))
    for fault, seconds in figures:
        note(fault, seconds, lost, doubled)
    assert (lost, doubled, log.damaged()) == (0, 0, 0)
    assert ended.report["digest"] == expected["digest"]
    assert ended.report["samples"] == expected["samples"]
    log.close()
    calm.close()
