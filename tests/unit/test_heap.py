"""Memory that a process frees and takes again in every round."""

import subprocess
import sys

import pytest

ROUNDS = """
import resource, sys
import numpy as np
from cluster.heap import keep_freed, keep_heap
told = keep_freed(32 << 20) if sys.argv[1] == "kept" else keep_heap() or True

def round_of_arrays():
    arrays = [np.zeros(300_000, np.uint8) for _ in range(20)]
    for array in arrays:
        array[:] = 1

for _ in range(3):
    round_of_arrays()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    round_of_arrays()
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> tuple[bool, int]:
    out = subprocess.run(
        [sys.executable, "-c", ROUNDS, how], check=True, capture_output=True, text=True
    ).stdout.split()
    return bool(int(out[0])), int(out[1])


def test_kept_memory_is_not_asked_of_the_kernel_again() -> None:
    told, faults = _faults("kept")
    if not told:
        pytest.fail("the C library was not told")
    _, usual = _faults("outside an actor nothing is changed")
    assert usual > 5000
    assert faults < usual / 20
