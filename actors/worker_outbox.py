"""Outbox: a worker's effects on their way into the log. Nothing new is worked on while it is stuck.

Effects of several batches are appended together, one call per topic (and per epoch of the flows,
for events). A stream that is fenced loses its records here and is reported; a log that cannot take
them now is asked again later, with the same records: progress is not lost, only delayed.
"""

from collections import defaultdict
from collections.abc import Callable
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


class Outbox:
    """`fenced` collects streams that another owner has taken over, until `take_fenced`."""

    def __init__(self, log: EventLog, clock_ns: Callable[[], int]) -> None:
        self._log = log
        self._clock_ns = clock_ns
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
                    self.repeated += offsets.count(-1)
                    self.appended += len(offsets) - offsets.count(-1)
                    batch.by_epoch[epoch] = []
        del self._topics[topic]
