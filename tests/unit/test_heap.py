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


THREADS = """
import threading
import numpy as np
from cluster.heap import give_back

def anonymous_mb():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon")) // 1024

def many_arrays():
    arrays = [np.ones(8_000, np.uint8) for _ in range(4_000)]
    kept.append(arrays[-1])

kept = []
together = [threading.Thread(target=many_arrays) for _ in range(4)]
for thread in together:
    thread.start()
for thread in together:
    thread.join()
before = anonymous_mb()
print(int(give_back()), before, anonymous_mb())
"""


def test_what_other_threads_have_freed_is_given_back() -> None:
    out = subprocess.run(
        [sys.executable, "-c", THREADS], check=True, capture_output=True, text=True
    ).stdout.split()
    told, before_mb, after_mb = map(int, out)
    assert told
    assert after_mb < before_mb - 60, "each of four threads had 32 MB"
