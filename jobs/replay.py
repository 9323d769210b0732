"""`touchline replay PATH`: a recording through the whole system, and its report.

PATH is a canonical Parquet or Arrow file, a CSV or Parquet file with a mapping, a file of any
vendor format that kloppy reads, a FIT or TCX file, or a folder of these.
"""

import argparse
import shutil
from pathlib import Path

from cluster.settings import Settings, load_settings
from jobs.demo import _named, _speed
from jobs.run import RunOptions, run_match


def main(argv: list[str] | None = None) -> int:
    """0 when the recording was played and every sample accounted for; 2 when it cannot be read."""
    parser = argparse.ArgumentParser(prog="touchline replay", description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--mapping", type=Path, help="file that maps columns to channels")
    parser.add_argument("--speed", type=_speed, default=0.0, help="times real time, or max")
    parser.add_argument("--workers", type=int, default=0, help="fix the pool to N workers")
    parser.add_argument("--json", type=Path, help="write the report as JSON to this file")
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
    parser.add_argument("--no-nets", action="store_true", help="rules instead of nets")
    parser.add_argument("--data-dir", type=Path, default=Path(".touchline/replay"))
    parser.add_argument("--port", type=int, default=8000, help="of page and API, on loopback")
    options = parser.parse_args(argv)
    settings = replay_settings(options)
    shutil.rmtree(options.data_dir, ignore_errors=True)
    run = RunOptions(
        title=f"{options.path.name} at {_named(options.speed)}", workers=options.workers,
        json_path=options.json, keep=options.keep,
    )
    return run_match(settings, run)


def replay_settings(options: argparse.Namespace) -> Settings:
    """One venue with the recording as its source."""
    source = {
        "type": "file", "path": str(options.path.absolute()), "speed": options.speed,
        "mapping": str(options.mapping.absolute()) if options.mapping else "",
    }
    return load_settings(
        None,
        {
            "data_dir": str(options.data_dir),
            "venues": [{"id": "replay", "match_id": "recording", "sources": [source]}],
            "serve": {"port": options.port, "nets": not options.no_nets},
        },
    )
