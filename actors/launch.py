"""Launches the system's actors under their names: the one place where `ray.remote` meets them.

Owns names, restarts and placement. On a cluster a stadium runs on the node that is labelled with
its venue, else on any edge node; on one machine everything runs here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.coordinator_shell import CoordinatorShell
from actors.stadium import Stadium
from actors.supervisor_shell import SupervisorShell
from actors.twin_store import TwinStore
from cluster.names import COORDINATOR, RAY_NAMESPACE, SUPERVISOR, TWIN_STORE, stadium_actor
from cluster.settings import Settings

ROLE_LABEL: Final = "touchline.io/role"
STADIUM_LABEL: Final = "touchline.io/stadium"
# Shares of a CPU are for the scheduler only: small enough that batch work always finds whole ones.
_CPUS: Final = {"stadium": 0.02, "coordinator": 0.01, "twin": 0.01, "supervisor": 0.01}
WORKER_CPUS: Final = 0.05


def stadium_placement(
    venue_id: str, labels: Sequence[Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Actor options that place a venue's stadium, given the labels of the nodes that are alive."""
    if any(node.get(STADIUM_LABEL) == venue_id for node in labels):
        return {"label_selector": {STADIUM_LABEL: venue_id}}
    if any(node.get(ROLE_LABEL) == "edge" for node in labels):
        return {"label_selector": {ROLE_LABEL: "edge"}}
    return {}


def launch_stadium(settings: Settings, venue_id: str) -> Any:
    """The named actor of a venue of `settings`; it begins at once. Returns its handle."""
    import ray

    venue = next(venue for venue in settings.venues if venue.id == venue_id)
    labels = [node.get("Labels", {}) for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    actor = _actor(
        Stadium, stadium_actor(venue_id), _CPUS["stadium"], 16,
        **stadium_placement(venue_id, labels),
    )
    return actor.remote(settings.to_dict(), venue.model_dump(mode="json"), autostart=True)


def launch_coordinator(settings: Settings, fixed: int = 0) -> Any:
    """The coordinator, which launches workers; `fixed` is the pool's size, 0 for elastic."""
    actor = _actor(CoordinatorShell, COORDINATOR, _CPUS["coordinator"], 16)
    return actor.remote(settings.to_dict(), fixed, {"num_cpus": WORKER_CPUS})


def launch_twin_store(settings: Settings) -> Any:
    """The twin store."""
    return _actor(TwinStore, TWIN_STORE, _CPUS["twin"], 16).remote(settings.to_dict())


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
        elif name.startswith("stadium/"):
            launch_stadium(settings, name.removeprefix("stadium/"))


def _actor(shell: type, name: str, cpus: float, concurrency: int, **options: Any) -> Any:
    import ray

    return ray.remote(shell).options(
        name=name, namespace=RAY_NAMESPACE, get_if_exists=True, num_cpus=cpus, max_restarts=-1,
        max_task_retries=2, max_concurrency=concurrency, lifetime="detached", **options,
    )
