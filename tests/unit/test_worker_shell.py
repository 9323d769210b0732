"""How often a worker talks to the coordinator."""

from actors.worker_shell import BEAT_S, LATE_BEAT_S, beat_pause_s
from models.policies.ownership import WorkerReport


def report(**backlog_s: float) -> WorkerReport:
    return WorkerReport(1, 1, 0, backlog_s=backlog_s)


def test_a_worker_that_is_late_says_so_sooner() -> None:
    assert beat_pause_s(report()) == beat_pause_s(report(hot=0.0, calm=0.1)) == BEAT_S
    assert beat_pause_s(report(hot=0.3, calm=0.0)) == LATE_BEAT_S < BEAT_S
    assert beat_pause_s(report(hot=0.0, calm=2.0)) == LATE_BEAT_S
