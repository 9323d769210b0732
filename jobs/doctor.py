"""`touchline doctor`: checks whether a machine can run Touchline, and says what is missing.

Each check returns a verdict of its own; none changes the machine, except for one temporary file in
the data folder to time a durable write.
"""

import argparse
import importlib.metadata
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.settings import Settings, load_settings

PACKAGES = (
    "ray", "torch", "numpy", "numba", "pandas", "pyarrow", "fastapi", "s3fs", "pydantic",
    "cryptography", "kloppy", "fitdecode",
)
MIN_MEMORY_GIB = 4
MIN_DISK_GIB = 2
MIN_FILES = 4096
MIN_SHM_GIB = 0.4
SLOW_FSYNC_MS = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's answer: `level` is ok, warn or fail; `advice` says what to do."""

    name: str
    level: str
    detail: str
    advice: str = ""


def check_python(_: Settings) -> Finding:
    """Ray and torch are pinned to wheels for CPython 3.11."""
    found = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info[:2] == (3, 11)
    return Finding("python", "ok" if good else "fail", found, "" if good else "use Python 3.11")


def check_packages(_: Settings) -> Finding:
    """Every package that the system imports at run time."""
    missing = []
    for name in PACKAGES:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", "fail", "missing: " + ", ".join(missing), "run `make setup`")
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("ray", "torch", "numpy"))
    return Finding("packages", "ok", versions)


def check_cores(_: Settings) -> Finding:
    """One core runs, two are what the demo is made for."""
    cores = len(os.sched_getaffinity(0))
    return Finding(
        "cores", "ok" if cores >= 2 else "warn", str(cores),
        "" if cores >= 2 else "expect the demo to fall behind its pace",
    )


def check_memory(_: Settings) -> Finding:
    """The whole system stays under 4 GiB."""
    free = psutil.virtual_memory().available / 2**30
    good = free >= MIN_MEMORY_GIB
    return Finding(
        "memory", "ok" if good else "fail", f"{free:.1f} GiB free",
        "" if good else f"free {MIN_MEMORY_GIB} GiB",
    )


def check_shared_memory(_: Settings) -> Finding:
    """Ray's object store lives in /dev/shm; where it is small Ray falls back to disk."""
    shm = Path("/dev/shm")  # noqa: S108 - looked at, not written to
    free = shutil.disk_usage(shm).free / 2**30 if shm.is_dir() else 0.0
    good = free >= MIN_SHM_GIB
    return Finding(
        "shared memory", "ok" if good else "warn", f"{free:.1f} GiB in {shm}",
        "" if good else "enlarge /dev/shm (containers: --shm-size=1g)",
    )


def check_disk(settings: Settings) -> Finding:
    """Room for the log and the tiers."""
    folder = _existing(Path(settings.data_dir))
    free = shutil.disk_usage(folder).free / 2**30
    good = free >= MIN_DISK_GIB
    return Finding(
        "disk", "ok" if good else "fail", f"{free:.1f} GiB free for {settings.data_dir}",
        "" if good else f"free {MIN_DISK_GIB} GiB or set data_dir",
    )


def check_durable_write(settings: Settings) -> Finding:
    """The log acknowledges after fsync: its cost is the floor of the write latency."""
    folder = _existing(Path(settings.data_dir))
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            spent = []
            for _ in range(5):
                file.write(b"x" * 65536)
                file.flush()
                start = time.perf_counter()
                os.fsync(file.fileno())
                spent.append((time.perf_counter() - start) * 1e3)
    except OSError as error:
        return Finding("durable write", "fail", str(error), "make data_dir writable")
    median = sorted(spent)[2]
    return Finding(
        "durable write", "ok" if median < SLOW_FSYNC_MS else "warn", f"fsync {median:.2f} ms",
        "" if median < SLOW_FSYNC_MS else "put data_dir on a faster disk",
    )


def check_ports(settings: Settings) -> Finding:
    """The HTTP and dashboard ports must be free on loopback."""
    wanted = {"serve.port": settings.serve.port, "ray.dashboard_port": settings.ray.dashboard_port}
    taken = [f"{name}={port}" for name, port in wanted.items() if port and _is_taken(port)]
    if taken:
        return Finding("ports", "fail", "in use: " + ", ".join(taken), "stop the other or set it")
    return Finding("ports", "ok", ", ".join(f"{port} free" for port in wanted.values()))


def check_files(_: Settings) -> Finding:
    """Ray opens many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = soft >= MIN_FILES or hard >= MIN_FILES
    return Finding(
        "open files", "ok" if good else "warn", f"{soft} (hard {hard})",
        "" if good else f"ulimit -n {MIN_FILES}",
    )


def check_clock(_: Settings) -> Finding:
    """Live sources are stamped with this clock."""
    year = time.gmtime().tm_year
    good = year >= 2026
    return Finding("clock", "ok" if good else "fail", str(year), "" if good else "set the clock")


CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    check_python, check_packages, check_cores, check_memory, check_shared_memory, check_disk,
    check_durable_write, check_ports, check_files, check_clock,
)


def main(argv: list[str] | None = None) -> int:
    """Print one line per check; 1 when any check fails."""
    parser = argparse.ArgumentParser(prog="touchline doctor", description=__doc__)
    parser.add_argument("--settings", type=Path, help="TOML settings file")
    options = parser.parse_args(argv)
    settings = load_settings(options.settings)
    findings = [check(settings) for check in CHECKS]
    for finding in findings:
        advice = f"  -> {finding.advice}" if finding.advice else ""
        print(f"{finding.level:<5} {finding.name:<14} {finding.detail}{advice}")
    failed = sum(finding.level == "fail" for finding in findings)
    print("this machine can run Touchline" if not failed else f"{failed} thing(s) to mend")
    return 1 if failed else 0


def _existing(folder: Path) -> Path:
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
