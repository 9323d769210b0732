"""A running session has the settings that `cluster.connection` names: Ray itself is asked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.connection import TUNED, TUNED_NODES
from tests.e2e.conftest import ROOT

DEFAULTS = {
    "RAY_health_check_period_ms": 3_000, "RAY_health_check_timeout_ms": 10_000,
    "RAY_health_check_failure_threshold": 5,
}
"""What Ray does by itself, and a cluster of one machine is left with."""


@pytest.mark.timeout(240)
def test_a_session_of_one_machine_has_the_tuned_settings_and_no_quick_node_checks(
    tmp_path: Path,
) -> None:
    words = [sys.executable, "-m", "tests.e2e.asked_ray", str(tmp_path)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr[-3000:]
    asked = json.loads(ended.stdout.splitlines()[-1])
    assert asked["worker"] == DEFAULTS | {
        name: float(value) for name, value in TUNED.items() if name.startswith("RAY_SERVE_")
    }
    assert asked["infeasible"] == "TaskUnschedulableError"
    assert {name.split("-")[0] for name in asked["environ"]} == {"gcs_server", "raylet"}
    for told in asked["environ"].values():
        assert TUNED.items() <= told.items()
        assert not told.items() & TUNED_NODES.items()
        assert told["RAY_AUTH_MODE"] == "token"
