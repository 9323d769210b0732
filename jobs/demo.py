"""`touchline demo`: ten minutes of a simulated match through the whole system, and its report.

Two teams, officials and a ball with every sensor, and with every fault that sensors have. With
`--keep` the system stays up afterwards: page, API and dashboard can be looked at until Ctrl-C.
"""

import argparse
import shutil
from pathlib import Path

from cluster.settings import Settings, load_settings
from jobs.run import RunOptions, run_match

VENUE = "demo-park"
MATCH = "demo-match"


def main(argv: list[str] | None = None) -> int:
    """0 when the match was played, rolled and every sample accounted for; else 1."""
    parser = argparse.ArgumentParser(prog="touchline demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the match")
    parser.add_argument("--speed", type=parse_speed, default=20.0, help="times real time, or max")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same match")
    parser.add_argument("--workers", type=int, default=0, help="fix the pool to N workers")
    parser.add_argument("--no-nets", action="store_true", help="rules instead of nets")
    parser.add_argument("--json", type=Path, help="write the report as JSON to this file")
    parser.add_argument("--data-dir", type=Path, default=Path(".touchline/demo"))
    parser.add_argument("--port", type=int, default=8000, help="of page and API, on loopback")
    options = parser.parse_args(argv)
    # Each demo is a match of its own: what an earlier one left would be taken for its past.
    shutil.rmtree(options.data_dir, ignore_errors=True)
    run = RunOptions(
        title=f"{options.minutes:g} minutes of a simulated match at {named_speed(options.speed)}",
        workers=options.workers, json_path=options.json, keep=options.keep,
    )
    return run_match(demo_settings(options), run)


def demo_settings(options: argparse.Namespace) -> Settings:
    """One venue with the simulator as its source, and one that takes pushed packets."""
    source = {
        "type": "simulator", "seed": options.seed, "duration_s": int(options.minutes * 60),
        "speed": options.speed,
    }
    venue = {"id": VENUE, "match_id": MATCH, "sources": [source]}
    return load_settings(
        None,
        {
            "data_dir": str(options.data_dir), "venues": [venue],
            "serve": {"port": options.port, "nets": not options.no_nets},
            "ray": {"dashboard": True},
        },
    )


def parse_speed(text: str) -> float:
    """A factor of real time; `max` is 0, as in the settings."""
    return 0.0 if text == "max" else float(text)


def named_speed(speed: float) -> str:
    """For people."""
    return f"{speed:g} times real time" if speed else "full speed"
