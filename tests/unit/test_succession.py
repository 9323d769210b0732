"""When a venue's next match may begin: not before the last one is worked off."""

from models.policies.ownership import FlowEntry, VenueEntry, WorkerReport
from models.policies.succession import Ending, Succession

S = 1_000_000_000


def place(*final: bool) -> VenueEntry:
    """Flows of worker 0 at epoch 5."""
    flows = {row: FlowEntry(0, 5, final=done) for row, done in enumerate(final)}
    return VenueEntry("m1", 0, tuple("abcd"[: len(final)]), flows)


def report(offset: int = 9, hot_s: float = 0.0, rows: tuple[int, ...] = (0, 1)) -> WorkerReport:
    return WorkerReport(
        1, 5, 0, held={"a": dict.fromkeys(rows, 5)}, offsets={"a": dict.fromkeys(rows, offset)},
        backlog_s={"hot": hot_s, "calm": 0.0},
    )


def judged(succession: Succession, entry: VenueEntry, one: WorkerReport, at_s: int) -> Ending:
    return succession.judge("a", entry, {0: one}, at_s * S)


def test_a_match_is_over_when_all_of_its_flows_are_final() -> None:
    succession = Succession(10 * S)
    assert judged(succession, place(True, False), report(), 0) == Ending.PLAYED
    assert judged(succession, place(True, True), report(), 1) == Ending.FINAL


def test_a_match_that_was_broken_off_is_over_when_nothing_has_moved_for_long() -> None:
    succession = Succession(10 * S)
    found = [judged(succession, place(False, False), report(), second) for second in range(12)]
    assert found == [Ending.PLAYED] * 11 + [Ending.BROKEN_OFF]


def test_progress_and_work_that_waits_both_keep_a_match_open() -> None:
    succession = Succession(10 * S)
    moving = [judged(succession, place(False, False), report(s), s) for s in range(30)]
    waiting = [
        judged(succession, place(False, False), report(29, hot_s=1.0), s) for s in range(30, 60)
    ]
    assert set(moving + waiting) == {Ending.PLAYED}


def test_a_flow_for_which_nobody_speaks_keeps_its_match_open() -> None:
    succession = Succession(10 * S)
    entry = place(False, False)
    found = {judged(succession, entry, report(rows=(0,)), second) for second in range(30)}
    entry.flows[1].owner = None
    found |= {judged(succession, entry, report(), second) for second in range(30, 60)}
    assert found == {Ending.PLAYED}


def test_each_wait_begins_anew() -> None:
    succession = Succession(10 * S)
    for second in range(12):
        judged(succession, place(False, False), report(), second)
    assert judged(succession, place(False, False), report(), 13) == Ending.PLAYED
