"""Webhooks: every receiver gets each event that it wants and may see, at least once and in order.

A plain class; `step` is one bounded turn. Each subscription reads the events of its venues with
cursors of its own, so that none waits for another: a receiver that is away is tried ever more
seldom, with one message at a time, and the rest go on. What it may see is decided event by event by
the same policy as in the other interfaces. Trouble and its end are actions with a reason; nobody
is switched off silently.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from actors.decisions import DecisionLog
from actors.webhook_lane import Lane
from actors.webhook_ports import Answer, Subscription, WebhookPorts
from cluster.names import WEBHOOKS, events_topic
from models.errors import LogError
from models.latency import LatencyHistogram
from models.policies.delivery import Backoff, DeliveryConfig, Outcome, Verdict

DISCOVER_NS: Final = 1_000_000_000
PAUSE_NS: Final = 500_000_000
"""So long a log that does not answer is left alone."""
_EVENTS: Final = events_topic("")


@dataclass(slots=True)
class _Receiver:
    """A subscription and how it goes with it."""

    to: Subscription
    backoff: Backoff
    lanes: dict[str, Lane] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    warned: bool = False
    stopped: bool = False
    trouble: str = ""
    turn: int = 0
    """Whose turn it is among the lanes."""

    def room(self, config: DeliveryConfig, now_ns: int) -> int:
        """How many more messages may be on their way to it."""
        if self.stopped or now_ns < self.backoff.due_ns:
            return 0
        most = 1 if self.backoff.failures else config.abreast
        return most - sum(lane.out for lane in self.lanes.values())


class Webhooks:
    """`incarnation` rises with every start."""

    def __init__(
        self, incarnation: int, ports: WebhookPorts, subscriptions: Sequence[Subscription],
        config: DeliveryConfig | None = None,
    ) -> None:
        self.config = config or DeliveryConfig()
        self._ports, self._clock_ns = ports, ports.clock_ns
        self.decisions = DecisionLog(ports.log, WEBHOOKS, incarnation, ports.clock_ns)
        self.receivers = {
            one.hook_id: _Receiver(one, Backoff(self.config)) for one in subscriptions
        }
        self.latency = LatencyHistogram()
        self._discovered_ns = self._pause_ns = 0
        self.error = ""

    def step(self) -> bool:
        """One turn; False when there was nothing to do. Trouble with the log waits for the next."""
        now_ns = self._clock_ns()
        answers = self._ports.sender.poll()
        for answer in answers:
            self._hear(answer, now_ns)
        moved = bool(answers)
        if now_ns >= self._pause_ns:
            try:
                moved = self._read(now_ns) or moved
                self.error = ""
            except (LogError, OSError) as error:
                self.error = f"{type(error).__name__}: {error}"[:300]
                self._pause_ns = now_ns + PAUSE_NS
        for receiver in self.receivers.values():
            moved = self._send(receiver, now_ns) or moved
        self.decisions.flush()
        return moved

    def settled(self) -> bool:
        """Whether all that the log holds is delivered, but for what receivers that fail or refuse
        have to wait for. Raises LogError."""
        self._discover()
        ends = self._ends()
        return not self.error and all(
            one.stopped or one.backoff.failures or all(
                lane.settled(ends[venue]) for venue, lane in one.lanes.items()
            )
            for one in self.receivers.values()
        )

    def stats(self) -> dict[str, Any]:
        """How it stands, as JSON values."""
        return {
            "webhooks": {name: _described(one) for name, one in self.receivers.items()},
            "latency": {"webhook": self.latency.to_dict()},
            "decisions": list(self.decisions.recent), "error": self.error,
        }

    # -- the log -----------------------------------------------------------------------------------

    def _read(self, now_ns: int) -> bool:
        """Raises LogError."""
        if now_ns - self._discovered_ns >= DISCOVER_NS:
            self._discover()
            self._discovered_ns = now_ns
        moved, ends = False, self._ends()
        for receiver in self.receivers.values():
            for lane in receiver.lanes.values() if not receiver.stopped else ():
                moved = lane.advance(now_ns, ends[lane.venue_id]) or moved
                if lane.missed is not None:
                    self._note(receiver, "webhook_missed", "trimmed before it was delivered", {
                        "venue": lane.venue_id, "from": lane.missed[0], "to": lane.missed[1],
                    })
                    lane.missed = None
        return moved

    def _ends(self) -> dict[str, int]:
        """venue -> where its events end: one look for all receivers, most of which want nothing."""
        venues = dict.fromkeys(v for one in self.receivers.values() for v in one.lanes)
        return {venue: self._ports.log.describe(events_topic(venue)).end for venue in venues}

    def _discover(self) -> None:
        for topic in self._ports.log.topics():
            if not topic.startswith(_EVENTS):
                continue
            venue_id = topic.removeprefix(_EVENTS)
            for receiver in self.receivers.values():
                if venue_id not in receiver.lanes and receiver.to.covers(venue_id):
                    receiver.lanes[venue_id] = Lane(
                        self._ports, receiver.to, venue_id, self.config, receiver.counters
                    )

    # -- the receivers -----------------------------------------------------------------------------

    def _send(self, receiver: _Receiver, now_ns: int) -> bool:
        """Venues take turns: none has to wait for another that has more to say."""
        for lane in receiver.lanes.values():
            if (gone := lane.overdue(now_ns)) is not None:
                self._hear(gone, now_ns)
        room = receiver.room(self.config, now_ns)
        lanes, first, sent = list(receiver.lanes.values()), receiver.turn, 0
        for n in range(first, first + len(lanes)):
            lane = lanes[n % len(lanes)]
            if sent < room and lane.ready(now_ns):
                self._ports.sender.send(lane.ship(now_ns))
                receiver.turn = (n + 1) % len(lanes)
                sent += 1
        receiver.counters["tries"] += sent
        return sent > 0

    def _hear(self, answer: Answer, now_ns: int) -> None:
        receiver = self.receivers[answer.key[0]]
        lane = receiver.lanes[answer.key[1]]
        message = lane.message
        verdict = lane.hear(answer, now_ns)
        if verdict is None or message is None:
            return
        receiver.counters[str(answer.outcome)] += 1
        if verdict is Verdict.NEXT:
            self.latency.record([max(now_ns - message.t_append_ns, 0)])
        if answer.outcome is Outcome.AWAY:
            receiver.backoff.failed(now_ns, answer.wait_s)
            self._warn(receiver, answer)
        elif answer.outcome is not Outcome.GONE:
            self._well(receiver)
        if verdict is Verdict.DEAD:
            self._note(receiver, "webhook_dead_letter", f"{answer.outcome}: {answer.detail}", {
                "venue": lane.venue_id, "offset": message.offset, "event_id": message.event_id,
            })
        elif verdict is Verdict.STOP and not receiver.stopped:
            receiver.stopped, receiver.trouble = True, answer.detail
            self._note(receiver, "webhook_stopped", "the receiver says that it is gone (410)", {
                "until": "the next start",
            })

    def _warn(self, receiver: _Receiver, answer: Answer) -> None:
        receiver.trouble = answer.detail
        if receiver.backoff.failures >= self.config.warn_after and not receiver.warned:
            receiver.warned = True
            self._note(receiver, "webhook_failing", answer.detail, {
                "failures": receiver.backoff.failures,
            })

    def _well(self, receiver: _Receiver) -> None:
        """It answers, whatever it says."""
        receiver.backoff.over()
        receiver.trouble = ""
        if receiver.warned:
            receiver.warned = False
            self._note(receiver, "webhook_recovered", "the receiver answers again", {})

    def _note(
        self, receiver: _Receiver, action: str, reason: str, detail: Mapping[str, Any]
    ) -> None:
        self.decisions.note(action, reason, {"webhook": receiver.to.hook_id, **detail})


def _described(one: _Receiver) -> dict[str, Any]:
    state = "stopped" if one.stopped else "failing" if one.backoff.failures else "ok"
    return {
        "state": state, "trouble": one.trouble, "role": str(one.to.caller.role),
        "venues": sorted(one.lanes),
        **{name: one.counters[name] for name in (
            "tries", "taken", "refused", "away", "dead_letters", "passed_over", "unreadable",
            "missed",
        )},
    }
