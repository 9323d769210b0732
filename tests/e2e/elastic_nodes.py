"""Two venues live on a cluster that grows and shrinks: what `test_elastic_nodes` looks at.

`python -m tests.e2e.elastic_nodes elastic|calm|ahead FOLDER PORT`. elastic: `touchline live` on a
cluster without any flow node until a worker asks for one, until SIGTERM; the pool is set to find
one worker too few. calm: the same matches on one machine with one worker, until they are over.
ahead: no match; room is asked for as a forecast does, and taken back.
Writes FOLDER/report.json and FOLDER/timeline.jsonl (nodes, pool, metrics; twice a second), or
FOLDER/ahead.json.
"""

import argparse
import json
import os
import re
import signal
import socket
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster.connection import connect, disconnect
from cluster.names import COORDINATOR
from cluster.placement import FLOW_SLOT
from cluster.settings import Settings, load_settings
from tests.e2e.elastic_cluster import LOOPBACK, ElasticCluster

VENUES = ("north", "south")
MATCH_S, SPEED, MAX_NODES, IDLE_S = 120, 3.0, 3, 5.0
START_S, GO_S = 60.0, 90.0
EASY = {"max_workers": 3, "busy_high": 0.08, "busy_low": 0.04, "down_after_s": 5.0,
        "flow_nodes": True}
"""A share of time that one worker alone goes beyond, for it takes some 0.11: two cores are enough
for the test."""


def settings_of(folder: Path, port: int, address: str, speed: float) -> Settings:
    """Both venues' matches, without nets."""
    venues = [
        {
            "id": venue, "match_id": "cup", "sources": [{
                "type": "simulator", "seed": 7 + n, "duration_s": MATCH_S, "speed": speed,
            }],
        }
        for n, venue in enumerate(VENUES)
    ]
    return load_settings(None, {
        "data_dir": str(folder / "data"), "venues": venues, "ray": {"address": address},
        "serve": {"port": port, "nets": False}, "pool": {} if address == "local" else EASY,
        "tiers": {"roll_every_s": 3600.0},
    })


def calm(folder: Path, port: int) -> int:
    from jobs.run import RunOptions, run_match

    options = RunOptions("both matches, one worker", workers=1, json_path=folder / "report.json")
    return run_match(settings_of(folder, port, "local", 0.0), options)


def elastic(folder: Path, port: int) -> int:
    cluster = ElasticCluster(folder, MAX_NODES, IDLE_S)
    # Ray reads these when it is imported, which `jobs.live` does. Between its session and the one
    # below, the thread that watches must not begin one of its own by a call.
    os.environ.update(cluster.environment, RAY_ENABLE_AUTO_CONNECT="0")
    from jobs.live import run_live

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    settings = settings_of(folder, port, cluster.address, SPEED)
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(cluster, folder, stop), daemon=True)
    try:
        cluster.start()
        _wait_for(cluster)
        watch.start()
        options = argparse.Namespace(seconds=0.0, workers=0, json=folder / "report.json")
        code = run_live(settings, options)
        connect(settings)
        _until_there_are(0)
        time.sleep(1.0)  # in which the timeline gets its last line
        return code
    finally:
        stop.set()
        if watch.ident is not None:
            watch.join(30.0)
        disconnect()
        cluster.end()


def ahead(folder: Path, port: int) -> int:
    """Room for two workers, for longer than an idle node is kept; then for none."""
    cluster = ElasticCluster(folder, MAX_NODES, IDLE_S)
    os.environ.update(cluster.environment)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    from actors.nodes import RayNodes, bundle_of
    from cluster.placement import worker_placement

    settings = settings_of(folder, port, cluster.address, SPEED)
    try:
        cluster.start()
        _wait_for(cluster)
        connect(settings)
        nodes = RayNodes(bundle_of(worker_placement(settings, [])))
        found: dict[str, Any] = {"before": len(flow_nodes())}
        nodes.want(2)
        found["added_s"] = _until_there_are(2)
        time.sleep(3 * IDLE_S)
        found["held"] = len(flow_nodes())
        nodes.want(0)
        found["removed_s"] = _until_there_are(0)
        found["after"] = len(flow_nodes())
        (folder / "ahead.json").write_text(json.dumps(found))
        return 0
    finally:
        disconnect()
        cluster.end()


def _until_there_are(count: int) -> float:
    """Seconds until there are so many flow nodes, or `GO_S`."""
    begun_s = time.monotonic()
    while len(flow_nodes()) != count and time.monotonic() - begun_s < GO_S:
        time.sleep(0.1)
    return time.monotonic() - begun_s


def flow_nodes() -> list[str]:
    """Ids of the flow nodes that are alive."""
    import ray

    return [node["NodeID"] for node in ray.nodes()
            if node["Alive"] and node["Resources"].get(FLOW_SLOT)]


def _wait_for(cluster: ElasticCluster) -> None:
    """Until the head's GCS takes connections."""
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s:
        with suppress(OSError), socket.create_connection((LOOPBACK, cluster.gcs_port), 1.0):
            return
        time.sleep(0.2)
    raise TimeoutError(f"no head in {START_S:g} s")


def _watch(cluster: ElasticCluster, folder: Path, stop: threading.Event) -> None:
    import ray

    with (folder / "timeline.jsonl").open("w") as out:
        while not stop.wait(0.5):
            if not ray.is_initialized():
                continue
            line: dict[str, Any] = {"t_ns": time.time_ns()}
            # While the cluster is being left there may be nothing to be seen.
            with suppress(Exception):
                line["nodes"] = flow_nodes()
                line["metrics"] = _metrics(cluster.metrics_port)
                handle = ray.get_actor(COORDINATOR)
                status = ray.get(handle.status.remote(), timeout=5)
                line["pool"] = {key: status[key] for key in (
                    "size", "nodes", "pending", "scale", "utilisation", "all_final", "venues",
                )}
                line["workers"] = {w: one.get("node") for w, one in status["workers"].items()}
            out.write(json.dumps(line) + "\n")
            out.flush()


def _metrics(port: int) -> dict[str, float]:
    """The pool's own lines of the head's Prometheus page: name and labels that are ours."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    found = {}
    for name, labels, value in re.findall(r"^ray_touchline_(pool_\w+)\{(.*)\} (\S+)$", page, re.M):
        ours = re.findall(r'(?:direction|reason|priority)="\w+"', labels)
        found[",".join([name, *sorted(ours)])] = float(value)
    return found


if __name__ == "__main__":
    which, where, http_port = sys.argv[1:]
    sys.exit({"calm": calm, "elastic": elastic, "ahead": ahead}[which](Path(where), int(http_port)))
