"""The uplink between an edge and its log, by a recorded cellular trace, in time of the test's own.

A trace says at which milliseconds the network would have carried a packet of 1,500 bytes. An append
takes until its bytes are carried; one that would take longer than a call may is refused when that
time is over, as a log that is away refuses. Times are ns of the test's clock.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.eventlog.port import EventLog, Record
from models.errors import LogError

PACKET_BYTES = 1_500
CALL_NS = 10_000_000_000
"""How long an append may take."""
MS = 1_000_000


class Wall:
    """A clock that stands still until it is moved."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


def with_outage(
    t_ms: np.ndarray, opportunities: np.ndarray, at_ms: int, outage_ms: int
) -> tuple[np.ndarray, np.ndarray]:
    """The trace with nothing carried for `outage_ms` from `at_ms` on; later times move."""
    order = np.argsort(t_ms, kind="stable")
    t_ms, opportunities = t_ms[order], opportunities[order]
    return np.where(t_ms >= at_ms, t_ms + outage_ms, t_ms), opportunities


class LinkedLog:
    """A log behind a link whose trace begins when it is made; it moves `wall` on."""

    def __init__(self, log: EventLog, trace: tuple[np.ndarray, np.ndarray], wall: Wall) -> None:
        self._log, self._wall, self._begin_ns = log, wall, wall.now_ns
        self._t_ns = trace[0] * MS
        self._carried = np.cumsum(trace[1].astype(np.int64)) * PACKET_BYTES
        self._used = 0
        self.refused = self.sent_bytes = 0

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        size = sum(len(record.payload) for record in records)
        passed_ns = self._wall.now_ns - self._begin_ns
        last = int(np.searchsorted(self._t_ns, passed_ns, "right")) - 1
        # What nobody used is gone.
        used = max(self._used, int(self._carried[last]) if last >= 0 else 0)
        at = int(np.searchsorted(self._carried, used + size))
        assert at < len(self._t_ns), "the trace is over"
        done_ns = max(int(self._t_ns[at]), passed_ns)
        if done_ns > passed_ns + CALL_NS:
            self.refused += 1
            self._wall.now_ns += CALL_NS
            raise LogError(f"{topic}: {size} bytes were not carried in time")
        self._used = used + size
        self.sent_bytes += size
        self._wall.now_ns = self._begin_ns + done_ns
        return self._log.append(topic, records, epoch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)
