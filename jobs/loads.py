"""Tells the load of days and weeks of every athlete of the cold tier, as CSV on standard output.

Athletes are the cold tier's pseudonyms. Matches rolled before rows had a day are left out.
"""

import argparse
import sys

import pyarrow as pa
from pyarrow import csv

from cluster.settings import Settings
from cluster.tier_files import read_kind
from cluster.tiers import newest_manifests, open_tier
from jobs.options import add_settings_options, settings_of
from models.errors import ConfigError
from models.tiers.cold import COLD_SCHEMA, CUMULATIVE
from models.tiers.loads import load_history


def main(argv: list[str] | None = None) -> int:
    """Read the cold tier of the settings and print what it says of one column."""
    parser = argparse.ArgumentParser(prog="touchline loads", description=__doc__)
    add_settings_options(parser)
    parser.add_argument("--column", choices=CUMULATIVE, default="player_load_au")
    options = parser.parse_args(argv)
    table = loads_of(settings_of(options), options.column)
    csv.write_csv(table, sys.stdout.buffer)
    return 0


def loads_of(settings: Settings, column: str) -> pa.Table:
    """Rows of `models.tiers.loads`. Raises StorageError, ConfigError for an unknown column."""
    if column not in CUMULATIVE:
        raise ConfigError(f"{column} is no sum of the cold tier")
    cold = open_tier(settings.tiers.cold_url, settings)
    tables = read_kind(cold, newest_manifests(cold), "minutes", settings.identity.key_dir)
    dated = [t.select(["athlete", "day", column]) for t in tables if "day" in t.schema.names]
    empty = COLD_SCHEMA.empty_table().select(["athlete", "day", column])
    return load_history(pa.concat_tables([empty, *dated]), column)
