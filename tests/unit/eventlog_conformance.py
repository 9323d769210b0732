"""What every event log adapter does: the specification of `cluster.eventlog.port.EventLog`.

An adapter's test module subclasses `EventLogConformance` and gives the fixture `open_store`, a
callable that opens the same store anew each time, as another process would. Its segments should
rotate within about 16 KiB, so that rotation is met here too.
"""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.eventlog.port import EventLog, Record
from models.errors import FencedError, OffsetError

OpenStore = Callable[[], EventLog]
TOPIC = "telemetry/wembley"


def record(seq: int, stream: str = "edge", size: int = 20) -> Record:
    payload = (f"{stream}-{seq}-".encode() * (size // 4 + 1))[:size]
    return Record(stream, seq, 1_000 + seq, payload, "application/x-test")


def fill(log: EventLog, count: int, size: int = 1000, topic: str = TOPIC) -> None:
    for seq in range(count):
        assert log.append(topic, [record(seq, size=size)], 0) == [seq]


def read_all(log: EventLog, topic: str = TOPIC) -> list[Record]:
    offset, found = log.describe(topic).begin, []
    while batch := log.read(topic, offset, max_records=7):
        found += [stored.record for stored in batch]
        offset = batch[-1].offset + 1
    return found


class EventLogConformance:
    """Every test opens stores through the fixture only."""

    @pytest.fixture
    def log(self, open_store: OpenStore) -> EventLog:
        return open_store()

    def test_an_unknown_topic_is_empty(self, log: EventLog) -> None:
        info = log.describe("events/nowhere")
        assert (info.begin, info.end, info.size_bytes, info.segments) == (0, 0, 0, 0)
        assert log.read("events/nowhere", 0) == []
        assert log.last_seq("events/nowhere", "edge") == -1
        assert log.cursor("events/nowhere", "twins") == 0
        assert log.trim("events/nowhere", 10) == 0
        assert log.topics() == []
        with pytest.raises(OffsetError):
            log.read("events/nowhere", 1)

    def test_records_come_back_as_they_were_given(self, log: EventLog) -> None:
        given = [record(0), Record("flow/å-7", 3, -5, b"", "text/plain"), record(9, size=70_000)]
        assert log.append(TOPIC, given, 0) == [0, 1, 2]
        stored = log.read(TOPIC, 0)
        assert [s.record for s in stored] == given
        assert [s.offset for s in stored] == [0, 1, 2]
        assert all(s.t_append_ns > 0 for s in stored)

    def test_an_empty_append_does_nothing(self, log: EventLog) -> None:
        assert log.append(TOPIC, [], 0) == []
        assert log.topics() == []

    def test_what_is_there_already_is_skipped(self, log: EventLog) -> None:
        assert log.append(TOPIC, [record(0), record(1)], 0) == [0, 1]
        assert log.append(TOPIC, [record(1), record(2), record(2)], 0) == [-1, 2, -1]
        assert log.append(TOPIC, [record(0)], 0) == [-1]
        assert log.append(TOPIC, [record(0, "other")], 0) == [3]
        assert [r.seq for r in read_all(log)] == [0, 1, 2, 0]

    def test_the_newest_seq_of_a_stream_is_known_after_reopening(
        self, log: EventLog, open_store: OpenStore
    ) -> None:
        log.append(TOPIC, [record(4), record(2, "other"), record(6)], 0)
        log.close()
        again = open_store()
        assert again.last_seq(TOPIC, "edge") == 6
        assert again.last_seq(TOPIC, "other") == 2
        assert again.last_seq(TOPIC, "third") == -1

    def test_topics_do_not_mix(self, log: EventLog) -> None:
        names = ["a/b", "a%2Fb", "a", "a.b", "ä b?#", ".hidden"]
        for name in names:
            log.append(name, [record(0, name)], 0)
        assert log.topics() == sorted(names)
        assert [read_all(log, name)[0].stream for name in names] == names

    def test_another_reader_sees_an_append_at_once(
        self, log: EventLog, open_store: OpenStore
    ) -> None:
        reader = open_store()
        assert reader.read(TOPIC, 0) == []
        for seq in range(60):
            log.append(TOPIC, [record(seq, size=1000)], 0)
            assert [s.record.seq for s in reader.read(TOPIC, seq)] == [seq]
            assert reader.read(TOPIC, seq + 1) == []

    def test_reading_is_bounded_by_records_and_bytes_but_gives_one_at_least(
        self, log: EventLog
    ) -> None:
        fill(log, 10)
        assert len(log.read(TOPIC, 0, max_records=3)) == 3
        assert len(log.read(TOPIC, 0, max_bytes=2500)) == 2
        assert len(log.read(TOPIC, 0, max_bytes=1)) == 1

    def test_an_offset_outside_is_refused(self, log: EventLog) -> None:
        fill(log, 2)
        assert log.read(TOPIC, 2) == []
        with pytest.raises(OffsetError):
            log.read(TOPIC, 3)
        with pytest.raises(OffsetError):
            log.read(TOPIC, -1)

    def test_an_old_epoch_is_refused_whole(self, log: EventLog, open_store: OpenStore) -> None:
        first = log.fence(TOPIC, "edge")
        assert first == 1
        log.append(TOPIC, [record(0)], first)
        second = open_store().fence(TOPIC, "edge")
        assert second == 2
        with pytest.raises(FencedError) as caught:
            log.append(TOPIC, [record(0, "other"), record(1)], first)
        assert (caught.value.held_epoch, caught.value.current_epoch) == (1, 2)
        assert [r.stream for r in read_all(log)] == ["edge"]
        assert log.append(TOPIC, [record(1)], second) == [1]
        assert log.append(TOPIC, [record(0, "other")], 0) == [2]

    def test_fencing_with_a_given_epoch(self, log: EventLog) -> None:
        assert log.fence(TOPIC, "edge", 7) == 7
        assert log.fence(TOPIC, "edge", 7) == 7
        assert log.fence(TOPIC, "edge") == 8
        with pytest.raises(FencedError):
            log.fence(TOPIC, "edge", 7)

    def test_epochs_and_seqs_survive_rotation_and_reopening(
        self, log: EventLog, open_store: OpenStore
    ) -> None:
        log.fence(TOPIC, "edge", 5)
        for seq in range(40):
            log.append(TOPIC, [record(seq, size=1000)], 5)
        assert log.describe(TOPIC).segments > 1
        log.close()
        again = open_store()
        with pytest.raises(FencedError):
            again.append(TOPIC, [record(40)], 4)
        assert again.append(TOPIC, [record(39), record(40)], 5) == [-1, 40]
        assert [r.seq for r in read_all(again)] == list(range(41))

    def test_cursors_are_kept_per_group(self, log: EventLog, open_store: OpenStore) -> None:
        fill(log, 5)
        assert log.cursor(TOPIC, "twins") == 0
        log.commit(TOPIC, "twins", 3)
        log.commit(TOPIC, "feed", 5)
        log.commit(TOPIC, "feed", 4)
        log.close()
        again = open_store()
        assert (again.cursor(TOPIC, "twins"), again.cursor(TOPIC, "feed")) == (3, 4)
        assert again.cursor(TOPIC, "other") == 0
        with pytest.raises(OffsetError):
            again.commit(TOPIC, "twins", 6)

    def test_trimming_forgets_whole_segments_only(
        self, log: EventLog, open_store: OpenStore
    ) -> None:
        fill(log, 60)
        reader = open_store()
        assert reader.read(TOPIC, 0)[0].offset == 0
        before = log.describe(TOPIC)
        begin = log.trim(TOPIC, 40)
        after = log.describe(TOPIC)
        assert 0 < begin <= 40
        assert (after.begin, after.end) == (begin, 60)
        assert after.segments < before.segments
        assert after.size_bytes < before.size_bytes
        with pytest.raises(OffsetError):
            reader.read(TOPIC, begin - 1)
        assert reader.read(TOPIC, begin)[0].offset == begin
        assert log.cursor(TOPIC, "new") == begin

    def test_trimming_everything_keeps_counting(self, log: EventLog, open_store: OpenStore) -> None:
        fill(log, 40)
        log.trim(TOPIC, 1_000_000)
        log.close()
        again = open_store()
        assert again.append(TOPIC, [record(39), record(40)], 0) == [-1, 40]

    def __init_subclass__(cls) -> None:
        # A property of its own for each adapter: examples of one say nothing about another.
        super().__init_subclass__()
        cls.test_it_behaves_like_a_list = _like_a_list()


def _like_a_list() -> Any:
    @settings(
        max_examples=40, deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(data=st.data())
    def test_it_behaves_like_a_list(self: Any, open_store: OpenStore, data: st.DataObject) -> None:
        # A name of its own, not a drawn one: a repeated example must not find the last one's topic.
        model = ListModel(f"model/{uuid.uuid4()}", open_store)
        for _ in range(data.draw(st.integers(1, 25))):
            model.step(data)
        model.compare()

    return test_it_behaves_like_a_list


class ListModel:
    """The log as a Python list; `step` makes the same move on both and compares the answers."""

    def __init__(self, topic: str, open_store: OpenStore) -> None:
        self.topic, self.open_store = topic, open_store
        self.log = open_store()
        self.records: list[Record] = []
        self.epochs: dict[str, int] = {}
        self.seqs: dict[str, int] = {}
        self.cursors: dict[str, int] = {}
        self.begin = 0

    def step(self, data: st.DataObject) -> None:
        moves = [self.append, self.append, self.append, self.fence, self.commit, self.trim]
        data.draw(st.sampled_from([*moves, self.reopen, self.read]))(data)

    def append(self, data: st.DataObject) -> None:
        streams, seqs = st.sampled_from("ab"), st.integers(0, 30)
        sizes = st.sampled_from([0, 50, 3000])
        wanted = data.draw(st.lists(st.builds(record, seqs, streams, sizes), max_size=6))
        epoch = data.draw(st.integers(0, 3))
        if any(self.epochs.get(r.stream, 0) > epoch for r in wanted):
            with pytest.raises(FencedError):
                self.log.append(self.topic, wanted, epoch)
            return
        expected = []
        for r in wanted:
            if r.seq > self.seqs.get(r.stream, -1):
                self.seqs[r.stream] = r.seq
                expected.append(len(self.records))
                self.records.append(r)
            else:
                expected.append(-1)
        assert self.log.append(self.topic, wanted, epoch) == expected

    def fence(self, data: st.DataObject) -> None:
        stream, epoch = data.draw(st.sampled_from("ab")), data.draw(st.integers(0, 3))
        current = self.epochs.get(stream, 0)
        if epoch and epoch < current:
            with pytest.raises(FencedError):
                self.log.fence(self.topic, stream, epoch)
        else:
            self.epochs[stream] = epoch or current + 1
            assert self.log.fence(self.topic, stream, epoch) == self.epochs[stream]

    def commit(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from("xy"))
        self.cursors[group] = data.draw(st.integers(0, len(self.records)))
        self.log.commit(self.topic, group, self.cursors[group])

    def trim(self, data: st.DataObject) -> None:
        before = data.draw(st.integers(0, len(self.records)))
        begin = self.log.trim(self.topic, before)
        assert self.begin <= begin <= max(before, self.begin)
        self.begin = begin

    def reopen(self, _: st.DataObject) -> None:
        self.log.close()
        self.log = self.open_store()

    def read(self, data: st.DataObject) -> None:
        offset = data.draw(st.integers(-1, len(self.records) + 1))
        limit = data.draw(st.integers(1, 5))
        if not self.begin <= offset <= len(self.records):
            with pytest.raises(OffsetError):
                self.log.read(self.topic, offset, limit)
            return
        found = self.log.read(self.topic, offset, limit)
        assert [s.offset for s in found] == list(range(offset, offset + len(found)))
        assert bool(found) == (offset < len(self.records))
        assert [s.record for s in found] == self.records[offset : offset + len(found)]

    def compare(self) -> None:
        assert read_all(self.log, self.topic) == self.records[self.begin :]
        assert self.log.describe(self.topic).end == len(self.records)
        for stream in "ab":
            assert self.log.last_seq(self.topic, stream) == self.seqs.get(stream, -1)
        for group in "xy":
            expected = self.cursors.get(group, self.begin)
            assert self.log.cursor(self.topic, group) == expected
