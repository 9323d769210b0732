"""`make soak`: venues at real time for half an hour; flat memory, constant files, nothing lost.

Venues play one recording, made first, as those of `make bench-load` do: eleven are half of what two
cores carry there. `--simulated`: each simulates its own match, which takes as much again.

Prints JSON: every 10 s the memory (PSS without what is mapped from files) and the open file
descriptors of the whole process tree, then their slopes over the second half, when caches are warm,
by kind of process as well, and the run's own account. Of Ray's tasks (the process that rolls) the
least counts that they held in three minutes: what is there between two rolls, which take 100 MB.
Exits with 1 when the account does not hold, when memory grows by more than 5 % an hour there, or
when file descriptors do.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import mode
from typing import Any

import numpy as np
import psutil

from tests.bench.load_processes import BASE, DRIVER, kind_of
from tests.bench.recordings import FAMILIES, recording

ROOT = Path(__file__).resolve().parents[2]
EVERY_S = 10.0
START_S = 420
"""So long may starting and ending take beside the play."""
GROWTH_PER_HOUR = 0.05
TASKS = "ray tasks"
ROLL_EVERY_S = 60
AT_REST_S = 180.0
"""Longer than two rolls and what is between them: some look is of no roll."""


@dataclass
class Look:
    """What the processes of the run hold at `at_s` of it; memory and number by kind of process."""

    at_s: float
    pss_bytes: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    files: int = 0


def main(argv: list[str] | None = None) -> int:
    """Play, watch, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--venues", type=int, default=11, help="of 25 wearers and a ball each")
    parser.add_argument("--simulated", action="store_true", help="matches of their own")
    parser.add_argument("--json", help="write the document here as well")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        seconds = round(options.minutes * 60.0)
        sources = sources_of(Path(folder), options.venues, seconds, options.simulated)
        report, looks = watched(Path(folder), sources, seconds)
    result = judged(report, looks, seconds)
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        Path(options.json).write_text(text)
    return 0 if result["holds"] else 1


def sources_of(folder: Path, venues: int, seconds: int, simulated: bool) -> list[str]:
    """The source of each venue, as settings have it."""
    if simulated:
        match = f'{{type = "simulator", duration_s = {seconds}, speed = 1.0, seed = %d}}'
        return [match % (k + 1) for k in range(venues)]
    path, _ = recording(folder, FAMILIES["hz100"], seconds)
    return [f'{{type = "file", path = "{path}", speed = 1.0, merge_late = true}}'] * venues


def watched(
    folder: Path, sources: list[str], seconds: int
) -> tuple[dict[str, Any], list[Look]]:
    """The report of the run, and what its processes used over time."""
    settings, out = folder / "live.toml", folder / "report.json"
    listed = "".join(
        f'[[venues]]\nid = "v{k}"\nmatch_id = "m{k}"\nsources = [{source}]\n'
        for k, source in enumerate(sources)
    )
    settings.write_text(
        f'data_dir = "{folder}/data"\n{listed}[serve]\nport = 8190\nnets = false\n'
        f"[tiers]\nroll_every_s = {ROLL_EVERY_S}\n"
    )
    command = [
        sys.executable, "-m", "jobs.cli", "live", "--settings", str(settings), "--seconds",
        str(seconds + 30), "--json", str(out),
    ]
    begun = time.monotonic()
    looks: list[Look] = []
    with (folder / "log").open("w") as log:
        run = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        while run.poll() is None:
            if time.monotonic() - begun > seconds + START_S:
                run.terminate()
            looks.append(used(run.pid, time.monotonic() - begun))
            time.sleep(EVERY_S)
    if run.returncode != 0 or not out.exists():
        said = (folder / "log").read_text()[-2000:]
        raise RuntimeError(f"live ended with {run.returncode}:\n{said}")
    return json.loads(out.read_text()), looks


def used(pid: int, at_s: float) -> Look:
    """What a process and its descendants hold now."""
    look = Look(at_s)
    try:
        me = psutil.Process(pid)
        tree = [me, *me.children(recursive=True)]
    except psutil.NoSuchProcess:
        return look
    for process in tree:
        try:
            kind = DRIVER if process.pid == pid else named(process)
            pss = own_bytes(process.pid)
            look.files += process.num_fds()
        except (OSError, psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        look.pss_bytes[kind] = look.pss_bytes.get(kind, 0) + pss
        look.counts[kind] = look.counts.get(kind, 0) + 1
    return look


def own_bytes(pid: int) -> int:
    """Proportional set size without pages of files: a recording that is mapped takes memory that
    anybody else may have. Raises OSError."""
    told = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in told[1:]}
    return 1024 * (kib["Pss"] - kib["Pss_File"])


def named(process: psutil.Process) -> str:
    """Its kind; of Ray's own actors the name. Tasks and what waits for one are one kind."""
    kind, words = kind_of(process), process.cmdline()
    if kind != BASE or not words or not words[0].startswith("ray::"):
        return kind
    title = words[0].removeprefix("ray::")
    actor = title.split(".")[0].split("(")[0].split(":")[0]
    if actor.endswith("Agent"):
        return kind
    return actor if title[:1] == "_" or "Actor" in title or "Serve" in title else TASKS


def judged(report: dict[str, Any], looks: list[Look], seconds: int) -> dict[str, Any]:
    """Slopes over the second half of the play: what starts, and what is done at its end (the last
    roll, and a recomputation of every match), is no part of it."""
    venues = max(look.counts.get("stadium", 0) for look in looks)
    begun_s = next(look.at_s for look in looks if look.counts.get("stadium", 0) == venues)
    half = alike([
        look for look in with_tasks_at_rest(looks)
        if begun_s + seconds / 2 <= look.at_s <= begun_s + seconds - EVERY_S
    ])
    held = [with_one_worker(look) for look in half]
    slopes = {
        "pss": relative_per_hour(half, [sum(one.values()) for one in held]),
        "file_descriptors": relative_per_hour(half, [look.files for look in half]),
    }
    kinds = sorted({kind for one in held for kind in one})
    by_kind = {
        kind: round(per_hour(half, [one.get(kind, 0) for one in held]) / 1e6, 1) for kind in kinds
    }
    samples, conservation = report["samples"], report["conservation"]
    steady = all(slope <= GROWTH_PER_HOUR for slope in slopes.values())
    return {
        "samples": samples["in"], "conservation": conservation, "growth_per_hour": slopes,
        "growth_mb_per_hour": by_kind,
        "total_ms": report["latency_ms"].get("total", {}), "wall_s": report["wall_s"],
        "cpu_s": report["cpu_s"], "pss_bytes_max": report["pss_bytes_max"],
        "looks_compared": len(half), "looks": [asdict(look) for look in looks],
        "steady": steady, "holds": bool(steady and conservation["holds"]),
    }


def alike(looks: list[Look]) -> list[Look]:
    """Those at which as many of Ray's tasks ran as at most of them: one takes some hundred MB and
    lives for a roll, so whether the first or the last look met one would be most of a slope."""
    usual = mode(look.counts.get(TASKS, 0) for look in looks)
    return [look for look in looks if look.counts.get(TASKS, 0) == usual]


def with_tasks_at_rest(looks: list[Look]) -> list[Look]:
    """Of Ray's tasks the least that as many of them held in the time of two rolls: which looks
    fall into one is chance, and moves a slope over 15 minutes by more than all else together."""
    return [
        replace(look, pss_bytes=look.pss_bytes | {TASKS: min(
            one.pss_bytes.get(TASKS, 0) for one in looks
            if look.at_s - AT_REST_S < one.at_s <= look.at_s
            and one.counts.get(TASKS) == look.counts.get(TASKS)
        )})
        for look in looks
    ]


def with_one_worker(look: Look) -> dict[str, int]:
    """Memory by kind, of the pool's workers the mean: that they come and go with the load is the
    pool's work, and no growth."""
    workers = max(1, look.counts.get("worker", 1))
    return look.pss_bytes | {"worker": look.pss_bytes.get("worker", 0) // workers}


def per_hour(looks: list[Look], values: list[int]) -> float:
    """Slope of a straight line through `values`, in their unit an hour."""
    at_s = np.array([look.at_s for look in looks])
    return float(np.polyfit(at_s - at_s[0], values, 1)[0]) * 3600.0


def relative_per_hour(looks: list[Look], values: list[int]) -> float:
    """The slope as a share of the mean."""
    return per_hour(looks, values) / float(np.mean(values))


if __name__ == "__main__":
    raise SystemExit(main())
