"""Lane: one receiver's way through the events of one venue, in their order, one message at a time.

Its only memory beyond a crash is the cursor in the log, which never passes an event that the
receiver has neither taken nor lost to the dead letters; so a crash repeats some messages and loses
none. Dead letters are numbered by their event, so that the log takes each once; they name the event
and do not hold it: what is about athletes stays in one place.
"""

import json
from collections import Counter, deque
from typing import Final

from actors.webhook_ports import (
    Answer,
    Message,
    Shipment,
    Subscription,
    UnreadableError,
    WebhookPorts,
    message_of,
)
from cluster.eventlog.port import Record, StoredRecord
from cluster.names import dead_letters_topic, events_topic, webhook_group
from models.errors import OffsetError
from models.policies.delivery import Backoff, DeliveryConfig, Outcome, Trial, Verdict
from models.policies.sight import PolicySight

BATCH: Final = 64
COMMIT_NS: Final = 250_000_000
LOST_NS: Final = 60_000_000_000
"""An attempt that has no answer by then has none any more."""
DEAD_LETTER_TYPE: Final = "application/vnd.touchline.dead-letter+json"


class Lane:
    """`message` is the one that is to be delivered next, `out` whether an attempt is on its way."""

    def __init__(
        self, ports: WebhookPorts, to: Subscription, venue_id: str, config: DeliveryConfig,
        counters: Counter[str],
    ) -> None:
        self.key = (to.hook_id, venue_id)
        self.venue_id = venue_id
        self._ports, self._to, self._config, self._counters = ports, to, config, counters
        self._topic, self._group = events_topic(venue_id), webhook_group(to.hook_id)
        self._sight = PolicySight(to.caller, venue_id)
        self._next = ports.log.cursor(self._topic, self._group)
        # Where a subscription begins is durable, too: else a later life would not notice that the
        # log has forgotten what comes after.
        self._committed, self._commit_ns = -1, 0
        self._held: deque[StoredRecord] = deque()
        self._dead: Record | None = None
        self.message: Message | None = None
        self._trial = Trial(config)
        self._patience = Backoff(config)
        self._number = 0
        self._out_ns = 0
        self.missed: tuple[int, int] | None = None
        """Offsets that the log had forgotten before they were read, until somebody has told it."""

    @property
    def out(self) -> bool:
        """Whether an attempt is on its way."""
        return self._out_ns > 0

    def ready(self, now_ns: int) -> bool:
        """Whether there is something to send, and the receiver may be bothered with it."""
        waits = self.message is not None and not self.out and self._dead is None
        return waits and now_ns >= self._patience.due_ns

    def settled(self, end: int) -> bool:
        """Whether all before offset `end` is done with, but for what the receiver refuses."""
        return self._patience.failures > 0 or self._done >= end

    def advance(self, now_ns: int, end: int) -> bool:
        """Find the next message before offset `end` of the events, and make durable what is done.

        Raises LogError.
        """
        if self._dead is not None:
            self._ports.log.append(dead_letters_topic(self._to.hook_id), [self._dead], 0)
            self._counters["dead_letters"] += 1
            self._finish()
        moved = self.message is None and self._next != end and self._look()
        if self._done != self._committed and (
            self.message is None or now_ns - self._commit_ns >= COMMIT_NS
        ):
            self._ports.log.commit(self._topic, self._group, self._done)
            self._committed, self._commit_ns = self._done, now_ns
        return moved

    def ship(self, now_ns: int) -> Shipment:
        """Another attempt at the message."""
        assert self.message is not None
        assert not self.out
        self._number += 1
        self._out_ns = now_ns
        self._trial.begin(now_ns)
        return Shipment(self.key, self._number, self._to, self.message)

    def overdue(self, now_ns: int) -> Answer | None:
        """The answer that stands in for one that does not come."""
        if not self.out or now_ns - self._out_ns < LOST_NS:
            return None
        return Answer(self.key, self._number, Outcome.AWAY, "the attempt never ended")

    def hear(self, answer: Answer, now_ns: int) -> Verdict | None:
        """Take an answer; None for one to an attempt that nobody waits for any more."""
        if not self.out or answer.number != self._number:
            return None
        self._out_ns = 0
        verdict = self._trial.judge(answer.outcome, now_ns)
        if verdict is Verdict.NEXT:
            self._finish()
        elif verdict is Verdict.DEAD:
            self._dead = self._dead_letter(answer, now_ns)
        elif answer.outcome is Outcome.REFUSED:
            self._patience.failed(now_ns, answer.wait_s)
        return verdict

    @property
    def _done(self) -> int:
        """All events before this offset are done with."""
        return self._next if self.message is None else self.message.offset

    def _finish(self) -> None:
        self.message = self._dead = None
        self._trial = Trial(self._config)
        self._patience.over()

    def _look(self) -> bool:
        """Read on to the next message; at most one batch is looked through."""
        if not self._held:
            self._held.extend(self._read())
        moved = bool(self._held)
        while self._held and self.message is None:
            stored = self._held.popleft()
            self._next = stored.offset + 1
            try:
                self.message = message_of(stored, self._to, self._sight)
            except UnreadableError:
                self._counters["unreadable"] += 1
            else:
                self._counters["passed_over"] += self.message is None
        return moved

    def _read(self) -> list[StoredRecord]:
        try:
            return self._ports.log.read(self._topic, self._next, BATCH)
        except OffsetError as error:
            # Trimmed before it was read; or a log that is younger than the cursor: from its begin,
            # for to say something twice is better than to leave it out.
            if self._next < error.begin:
                self._counters["missed"] += error.begin - self._next
                self.missed = (self._next, error.begin)
            self._next = error.begin
            return []

    def _dead_letter(self, answer: Answer, now_ns: int) -> Record:
        assert self.message is not None
        body = {
            "t_ns": now_ns, "webhook": self._to.hook_id, "venue_id": self.venue_id,
            "offset": self.message.offset, "event_id": self.message.event_id,
            "reason": f"{answer.outcome}: {answer.detail}"[:200], "tries": self._trial.tries,
        }
        payload = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        stream = f"{self._group}/{self.venue_id}"
        return Record(stream, self.message.offset, now_ns, payload, DEAD_LETTER_TYPE)
