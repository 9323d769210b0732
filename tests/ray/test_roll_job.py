"""`touchline roll` as a submitted job: it joins the cluster that runs it, and rolls there."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cluster.settings import Settings
from cluster.tiers import open_tier, totals
from tests.unit import tier_world as world

ROOT = Path(__file__).resolve().parents[2]
# A cluster of its own, in a process of its own: the one that other tests share has no dashboard.
# Other clusters on this machine hold the agent's only port, 52365, and would be sent our jobs; and
# beside them Ray finds its own cluster only by the file that `ray start` writes.
SUBMIT = """
import functools, json, socket, sys, time
import ray
from ray._private.parameter import RayParams
from cluster.connection import connect, disconnect
from cluster.settings import load_settings
settings_file, data_dir = sys.argv[1:]
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
RayParams.__init__ = functools.partialmethod(RayParams.__init__, dashboard_agent_listen_port=port)
connect(load_settings(None, {
    "data_dir": data_dir, "ray": {"dashboard": True, "dashboard_port": 0, "object_store_mb": 100},
}))
from ray.job_submission import JobSubmissionClient
node = ray._private.worker._global_node
ray._private.utils.write_ray_address(node.gcs_address, node.get_temp_dir_path())
def submitted(client, entrypoint):
    # The node's agent registers a moment after Ray is up. Until then a submission is refused, or is
    # never answered; the same id given again is the same job.
    from concurrent.futures import ThreadPoolExecutor
    job, pool = f"roll-{time.monotonic_ns()}", ThreadPoolExecutor(16)
    for _ in range(12):
        asked = pool.submit(client.submit_job, entrypoint=entrypoint, submission_id=job)
        try:
            return asked.result(timeout=8)
        except TimeoutError:
            continue
        except RuntimeError as error:
            if "already" in str(error):
                return job
            if "No available agent" not in str(error):
                raise
            time.sleep(0.5)
    raise TimeoutError("no agent took the job")
try:
    address = "http://" + node.webui_url
    client = JobSubmissionClient(address)
    roll = f"{sys.executable} -m jobs.cli roll --settings {settings_file}"
    where = (
        f"{sys.executable} -c 'import ray, sys; from cluster.connection import connect; "
        "from cluster.settings import load_settings; connect(load_settings(sys.argv[1])); "
        f"print(ray.get_runtime_context().get_node_id())' {settings_file}"
    )
    answers = []
    for entrypoint in (roll, f"{roll} && {where}"):
        begun_s = time.monotonic()
        job = submitted(client, entrypoint)
        while not (status := client.get_job_status(job)).is_terminal():
            time.sleep(0.2)
        answers.append({
            "status": status.value, "logs": client.get_job_logs(job),
            "message": client.get_job_info(job).message,
            "wall_s": round(time.monotonic() - begun_s, 1),
            "node": ray.get_runtime_context().get_node_id(),
        })
    print("ANSWERS " + json.dumps(answers))
finally:
    disconnect()
"""


@pytest.mark.timeout(180)
def test_a_submitted_roll_joins_the_cluster_and_rolls_and_the_next_one_finds_nothing(
    tmp_path: Path,
) -> None:
    log = world.open_sqlite(tmp_path)
    world.Match(log, seconds=4).play().work()
    log.close()
    settings_file = tmp_path / "settings.toml"
    settings_file.write_text(f'data_dir = "{tmp_path}"\n')
    # Sockets have short names only, so this folder cannot be pytest's.
    with tempfile.TemporaryDirectory(prefix="tl-") as folder:
        done = subprocess.run(
            [sys.executable, "-c", SUBMIT, str(settings_file), str(tmp_path / "other")],
            cwd=ROOT, capture_output=True, text=True, timeout=150, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": folder},
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    assert lines, done.stdout[-3000:] + done.stderr[-3000:]
    first, second = json.loads(lines[0].removeprefix("ANSWERS "))
    assert first["status"] == second["status"] == "SUCCEEDED", (first, second)
    tree = Settings.from_dict({"data_dir": str(tmp_path)})
    rows = totals(open_tier(tree.tiers.warm_url, tree))["rows"]
    assert rows > 10_000
    assert f"warm: {rows:,} rows added" in first["logs"]
    assert "cold: 25 rows added" in first["logs"]
    assert "warm: 0 rows added" in second["logs"]
    assert second["node"] in second["logs"], "the job started a cluster of its own"
    assert world.content(tree, "cold")["minutes"].num_rows == 25
