"""Where on a cluster things run: labels and resources of nodes, and what actors ask of them.

Nodes are told what they are by the cluster files. On one machine, and on nodes without labels,
everything fits everywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cluster.settings import Settings

ROLE_LABEL: Final = "touchline.io/role"
STADIUM_LABEL: Final = "touchline.io/stadium"
FLOW_SLOT: Final = "flow"
"""A resource of flow nodes; a worker takes one of it."""
OFF_FLOW_NODES: Final = {"label_selector": {ROLE_LABEL: "!flow"}}
"""Options of whatever is no flow worker: an actor pins its node, and flow nodes must be able to go.
A node without the label satisfies it."""


def stadium_placement(
    venue_id: str, labels: Sequence[Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Actor options that place a venue's stadium, given the labels of the nodes that are alive."""
    if any(node.get(STADIUM_LABEL) == venue_id for node in labels):
        return {"label_selector": {STADIUM_LABEL: venue_id}}
    return _on_nodes_of("edge", labels)


def webhooks_placement(labels: Sequence[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Actor options of the webhooks: on the head if a node is labelled so, where the keys are. On
    another they would make secrets of their own, which no receiver knows."""
    return _on_nodes_of("head", labels)


def _on_nodes_of(role: str, labels: Sequence[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """On nodes with that role if there are any, else on whatever is no flow node."""
    if any(node.get(ROLE_LABEL) == role for node in labels):
        return {"label_selector": {ROLE_LABEL: role}}
    return OFF_FLOW_NODES


def worker_placement(
    settings: Settings, resources: Iterable[Mapping[str, float]]
) -> dict[str, Any]:
    """Actor options of a flow worker, given the resources of the nodes that are alive.

    A worker for which no node has room stays pending, and that is the demand by which the cluster's
    autoscaler adds one.
    """
    wanted = settings.pool.flow_nodes
    if wanted is None:
        wanted = any(node.get(FLOW_SLOT, 0.0) > 0 for node in resources)
    slot = {"resources": {FLOW_SLOT: 1}} if wanted else {}
    return {"num_cpus": settings.pool.worker_cpus, **slot}
