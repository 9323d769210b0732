"""`make bench-peers`: our kernel and other engines on one fixed workload, in one run, one table.

The contest (specification, engines, data, reference, checks) is a folder that is not part of this
project: `../shared/peers`, or what TOUCHLINE_PEERS names. It is copied to `.touchline/peers`, our
column is added, and every column is verified against the reference before it is timed. Rates are
per CPU second of an engine's whole process tree, pinned to one core.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONTEST = Path(os.environ.get("TOUCHLINE_PEERS", ROOT.parent / "shared" / "peers"))
WORK = ROOT / ".touchline" / "peers"
OURS = "touchline"
COLUMN = [
    "stream", "core", "touchline_stream.py", [], "s600", None,
    "Touchline's fused kernel (numba), 5,000-row Arrow batches",
]
QUICK = [
    "c-stream", "numba-stream", "numpy-stream", "numpy-stream-1s", "polars", "pandas", "duckdb",
    "flink-java", "bytewax-arrow", "pathway-arrow-side", "quix-arrow", "ray-actor-c-1s",
]
"""The fastest form of each engine; `--all` runs every column (about 45 minutes)."""


def main(argv: list[str] | None = None) -> int:
    """Prepare, verify, run, print the table; 1 when a result of ours is not the reference's."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--all", action="store_true", help="every column of the contest")
    parser.add_argument("--reps", type=int, default=3, help="runs of each column")
    parser.add_argument("names", nargs="*", help="these columns only, besides ours")
    options = parser.parse_args(argv)
    if not (CONTEST / "SPEC.md").is_file():
        print(f"no contest at {CONTEST}: set TOUCHLINE_PEERS", file=sys.stderr)
        return 2
    prepare()
    names = options.names or (["*"] if options.all else QUICK)
    verdict = bench("verify", OURS, *names)
    print(verdict)
    if not any(line.split()[:2] == [OURS, "OK"] for line in verdict.splitlines()):
        print("our column does not agree with the reference", file=sys.stderr)
        return 1
    print(bench("run", OURS, *names, "--reps", str(options.reps)))
    newest = max((WORK / "results").glob("run-*.json"), key=lambda path: path.stat().st_mtime)
    table = subprocess.run(
        [core_python(), "report.py", str(newest)], cwd=WORK, capture_output=True, text=True,
        check=True,
    )
    print(table.stdout)
    summary(json.loads(newest.read_text()))
    return 0


def prepare() -> None:
    """Copy the contest, add our column, and let the contest set itself up (once, 5 minutes)."""
    shutil.copytree(CONTEST, WORK, dirs_exist_ok=True, copy_function=shutil.copy)
    for path in [WORK, *WORK.rglob("*")]:
        if not path.is_symlink() and ".venvs" not in path.parts:
            path.chmod(path.stat().st_mode | 0o200)
    shutil.copy(Path(__file__).with_name("touchline_stream.py"), WORK / "engines")
    (WORK / "extra.json").write_text(json.dumps({OURS: COLUMN}))
    if not (WORK / "data" / "l500.arrow").exists() or not Path(core_python()).exists():
        print("setting the contest up: environments and data, about five minutes", flush=True)
        subprocess.run(["sh", "setup.sh"], cwd=WORK, check=True, stdout=subprocess.DEVNULL)


def core_python() -> str:
    """The interpreter of the contest's environment with numpy, numba, pyarrow."""
    return str(WORK / ".venvs" / "core" / "bin" / "python")


def bench(*words: str) -> str:
    """Output of the contest's own harness, which pins every engine to one core."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        ["taskset", "-c", "0", core_python(), "bench.py", *words], cwd=WORK, env=environment,
        capture_output=True, text=True, check=True,
    )
    return ended.stdout


def summary(result: dict[str, dict[str, float]]) -> None:
    """Our rate against each engine's."""
    def rate(row: dict[str, float]) -> float:
        return float(row.get("marginal_ev_per_cpu_s", row["ev_per_cpu_s"]))

    rates = {name: rate(row) for name, row in result.items() if "error" not in row}
    ours = rates.pop(OURS)
    print(f"{OURS}: {ours / 1e6:.1f} M samples per CPU second")
    for name in sorted(rates, key=lambda name: -rates[name]):
        print(f"  {ours / rates[name]:8.2f} times {name}")


if __name__ == "__main__":
    raise SystemExit(main())
