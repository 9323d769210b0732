"""A head on this machine whose autoscaler adds and removes nodes, each a raylet of its own.

The nodes are started by Ray's own provider for such tests, which its wheel has under a private
name: `PROVIDER` is the only place that names it, and a test of its own says so when Ray moves it.
Ray's `AutoscalingCluster` is not used: it needs a file that the wheel lacks, and stops every Ray
process of the machine.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from cluster.connection import TUNED
from cluster.private_files import write_private
from tests.e2e.live_world import free_ports

PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
HEAD_ID, HEAD_TYPE = "f" * 51 + "0" * 5, "ray.head.default"
LOOPBACK = "127.0.0.1"
FLOW = "flow"
TRIES = 20
_LISTS = (
    "initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands",
    "head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files",
    "rsync_exclude", "rsync_filter",
)
"""Keys that the launcher would fill in; for a provider of one's own they must be there."""


class ElasticCluster:
    """`start`, `end`. A flow node has room for one worker; head and nodes share `folder`."""

    def __init__(self, folder: Path, max_nodes: int, idle_s: float) -> None:
        self.folder = folder
        self.gcs_port, self._client_port, self.metrics_port, monitor_port, *self._agents = (
            free_ports(6)
        )
        self.address = f"{LOOPBACK}:{self.gcs_port}"
        self._file = folder / "cluster.yaml"
        # Unix sockets need short paths.
        self._temporary = Path(tempfile.mkdtemp(prefix="tl-", dir="/tmp"))
        self._head: subprocess.Popen[bytes] | None = None
        token = folder / "token"
        write_private(token, [secrets.token_hex(32).encode()], replace=True)
        self.environment = TUNED | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(self._temporary),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        self._head_environment = {
            "RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1", "AUTOSCALER_METRIC_PORT": str(monitor_port),
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
        }
        # JSON is YAML.
        self._file.write_text(json.dumps(cluster_config(self.address, max_nodes, idle_s)))

    def start(self) -> None:
        """Begin the head; whoever connects waits for it."""
        node_port, object_port = free_ports(2)
        words = [
            "start", "--head", "--block", f"--node-ip-address={LOOPBACK}",
            f"--port={self.gcs_port}", f"--ray-client-server-port={self._client_port}",
            f"--metrics-export-port={self.metrics_port}", "--num-cpus=4",
            f"--node-manager-port={node_port}", f"--object-manager-port={object_port}",
            f"--dashboard-agent-listen-port={self._agents[0]}",
            f"--runtime-env-agent-port={self._agents[1]}",
            "--min-worker-port=0", "--max-worker-port=0", "--include-dashboard=false",
            "--object-store-memory=100000000", "--labels=touchline.io/role=head",
            "--disable-usage-stats", f"--autoscaling-config={self._file}",
        ]
        ray = Path(sys.executable).parent / "ray"
        environment = os.environ | self.environment | self._head_environment
        with (self.folder / "head.txt").open("wb") as out:
            self._head = subprocess.Popen(
                [str(ray), *words], stdout=out, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, env=environment,
            )

    def end(self) -> None:
        """Kill the head, and whatever of this cluster does not end with it; nothing drains."""
        kill_all(self.folder)
        if self._head is not None:
            self._head.wait(10)
        for log in self._temporary.glob("ray/session_*/logs/monitor*"):
            shutil.copy(log, self.folder)
        shutil.rmtree(self._temporary, ignore_errors=True)


def kill_all(folder: Path) -> None:
    """Every process of the cluster of `folder`, one that another has just started included."""
    for _ in range(TRIES):
        family = processes(folder)
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        if not family:
            return
        psutil.wait_procs(family, 1.0)


def processes(folder: Path) -> list[psutil.Process]:
    """Those that were started for the cluster of `folder`, whoever their parents are by now: their
    environment names its token. Whoever started the cluster is not among them."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            theirs = one.environ().get("RAY_AUTH_TOKEN_PATH") == str(folder / "token")
            if theirs and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def cluster_config(address: str, max_nodes: int, idle_s: float) -> dict[str, Any]:
    """What `ray start --autoscaling-config` reads: flow nodes by demand, none without."""
    flow = {
        "resources": {"CPU": 1, FLOW: 1}, "labels": {"touchline.io/role": "flow"},
        "min_workers": 0, "max_workers": max_nodes, "node_config": {},
    }
    head = {
        "resources": {"CPU": 4}, "labels": {"touchline.io/role": "head"}, "max_workers": 0,
        "node_config": {},
    }
    return {
        "cluster_name": "touchline-elastic", "max_workers": max_nodes, "upscaling_speed": 2.0,
        "idle_timeout_minutes": idle_s / 60, "auth": {}, "docker": {}, "file_mounts": {},
        "file_mounts_sync_continuously": False, "head_node_type": HEAD_TYPE,
        "available_node_types": {HEAD_TYPE: head, FLOW: flow},
        "provider": {
            "type": "external", "module": PROVIDER, "launch_multiple": True,
            "gcs_address": address, "head_node_id": HEAD_ID, "disable_node_updaters": True,
        },
        **{name: [] for name in _LISTS},
    }
