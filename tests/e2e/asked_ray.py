"""What the Ray that is running says of its settings, from inside: its processes and its behaviour.

`python -m tests.e2e.asked_ray FOLDER` starts a session of one machine as every job does, and prints
`ask()` as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import psutil

PROCESSES = ("gcs_server", "raylet")
LIMIT_S = 60


def _of_a_worker() -> dict[str, float]:
    """Runs in a process that the cluster started: Ray's own view of what it was told."""
    from ray._raylet import Config
    from ray.serve._private import constants

    return {
        "RAY_health_check_period_ms": Config.health_check_period_ms(),
        "RAY_health_check_timeout_ms": Config.health_check_timeout_ms(),
        "RAY_health_check_failure_threshold": Config.health_check_failure_threshold(),
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": constants.PROXY_HEALTH_CHECK_PERIOD_S,
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": constants.PROXY_HEALTH_CHECK_TIMEOUT_S,
    }


def _infeasible() -> str:
    """How a task ends that no node can run."""
    import ray

    task = ray.remote(_of_a_worker).options(num_cpus=0, resources={"not_to_be_had": 1})
    try:
        ray.get(task.remote(), timeout=LIMIT_S)
    except ray.exceptions.RayError as error:
        return type(error).__name__
    return "ran"


def ask_worker() -> dict[str, float]:
    """The health checks, by a process of the cluster that we are connected to."""
    import ray

    found: dict[str, float] = ray.get(
        ray.remote(_of_a_worker).options(num_cpus=0).remote(), timeout=LIMIT_S
    )
    return found


def ask() -> dict[str, Any]:
    """`worker`: values; `infeasible`: the error's name; `environ`: of Ray's daemons below us."""
    daemons = [
        one for one in psutil.Process().children(recursive=True) if one.name() in PROCESSES
    ]
    return {
        "worker": ask_worker(), "infeasible": _infeasible(),
        "environ": {
            f"{one.name()}-{one.pid}": {
                name: value for name, value in one.environ().items() if name.startswith("RAY_")
                and "TOKEN" not in name
            } for one in daemons
        },
    }


def main(folder: Path) -> None:
    from cluster.connection import connect, disconnect
    from cluster.settings import load_settings

    connect(load_settings(None, {"data_dir": str(folder), "ray": {"dashboard": False}}))
    try:
        print(json.dumps(ask()))
    finally:
        disconnect()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
