"""Nodes are added by workers that wait for them, and removed when their workers have been drained.

`tests.e2e.elastic_nodes` runs two live venues on a cluster of this machine whose autoscaler starts
raylets. How long a node takes is written down, and never judged here.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cluster.eventlog.scan import records_now
from cluster.names import ACTIONS_TOPIC, events_topic, telemetry_topic
from tests.e2e import faults_run as faults
from tests.e2e.elastic_cluster import PROVIDER, cluster_config, kill_all, processes
from tests.e2e.elastic_nodes import VENUES
from tests.e2e.faults_record import note
from tests.e2e.live_world import free_ports

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 600
NEEDS = {"utilisation", "calm_backlog", "hot_backlog", "forecast"}


class Run:
    """One run of the script, in a folder of its own."""

    def __init__(self, which: str, folder: Path) -> None:
        self.folder, self.output = folder, folder / "output.txt"
        words = [which, str(folder), str(free_ports(1)[0])]
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.elastic_nodes", *words], cwd=ROOT, stdout=out,
                stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def wait(self, name: str = "report.json") -> dict[str, Any]:
        code = self.process.wait(LIMIT_S)
        assert code == 0, self.output.read_text()[-4000:]
        return json.loads((self.folder / name).read_text())

    def timeline(self) -> list[dict[str, Any]]:
        """Lines that are whole, of moments at which the cluster could be seen."""
        path = self.folder / "timeline.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return [line for line in found if "nodes" in line]

    def play_until(self, there: Callable[[list[dict[str, Any]]], bool], what: str) -> None:
        def seen() -> bool:
            assert self.process.poll() is None, self.output.read_text()[-3000:]
            return there(self.timeline())

        faults.until(seen, what, LIMIT_S)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        kill_all(self.folder)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    started: list[Run] = []

    def start(which: str) -> Run:
        (tmp_path / which).mkdir()
        started.append(Run(which, tmp_path / which))
        return started[-1]

    yield start
    for run in started:
        run.end()


def test_ray_still_has_the_provider_that_starts_nodes_on_one_machine() -> None:
    """A private name of Ray 2.60: if this fails, see where Ray's own autoscaler tests have it."""
    from ray.autoscaler._private.providers import _get_node_provider_cls
    from ray.autoscaler.node_provider import NodeProvider

    module, _, name = PROVIDER.rpartition(".")
    found = getattr(importlib.import_module(module), name, None)
    assert found is not None, f"{PROVIDER} is gone"
    assert issubclass(found, NodeProvider)
    assert _get_node_provider_cls(cluster_config("127.0.0.1:1", 1, 1.0)["provider"]) is found


def test_room_asked_for_ahead_is_made_held_and_given_back(
    runs: Callable[[str], Run]
) -> None:
    run = runs("ahead")
    found = run.wait("ahead.json")
    print(f"two nodes after {found['added_s']:.1f} s, gone after {found['removed_s']:.1f} s")
    assert (found["before"], found["held"], found["after"]) == (0, 2, 0)
    assert not processes(run.folder)


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_load_adds_nodes_and_its_end_removes_them_and_nothing_is_lost(
    runs: Callable[[str], Run]
) -> None:
    run = runs("elastic")
    run.play_until(shrunk, "the pool grown, and down to one worker on one node")
    run.process.terminate()
    report = run.wait()
    timeline, log = run.timeline(), faults.Log(run.folder / "data")
    actions = [json.loads(s.record.payload) for s in records_now(log.log, ACTIONS_TOPIC, 0)]
    decided = [one for one in actions if one["actor"] == "coordinator"]

    nodes_follow_demand(timeline, decided)
    every_decision_has_its_reason(decided)
    metrics_tell(timeline)
    assert report["conservation"]["holds"]
    lost, doubled = differences(runs("calm"), log, report)
    for what, seconds in measured(timeline, decided).items():
        note(what, seconds, lost, doubled)
    assert (lost, doubled, log.damaged()) == (0, 0, 0)
    log.close()
    assert not processes(run.folder)


def shrunk(timeline: list[dict[str, Any]]) -> bool:
    """Whether the matches are over, and of several nodes one is left."""
    last = timeline[-1] if timeline else {}
    most = max((len(line.get("nodes", ())) for line in timeline), default=0)
    pool = last.get("pool", {})
    return most > 1 and bool(pool.get("all_final")) and pool["size"] == len(last["nodes"]) == 1


def nodes_follow_demand(timeline: list[dict[str, Any]], decided: list[dict[str, Any]]) -> None:
    """None at first, none in the end; each worker on a node of its own; flows on several of them;
    no worker lost with its node."""
    assert timeline[0]["nodes"] == timeline[-1]["nodes"] == []
    first = next(line for line in timeline if line["nodes"])
    assert first["t_ns"] > scales(decided)[0]["t_ns"]
    registered = [one["detail"] for one in decided if one["action"] == "worker_registered"]
    assert len({one["node"] for one in registered}) == len(registered) >= 2
    shared = [
        line for line in timeline
        if len({owner for v in line.get("pool", {}).get("venues", {}).values()
                for owner in v["owners"]}) > 1
    ]
    assert shared
    assert all(len(set(line["workers"].values())) == len(line["workers"]) for line in shared)
    assert "worker_dead" not in {one["action"] for one in decided}


def scales(decided: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in decided if one["action"] == "scale"]


def every_decision_has_its_reason(decided: list[dict[str, Any]]) -> None:
    """From none to one, up by need, down by idleness; in the durable log, in this order."""
    steps = scales(decided)
    assert steps[0]["reason"] == "below_min"
    ways = [step["detail"]["to"] > step["detail"]["from"] for step in steps[1:]]
    reasons = {way: {s["reason"] for s, w in zip(steps[1:], ways, strict=True) if w is way}
               for way in (True, False)}
    assert reasons[True]
    assert reasons[True] <= NEEDS
    assert reasons[False] == {"idle"}
    assert all(step["detail"]["from"] == before["detail"]["to"] for before, step in pairwise(steps))
    drained = [one for one in decided if one["action"] == "worker_drained"]
    assert [one["reason"] for one in drained] == ["scaled_down"] * ways.count(False)


def metrics_tell(timeline: list[dict[str, Any]]) -> None:
    """Prometheus saw the pool grow over its nodes and shrink, and why."""
    told = [line["metrics"] for line in timeline if line.get("metrics")]
    for name in ("pool_workers", "pool_nodes"):
        seen = [one[name] for one in told if name in one]
        assert max(seen) >= 2
        assert seen[-1] == 1
    last = told[-1]
    assert last['pool_scale_decisions_total,direction="down",reason="idle"'] >= 1
    assert any(last.get(f'pool_scale_decisions_total,direction="up",reason="{need}"', 0) >= 1
               for need in NEEDS)


def differences(calm: Run, log: faults.Log, report: dict[str, Any]) -> tuple[int, int]:
    """(lost, doubled) in comparison with one worker on one machine that nothing happens to."""
    expected = calm.wait()
    still = faults.Log(calm.folder / "data")
    topics = [events_topic(venue) for venue in VENUES]
    lost = sum(len(still.flow_events(one) ^ log.flow_events(one)) for one in topics)
    lost += abs(expected["samples"]["in"] - report["samples"]["in"])
    still.close()
    assert report["digest"] == expected["digest"]
    assert report["samples"] == expected["samples"]
    topics += [telemetry_topic(venue) for venue in VENUES]
    return lost, sum(faults.doubled(log.ids(one)) for one in topics)


def measured(
    timeline: list[dict[str, Any]], decided: list[dict[str, Any]]
) -> dict[str, float]:
    """Seconds from a decision to the node that it brought or let go; to half a second."""
    second = next(line for line in timeline if len(line["nodes"]) > 1)
    grown = next(one for one in scales(decided)[1:] if one["t_ns"] < second["t_ns"])
    up = next(one for one in decided if one["action"] == "worker_registered"
              and one["t_ns"] > second["t_ns"])
    drained = next(one for one in decided if one["action"] == "worker_drained")
    before = next(len(one["nodes"]) for one in timeline if one["t_ns"] > drained["t_ns"])
    gone = next(one for one in timeline
                if one["t_ns"] > drained["t_ns"] and len(one.get("nodes", ())) < before)
    return {
        "node added by demand": (second["t_ns"] - grown["t_ns"]) / 1e9,
        "worker on the added node": (up["t_ns"] - grown["t_ns"]) / 1e9,
        "node removed after its worker": (gone["t_ns"] - drained["t_ns"]) / 1e9,
    }
