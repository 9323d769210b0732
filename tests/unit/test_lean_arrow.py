"""An actor makes Arrow arrays without pandas; whoever shares a process with others may convert."""

import subprocess
import sys

import pytest

ASK = """
import sys
import pyarrow as pa
from cluster.lean_arrow import hide_pandas, spare_pandas
{first}
pa.array([1.5, 2.5])
print("pandas" in sys.modules)
import pandas
print(len(pandas.Series([1, 2])), len(sys.meta_path) == len(set(map(id, sys.meta_path))))
"""


@pytest.mark.parametrize(
    ("first", "there"), [("hide_pandas()", False), ("spare_pandas()", True), ("", True)]
)
def test_pyarrow_does_without_pandas_only_where_it_is_hidden(first: str, there: bool) -> None:
    """`spare_pandas` does nothing in a process that is no actor, as this one."""
    words = [sys.executable, "-c", ASK.format(first=first)]
    said = subprocess.check_output(words, text=True)
    assert said.split() == [str(there), "2", "True"]
