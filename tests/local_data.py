"""Where the real recordings are that tests and benchmarks use, if they are there."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """`TOUCHLINE_TEST_DATA`, else a folder beside the project; it need not exist."""
    return Path(os.environ.get("TOUCHLINE_TEST_DATA", ROOT.parent / "shared" / "data"))
