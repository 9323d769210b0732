"""The event log port: the calls that every adapter (sqlite, kafka, kinesis) implements alike.

A topic is a name such as `telemetry/wembley`; each topic here has one partition (its order is the
order of its venue). Records are immutable and get consecutive offsets from 0. An append returns
only when its records are durable. Each record carries the *stream* that made it and its number in
that stream, so a writer that repeats itself after a crash adds nothing: `append` skips what is
there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """What a writer gives. `seq` rises strictly within `stream`; `t_ns` is event time."""

    stream: str
    seq: int
    t_ns: int
    payload: bytes
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """What a reader gets. `t_append_ns` is wall-clock time at which it was made durable."""

    offset: int
    t_append_ns: int
    record: Record


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """`begin` is the oldest offset kept, `end` the next to be written."""

    topic: str
    begin: int
    end: int
    size_bytes: int
    segments: int
    damaged: tuple[tuple[int, int], ...] = ()


class EventLog(Protocol):
    """See the module docstring; `tests/unit/eventlog_conformance.py` is the specification."""

    def fence(self, topic: str, stream: str, epoch: int = 0) -> int:
        """Take over `stream`: its epoch becomes `epoch`, or one more than it was when 0 is given.

        Durable. Writers with an older epoch are refused from now on. Raises FencedError when the
        stream's epoch is newer than the one given. A stream never fenced has epoch 0.
        """
        ...

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        """Make `records` durable, in order, atomically; -1 for one that was there already.

        Raises FencedError if the epoch of any record's stream is newer than `epoch`, LogError if
        the records cannot be made durable (nothing of the call is then visible).
        """
        ...

    def read(
        self, topic: str, offset: int, max_records: int = 256, max_bytes: int = 8 << 20
    ) -> list[StoredRecord]:
        """Records from `offset` on; empty at the end. OffsetError below `begin` or beyond `end`."""
        ...

    def last_seq(self, topic: str, stream: str) -> int:
        """The newest `seq` of `stream` in the topic, -1 if there is none."""
        ...

    def commit(self, topic: str, group: str, offset: int) -> None:
        """Set the cursor of consumer `group`: the next offset that it wants. Durable."""
        ...

    def cursor(self, topic: str, group: str) -> int:
        """The cursor of `group`; the begin of the topic if it has none."""
        ...

    def trim(self, topic: str, before: int) -> int:
        """Forget whole segments below offset `before`; the new begin."""
        ...

    def describe(self, topic: str) -> TopicInfo:
        """What the topic holds; an unknown topic is empty."""
        ...

    def topics(self) -> list[str]:
        """All topics, sorted."""
        ...

    def close(self) -> None:
        """Let go of files and connections; durable data stays."""
        ...
