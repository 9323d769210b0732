"""A stadium's sources together: which one is pulled next, and when the match has ended.

Live sources get one turn each per round, then the orders, which bring no rows, then the recording
(a venue plays at most one) fills what is left. Everything is bounded by batches and rows per round,
so that a large source cannot keep a small one waiting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from actors.sources.arrival import ArrivalClock
from actors.sources.orders import OrderSource
from actors.sources.port import NEVER_NS, Source
from models.telemetry.decoded import Refusal
from models.telemetry.raw import RawBatch

MAX_BATCHES: Final = 8
MAX_ROWS: Final = 65_536
MAX_HEADS: Final = 64
"""Refused payloads kept per round; the raw record counts all of them."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one round brought: batches in the order in which the kernel must see them."""

    batches: tuple[tuple[Source | None, RawBatch], ...]
    refusals: tuple[Refusal, ...]
    arrived_ns: int


class Feeds:
    """Owns the sources; only the stadium's loop calls it, `wall_ns` and `progress` excepted."""

    def __init__(
        self, sources: Sequence[Source], clock: ArrivalClock, orders: OrderSource | None = None
    ) -> None:
        self.sources = tuple(sources)
        self.clock = clock
        self.orders = orders
        recorded = [source for source in sources if source.virtual]
        assert len(recorded) <= 1, "two recordings have no common clock"
        self._recorded = recorded[0] if recorded else None
        self._live = [source for source in sources if not source.virtual]
        self.heads_left_out = 0
        self.merges = all(source.merges for source in sources)
        """Whether asking less often makes a row cheaper (`Source.merges`)."""

    def start(self) -> None:
        for source in self.sources:
            source.start()

    def pull(self, now_ns: int) -> Pulled | None:
        """A bounded round over all sources; None when nothing is due."""
        batches: list[tuple[Source | None, RawBatch]] = []
        refusals: list[Refusal] = []
        rows = 0
        for source in self._live:
            batch = source.next_batch(now_ns)
            if batch is not None:
                batches.append((source, batch))
                rows += batch.rows
        told = self.orders.next_batch(now_ns) if self.orders is not None else None
        if told is not None:
            batches.append((None, told))
        while self._recorded is not None and len(batches) < MAX_BATCHES and rows < MAX_ROWS:
            batch = self._recorded.next_batch(now_ns)
            if batch is None:
                break
            self.clock.advance(batch.now_ns)
            batches.append((self._recorded, batch))
            rows += batch.rows
        for source in self.sources:
            refusals += source.take_refusals()
        self.heads_left_out += max(0, len(refusals) - MAX_HEADS)
        if not batches:
            return None
        return Pulled(tuple(batches), tuple(refusals[:MAX_HEADS]), now_ns)

    def next_awake_ns(self) -> int:
        return min((s.next_awake_ns() for s in self.sources if not s.done), default=NEVER_NS)

    def exhausted(self, finishing: bool) -> bool:
        """Nothing more will come: recordings are over, live queues empty.

        A venue with a recording ends with it; one with live sources only ends when told to.
        """
        finite = [source for source in self.sources if not source.endless]
        over = all(source.done for source in finite) if finite and not finishing else finishing
        return over and all(
            source.next_awake_ns() == NEVER_NS for source in self.sources if source.endless
        )

    def wall_ns(self, t_ingest_ns: int) -> int:
        """Wall-clock time of an arrival; that of the recording, where the venue plays one."""
        return self._recorded.wall_ns(t_ingest_ns) if self._recorded else t_ingest_ns

    def progress(self) -> list[dict[str, Any]]:
        return [{"source_id": s.source_id, **s.progress()} for s in self.sources]

    def close(self) -> None:
        for source in self.sources:
            source.close()

