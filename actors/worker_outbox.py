"""Outbox: a worker's effects on their way into the log. Nothing new is worked on while it is stuck.

Effects of several batches are appended together, one call per topic (and per epoch of the flows,
for events). A stream that is fenced loses its records here and is reported; a log that cannot take
them now is asked again later, with the same records: progress is not lost, only delayed.

An append waits for the disk, and a worker of many venues writes to two topics of each: with
`appenders` topics do not wait for one another.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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

    @property
    def away(self) -> bool:
        """Whether the log can take nothing now."""
        return self.error is not None and not isinstance(self.error, FencedError)


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
            topics = sorted(self._topics)
            while topics:
                # Each turn has one stream less, so this ends.
                topics = self._append_all(topics)
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

    def _append_all(self, topics: Sequence[str]) -> list[str]:
        """Append what there is for `topics`; those whose fenced stream was dropped and that are to
        be asked again. Raises LogError, when all is noted, if one can take nothing now."""
        again: list[str] = []
        away: LogError | None = None
        for topic, taken in zip(topics, self._ask(topics), strict=False):
            by_epoch = self._topics[topic].by_epoch
            for epoch, offsets in taken.offsets.items():
                self.repeated += offsets.count(-1)
                self.appended += len(offsets) - offsets.count(-1)
                del by_epoch[epoch]
            if taken.error is None:
                del self._topics[topic]
            elif isinstance(taken.error, FencedError) and self._drop_fenced(topic, taken.error):
                again.append(topic)
            else:
                away = away or taken.error
        if away is not None:
            raise away
        return again

    def _ask(self, topics: Sequence[str]) -> Iterator[_Taken]:
        """What the log takes of each topic: of all at once where there are appenders, else one by
        one, up to the first that it can take nothing of now."""
        if self._appenders is None or len(topics) < 2:
            for topic in topics:
                yield (taken := _append(self._log, topic, self._topics[topic].by_epoch))
                if taken.away:
                    return
        else:
            asked = [
                self._appenders.submit(_append, self._log, topic, self._topics[topic].by_epoch)
                for topic in topics
            ]
            wait(asked)
            yield from (answer.result() for answer in asked)

    def _drop_fenced(self, topic: str, error: FencedError) -> bool:
        """Forget the stream that was refused; False when it is none of this batch, which would be
        refused again for ever."""
        by_epoch = self._topics[topic].by_epoch
        refused = min(by_epoch)
        before = len(by_epoch[refused])
        self._fenced.add(error.stream)
        self.drop({error.stream})
        return len(by_epoch[refused]) < before


def _append(log: EventLog, topic: str, by_epoch: Mapping[int, Sequence[Record]]) -> _Taken:
    """Append epoch by epoch, up to the first that is refused."""
    taken = _Taken()
    for epoch in sorted(by_epoch):
        try:
            # A stream that was dropped may have left nothing.
            records = by_epoch[epoch]
            taken.offsets[epoch] = log.append(topic, records, epoch) if records else []
        except LogError as error:
            taken.error = error
            break
    return taken
