"""`make bench`: what the system does on this machine, printed as JSON.

Kernels: CPU seconds per million samples of each stage. Whole path: a demo match at full speed
through every process. Venues: how many the machine carries at real time with p99 sensor-to-event
under one second. Every figure is of this run, on the machine that is named in it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from jobs.warmup import warm_up
from tests.bench.kernels import measure
from tests.bench.machine import machine

ROOT = Path(__file__).resolve().parents[2]
P99_LIMIT_MS = 1000.0
LIMIT_S = 900


def main(argv: list[str] | None = None) -> int:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--only", choices=("kernels", "path", "venues"), help="one part")
    options = parser.parse_args(argv)
    parts = {"kernels": kernels, "path": whole_path, "venues": sustained_venues}
    result: dict[str, Any] = {"machine": machine()}
    for name, part in parts.items():
        if options.only in (None, name):
            result[name] = part(options.quick)
    print(json.dumps(result, indent=1))
    return 0


def kernels(quick: bool) -> dict[str, Any]:
    """Each stage alone, in this process."""
    warm_up()
    return measure(60 if quick else 600)


def whole_path(quick: bool) -> dict[str, Any]:
    """A match at full speed: every process, durable log, twins, events; nets off, then on."""
    minutes = "2" if quick else "20"
    report = played("demo", "--minutes", minutes, "--speed", "max", "--no-nets")
    samples = report["samples"]["in"]
    return {
        "samples": samples, "play_s": report["play_s"],
        "samples_per_s": round(samples / report["play_s"]),
        "cpu_s_per_million": round(report["cpu_s"] / samples * 1e6, 3),
        "rss_gib_max": round(report["rss_bytes_max"] / 2**30, 2),
        "pss_gib_max": round(report["pss_bytes_max"] / 2**30, 2),
        "conservation": report["conservation"]["holds"],
    }


def sustained_venues(quick: bool) -> dict[str, Any]:
    """The most venues, doubling, that real time carries with p99 sensor-to-event under a second."""
    tried: list[dict[str, Any]] = []
    count = 1
    while count <= (2 if quick else 64):
        report = live(count, 20 if quick else 40)
        total = report["latency_ms"].get("total", {})
        row = {"venues": count, "samples": report["samples"]["in"], "total_ms": total,
               "cpu_s": report["cpu_s"], "rss_gib_max": round(report["rss_bytes_max"] / 2**30, 2)}
        tried.append(row)
        if total.get("p99", float("inf")) > P99_LIMIT_MS:
            break
        count *= 2
    good = [row["venues"] for row in tried if row["total_ms"].get("p99", 1e9) <= P99_LIMIT_MS]
    return {"sustained": max(good, default=0), "tried": tried}


def live(count: int, seconds: int) -> dict[str, Any]:
    """`count` venues at real time."""
    with tempfile.TemporaryDirectory() as folder:
        source = f'{{type = "simulator", duration_s = {seconds}, speed = 1.0, seed = %d}}'
        venues = "".join(
            f'[[venues]]\nid = "v{k}"\nsources = [{source % (k + 1)}]\n' for k in range(count)
        )
        path = Path(folder) / "live.toml"
        text = f'data_dir = "{folder}/data"\n{venues}[serve]\nport = 8190\nnets = false\n'
        path.write_text(text)
        return played("live", "--settings", str(path), "--seconds", str(seconds + 15), data=False)


def played(job: str, *words: str, data: bool = True) -> dict[str, Any]:
    """The report of a `touchline` command; RuntimeError with its output when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        extra = ["--data-dir", f"{folder}/data", "--port", "8190"] if data else []
        ended = subprocess.run(
            [sys.executable, "-m", "jobs.cli", job, *words, *extra, "--json", str(out)],
            cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )
        if ended.returncode != 0 or not out.exists():
            raise RuntimeError(f"{job} failed:\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}")
        report: dict[str, Any] = json.loads(out.read_text())
        return report


if __name__ == "__main__":
    raise SystemExit(main())
