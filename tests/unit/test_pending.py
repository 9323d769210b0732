"""The backlog of a worker: hot first with all they have, nobody starves, nothing is lost."""

import random

import pytest

from models.flows.lanes import Held, Priority, Work
from models.flows.pending import Backlog, PendingConfig, Read
from tests.unit.fakes_log import T0_NS, TICK_NS, roster_of, telemetry

ROSTER = roster_of("v", 6)


def held(seq: int, hot: tuple[int, ...] = (), size: int = 100, read_ns: int = 0) -> Held:
    appended_ns = T0_NS + seq * TICK_NS
    return Held(seq, telemetry(ROSTER, seq, hot), size, appended_ns, read_ns or appended_ns)


def fill(backlog: Backlog, upto: int, hot: tuple[int, ...] = (), size: int = 100) -> int:
    """Serve all wishes with records below `upto`; how many were read."""
    count = 0
    for read in backlog.reads():
        last = min(read.offset + read.max_records, upto)
        backlog.feed(read, [held(k, hot, size) for k in range(read.offset, last)], last)
        count += max(last - read.offset, 0)
    return count


def do(backlog: Backlog) -> Work | None:
    work = backlog.next_work()
    if work is not None:
        backlog.done(work)
    return work


def seqs(work: Work, subject: int | None = None) -> list[int]:
    """The records of a batch, or those of them that are for `subject`."""
    first = 0 if subject is None else work.first[work.subjects.index(subject)]
    return [one.record.seq for one in work.held[first:]]


def test_hot_flows_go_first_with_their_whole_backlog() -> None:
    backlog = Backlog()
    backlog.add(dict.fromkeys(range(6), 0))
    fill(backlog, 40, hot=(2, 4))
    work = do(backlog)
    assert work is not None
    assert (work.subjects, work.priority) == ((2, 4), Priority.HOT)
    assert seqs(work) == list(range(40))


def test_calm_flows_follow_in_bounded_batches() -> None:
    backlog = Backlog(PendingConfig(calm_batch=10))
    backlog.add(dict.fromkeys(range(3), 0))
    fill(backlog, 25)
    assert [len(work.held) for work in iter(lambda: do(backlog), None)] == [10, 10, 5]


def test_a_small_backlog_is_done_for_all_at_once() -> None:
    backlog = Backlog()
    backlog.add(dict.fromkeys(range(6), 0))
    fill(backlog, 2, hot=(1,))
    work = do(backlog)
    assert work is not None
    assert work.subjects == (0, 1, 2, 3, 4, 5)
    assert do(backlog) is None


def test_calm_flows_follow_whenever_hot_ones_have_done_all_that_was_read() -> None:
    backlog = Backlog(PendingConfig(calm_batch=5, together=0))
    backlog.add(dict.fromkeys(range(4), 0))
    order = []
    for upto in range(20, 60):
        fill(backlog, upto, hot=(0,))
        order += [work.priority for work in iter(lambda: do(backlog), None)]
    assert order[:4] == [Priority.HOT, *[Priority.CALM] * 3]
    assert set(backlog.offsets().values()) == {59}


def test_a_flow_has_one_batch_in_flight() -> None:
    backlog = Backlog()
    backlog.add({0: 0, 1: 0})
    fill(backlog, 20, hot=(0,))
    first, second = backlog.next_work(), backlog.next_work()
    assert first is not None
    assert second is not None
    assert not set(first.subjects) & set(second.subjects)
    assert backlog.next_work() is None


def test_reading_stops_at_the_bounds() -> None:
    backlog = Backlog(PendingConfig(max_records=50, read_records=20, calm_batch=50))
    backlog.add({0: 0})
    while fill(backlog, 1000):
        assert backlog.held_records <= 50
    assert backlog.held_records == 50
    small = Backlog(PendingConfig(max_bytes=1000))
    small.add({0: 0})
    fill(small, 10)
    assert small.reads() == []


def test_a_flow_from_an_older_snapshot_catches_up_in_a_lane_of_its_own() -> None:
    backlog = Backlog(PendingConfig(max_records=40, read_records=30))
    backlog.add({0: 100, 1: 100})
    fill(backlog, 110)
    do(backlog)
    backlog.add({2: 60})
    assert backlog.lanes == 2
    got = []
    for _ in range(10):
        fill(backlog, 110)
        work = do(backlog)
        if work is not None and 2 in work.subjects:
            got += seqs(work)
    assert got == list(range(60, 110))
    assert backlog.lanes == 1


def test_flows_with_close_snapshots_share_one_lane() -> None:
    backlog = Backlog()
    backlog.add({row: 40 + 3 * row for row in range(6)})
    assert backlog.lanes == 1
    assert [read.offset for read in backlog.reads()] == [40]


def test_lagging_calm_flows_do_not_hold_up_hot_ones() -> None:
    config = PendingConfig(max_records=20, read_records=20, calm_batch=1, together=0)
    backlog = Backlog(config)
    backlog.add(dict.fromkeys(range(6), 0))
    for upto in range(1, 120):
        for _ in range(3):
            fill(backlog, upto, hot=(5,))
        do(backlog)
    offsets = backlog.offsets()
    assert offsets[5] >= 115
    assert min(offsets.values()) < 60
    assert backlog.held_records <= config.max_lanes * config.max_records


def test_laggards_are_not_set_aside_while_the_whole_venue_is_catching_up() -> None:
    backlog = Backlog(PendingConfig(max_records=20, read_records=20, calm_batch=5))
    backlog.add(dict.fromkeys(range(3), 0))
    for _ in range(6):
        for read in backlog.reads():
            ends = min(read.offset + read.max_records, 500)
            late = [held(k, (0,), read_ns=T0_NS + 10**12) for k in range(read.offset, ends)]
            backlog.feed(read, late, ends)
        do(backlog)
    assert backlog.lanes == 1


def test_a_pinned_flow_is_hot_until_its_time_is_over() -> None:
    backlog = Backlog()
    backlog.add({0: 0, 1: 0})
    backlog.pin(1, T0_NS + 5 * TICK_NS)
    fill(backlog, 3)
    assert backlog.hot() == {1}
    fill(backlog, 10)
    assert backlog.hot() == frozenset()


def test_ages_tell_hot_from_calm() -> None:
    backlog = Backlog()
    backlog.add({0: 0, 1: 0})
    fill(backlog, 20, hot=(0,))
    do(backlog)
    assert backlog.waits_since() == {Priority.HOT: None, Priority.CALM: T0_NS}


def test_records_that_are_still_to_be_read_have_an_age_until_the_end_is_seen() -> None:
    backlog = Backlog(PendingConfig(read_records=5))
    backlog.add({0: 0, 1: 0})
    fill(backlog, 100, hot=(0,))
    do(backlog)
    since_ns = T0_NS + 4 * TICK_NS
    assert backlog.waits_since() == {Priority.HOT: since_ns, Priority.CALM: since_ns}
    (read,) = backlog.reads()
    backlog.feed(read, [], read.offset)
    assert set(backlog.waits_since().values()) == {None}


def test_unreadable_records_leave_no_hole_in_progress() -> None:
    backlog = Backlog()
    backlog.add({0: 0})
    (read,) = backlog.reads()
    backlog.feed(read, [held(0), held(3)], 6)
    work = do(backlog)
    assert work is not None
    assert seqs(work) == [0, 3]
    assert [r.offset for r in backlog.reads()] == [6]


def test_an_answer_to_an_outdated_wish_is_ignored() -> None:
    backlog = Backlog()
    backlog.add({0: 0})
    (read,) = backlog.reads()
    backlog.feed(read, [held(0)], 1)
    backlog.feed(read, [held(0)], 1)
    backlog.feed(Read(99, 0, 1, 1), [held(0)], 1)
    assert backlog.held_records == 1


def assert_nothing_is_remembered_wrongly(backlog: Backlog) -> None:
    said = backlog.hot(), backlog.offsets(), backlog.waits_since()
    backlog._changed()
    assert (backlog.hot(), backlog.offsets(), backlog.waits_since()) == said


@pytest.mark.parametrize("seed", range(30))
def test_every_flow_sees_every_record_once_and_in_order(seed: int) -> None:
    rng = random.Random(seed)
    config = PendingConfig(
        max_records=rng.choice((8, 20)), read_records=rng.choice((3, 8)),
        calm_batch=rng.choice((1, 5)),
        together=rng.choice((0, 3)), max_lanes=rng.choice((1, 2, 4)),
    )
    backlog, seen, end = Backlog(config), {row: [] for row in range(6)}, 0
    for _ in range(400):
        end = min(end + rng.choice((0, 1, 3)), 150)
        row = rng.randrange(6)
        if rng.random() < 0.05:
            backlog.remove(row)
            seen[row] = seen[row][: rng.randint(0, len(seen[row]))]
        elif row not in backlog.offsets():
            backlog.add({row: len(seen[row])})
        fill(backlog, end, hot=(rng.randrange(6),))
        assert_nothing_is_remembered_wrongly(backlog)
        work = do(backlog)
        assert_nothing_is_remembered_wrongly(backlog)
        for subject in work.subjects if work else ():
            seen[subject] += seqs(work, subject)
    backlog.add({row: len(seen[row]) for row in range(6) if row not in backlog.offsets()})
    for _ in range(1200):
        fill(backlog, 150)
        work = do(backlog)
        for subject in work.subjects if work else ():
            seen[subject] += seqs(work, subject)
    assert all(records == list(range(150)) for records in seen.values())
    assert backlog.lanes == 1


def test_a_flow_that_came_back_further_on_while_its_batch_ran_stays_where_it_is() -> None:
    backlog = Backlog()
    backlog.add({0: 0, 1: 0})
    fill(backlog, 2)
    work = backlog.next_work()
    assert work is not None
    backlog.remove(1)
    backlog.add({1: 5})
    backlog.done(work)
    assert backlog.offsets() == {0: 2, 1: 5}


class LongWay(Backlog):
    """Looks at every flow, always."""

    def _even(self) -> bool:
        return False


@pytest.mark.parametrize("seed", range(30))
def test_flows_that_are_equally_far_get_the_same_work_without_being_looked_at(seed: int) -> None:
    rng = random.Random(seed)
    config = PendingConfig(
        max_records=12, read_records=rng.choice((3, 8)), calm_batch=rng.choice((2, 5)),
        together=rng.choice((1, 3, 6)), max_lanes=rng.choice((1, 3)),
    )
    short, long, ways, end = Backlog(config), LongWay(config), [0, 0], 0
    for step in range(400):
        end += rng.choice((0, 1, 1, 2, 9 if step % 40 == 0 else 1))
        row, since = rng.randrange(6), rng.choice((None, T0_NS + (end - 2) * TICK_NS))
        leaves, hot = rng.random() < 0.03, rng.sample(range(6), rng.choice((0, 0, 1, 2)))
        read_first = rng.random() < 0.9
        begin = max(min(short.offsets().values(), default=end) - step % 2, 0)
        works = []
        ways[short._even()] += 1
        for backlog in (short, long):
            if leaves:
                backlog.remove(row)
            elif row not in backlog.offsets():
                backlog.add({row: begin})
            if step % 25 == 0:
                backlog.pin(row, T0_NS + (end + 5) * TICK_NS)
            if read_first:
                fill(backlog, end, tuple(hot))
            works.append(backlog.next_work(since))
        said = [
            work and (work.subjects, work.first, [h.offset for h in work.held], work.priority)
            for work in works
        ]
        assert said[0] == said[1]
        for backlog, work in zip((short, long), works, strict=True):
            if work is not None:
                backlog.done(work)
        assert short.offsets() == long.offsets()
        assert short.hot() == long.hot()
    assert min(ways) > 5, ways


def test_a_flow_stays_hot_until_its_hot_records_are_done() -> None:
    backlog = Backlog(PendingConfig(together=0))
    backlog.add({0: 0, 1: 0})
    (read,) = backlog.reads()
    backlog.feed(read, [held(0, (1,)), held(1, (1,)), held(2, ()), held(3, ())], 4)
    assert backlog.hot() == {1}
    work = do(backlog)
    assert work is not None
    assert (work.subjects, work.priority, len(work.held)) == ((1,), Priority.HOT, 4)
    assert backlog.hot() == frozenset()


def test_calm_flows_that_may_wait_have_no_batch_until_a_record_has_lain_for_long() -> None:
    backlog = Backlog()
    backlog.add({0: 0, 1: 0})
    fill(backlog, 3)
    first_ns = held(0).t_append_ns
    assert backlog.next_work(calm_since_ns=first_ns) is None
    work = backlog.next_work(calm_since_ns=first_ns + 1)
    assert work is not None
    assert work.subjects == (0, 1)


def test_hot_flows_wait_for_nothing() -> None:
    backlog = Backlog(PendingConfig(together=0))
    backlog.add({0: 0, 1: 0})
    fill(backlog, 3, hot=(1,))
    work = backlog.next_work(calm_since_ns=0)
    assert work is not None
    assert work.subjects == (1,)


def test_flows_that_are_not_equally_far_share_one_batch_each_from_its_own_record_on() -> None:
    backlog = Backlog()
    backlog.add({0: 2, 1: 5, 2: 9})
    fill(backlog, 8)
    work = do(backlog)
    assert work is not None
    assert (work.subjects, work.first, work.times) == ((0, 1), (0, 3), 9)
    assert seqs(work, 0) == [2, 3, 4, 5, 6, 7]
    assert seqs(work, 1) == [5, 6, 7]
    assert backlog.offsets() == {0: 8, 1: 8, 2: 9}


def test_a_batch_tells_how_long_each_class_has_waited() -> None:
    backlog = Backlog()
    backlog.add({0: 2, 1: 5})
    fill(backlog, 8)
    work = backlog.next_work()
    assert work is not None
    oldest = {priority: one.offset for priority, one in work.oldest({1}).items()}
    assert oldest == {Priority.CALM: 2, Priority.HOT: 5}
    assert {p: one.offset for p, one in work.oldest(set()).items()} == {Priority.CALM: 2}
