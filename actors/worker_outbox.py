"""Outbox: a worker's effects on their way into the log. Nothing new is worked on while it is stuck.

Effects of several batches are appended together, one call per topic (and per epoch of the flows,
for events). A stream that is fenced loses its records here and is reported; a log that cannot take
them now is asked again later, with the same records: progress is not lost, only delayed.

An append waits for the disk, and a worker of many venues writes to two topics of each: with
`appenders` topics do not wait for one another.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass, field
from typing import Final

from cluster.eventlog.port import EventLog, Record
from models.errors import FencedError, LogError
from models.latency import LatencyHistogram

FIRST_WAIT_NS: Final = 20_000_000
LONGEST_WAIT_NS: Final = 2_000_000_000


@dataclass(slots=True)
class _Batch:
    """Records of one topic, by the epoch that they are to be appended with."""

    by_epoch: dict[int, list[Record]] = field(default_factory=lambda: defaultdict(list))


@dataclass(slots=True)
class _Taken:
    """What the log has taken of a topic, epoch by epoch, and what it refused the next with."""

    offsets: dict[int, list[int]] = field(default_factory=dict)
    error: LogError | None = None


class Outbox:
    """`fenced` collects streams that another owner has taken over, until `take_fenced`. appenders:
    threads that append for this one, which waits for them; the log must allow for it."""

    def __init__(
        self, log: EventLog, clock_ns: Callable[[], int], appenders: Executor | None = None
    ) -> None:
        self._log = log
        self._clock_ns = clock_ns
        self._appenders = appenders
        self._topics: dict[str, _Batch] = {}
        self._t_read_ns: list[int] = []
        self._fenced: set[str] = set()
        self._wait_ns = 0
        self._retry_ns = 0
        self.latency = LatencyHistogram()
        self.appended = self.repeated = self.failures = 0
        self.error = ""

    def __len__(self) -> int:
        return sum(len(r) for batch in self._topics.values() for r in batch.by_epoch.values())

    @property
    def retry_ns(self) -> int:
        """When a stuck outbox is worth another try; 0 when it is not stuck."""
        return self._retry_ns

    def put(self, topic: str, record: Record, epoch: int) -> None:
        """Take a record. Order is kept within a topic and epoch."""
        self._topics.setdefault(topic, _Batch()).by_epoch[epoch].append(record)

    def done_with(self, t_read_ns: int) -> None:
        """A record read at `t_read_ns` has all of its effects in here: its latency ends when they
        are durable."""
        self._t_read_ns.append(t_read_ns)

    def flush(self) -> bool:
        """Append what there is; False when something stays. Tries at most once per wait."""
        if not self._topics and not self._t_read_ns:
            return True
        now_ns = self._clock_ns()
        if now_ns < self._retry_ns:
            return False
        try:
            self._append_together()
            for topic in sorted(self._topics):
                self._flush_topic(topic)
        except LogError as error:
            self.failures += 1
            self.error = str(error)
            self._wait_ns = min(max(2 * self._wait_ns, FIRST_WAIT_NS), LONGEST_WAIT_NS)
            self._retry_ns = now_ns + self._wait_ns
            return False
        self._wait_ns = self._retry_ns = 0
        self.error = ""
        durable_ns = self._clock_ns()
        self.latency.record([durable_ns - t_ns for t_ns in self._t_read_ns])
        self._t_read_ns.clear()
        return True

    def drop(self, streams: set[str]) -> None:
        """Forget what waits of these streams: their flows are no longer ours."""
        for batch in self._topics.values():
            for epoch, records in batch.by_epoch.items():
                batch.by_epoch[epoch] = [r for r in records if r.stream not in streams]

    def take_fenced(self) -> set[str]:
        """Streams found fenced since the last call."""
        fenced, self._fenced = self._fenced, set()
        return fenced

    def _append_together(self) -> None:
        """Append to all topics at once; what is refused stays, and goes the usual way. Raises
        LogError when all have been asked."""
        if self._appenders is None or len(self._topics) < 2:
            return
        asked = {
            topic: self._appenders.submit(_append, self._log, topic, dict(batch.by_epoch))
            for topic, batch in sorted(self._topics.items())
        }
        wait(asked.values())
        away: list[LogError] = []
        for topic, answer in asked.items():
            taken, batch = answer.result(), self._topics[topic]
            for epoch, offsets in taken.offsets.items():
                self._note(offsets)
                del batch.by_epoch[epoch]
            if taken.error is None:
                del self._topics[topic]
            elif not isinstance(taken.error, FencedError):
                away.append(taken.error)
        if away:
            raise away[0]

    def _note(self, offsets: list[int]) -> None:
        self.repeated += offsets.count(-1)
        self.appended += len(offsets) - offsets.count(-1)

    def _flush_topic(self, topic: str) -> None:
        """Raises LogError; what was appended before it is gone from the batch."""
        batch = self._topics[topic]
        for epoch in sorted(batch.by_epoch):
            # Each refusal removes a stream, so this ends.
            while batch.by_epoch[epoch]:
                try:
                    offsets = self._log.append(topic, batch.by_epoch[epoch], epoch)
                except FencedError as error:
                    self._fenced.add(error.stream)
                    before = len(batch.by_epoch[epoch])
                    self.drop({error.stream})
                    if len(batch.by_epoch[epoch]) == before:
                        raise LogError(f"{topic}: fenced by {error.stream}, not ours") from error
                else:
                    self._note(offsets)
                    batch.by_epoch[epoch] = []
        del self._topics[topic]


def _append(log: EventLog, topic: str, by_epoch: Mapping[int, Sequence[Record]]) -> _Taken:
    """Append epoch by epoch, up to the first that is refused."""
    taken = _Taken()
    for epoch in sorted(by_epoch):
        try:
            taken.offsets[epoch] = log.append(topic, by_epoch[epoch], epoch)
        except LogError as error:
            taken.error = error
            break
    return taken
