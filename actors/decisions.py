"""DecisionLog: what an actor did and why, in a bounded ring and in the topic `actions`.

Decisions that the log will not take now wait, up to a bound, and are tried again with the next
ones; the work that they are about never waits for them.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from cluster.eventlog.port import EventLog, Record
from cluster.names import ACTIONS_TOPIC
from models.errors import LogError

ACTION_TYPE: Final = "application/vnd.touchline.action+json"
RING: Final = 256
WAITING: Final = 1024


class DecisionLog:
    """`stream` is unique per actor and incarnation, so that numbers start at 0."""

    def __init__(
        self, log: EventLog, actor: str, incarnation: int, clock_ns: Callable[[], int]
    ) -> None:
        self._log = log
        self._actor = actor
        self._stream = f"actions/{actor}/{incarnation}"
        self._clock_ns = clock_ns
        self._seq = 0
        self._waiting: deque[Record] = deque(maxlen=WAITING)
        self.recent: deque[dict[str, Any]] = deque(maxlen=RING)
        self.count = 0

    def note(self, action: str, reason: str, detail: Mapping[str, Any] | None = None) -> None:
        """Record a decision; `flush` makes it durable."""
        now_ns = self._clock_ns()
        body = {
            "t_ns": now_ns, "actor": self._actor, "action": action, "reason": str(reason),
            "detail": dict(detail or {}),
        }
        self.recent.append(body)
        self.count += 1
        payload = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str).encode()
        self._waiting.append(Record(self._stream, self._seq, now_ns, payload, ACTION_TYPE))
        self._seq += 1

    def flush(self) -> bool:
        """Whether all that was noted is durable now."""
        if self._waiting:
            try:
                self._log.append(ACTIONS_TOPIC, list(self._waiting), 0)
            except LogError:
                return False
            self._waiting.clear()
        return True
