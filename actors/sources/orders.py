"""Orders for a venue's edge, read from the topic `orders/<venue>` and handed over as raw batches.

No feed of samples: nothing waits for it, and a match ends without it. The cursor is durable with
the raw record that holds the orders, so none is handed over twice and a replay needs no topic.
Orders of other matches are passed over, ones that cannot be read are counted with a reason. The
topic is looked at a few times a second of real time, also where a recording plays faster than
that: whoever gives orders lives in real time, too.
"""

from typing import Any, Final

from actors.sources.arrival import ArrivalClock
from cluster.eventlog.port import EventLog, StoredRecord
from cluster.names import orders_topic
from models.errors import LogError, OffsetError, SchemaError
from models.telemetry.orders import Order, decode_order
from models.telemetry.raw import RawBatch

ORDER_SOURCE: Final = "orders"
POLL_NS: Final = 100_000_000
MAX_ORDERS: Final = 64
"""Per round; also the most records that are passed over in one round."""


class OrderSource:
    """`cursor` is the next offset to read; None: the match has read none so far, and begins with
    the oldest that is kept."""

    def __init__(
        self, log: EventLog, venue_id: str, match_id: str, clock: ArrivalClock, cursor: int | None
    ) -> None:
        self._log, self._topic, self._match_id = log, orders_topic(venue_id), match_id
        self._clock = clock
        self._cursor = cursor
        self._polled_ns = 0
        self.taken = self.passed_over = self.trimmed = self.errors = 0
        self.error = ""

    def next_batch(self, now_ns: int) -> RawBatch | None:
        """The orders that are due at wall clock `now_ns`, at most `MAX_ORDERS`; None if there are
        none. A log that cannot be read now is asked again in its time."""
        if 0 <= now_ns - self._polled_ns < POLL_NS:
            return None
        self._polled_ns = now_ns
        try:
            stored = self._read()
        except (LogError, OSError) as error:
            self.errors += 1
            self.error = f"{type(error).__name__}: {error}"[:200]
            return None
        if not stored:
            return None
        orders, unread = self._decode(stored)
        cursor = self._cursor = stored[-1].offset + 1
        if not orders and not unread:
            return None
        self._clock.advance(self._clock.now_ns())
        return RawBatch(
            ORDER_SOURCE, cursor, self._clock.floor_ns, {}, orders=tuple(orders), unread=unread
        )

    def progress(self) -> dict[str, Any]:
        return {
            "cursor": self._cursor or 0, "taken": self.taken, "passed_over": self.passed_over,
            "trimmed": self.trimmed, "errors": self.errors, "error": self.error,
        }

    def _read(self) -> list[StoredRecord]:
        """Raises LogError."""
        if self._cursor is None:
            self._cursor = self._log.describe(self._topic).begin
        try:
            return self._log.read(self._topic, self._cursor, MAX_ORDERS)
        except OffsetError as error:
            # Trimmed away under us, or a topic that was begun anew: go on with what is kept.
            self.trimmed += max(error.begin - self._cursor, 0)
            self._cursor = min(max(self._cursor, error.begin), error.end)
            return self._log.read(self._topic, self._cursor, MAX_ORDERS)

    def _decode(self, stored: list[StoredRecord]) -> tuple[list[Order], dict[str, int]]:
        orders: list[Order] = []
        unread: dict[str, int] = {}
        for one in stored:
            try:
                order = decode_order(one.record.payload)
            except SchemaError as error:
                unread[error.reason] = unread.get(error.reason, 0) + 1
                continue
            if order.match_id == self._match_id:
                orders.append(order)
            else:
                self.passed_over += 1
        self.taken += len(orders)
        return orders, unread
