"""The one place that starts Ray or joins a cluster, and lets go of it.

Everything listens on loopback when the cluster is our own. Every process of the cluster shows the
same token, from a file that only this user may read. Environment variables that are set already are
left as they are; those below matter only before Ray's processes start.
"""

import logging
import os
import secrets
import signal
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cluster import names
from cluster.private_files import write_private
from cluster.settings import Settings
from models.errors import ConfigError

LOOPBACK: Final = "127.0.0.1"
_MIN_CPUS: Final = 4
_JOB_CONFIG: Final = "RAY_JOB_CONFIG_JSON_ENV_VAR"
TUNED: Final = {
    # A dead HTTP proxy is replaced within 3 s, not 30.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.5",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "1",
}
"""What Ray is told wherever it is started: here, and on every node of the cluster files."""
TUNED_NODES: Final = {
    # A dead node is noticed within 4 s, not 14.
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    # A worker that waits for a node is left to wait: as soon as the autoscaler may add no more
    # nodes, early exit would end all that wait, also those that the last nodes have room for.
    "RAY_enable_infeasible_task_early_exit": "false",
}
"""What the nodes of a cluster are told besides. Not a cluster of one machine: that one ends with
its only raylet, and quick checks would only take a busy laptop for a dead one."""
_ENVIRONMENT: Final = {
    **TUNED,
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Zero GPUs asked for does not mean that the devices are hidden; silences a warning per actor.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_LOCAL_ENVIRONMENT: Final = {
    # A request that no node can ever satisfy fails at once and does not hang in silence.
    "RAY_enable_infeasible_task_early_exit": "true",
    # The switch by which Ray's processes stay on the loopback address, as on a desktop: without it
    # Ray turns 127.0.0.1 into the address of the network card.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Only this autoscaler, which `ray up` takes by itself, looks for requests that no node can
    # satisfy: without it the first of `TUNED` does nothing.
    "RAY_enable_autoscaler_v2": "1",
    # Of the calls of actors, some hundred a minute, the newest are remembered for people to look
    # at. Ray's own bound of 100,000 is reached in hours, and memory grows until then.
    "RAY_task_events_max_num_task_in_gcs": "2000",
}


def connect(settings: Settings) -> None:
    """Start Ray here (`ray.address` = "local") or join a cluster; nothing if already connected.

    A submitted job always joins the cluster that runs it. Raises ConfigError when the cluster
    cannot be reached or the token is not to be had.
    """
    address = os.environ["RAY_ADDRESS"] if _is_submitted_job() else settings.ray.address
    _prepare(address == "local")
    import ray

    if ray.is_initialized():
        return
    options: dict[str, Any] = {
        "namespace": names.RAY_NAMESPACE, "logging_level": logging.WARNING,
        "log_to_driver": False, "ignore_reinit_error": False,
    }
    if address == "local":
        options.update(_local_options(settings))
    ours = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"ray.address: {address}: {error}") from error
    if callable(ours) and threading.current_thread() is threading.main_thread():
        # Ray sets a handler of its own that ends the process at once: no report, nothing finished.
        signal.signal(signal.SIGTERM, ours)


def disconnect() -> None:
    """Leave the cluster; one that `connect` started here is stopped. Harmless twice."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()


def token_path() -> Path:
    """Where Ray looks for its token."""
    given = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(given) if given else Path.home() / ".ray" / "auth_token"


def _is_submitted_job() -> bool:
    """Whether `ray job submit` started this process: only then are both variables set."""
    return _JOB_CONFIG in os.environ and "RAY_ADDRESS" in os.environ


def _prepare(local: bool) -> None:
    fresh = "RAY_AUTH_MODE" not in os.environ
    for name, value in (_ENVIRONMENT | (_LOCAL_ENVIRONMENT if local else {})).items():
        os.environ.setdefault(name, value)
    if os.environ["RAY_AUTH_MODE"] == "token" and not os.environ.get("RAY_AUTH_TOKEN"):
        try:
            _guard_token(may_create=local)
        except OSError as error:
            raise ConfigError(f"Ray's token {token_path()}: {error.strerror}") from error
    if fresh and "ray" in sys.modules and not sys.modules["ray"].is_initialized():
        _tell_imported_ray(local)


def _tell_imported_ray(local: bool) -> None:
    """Ray read its environment when it was imported, before `_prepare` had its say: once more."""
    import ray._private.ray_constants as constants
    import ray._raylet as raylet

    raylet.Config.initialize("")  # type: ignore[attr-defined]
    if local and os.environ[constants.ENABLE_RAY_CLUSTERS_ENV_VAR] == "0":
        constants.ENABLE_RAY_CLUSTER = False


def _guard_token(may_create: bool) -> None:
    """The token exists, and is readable by this user only. Ray itself would make it 0644."""
    path = token_path()
    if may_create and not path.exists():
        write_private(path, [secrets.token_hex(32).encode()], replace=False)
    with suppress(FileNotFoundError):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)


def _local_options(settings: Settings) -> dict[str, Any]:
    return {
        "num_cpus": settings.ray.num_cpus or max(_MIN_CPUS, len(os.sched_getaffinity(0))),
        "object_store_memory": settings.ray.object_store_mb * 1_000_000,
        "include_dashboard": settings.ray.dashboard,
        "dashboard_host": LOOPBACK,
        "dashboard_port": settings.ray.dashboard_port,
        "_node_ip_address": LOOPBACK,
    }
