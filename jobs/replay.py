"""`touchline replay PATH [PATH ...]`: recordings through the whole system, and their report.

Each PATH is played in a venue of its own, named after it; all of them at the same time.

PATH is a canonical Parquet or Arrow file, a CSV or Parquet file with a mapping, a file of any
vendor format that kloppy reads, a FIT or TCX file, or a folder of these.
"""

import argparse
import re
import shutil
from pathlib import Path

from cluster.settings import Settings, load_settings
from jobs.demo import named_speed, parse_speed
from jobs.run import RunOptions, run_match
from models.errors import ConfigError


def main(argv: list[str] | None = None) -> int:
    """0 when the recording was played and every sample accounted for; 2 when it cannot be read."""
    parser = argparse.ArgumentParser(prog="touchline replay", description=__doc__)
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    parser.add_argument("--mapping", type=Path, help="file that maps columns to channels")
    parser.add_argument("--speed", type=parse_speed, default=0.0, help="times real time, or max")
    parser.add_argument("--workers", type=int, default=0, help="fix the pool to N workers")
    parser.add_argument("--json", type=Path, help="write the report as JSON to this file")
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
    parser.add_argument("--no-nets", action="store_true", help="rules instead of nets")
    parser.add_argument("--data-dir", type=Path, default=Path(".touchline/replay"))
    parser.add_argument("--port", type=int, default=8000, help="of page and API, on loopback")
    options = parser.parse_args(argv)
    settings = replay_settings(options)
    shutil.rmtree(options.data_dir, ignore_errors=True)
    names = ", ".join(path.name for path in options.paths)
    run = RunOptions(
        title=f"{names} at {named_speed(options.speed)}", workers=options.workers,
        json_path=options.json, keep=options.keep,
    )
    return run_match(settings, run)


def replay_settings(options: argparse.Namespace) -> Settings:
    """One venue per recording, with the recording as its source."""
    for path in options.paths:
        if not path.exists():
            raise ConfigError(f"{path}: there is no such file or folder")
    mapping = str(options.mapping.absolute()) if options.mapping else ""
    venues = [
        {
            "id": venue_id, "match_id": "recording",
            "sources": [
                {
                    "type": "file", "path": str(path.absolute()), "speed": options.speed,
                    "mapping": mapping,
                }
            ],
        }
        for venue_id, path in venue_names(options.paths).items()
    ]
    return load_settings(
        None,
        {
            "data_dir": str(options.data_dir), "venues": venues,
            "serve": {"port": options.port, "nets": not options.no_nets},
        },
    )


def venue_names(paths: list[Path]) -> dict[str, Path]:
    """A venue name for each path, made of its file name; numbered where two are alike."""
    named: dict[str, Path] = {}
    for path in paths:
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", path.absolute().name.split(".")[0]).strip("-_")
        base = stem[:40] or "recording"
        name, number = base, 2
        while name in named:
            name, number = f"{base}-{number}", number + 1
        named[name] = path
    return named
