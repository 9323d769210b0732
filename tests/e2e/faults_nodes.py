"""A cluster of three nodes on this machine and a match played on it: what node faults are tried on.

`python -m tests.e2e.faults_nodes FOLDER MINUTES SPEED PORT`: a head and two edge nodes with the
tuned settings of the cluster files, the GCS on a RocksDB of its own, kept up as an init system
would.
Writes FOLDER/nodes.json (role -> pid of the raylet), FOLDER/asked.json (what Ray says of its health
checks) and FOLDER/report.json; exit code of the run.
"""

import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from cluster.connection import TUNED, TUNED_NODES, connect
from cluster.private_files import write_private
from cluster.settings import Settings, load_settings
from tests.e2e.asked_ray import ask_worker

VENUE = "demo-park"
ROLES = ("head", "edge", "edge")
LOOPBACK = "127.0.0.1"


def main(folder: Path, minutes: float, speed: float, port: int) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    temporary = Path(tempfile.mkdtemp(prefix="tl-", dir="/tmp"))  # Unix sockets need short paths
    _environment(folder, temporary)
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    stop = threading.Event()
    ports = {"head": {"gcs_server_port": port + 1, "dashboard_port": port + 2}}
    try:
        nodes = [
            cluster.add_node(
                num_cpus=4, node_ip_address=LOOPBACK, labels={"touchline.io/role": role},
                include_dashboard=False, object_store_memory=100_000_000, **ports.get(role, {}),
            )
            for role in ROLES
        ]
        keeper = threading.Thread(target=_keep_gcs, args=(nodes[0], stop), daemon=True)
        keeper.start()
        pids = {f"{role}-{n}": _pid(nodes[n]) for n, role in enumerate(ROLES)}
        (folder / "nodes.json").write_text(json.dumps(pids))
        return _play(settings_of(folder, cluster.address, minutes, speed, port), folder)
    finally:
        stop.set()
        cluster.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


def settings_of(
    folder: Path, address: str, minutes: float, speed: float, port: int
) -> Settings:
    """The demo's match without nets, on the cluster at `address`."""
    source = {"type": "simulator", "seed": 7, "duration_s": int(minutes * 60), "speed": speed}
    venue = {"id": VENUE, "match_id": "demo-match", "sources": [source]}
    return load_settings(None, {
        "data_dir": str(folder / "data"), "venues": [venue], "ray": {"address": address},
        "serve": {"port": port, "nets": False},
    })


def _environment(folder: Path, temporary: Path) -> None:
    token = folder / "token"
    write_private(token, [secrets.token_hex(32).encode()], replace=True)
    os.environ.update(TUNED | TUNED_NODES | {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(temporary),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(temporary / "gcs"),
    })


def _play(settings: Settings, folder: Path) -> int:
    from jobs.run import RunOptions, run_match

    connect(settings)
    (folder / "asked.json").write_text(json.dumps(ask_worker()))
    options = RunOptions("a match on three nodes", workers=1, json_path=folder / "report.json")
    return run_match(settings, options)


def _pid(node: Any, kind: str = "raylet") -> int:
    return int(node.all_processes[kind][0].process.pid)


def _keep_gcs(head: Any, stop: threading.Event) -> None:
    """Start the GCS again whenever it has died, as an init system does."""
    while not stop.wait(0.2):
        processes = head.all_processes.get("gcs_server")
        if processes and processes[0].process.poll() is not None:
            head.kill_gcs_server(check_alive=False)
            head.start_gcs_server()


if __name__ == "__main__":
    where, length, times, http_port = sys.argv[1:]
    sys.exit(main(Path(where), float(length), float(times), int(http_port)))
