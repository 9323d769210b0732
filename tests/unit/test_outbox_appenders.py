"""Topics that are appended to at once: the same records in the log, and the same refusals."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.worker_outbox import Outbox
from cluster.eventlog.port import Record
from cluster.eventlog.sqlite import SqliteLog
from models.errors import FencedError, LogError
from tests.unit.fakes_log import Clock, FakeLog

PUTS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["s", "t"]), st.integers(1, 3)), max_size=40
)


@pytest.fixture(scope="module")
def appenders() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


class PartlyAway(FakeLog):
    """Takes nothing of some topics."""

    away: frozenset[str] = frozenset()

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        if topic in self.away:
            raise LogError(f"{topic} is away")
        return super().append(topic, records, epoch)


class Meeting(FakeLog):
    """Takes records of two topics only where both are asked for at once."""

    def __init__(self) -> None:
        super().__init__(Clock())
        self.barrier = threading.Barrier(2, timeout=30.0)

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        self.barrier.wait()
        return super().append(topic, records, epoch)


def _outcome(log: FakeLog, box: Outbox) -> tuple[object, ...]:
    held = {topic: [(r.stream, r.seq) for r in log.all(topic)] for topic in "abcd"}
    return held, box.take_fenced(), box.appended, box.repeated, len(box)


@given(puts=PUTS, fenced=st.sets(st.tuples(st.sampled_from("abcd"), st.sampled_from("st"))))
def test_the_log_holds_what_it_would_have_held_one_by_one(
    appenders: ThreadPoolExecutor, puts: list[tuple[str, str, int]], fenced: set[tuple[str, str]]
) -> None:
    found = []
    for threads in (None, appenders):
        log = FakeLog(Clock())
        box = Outbox(log, Clock(), threads)
        # A stream is of one topic.
        for topic, stream in sorted(fenced):
            log.fence(topic, f"{topic}/{stream}", 2)
        for seq, (topic, stream, epoch) in enumerate(puts):
            box.put(topic, Record(f"{topic}/{stream}", seq, 0, b""), epoch)
        assert box.flush()
        found.append(_outcome(log, box))
    assert found[0] == found[1]


def test_what_a_log_refuses_for_now_stays_and_is_appended_once(
    appenders: ThreadPoolExecutor
) -> None:
    clock = Clock()
    log = PartlyAway(clock)
    box = Outbox(log, clock, appenders)
    log.away = frozenset("bc")
    for topic in "abcd":
        box.put(topic, Record("s", 0, 0, b""), 0)
    assert not box.flush()
    assert (len(box), box.appended, box.failures) == (2, 2, 1)
    assert "away" in box.error
    log.away = frozenset()
    clock.now_ns = box.retry_ns
    assert box.flush()
    assert [len(log.all(topic)) for topic in "abcd"] == [1, 1, 1, 1]
    assert (len(box), box.appended, box.repeated) == (0, 4, 0)


class Mistaken(FakeLog):
    """Says of topic `a` that a stream is fenced of which it was given nothing."""

    mistaken = True

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        if self.mistaken and topic == "a":
            raise FencedError("another", 1, 2)
        return super().append(topic, records, epoch)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_refusal_for_the_sake_of_another_stream_costs_nothing_and_ends(
    appenders: ThreadPoolExecutor, at_once: bool
) -> None:
    clock = Clock()
    log = Mistaken(clock)
    box = Outbox(log, clock, appenders if at_once else None)
    for topic in "ba":
        box.put(topic, Record("s", 0, 0, b""), 0)
    assert not box.flush()
    assert box.failures == 1
    log.mistaken, clock.now_ns = False, box.retry_ns
    assert box.flush()
    assert [len(log.all(topic)) for topic in "ab"] == [1, 1]
    assert (len(box), box.appended, box.repeated) == (0, 2, 0)


def test_no_topic_waits_for_another(appenders: ThreadPoolExecutor) -> None:
    log = Meeting()
    box = Outbox(log, Clock(), appenders)
    for topic in "ab":
        box.put(topic, Record("s", 0, 0, b""), 0)
    assert box.flush()
    assert not log.barrier.broken


def test_the_embedded_log_takes_many_topics_at_once(
    appenders: ThreadPoolExecutor, tmp_path: Path
) -> None:
    log = SqliteLog(tmp_path)
    box = Outbox(log, Clock(), appenders)
    for turn in range(5):
        for topic in range(12):
            for seq in range(10):
                box.put(f"events/{topic}", Record("s", 10 * turn + seq, 0, b"x"), 0)
        assert box.flush()
    for topic in range(12):
        stored = log.read(f"events/{topic}", 0)
        assert [one.record.seq for one in stored] == list(range(50))
    log.close()
