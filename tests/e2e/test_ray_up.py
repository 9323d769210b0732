"""`ray up` with the project's own local-provider file, on hosts made on this machine.

Skipped, with the reason, where hosts cannot be made (no root, no ip, no sshd).
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
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
        own = self.folder / "opray"
        own.mkdir(exist_ok=True)
        script = f'mkdir -p /tmp/ray; mount --bind {own} /tmp/ray; exec "$@"'
        command = ["ip", "netns", "exec", "tl-op", "unshare", "--mount", "bash", "-c", script, "_"]
        return subprocess.run([*command, *words], env=self.env, timeout=timeout,
                              capture_output=True, text=True, check=False)


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


def cluster_file(lab: Lab) -> Path:
    """The project's file with the lab's addresses; the environment is this one, not a new one."""
    config = yaml.safe_load((ROOT / "cluster" / "deploy" / "local.yaml").read_text())
    config["provider"]["head_ip"] = "10.200.78.11"
    config["provider"]["worker_ips"] = ["10.200.78.12", "10.200.78.13"]
    config["auth"] = {"ssh_user": "root", "ssh_private_key": str(lab.folder / "id")}
    config["file_mounts"] = {"/root/.ray/auth_token": str(lab.folder / "token")}
    config["initialization_commands"] = [f"ln -sf {BIN}/ray /usr/local/bin/ray"]
    config["setup_commands"] = [
        "chmod 600 ~/.ray/auth_token",
        f"sed -i '1i export RAY_AUTH_MODE=token PATH={BIN}:$PATH' ~/.bashrc",
    ]
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
        status = lab.operator("ray", "exec", str(file), "ray status").stdout
        active = re.search(r"Active:\s+(\d+) local\.cluster\.node", status)
        if active and int(active.group(1)) >= count:
            return True
        time.sleep(2)
    return False
