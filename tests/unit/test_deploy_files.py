"""The files that `ray up` reads are accepted by Ray's own validation, and are closed by default."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.connection import TUNED, TUNED_NODES

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "cluster.yaml", ROOT / "cluster" / "deploy" / "local.yaml"]


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_ray_accepts_the_file(path: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(load(path)))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_ray_refuses_the_file_with_a_key_it_does_not_know(path: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(Exception, match="no_such_key"):
        validate_config(prepare_config({**load(path), "no_such_key": 1}))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_node_starts_with_a_token_and_a_private_dashboard(path: Path) -> None:
    config = load(path)
    commands = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "~/.ray/auth_token" in config["file_mounts"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_node_starts_with_the_tuned_health_checks(path: Path) -> None:
    config = load(path)
    starts = [
        command for role in ("head", "worker")
        for command in config[f"{role}_start_ray_commands"] if "ray start" in command
    ]
    told = [dict(re.findall(r"(RAY_\w+)=([^\s;]+)", command)) for command in starts]
    assert [(TUNED | TUNED_NODES).items() - one.items() for one in told] == [set(), set()]


def test_workers_that_wait_for_a_node_are_left_to_wait() -> None:
    """With early exit Ray ends all of them once they are more than may be added."""
    assert TUNED_NODES["RAY_enable_infeasible_task_early_exit"] == "false"


def test_the_cloud_cluster_has_a_head_edges_flow_nodes_and_net_nodes() -> None:
    nodes = load(FILES[0])["available_node_types"]
    roles = {node["labels"]["touchline.io/role"] for node in nodes.values()}
    assert roles == {"head", "edge", "flow", "nets"}
    assert "touchline.io/stadium" in nodes["stadium_edge"]["labels"]
    assert all(node["node_config"]["MetadataOptions"] == {"HttpTokens": "required"}
               for node in nodes.values())
