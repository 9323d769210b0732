"""OrderWriter: gives orders to venues' edges, fenced, and never the same one twice.

Each writer is a stream in the topic `orders/<venue>`; taking it over fences whoever had it before.
An order has the id of the decision behind it: a writer that was started again and decides the same
again finds the id among the newest of its stream, and says nothing.
"""

from contextlib import suppress
from typing import Final

from cluster.eventlog.port import EventLog, Record
from cluster.eventlog.scan import records_now
from cluster.names import orders_topic
from models.errors import SchemaError
from models.telemetry.orders import Order, decode_order, encode_order

ORDER_TYPE: Final = "application/vnd.touchline.order+json"
REMEMBERED: Final = 512
"""Ids per venue that are known to have been said; far more than are in force at a time."""


class OrderWriter:
    """`epoch` is the fencing epoch of the writer (a coordinator's), 0: one more than the stream
    had. A venue's stream is taken over with the first order for it."""

    def __init__(self, log: EventLog, stream: str, epoch: int = 0) -> None:
        self._log, self.stream, self._epoch = log, stream, epoch
        self._epochs: dict[str, int] = {}
        self._next_seq: dict[str, int] = {}
        self._said: dict[str, dict[str, None]] = {}
        self.sent = self.repeated = 0

    def send(self, venue_id: str, order: Order) -> bool:
        """Make `order` durable; False when it has been said before.

        Raises FencedError when another writer has taken the stream over, LogError when the log
        cannot take it now; trying again is harmless.
        """
        topic = orders_topic(venue_id)
        if venue_id not in self._next_seq:
            self._take_over(venue_id, topic)
        said = self._said[venue_id]
        if order.order_id in said:
            self.repeated += 1
            return False
        seq = self._next_seq[venue_id]
        record = Record(self.stream, seq, order.issued_ns, encode_order(order), ORDER_TYPE)
        try:
            self._log.append(topic, [record], self._epochs[venue_id])
        except Exception:
            # Whether it is durable is not known: the next try looks it up.
            del self._next_seq[venue_id]
            raise
        self._next_seq[venue_id] = seq + 1
        self._remember(said, order.order_id)
        self.sent += 1
        return True

    def newest(self, venue_id: str) -> list[Order]:
        """Orders of this stream among the newest `REMEMBERED` records of the venue, oldest first.
        Raises LogError."""
        topic = orders_topic(venue_id)
        found: list[Order] = []
        for one in records_now(self._log, topic, self._log.describe(topic).end - REMEMBERED):
            # What cannot be read nobody can follow; its reader counts it.
            with suppress(SchemaError):
                if one.record.stream == self.stream:
                    found.append(decode_order(one.record.payload))
        return found

    def _take_over(self, venue_id: str, topic: str) -> None:
        """Raises LogError, FencedError."""
        # A second look keeps the epoch: a writer that was fenced must not fence its successor.
        held = self._epochs.get(venue_id, self._epoch)
        self._epochs[venue_id] = self._log.fence(topic, self.stream, held)
        self._said[venue_id] = {order.order_id: None for order in self.newest(venue_id)}
        self._next_seq[venue_id] = self._log.last_seq(topic, self.stream) + 1

    @staticmethod
    def _remember(said: dict[str, None], order_id: str) -> None:
        said[order_id] = None
        if len(said) > REMEMBERED:
            del said[next(iter(said))]
