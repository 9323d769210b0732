"""Options that jobs share: which settings, and the folder of data in place of theirs."""

import argparse
from pathlib import Path

from cluster.settings import Settings, load_settings


def add_settings_options(
    parser: argparse.ArgumentParser, settings: str = "TOML settings file",
    data_dir: str = "instead of the settings' data_dir",
) -> None:
    """`--settings` and `--data-dir`, with these help texts."""
    parser.add_argument("--settings", type=Path, help=settings)
    parser.add_argument("--data-dir", type=Path, help=data_dir)


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that the options of `add_settings_options` name. Raises ConfigError."""
    overrides = {"data_dir": str(options.data_dir)} if options.data_dir else {}
    return load_settings(options.settings, overrides)
