"""`touchline analyse ANALYSIS PATH [PATH ...]`: a named analysis of recordings or of a match.

ANALYSIS is `running` (time and distance at each intensity), `possession` (time, hits and share of
the ball), `heatmap` (share of time per cell of a grid) or `shots` (hits that would cross the goal):
the queries of the DEBS 2013 Grand Challenge. PATH is anything that `replay` reads; `--match
VENUE/MATCH` takes a match of the warm tier instead. No cluster is started.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from actors.sources.recorded import Recording, open_recording, read_mapping
from jobs.analyse_match import open_match
from jobs.analyse_show import heat_text, table_text
from jobs.options import add_settings_options, settings_of
from models.analyses import heatmap, running
from models.analyses.hits import REACH_M
from models.analyses.suite import NAMES, Suite
from models.errors import ConfigError

CHUNK_NS: Final = 10_000_000_000
_GRIDS: Final = {f"{across}x{along}": n for n, (across, along) in enumerate(heatmap.GRIDS)}


def main(argv: list[str] | None = None) -> int:
    """0 when done; 2 when something cannot be read."""
    options = _parser().parse_args(argv)
    if bool(options.paths) == bool(options.match):
        raise ConfigError("name recordings, or one match of the warm tier with --match")
    found: list[tuple[str, Suite, dict[str, pa.Table], Any]] = []
    for name, recording in _sources(options):
        suite = Suite(recording.roster)
        analysis = _make(suite, options)
        for _, blocks in recording.chunks(0, CHUNK_NS):
            analysis.handle(suite.merger.merge(blocks))
        found.append((name, suite, _tables(suite, analysis, options), analysis))
    _write(found, options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="touchline analyse", description=__doc__)
    parser.add_argument("analysis", choices=NAMES)
    parser.add_argument("paths", type=Path, nargs="*", metavar="PATH")
    parser.add_argument("--mapping", type=Path, help="file that maps columns to channels")
    parser.add_argument("--match", default="", help="VENUE/MATCH of the warm tier")
    add_settings_options(
        parser, "settings that say where the tier is", "the folder that a run kept its data in"
    )
    parser.add_argument("--roster", type=Path, help="roster (JSON) of the match, else as known")
    parser.add_argument(
        "--reach", type=float, default=REACH_M,
        help="m from sensor to ball (possession, shots); 1.5 where bodies are tracked",
    )
    parser.add_argument("--grid", choices=_GRIDS, default="16x25", help="cells of the heat map")
    parser.add_argument("--player", default="", help="only this subject")
    parser.add_argument("--json", type=Path, help="write the tables as JSON to this file")
    parser.add_argument("--parquet", type=Path, help="write the first table as Parquet")
    return parser


def _sources(options: argparse.Namespace) -> list[tuple[str, Recording]]:
    if options.match:
        match = open_match(settings_of(options), options.match, options.roster)
        return [(options.match, match)]
    mapping = read_mapping(options.mapping) if options.mapping else None
    return [(path.name, open_recording(path, mapping)) for path in options.paths]


def _make(suite: Suite, options: argparse.Namespace) -> Any:
    if options.analysis == "running":
        return suite.running()
    if options.analysis == "heatmap":
        return suite.heatmap()
    if options.analysis == "shots":
        return suite.shots(options.reach)
    return suite.possession(options.reach)


def _tables(suite: Suite, analysis: Any, options: argparse.Namespace) -> dict[str, pa.Table]:
    """The tables of an analysis by name; the first is the one for `--parquet`."""
    if options.analysis == "running":
        tables = {
            "intensities": _windows(suite, analysis.table, running.WINDOWS_S),
            "current": suite.named(analysis.current()),
        }
    elif options.analysis == "heatmap":
        grid = _GRIDS[options.grid]
        tables = {"cells": _windows(
            suite, lambda window_s: analysis.table(grid, window_s), heatmap.WINDOWS_S
        )}
    elif options.analysis == "shots":
        tables = {"shots": suite.named(analysis.table())}
    else:
        windows = running.WINDOWS_S
        teams = pa.concat_tables([analysis.teams(window_s) for window_s in windows])
        tables = {"players": _windows(suite, analysis.players, windows), "teams": teams}
    if options.player:
        tables = {name: _only(table, options.player) for name, table in tables.items()}
    return tables


def _windows(suite: Suite, table_of: Any, windows: Sequence[int]) -> pa.Table:
    return suite.named(pa.concat_tables([table_of(window_s) for window_s in windows]))


def _only(table: pa.Table, player: str) -> pa.Table:
    if "subject_id" not in table.schema.names:
        return table
    return table.filter(pc.equal(table.column("subject_id"), player))


def _write(
    found: list[tuple[str, Suite, dict[str, pa.Table], Any]], options: argparse.Namespace
) -> None:
    for name, suite, tables, analysis in found:
        print(f"{options.analysis} of {name}")
        for title, table in tables.items():
            if options.analysis == "heatmap":
                print(heat_text(suite, analysis, _GRIDS[options.grid], options.player))
            else:
                print(table_text(title, table))
    if options.json:
        body = {
            name: {title: table.to_pylist() for title, table in tables.items()}
            for name, _, tables, _ in found
        }
        options.json.write_text(json.dumps({"analysis": options.analysis, "of": body}, indent=1))
    if options.parquet:
        parts = [
            next(iter(tables.values())).append_column("source", pa.array(
                [name] * next(iter(tables.values())).num_rows, pa.string()
            ))
            for name, _, tables, _ in found
        ]
        pq.write_table(pa.concat_tables(parts), options.parquet, compression="zstd")


if __name__ == "__main__":
    sys.exit(main())
