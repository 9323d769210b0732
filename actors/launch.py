"""Launches the system's actors under their names: the one place where `ray.remote` meets them.

Owns names and restarts; where things run is `cluster.placement`'s to say. On a cluster a stadium
runs on the node that is labelled with its venue, else on any edge node; flow nodes are for workers
only; on one machine everything runs here.
"""

from typing import Any, Final

from actors.coordinator_shell import CoordinatorShell
from actors.nodes import alive_nodes
from actors.stadium import Stadium
from actors.supervisor_shell import SupervisorShell
from actors.twin_store import TwinStore
from actors.webhooks_shell import WebhooksShell
from cluster.names import (
    COORDINATOR,
    RAY_NAMESPACE,
    SUPERVISOR,
    TWIN_STORE,
    WEBHOOKS,
    stadium_actor,
)
from cluster.placement import (
    OFF_FLOW_NODES,
    stadium_placement,
    webhooks_placement,
    worker_placement,
)
from cluster.settings import Settings

# Shares of a CPU are for the scheduler only: small enough that batch work always finds whole ones.
_CPUS: Final = {
    "stadium": 0.02, "coordinator": 0.01, "twin": 0.01, "supervisor": 0.01,
    "webhooks": 0.01,
}


def launch_stadium(settings: Settings, venue_id: str) -> Any:
    """The named actor of a venue of `settings`; it begins at once. Returns its handle."""
    venue = next(venue for venue in settings.venues if venue.id == venue_id)
    actor = _actor(
        Stadium, stadium_actor(venue_id), _CPUS["stadium"], 16,
        **stadium_placement(venue_id, _labels()),
    )
    return actor.remote(settings.to_dict(), venue.model_dump(mode="json"), autostart=True)


def launch_coordinator(settings: Settings, fixed: int = 0) -> Any:
    """The coordinator, which launches workers; `fixed` is the pool's size, 0 for elastic."""
    actor = _actor(CoordinatorShell, COORDINATOR, _CPUS["coordinator"], 16)
    resources = [node.get("Resources", {}) for node in alive_nodes()]
    return actor.remote(settings.to_dict(), fixed, worker_placement(settings, resources))


def launch_twin_store(settings: Settings) -> Any:
    """The twin store."""
    return _actor(TwinStore, TWIN_STORE, _CPUS["twin"], 16).remote(settings.to_dict())


def launch_webhooks(settings: Settings) -> Any:
    """The webhooks of `settings`."""
    where = webhooks_placement(_labels())
    actor = _actor(WebhooksShell, WEBHOOKS, _CPUS["webhooks"], 4, **where)
    return actor.remote(settings.to_dict())


def launch_supervisor(settings: Settings) -> Any:
    """The supervisor; it can launch anew what is gone."""
    actor = _actor(SupervisorShell, SUPERVISOR, _CPUS["supervisor"], 4)
    return actor.remote(settings.to_dict(), Relauncher(settings.to_dict()))


class Relauncher:
    """Creates an actor that is gone, by its name. Travels to the supervisor."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    def __call__(self, name: str) -> None:
        settings = Settings.from_dict(self._settings)
        if name == COORDINATOR:
            launch_coordinator(settings)
        elif name == TWIN_STORE:
            launch_twin_store(settings)
        elif name == WEBHOOKS:
            launch_webhooks(settings)
        elif name.startswith("stadium/"):
            launch_stadium(settings, name.removeprefix("stadium/"))


def _labels() -> list[dict[str, str]]:
    """Those of each node that is alive."""
    return [node.get("Labels", {}) for node in alive_nodes()]


def _actor(shell: type, name: str, cpus: float, concurrency: int, **options: Any) -> Any:
    import ray

    return ray.remote(shell).options(
        name=name, namespace=RAY_NAMESPACE, get_if_exists=True, num_cpus=cpus, max_restarts=-1,
        max_task_retries=2, max_concurrency=concurrency, lifetime="detached",
        **{**OFF_FLOW_NODES, **options},
    )
