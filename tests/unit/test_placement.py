"""What actors ask of a cluster's nodes, and that one machine is asked for nothing special."""

import pytest

from cluster.placement import (
    OFF_FLOW_NODES,
    stadium_placement,
    webhooks_placement,
    worker_placement,
)
from cluster.settings import load_settings
from models.errors import ConfigError

HEAD, FLOW = {"CPU": 2.0}, {"CPU": 4.0, "flow": 4.0}


def test_on_one_machine_a_worker_takes_its_share_of_a_cpu_and_nothing_else() -> None:
    assert worker_placement(load_settings(environ={}), [{"CPU": 4.0}]) == {"num_cpus": 0.05}


def test_where_nodes_offer_flow_a_worker_takes_one() -> None:
    options = worker_placement(load_settings(environ={}), [HEAD, FLOW])
    assert options == {"num_cpus": 0.05, "resources": {"flow": 1}}


@pytest.mark.parametrize(("told", "nodes", "takes"), [
    (True, [HEAD], True), (False, [HEAD, FLOW], False),
])
def test_the_setting_goes_before_what_the_nodes_show(
    told: bool, nodes: list[dict[str, float]], takes: bool
) -> None:
    settings = load_settings(None, {"pool.flow_nodes": told}, environ={})
    assert ("resources" in worker_placement(settings, nodes)) is takes


def test_a_worker_may_take_whole_cpus_where_nodes_can_offer_nothing_else() -> None:
    settings = load_settings(None, {"pool.worker_cpus": 2}, environ={})
    assert worker_placement(settings, [HEAD]) == {"num_cpus": 2.0}
    with pytest.raises(ConfigError, match="worker_cpus above 1 must be whole"):
        load_settings(None, {"pool.worker_cpus": 1.5}, environ={})


def test_a_stadium_goes_to_its_own_node_then_to_an_edge_node_and_never_to_a_flow_node() -> None:
    own = {"touchline.io/role": "edge", "touchline.io/stadium": "wembley"}
    edge, flow = {"touchline.io/role": "edge"}, {"touchline.io/role": "flow"}
    selected = {"label_selector": {"touchline.io/stadium": "wembley"}}
    assert stadium_placement("wembley", [flow, edge, own]) == selected
    assert stadium_placement("wembley", [flow, edge]) == {"label_selector": edge}
    assert stadium_placement("wembley", [flow, {}]) == OFF_FLOW_NODES


def test_webhooks_run_where_the_keys_are() -> None:
    head, flow = {"touchline.io/role": "head"}, {"touchline.io/role": "flow"}
    assert webhooks_placement([flow, head]) == {"label_selector": head}
    assert webhooks_placement([flow, {}]) == webhooks_placement([]) == OFF_FLOW_NODES
