"""What a fault cost, as figures in a JSON file; targets are judged by `faults_report`, not here.

The file is `.touchline/faults.json`, or the one that TOUCHLINE_FAULTS_JSON names: a list, oldest
first. Times are in seconds. A test asserts that nothing is lost or doubled; how fast that was is
only written down, since a test must not depend on who else is computing.
"""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGETS_S = {
    "stadium actor killed": 3.0,
    "worker killed in mid batch": 2.0,
    "Serve proxy killed": 5.0,
    "one node of three dead": 6.0,
    "full restart": 30.0,
}
"""Faults that have a target, from the fault to the first new effect."""


def figures_path() -> Path:
    given = os.environ.get("TOUCHLINE_FAULTS_JSON")
    return Path(given) if given else ROOT / ".touchline" / "faults.json"


def read_figures() -> list[dict[str, Any]]:
    path = figures_path()
    return json.loads(path.read_text()) if path.exists() else []


def note(fault: str, recovery_s: float, lost: int, duplicates: int, **detail: Any) -> None:
    """Append one figure."""
    figure = {
        "fault": fault, "recovery_s": round(recovery_s, 3), "target_s": TARGETS_S.get(fault),
        "lost": lost, "duplicates": duplicates, "detail": detail,
        "machine": {
            "cpus": len(os.sched_getaffinity(0)), "load_1m": round(os.getloadavg()[0], 1),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
        "t": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    path = figures_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps([*read_figures(), figure], indent=1))
    new.replace(path)
