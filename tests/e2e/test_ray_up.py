"""`ray up` with the project's own local-provider file, on hosts made on this machine.

Skipped, with the reason, where hosts cannot be made (no root, no ip, no sshd).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.eventlog.open import open_log
from cluster.eventlog.scan import records_now
from cluster.names import ACTIONS_TOPIC

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "cluster" / "deploy" / "local.yaml"
HOSTS = ROOT / "tests" / "e2e" / "lab" / "hosts.sh"
BIN = Path(sys.executable).parent
NEEDED = ("ip", "unshare", "rsync", "ssh", "ssh-keygen")


class Lab:
    """Three hosts, and an operator who runs commands from their network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **os.environ, "LAB": str(folder), "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"), "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_UP_enable_autoscaler_v2": "0", "PATH": f"{BIN}:{os.environ['PATH']}",
        }

    def hosts(self, *words: str) -> None:
        subprocess.run(["bash", str(HOSTS), *words], env=self.env, check=words[0] == "up",
                       timeout=60, capture_output=True)

    def operator(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run as the operator, with a /tmp/ray of its own so that launchers do not mix."""
        return subprocess.run([*self._inside(), *words], env=self.env, timeout=timeout,
                              capture_output=True, text=True, check=False)

    def begin(self, file: str, command: str) -> subprocess.Popen[bytes]:
        """Start a command on the head; it ends with its hosts at the latest."""
        with (self.folder / "live.txt").open("wb") as out:
            return subprocess.Popen([*self._inside(), "ray", "exec", file, command], env=self.env,
                                    stdout=out, stderr=subprocess.STDOUT)

    def _inside(self) -> list[str]:
        own = self.folder / "opray"
        own.mkdir(exist_ok=True)
        script = f'mkdir -p /tmp/ray; mount --bind {own} /tmp/ray; exec "$@"'
        return ["ip", "netns", "exec", "tl-op", "unshare", "--mount", "bash", "-c", script, "_"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    missing = [name for name in NEEDED if not shutil.which(name)]
    if os.geteuid() != 0 or missing or not Path("/usr/sbin/sshd").exists():
        pytest.skip(f"hosts need root and iproute2, openssh-server, rsync, tini: missing {missing}")
    if not Path("/usr/bin/tini").exists():
        pytest.skip("hosts need tini")
    lab = Lab(tmp_path)
    (tmp_path / "token").write_text("0123456789abcdef" * 4)
    (tmp_path / "token").chmod(0o600)
    try:
        lab.hosts("up", "3")
    except subprocess.CalledProcessError as error:
        lab.hosts("down")
        pytest.skip(f"hosts cannot be made here: {error.stderr.decode()[-200:]}")
    yield lab
    lab.hosts("down")


def cluster_file(lab: Lab, **changes: Any) -> Path:
    """The project's file with the lab's addresses; the environment is this one, not a new one."""
    config = yaml.safe_load(LOCAL.read_text())
    config["provider"]["head_ip"] = "10.200.78.11"
    config["provider"]["worker_ips"] = ["10.200.78.12", "10.200.78.13"]
    config["auth"] = {"ssh_user": "root", "ssh_private_key": str(lab.folder / "id")}
    config["file_mounts"] = {"/root/.ray/auth_token": str(lab.folder / "token")}
    config["initialization_commands"] = [f"ln -sf {BIN}/ray /usr/local/bin/ray"]
    config["setup_commands"] = [
        "chmod 600 ~/.ray/auth_token",
        f"sed -i '1i export RAY_AUTH_MODE=token PATH={BIN}:$PATH' ~/.bashrc",
    ]
    config |= changes
    path = lab.folder / "local.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.timeout(300)
def test_ray_up_makes_a_cluster_of_three_hosts_and_a_job_runs_on_it(lab: Lab) -> None:
    file = cluster_file(lab)
    try:
        up = lab.operator("ray", "up", "-y", "--no-config-cache", str(file))
        assert up.returncode == 0, up.stdout[-3000:] + up.stderr[-1000:]
        joined = wait_for_nodes(lab, file, 3)
        assert joined, lab.operator("ray", "exec", str(file), "ray status").stdout
        code = "import ray; ray.init(); print('nodes', sum(n['Alive'] for n in ray.nodes()))"
        submit = f'ray job submit --address http://127.0.0.1:8265 -- {sys.executable} -c "{code}"'
        job = lab.operator("ray", "exec", str(file), submit)
        assert "nodes 3" in job.stdout, job.stdout[-3000:]
    finally:
        lab.operator("ray", "down", "-y", str(file))


def wait_for_nodes(lab: Lab, file: Path, count: int, limit_s: float = 90) -> bool:
    """Whether `ray status` counts that many active nodes within the limit."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if active_nodes(lab, file) == count:
            return True
        time.sleep(2)
    return False


def active_nodes(lab: Lab, file: Path) -> int:
    """Nodes that `ray status` counts, whether they are idle or not."""
    status = lab.operator("ray", "exec", str(file), "ray status").stdout
    found = re.findall(r"^\s+(\d+) local\.cluster\.node", status.split("Pending:")[0], re.M)
    return sum(map(int, found))


LIVE = """
data_dir = "data"
[ray]
address = "10.200.78.11:6379"
[serve]
nets = false
[tiers]
roll_every_s = 3600
[pool]
max_workers = 2
worker_cpus = 2
busy_high = 0.03
busy_low = 0.015
down_after_s = 5
"""
"""Workers as large as a host, and one finds too much to do what one could do."""
VENUE = """
[[venues]]
id = "{name}"
[[venues.sources]]
type = "simulator"
seed = {seed}
duration_s = 300
speed = 1.5
"""


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_load_adds_hosts_and_its_end_lets_them_go(lab: Lab) -> None:
    shared = lab.folder / "shared"
    venues = [VENUE.format(name=name, seed=seed) for seed, name in enumerate(("north", "south"))]
    (shared / "live.toml").write_text(LIVE + "".join(venues))
    two_cpus = {
        f"{role}_start_ray_commands": [
            command + (" --num-cpus=2" if "ray start" in command else "")
            for command in yaml.safe_load(LOCAL.read_text())[f"{role}_start_ray_commands"]
        ] for role in ("head", "worker")
    }
    file = cluster_file(lab, min_workers=0, idle_timeout_minutes=0.2, **two_cpus)
    try:
        up = lab.operator("ray", "up", "-y", "--no-config-cache", str(file))
        assert up.returncode == 0, up.stdout[-3000:] + up.stderr[-1000:]
        assert wait_for_nodes(lab, file, 1)
        begun_s = time.monotonic()
        live = lab.begin(str(file), f"cd {ROOT} && echo $BASHPID > {shared}/pid && exec env "
                         f"PYTHONPATH={ROOT} {sys.executable} -m jobs.cli live "
                         f"--settings {shared}/live.toml --json {shared}/report.json")
        assert wait_for_nodes(lab, file, 3, 400), told(lab)
        added_s = time.monotonic() - begun_s
        assert wait_for_nodes(lab, file, 2, 400), told(lab)
        lab.operator("ray", "exec", str(file), f"kill -TERM $(cat {shared}/pid)")
        assert live.wait(600) == 0, told(lab)
        begun_s = time.monotonic()
        assert wait_for_nodes(lab, file, 1, 180), told(lab)
        removed_s = time.monotonic() - begun_s
        print(f"three hosts {added_s:.0f} s after the start, one {removed_s:.0f} s after the end")
    finally:
        lab.operator("ray", "down", "-y", str(file))
    report = json.loads((shared / "report.json").read_text())
    assert report["conservation"]["holds"]
    decisions_tell(shared / "data" / "log")


def decisions_tell(folder: Path) -> None:
    """Each worker on a host of its own, none lost, and one drained when the load was over."""
    log = open_log(f"sqlite:{folder}")
    actions = [json.loads(one.record.payload) for one in records_now(log, ACTIONS_TOPIC, 0)]
    assert not [topic for topic in log.topics() if log.describe(topic).damaged]
    log.close()
    by_action: dict[str, list[dict[str, Any]]] = {}
    for one in actions:
        by_action.setdefault(one["action"], []).append(one)
    nodes = [one["detail"]["node"] for one in by_action["worker_registered"]]
    assert len(set(nodes)) == len(nodes) == 2
    reasons = [one["reason"] for one in by_action["scale"]]
    assert (reasons[0], reasons[-1]) == ("below_min", "idle")
    assert len(by_action["worker_drained"]) == 1
    assert "worker_dead" not in by_action


def told(lab: Lab) -> str:
    return (lab.folder / "live.txt").read_text()[-4000:]
