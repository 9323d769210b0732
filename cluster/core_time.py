"""How long the calling thread has run on a core, and waited for one, as Linux counts it."""

from models.policies.linger import CoreTime

_PATH = "/proc/thread-self/schedstat"


def core_time() -> CoreTime:
    """Since the thread began; nothing where the kernel does not tell (sched-stats.rst: time on a
    core, time in a run queue, time slices)."""
    try:
        with open(_PATH, "rb") as file:
            ran, waited, _ = file.read().split()
            return CoreTime(int(ran), int(waited))
    except (OSError, ValueError):
        return CoreTime()
