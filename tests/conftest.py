"""Fixtures for every floor of tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings; the test is skipped where it is not to be had."""
    folder = Path(os.environ.get("TOUCHLINE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "soccer_zxy20").is_dir():
        pytest.skip(f"no recordings at {folder}; set TOUCHLINE_TEST_DATA")
    return folder
