"""`make bench-load`: the highest load that this machine sustains at real time, and where it goes.

Two families of venues play a recording that was made before: 25 wearers at 100 Hz with a ball at
500 Hz, and 25 wearers at 1000 Hz. Each is doubled, then bisected, to the most venues at which p99
from sensor to event stays under a second, no sample is lost and no latency grows. Told per step:
samples a second, latency per stage, CPU by kind of process, memory, log volume. A step is a Ray
cluster of its own; the page is not started. One venue is one stadium process: that is the design.

A load is judged on the machine as it is: what else runs then is in `load_before` of every step.
`--model FILE` prints the capacity model from the JSON of an earlier run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.warmup import warm_up
from tests.bench.load_model import model_text
from tests.bench.load_table import table_text
from tests.bench.machine import machine
from tests.bench.recordings import FAMILIES, Family, recording

ROOT = Path(__file__).resolve().parents[2]
STEP_LIMIT_S = 480.0
STEP_TRIES = 2
MOST = {"hz100": 64, "hz1000": 32}
SETTLE_S = 60
"""Seconds of recording beside the window: venues start one after the other, then settle."""
START_S_EACH = 4


def main(argv: list[str] | None = None) -> int:
    """0 when every family sustains one venue at least."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="short windows, up to 4 venues")
    parser.add_argument("--only", choices=sorted(FAMILIES), help="one family")
    parser.add_argument("--venues", default="", help="steps of so many, as 1,4,8; no search")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of the window")
    parser.add_argument("--workers", type=int, default=1, help="of the flow pool")
    parser.add_argument("--flame", default="", help="folder for flame graphs of the last good step")
    parser.add_argument("--recordings", default="", help="folder that keeps the recordings")
    parser.add_argument("--json", default=".touchline/load.json", help="where the result goes")
    parser.add_argument("--model", default="", help="print the model of this JSON, run nothing")
    options = parser.parse_args(argv)
    if options.model:
        print(model_text(json.loads(Path(options.model).read_text())))
        return 0
    result = run(options)
    out = Path(options.json)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1))
    print(table_text(result))
    print(model_text(result))
    print(f"\nwritten to {out}")
    return 0 if all(one["sustained"] for one in result["families"].values()) else 1


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The result document."""
    warm_up()
    seconds = options.seconds or (10.0 if options.quick else 30.0)
    result: dict[str, Any] = {"machine": machine(), "families": {}}
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(options.recordings or f"{scratch}/recordings")
        for name, family in FAMILIES.items():
            if options.only in (None, name):
                bench = FamilyBench(family, kept, Path(scratch), seconds, options.workers)
                most = 4 if options.quick else MOST[name]
                counts = [int(word) for word in options.venues.split(",") if word]
                result["families"][name] = bench.run(most, counts, options.flame)
    return result


class FamilyBench:
    """Steps of one family."""

    def __init__(
        self, family: Family, kept: Path, scratch: Path, seconds: float, workers: int
    ) -> None:
        self.family, self.kept, self.scratch = family, kept, scratch
        self.seconds, self.workers = seconds, workers
        self.steps: dict[int, dict[str, Any]] = {}

    def run(self, most: int, venues: list[int], flame: str) -> dict[str, Any]:
        """Search up to `most`, or the steps of `venues`; then the flame graphs, if wanted."""
        if venues:
            best = max((count for count in venues if self.step(count)["sustained"]), default=0)
        else:
            best = highest(lambda count: bool(self.step(count)["sustained"]), most)
        steps = [self.steps[count] for count in sorted(self.steps)]
        result = {"what": self.family.text, "sustained": best, "limit": most, "steps": steps}
        if flame:
            folder = f"{flame}/{self.family.name}"
            result["flame"] = self._played(max(best, 1), folder).get("flames", [])
            print("\n".join(result["flame"]), flush=True)
        return result

    def step(self, venues: int) -> dict[str, Any]:
        """The step of so many venues, run once."""
        if venues not in self.steps:
            print(f"{self.family.text}: {venues} venues ...", flush=True)
            self.steps[venues] = step = self._played(venues)
            said = "sustained" if step["sustained"] else "; ".join(step["why_not"])
            print(f"  {step.get('samples_per_s', 0):,} samples/s: {said}", flush=True)
        return self.steps[venues]

    def _played(self, venues: int, flame: str = "") -> dict[str, Any]:
        length_s = int(SETTLE_S + START_S_EACH * venues + 1.5 * self.seconds)
        # Rounded up, so that one recording serves several steps.
        path, _ = recording(self.kept, self.family, -(-length_s // 60) * 60)
        out, before = self.scratch / "step.json", os.getloadavg()[0]
        command = [
            sys.executable, "-m", "tests.bench.load_step", "--recording", str(path), "--venues",
            str(venues), "--seconds", str(self.seconds), "--workers", str(self.workers),
            "--flame", flame, "--out", str(out),
        ]
        # That a system did not come up says nothing of the load that it would have carried.
        for _ in range(STEP_TRIES):
            said = _ended(command, out)
            if out.exists():
                break
        else:
            return {"venues": venues, "sustained": False, "load_before": before,
                    "why_not": [f"the step failed: {said}"]}
        step: dict[str, Any] = json.loads(out.read_text()) | {"load_before": before}
        if not step["whole"]:
            step["sustained"] = False
            step["why_not"].append("samples are missing, or the matches did not come to their end")
        return step


def _ended(command: list[str], out: Path) -> str:
    """Run a step to its end; the last that it said."""
    out.unlink(missing_ok=True)
    try:
        ended = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=STEP_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done after {STEP_LIMIT_S:.0f} s"
    return (ended.stdout + ended.stderr).strip()[-1500:]


def highest(sustained: Callable[[int], bool], most: int) -> int:
    """The largest count up to `most` that is sustained: doubling, then bisecting. 0: none is."""
    good, bad, count = 0, 0, 1
    while not bad and good < most:
        if sustained(count):
            good, count = count, min(2 * count, most)
        else:
            bad = count
    while bad - good > 1:
        middle = (good + bad) // 2
        if sustained(middle):
            good = middle
        else:
            bad = middle
    return good


if __name__ == "__main__":
    raise SystemExit(main())
