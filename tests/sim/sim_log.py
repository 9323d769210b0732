"""The event log on a simulated disk: the contract of `cluster.eventlog.port`, and its crash points.

What an append or a fence changes is decided by the product's own plans (`sqlite_plan`); here it is
written, synced, and only then visible, as in a transaction of the embedded log. `LogStore` is what
all processes share; each process has a `LogClient`, whose gate may fail or end any call.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cluster.eventlog.port import Record, StoredRecord, TopicInfo
from cluster.eventlog.sqlite_plan import (
    plan_append,
    plan_fence,
    seq_key,
    successor_state,
)
from models.errors import LogError, OffsetError
from tests.sim.disk import SimDisk

SEGMENT_BYTES: Final = 16 << 10
_FRAME_BYTES: Final = 64


class ProcessCrashError(BaseException):
    """The process `who` that made the call is dead from here on."""

    def __init__(self, who: str) -> None:
        super().__init__(who)
        self.who = who


class PowerLostError(BaseException):
    """The machine is down: every process is dead, un-synced bytes are gone."""


class Gate(Protocol):
    """May raise at three points of a call: before it, between write and sync, after it."""

    def before(self, op: str, what: str) -> None: ...

    def mid(self, op: str, what: str) -> None: ...

    def after(self, op: str, what: str) -> None: ...


class OpenGate:
    """Lets everything pass."""

    def before(self, op: str, what: str) -> None: ...

    def mid(self, op: str, what: str) -> None: ...

    def after(self, op: str, what: str) -> None: ...


class Observer(Protocol):
    """Sees what becomes durable (`stored`, `fenced`) and what was promised (`acked`)."""

    def stored(self, who: str, topic: str, fresh: list[StoredRecord], epoch: int) -> None: ...

    def fenced(self, who: str, topic: str, stream: str, epoch: int) -> None: ...

    def acked(self, topic: str, end: int) -> None: ...

    def committed(self, topic: str, group: str, offset: int) -> None: ...


@dataclass
class Topic:
    """Visible content. `segments` are (first offset, bytes) pairs, as lists."""

    records: list[StoredRecord] = field(default_factory=list)
    begin: int = 0
    state: dict[str, int] = field(default_factory=lambda: {"end": 0, "bytes": 0})
    segments: list[list[int]] = field(default_factory=lambda: [[0, 0]])
    cursors: dict[str, int] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.state["end"]

    def apply(self, frame: tuple[Any, ...]) -> None:
        kind = frame[0]
        if kind == "append":
            _, fresh, state = frame
            self.segments[-1][1] += state["bytes"] - self.state["bytes"]
            self.records.extend(fresh)
            self.state.update(state)
        elif kind == "fence":
            self.state.update(frame[1])
        elif kind == "rotate":
            self.state = successor_state(self.state)
            self.segments.append([self.end, 0])
        elif kind == "cursor":
            self.cursors[frame[1]] = frame[2]
        else:
            before = frame[1]
            while self.segments[0][0] < before:
                self.segments.pop(0)
            del self.records[: before - self.begin]
            self.begin = before


class LogStore:
    """All topics of one log. `observer` None: nobody looks."""

    def __init__(self, disk: SimDisk, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.disk = disk
        self.segment_bytes = segment_bytes
        self.observer: Observer | None = None
        self.found: dict[str, Topic] = {}
        self.reopen()

    def reopen(self) -> None:
        """What the disk holds, as after a crash: a torn tail is cut off."""
        self.found = {}
        for name in self.disk.names():
            frames = self.disk.frames(name)
            self.disk.cut(name, len(frames))
            self.disk.sync(name)
            topic = Topic()
            for frame in frames:
                topic.apply(frame)
            if frames:
                self.found[name] = topic

    def look(self, name: str) -> Topic:
        return self.found.get(name) or Topic()

    def append(
        self, name: str, records: Sequence[Record], epoch: int, now_ns: int, who: str, gate: Gate
    ) -> list[int]:
        topic = self._rotated(name, gate)
        plan = plan_append(topic.state, records, epoch, now_ns)
        if plan.state:
            pairs = zip(plan.answer, records, strict=True)
            fresh = [StoredRecord(offset, now_ns, one) for offset, one in pairs if offset >= 0]
            size = plan.state["bytes"] - topic.state["bytes"]
            self._commit(name, ("append", fresh, plan.state), size, gate)
            if self.observer is not None:
                self.observer.stored(who, name, fresh, epoch)
        return plan.answer

    def fence(self, name: str, stream: str, epoch: int, who: str, gate: Gate) -> int:
        plan = plan_fence(self._rotated(name, gate).state, stream, epoch)
        if plan.state:
            self._commit(name, ("fence", plan.state), _FRAME_BYTES, gate)
        if self.observer is not None:
            self.observer.fenced(who, name, stream, plan.answer[0])
        return plan.answer[0]

    def commit(self, name: str, group: str, offset: int, gate: Gate) -> None:
        end = self.look(name).end
        if not 0 <= offset <= end:
            raise OffsetError(name, offset, 0, end)
        self._commit(name, ("cursor", group, offset), _FRAME_BYTES, gate)
        if self.observer is not None:
            self.observer.committed(name, group, offset)

    def trim(self, name: str, before: int, gate: Gate) -> int:
        topic = self.look(name)
        starts = [start for start, _ in topic.segments[1:] if start <= before]
        if starts:
            self._commit(name, ("trim", starts[-1]), 0, gate)
        return topic.begin

    def read(self, name: str, offset: int, max_records: int, max_bytes: int) -> list[StoredRecord]:
        topic = self.look(name)
        if not topic.begin <= offset <= topic.end:
            raise OffsetError(name, offset, topic.begin, topic.end)
        first = offset - topic.begin
        page = topic.records[first : first + max(1, max_records)]
        taken = 0
        for count, stored in enumerate(page):
            taken += len(stored.record.payload)
            if count and taken > max_bytes:
                return page[:count]
        return page

    def sync(self, name: str) -> None:
        self.disk.sync(name)

    def _rotated(self, name: str, gate: Gate) -> Topic:
        """The topic, its newest segment with room."""
        topic = self.look(name)
        if topic.state["bytes"] >= self.segment_bytes:
            self._commit(name, ("rotate",), _FRAME_BYTES, gate)
        return topic

    def _commit(self, name: str, frame: tuple[Any, ...], size: int, gate: Gate) -> None:
        """Write, sync, then make visible. Raises LogError when the disk refuses."""
        length = self.disk.length(name)
        try:
            self.disk.write(name, frame, size)
        except OSError as error:
            raise LogError(f"{name}: {error.strerror}") from error
        try:
            gate.mid(str(frame[0]), name)
            self.sync(name)
        except PowerLostError:
            raise  # the frame lies there un-synced: the disk decides
        except BaseException:
            self.disk.cut(name, length)
            raise
        self.found.setdefault(name, Topic()).apply(frame)


class LogClient:
    """One process's `EventLog`."""

    def __init__(self, store: LogStore, clock_ns: Any, who: str, gate: Gate | None = None) -> None:
        self.store, self.who = store, who
        self._clock_ns, self._gate = clock_ns, gate or OpenGate()

    def fence(self, topic: str, stream: str, epoch: int = 0) -> int:
        self._gate.before("fence", topic)
        taken = self.store.fence(topic, stream, epoch, self.who, self._gate)
        self._gate.after("fence", topic)
        return taken

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        if not records:
            return []
        self._gate.before("append", topic)
        answer = self.store.append(
            topic, records, epoch, self._clock_ns(), self.who, self._gate
        )
        self._gate.after("append", topic)
        if self.store.observer is not None:
            self.store.observer.acked(topic, max(answer) + 1)
        return answer

    def read(
        self, topic: str, offset: int, max_records: int = 256, max_bytes: int = 8 << 20
    ) -> list[StoredRecord]:
        self._gate.before("read", topic)
        return self.store.read(topic, offset, max_records, max_bytes)

    def last_seq(self, topic: str, stream: str) -> int:
        self._gate.before("read", topic)
        return self.store.look(topic).state.get(seq_key(stream), -1)

    def commit(self, topic: str, group: str, offset: int) -> None:
        self._gate.before("commit", topic)
        self.store.commit(topic, group, offset, self._gate)
        self._gate.after("commit", topic)

    def cursor(self, topic: str, group: str) -> int:
        self._gate.before("read", topic)
        found = self.store.look(topic)
        return found.cursors.get(group, found.begin)

    def trim(self, topic: str, before: int) -> int:
        self._gate.before("trim", topic)
        return self.store.trim(topic, before, self._gate)

    def describe(self, topic: str) -> TopicInfo:
        self._gate.before("read", topic)
        found = self.store.found.get(topic)
        if found is None:
            return TopicInfo(topic, 0, 0, 0, 0)
        size = sum(size for _, size in found.segments)
        return TopicInfo(topic, found.begin, found.end, size, len(found.segments))

    def topics(self) -> list[str]:
        self._gate.before("read", "topics")
        return sorted(self.store.found)

    def close(self) -> None:
        """Nothing to close."""
