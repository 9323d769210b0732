"""Packets that are pushed through the REST interface: Arrow IPC streams, JSON, binary packets.

A content type with `+zstd` behind it is a zstd frame of the rest; unpacked it may be as large as a
payload may be, and what says that it is more is refused before it is unpacked.
Decoding runs in the caller's thread; the loop only stamps, makes durable and judges. Bounded twice:
payloads in flight and their bytes. Beyond that the caller is told to try again.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from typing import Any, Final

from actors.sources.arrival import ArrivalClock
from actors.sources.inbox import Inbox
from actors.sources.live import (
    MAX_INBOX_BYTES,
    Answer,
    Arrival,
    LiveSource,
    restamped,
    retry_answer,
)
from models.errors import SchemaError
from models.telemetry.decoded import Decoded, refused_whole
from models.telemetry.dense import SUFFIX, unpacked
from models.telemetry.devices import DeviceIndex
from models.telemetry.ingest import REASONS, decode_arrow
from models.telemetry.json_codec import decode_json
from models.telemetry.packet import decode_packets
from models.telemetry.reasons import Reason

MAX_PAYLOAD_BYTES: Final = 16 << 20
ANSWER_TIMEOUT_S: Final = 10.0
MAX_CALLERS: Final = 256

_ARROW = ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow")
_JSON = ("application/json",)
_BINARY = ("application/octet-stream", "application/vnd.touchline.packets")


class PushSource(LiveSource):
    """Fed by `offer`, from any thread."""

    type_name = "http"

    def __init__(
        self, source_id: str, index: DeviceIndex, clock: ArrivalClock, wake: Callable[[], None],
        wall_ns: Callable[[], int], queue_batches: int = 256, cursor: int = 0,
    ) -> None:
        inbox: Inbox[Arrival] = Inbox(queue_batches, MAX_INBOX_BYTES, wake)
        super().__init__(source_id, index, clock, inbox, cursor)
        self._wall_ns = wall_ns
        self._callers: Counter[str] = Counter()

    def offer(self, payload: bytes, content_type: str, identity: str) -> "Future[Answer]":
        """The verdicts of `payload`, in the future; done at once when it finds no room."""
        ticket: Future[Answer] = Future()
        self._count(identity)
        if self.inbox.full:  # before the work of decoding
            self.inbox.refused += 1
            ticket.set_result(retry_answer())
            return ticket
        arrived_ns = self._wall_ns()
        decoded = self.decode(payload, content_type)
        # A dense payload is small; what waits here is what it has become.
        size = max(len(payload), decoded.size_bytes)
        stamp = partial(restamped, decoded)
        if not self.inbox.offer(Arrival(stamp, arrived_ns, ticket), size):
            ticket.set_result(retry_answer())
        return ticket

    def decode(self, payload: bytes, content_type: str) -> Decoded:
        """`payload` by its content type, stamped with 0; never raises on bad bytes."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            return refused_whole(Reason.OVERSIZE, f"{len(payload)} bytes", payload[:4096])
        named = content_type.partition(";")[0].strip().lower()
        if named.endswith(SUFFIX):
            try:
                payload, named = unpacked(payload, MAX_PAYLOAD_BYTES), named.removesuffix(SUFFIX)
            except SchemaError as error:
                reason = REASONS.get(error.reason, Reason.WRONG_FORMAT)
                return refused_whole(reason, error.detail, payload[:4096])
        if named in _ARROW:
            return decode_arrow(payload, self.index, 0)
        if named in _JSON:
            return decode_json(payload, self.index, 0)
        if named in _BINARY:
            return decode_packets(payload, self.index, 0)
        return refused_whole(Reason.WRONG_FORMAT, f"content type {named[:80]!r}", payload[:4096])

    def progress(self) -> dict[str, Any]:
        return {**super().progress(), "callers": dict(self._callers)}

    def _count(self, identity: str) -> None:
        known = identity in self._callers or len(self._callers) < MAX_CALLERS
        self._callers[identity if known else "(others)"] += 1


def wait_for(ticket: "Future[Answer]") -> Answer:
    """The verdicts, or "retry" when the log does not take them in time; a repeat is harmless."""
    try:
        return ticket.result(ANSWER_TIMEOUT_S)
    except FutureTimeout:
        return retry_answer()
