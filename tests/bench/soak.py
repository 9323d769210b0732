"""`make soak`: venues at real time for half an hour; flat memory, constant files, nothing lost.

Prints JSON: every 10 s the memory (PSS) and the open file descriptors of the whole process tree,
then their slopes over the second half, when caches are warm, and
the run's own account. Exits with 1 when the account does not hold, when memory grows by more than
5 % an hour there, or when file descriptors do.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
EVERY_S = 10.0
START_S = 420
"""So long may starting and ending take beside the play."""
GROWTH_PER_HOUR = 0.05


def main(argv: list[str] | None = None) -> int:
    """Play, watch, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--venues", type=int, default=4, help="of 25 wearers and a ball each")
    parser.add_argument("--json", help="write the document here as well")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        report, looks = watched(Path(folder), options.venues, options.minutes * 60.0)
    result = judged(report, looks)
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        Path(options.json).write_text(text)
    return 0 if result["holds"] else 1


def watched(folder: Path, venues: int, seconds: float) -> tuple[dict[str, Any], list[list[float]]]:
    """The report of the run, and what its processes used over time: rows of seconds, PSS bytes,
    file descriptors, processes."""
    settings, out = folder / "live.toml", folder / "report.json"
    source = f'{{type = "simulator", duration_s = {seconds:.0f}, speed = 1.0, seed = %d}}'
    listed = "".join(
        f'[[venues]]\nid = "v{k}"\nsources = [{source % (k + 1)}]\n' for k in range(venues)
    )
    settings.write_text(
        f'data_dir = "{folder}/data"\n{listed}[serve]\nport = 8190\nnets = false\n'
        "[tiers]\nroll_every_s = 60\n"
    )
    command = [
        sys.executable, "-m", "jobs.cli", "live", "--settings", str(settings), "--seconds",
        str(int(seconds) + 30), "--json", str(out),
    ]
    begun, looks = time.monotonic(), []
    with (folder / "log").open("w") as log:
        run = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        while run.poll() is None:
            if time.monotonic() - begun > seconds + START_S:
                run.terminate()
            looks.append([time.monotonic() - begun, *used(run.pid)])
            time.sleep(EVERY_S)
    if run.returncode != 0 or not out.exists():
        said = (folder / "log").read_text()[-2000:]
        raise RuntimeError(f"live ended with {run.returncode}:\n{said}")
    return json.loads(out.read_text()), looks


def used(pid: int) -> tuple[float, float, float]:
    """PSS bytes, file descriptors and processes of a process and its descendants."""
    pss = files = count = 0
    try:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0, 0.0, 0.0
    for process in tree:
        try:
            pss += process.memory_full_info().pss
            files += process.num_fds()
            count += 1
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return float(pss), float(files), float(count)


def judged(report: dict[str, Any], looks: list[list[float]]) -> dict[str, Any]:
    """Slopes over the second half of the looks, start and end of the run left out."""
    table = np.array(looks)
    half = table[len(table) // 2 : -max(3, len(table) // 20)]
    slopes = {}
    for name, column in (("pss", 1), ("file_descriptors", 2)):
        slope, level = np.polyfit(half[:, 0] - half[0, 0], half[:, column], 1)
        slopes[name] = float(slope) * 3600.0 / float(level)
    samples, conservation = report["samples"], report["conservation"]
    steady = all(slope <= GROWTH_PER_HOUR for slope in slopes.values())
    return {
        "samples": samples["in"], "conservation": conservation, "growth_per_hour": slopes,
        "total_ms": report["latency_ms"].get("total", {}), "wall_s": report["wall_s"],
        "cpu_s": report["cpu_s"], "pss_bytes_max": report["pss_bytes_max"],
        "looks": {
            "columns": ["s", "pss_bytes", "file_descriptors", "processes"],
            "rows": [[round(value) for value in row] for row in looks],
        },
        "steady": steady, "holds": bool(steady and conservation["holds"]),
    }


if __name__ == "__main__":
    raise SystemExit(main())
