"""What all live sources share: a bounded inbox, arrival stamps, refusals, and an answer per packet.

Receiving threads offer arrivals; the stadium's loop takes them in order, stamps them, makes one raw
batch of many, and answers each sender once its rows are durable and judged. Nothing is acknowledged
before that.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from actors.sources.arrival import ArrivalClock
from actors.sources.inbox import Inbox
from actors.sources.port import NEVER_NS, Verdicts
from actors.sources.verdicts import Spans, answers
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.decoded import Decoded, Refusal, count_refused, refused_whole
from models.telemetry.devices import DeviceIndex
from models.telemetry.kinds import Kind
from models.telemetry.raw import RawBatch
from models.telemetry.reasons import Reason

MAX_ROWS: Final = 65_536
MAX_ARRIVALS: Final = 1_024
MAX_INBOX_BYTES: Final = 64 << 20
MAX_REFUSALS_WAITING: Final = 4_096

Answer = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A payload that came in at wall clock `arrived_ns`; `decode` takes its arrival stamp."""

    decode: Callable[[int], Decoded]
    arrived_ns: int
    ticket: "Future[Answer] | None" = None


@dataclass(frozen=True, slots=True)
class _HandedOver:
    """An arrival in a batch, and where its rows are in it."""

    arrival: Arrival
    decoded: Decoded
    spans: Spans


class LiveSource:
    """The half of the source port that does not depend on how bytes arrive."""

    endless = True
    virtual = False
    merges = True
    type_name = "live"

    def __init__(
        self, source_id: str, index: DeviceIndex, clock: ArrivalClock, inbox: Inbox[Arrival],
        cursor: int = 0,
    ) -> None:
        self.source_id = source_id
        self.index = index
        self.inbox = inbox
        self._clock = clock
        self._cursor = cursor
        self._closed = False
        self._waiting: deque[list[_HandedOver]] = deque()
        self._refusals: list[Refusal] = []
        self.packets = 0
        self.refused_payloads = 0

    @property
    def done(self) -> bool:
        return self._closed and not self.inbox.depth

    @property
    def position_ns(self) -> int:
        return self._clock.floor_ns

    def start(self) -> None:
        """Nothing to open."""

    def next_batch(self, now_ns: int) -> RawBatch | None:
        handed: list[_HandedOver] = []
        parts: dict[Kind, list[SampleBlock]] = {}
        sizes: dict[Kind, int] = {}
        refused: list[Refusal] = []
        rows = 0
        while rows < MAX_ROWS and len(handed) < MAX_ARRIVALS:
            arrival = self.inbox.take()
            if arrival is None:
                break
            decoded = self._decode(arrival)
            spans: Spans = {}
            for kind, block in decoded.blocks.items():
                if len(block):
                    spans[kind] = (sizes.get(kind, 0), len(block))
                    sizes[kind] = sizes.get(kind, 0) + len(block)
                    parts.setdefault(kind, []).append(block)
            rows += decoded.rows
            refused += decoded.refusals
            handed.append(_HandedOver(arrival, decoded, spans))
        if not handed:
            return None
        self._note(handed, refused)
        blocks = {kind: concat_blocks(blocks) for kind, blocks in parts.items()}
        return RawBatch(
            self.source_id, self._cursor, self._clock.floor_ns, blocks, count_refused(refused)
        )

    def next_awake_ns(self) -> int:
        return 0 if self.inbox.depth else NEVER_NS

    def take_refusals(self) -> list[Refusal]:
        taken, self._refusals = self._refusals, []
        return taken

    def settled(self, batch: RawBatch, verdicts: Verdicts) -> None:
        """Answers the senders of the oldest batch handed over."""
        for handed in self._waiting.popleft():
            ticket = handed.arrival.ticket
            if ticket is not None and ticket.set_running_or_notify_cancel():
                ticket.set_result(answers(handed.decoded, handed.spans, verdicts, self.index))

    def wall_ns(self, t_ingest_ns: int) -> int:
        return t_ingest_ns

    def progress(self) -> dict[str, Any]:
        return {
            "type": self.type_name, "cursor": self._cursor, "total": 0, "done": self.done,
            "queued": self.inbox.depth, "queued_bytes": self.inbox.size_bytes,
            "queue_refused": self.inbox.refused, "packets": self.packets,
            "refused_payloads": self.refused_payloads,
        }

    def close(self) -> None:
        """Senders that still wait are told to try again: nothing of theirs is durable."""
        self._closed = True
        left = self.inbox.close()
        left += [handed.arrival for batch in self._waiting for handed in batch]
        self._waiting.clear()
        for arrival in left:
            if arrival.ticket is not None and arrival.ticket.set_running_or_notify_cancel():
                arrival.ticket.set_result(retry_answer())

    def _decode(self, arrival: Arrival) -> Decoded:
        stamp_ns = self._clock.stamp(arrival.arrived_ns)
        try:
            return arrival.decode(stamp_ns)
        except Exception as error:  # a decoder's fault must not end the feed for everybody else
            return refused_whole(Reason.DECODER, f"{type(error).__name__}: {error}")

    def _note(self, handed: list[_HandedOver], refused: list[Refusal]) -> None:
        self._cursor += len(handed)
        self._waiting.append(handed)
        self.packets += sum(len(one.decoded.verdicts) for one in handed)
        self.refused_payloads += sum(not one.decoded.rows for one in handed)
        room = MAX_REFUSALS_WAITING - len(self._refusals)
        self._refusals += refused[:room]


def restamped(decoded: Decoded, t_ingest_ns: int) -> Decoded:
    """`decoded` as if it had arrived at `t_ingest_ns`."""
    blocks = {
        kind: replace(block, t_ingest_ns=np.full(len(block), t_ingest_ns, np.int64))
        for kind, block in decoded.blocks.items()
    }
    return replace(decoded, blocks=blocks)


def retry_answer() -> Answer:
    """The one verdict of a payload that found no room or no log: not taken, send it again."""
    return [
        {
            "index": 0, "device_id": "", "seq": 0, "rows": 0, "accepted_rows": 0,
            "accepted": False, "reason": "retry",
        }
    ]


def ended_answer(state: str) -> Answer:
    """The one verdict of a payload that comes when the venue takes nothing any more."""
    return [{**retry_answer()[0], "reason": state}]
