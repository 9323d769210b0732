"""Fixtures for every floor of tests."""

from pathlib import Path

import pytest

from tests.local_data import data_folder


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings; the test is skipped where it is not to be had."""
    folder = data_folder()
    if not (folder / "soccer_zxy20").is_dir():
        pytest.skip(f"no recordings at {folder}; set TOUCHLINE_TEST_DATA")
    return folder
