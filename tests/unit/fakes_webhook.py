"""A receiver of webhooks in memory, a log with events, and what is needed to put them together."""

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from actors.webhook_ports import Answer, Shipment, Subscription, WebhookPorts
from actors.webhooks import Webhooks
from cluster.eventlog.port import Record
from models.events.envelope import EVENT_TYPE, Event, to_cloudevent
from models.policies.access import Principal, Role
from models.policies.delivery import DeliveryConfig, Outcome
from tests.unit.fakes_log import T0_NS, Clock, FakeLog

SECRET = b"s" * 32
CONFIG = DeliveryConfig(
    first_s=1.0, most_s=8.0, refusals=3, give_up_s=60.0, warn_after=3, abreast=2
)


def event_record(kind: str, seq: int, venue: str = "v1", **more: Any) -> tuple[str, Record]:
    """Event `seq` of one flow as the log has it, and its id."""
    event = Event(kind, venue, "m1", "flow/x", seq, T0_NS, T0_NS, "ath_1", "home", **more)
    return event.event_id, Record("flow/x", seq, T0_NS, to_cloudevent(event), EVENT_TYPE)


def subscription(name: str, role: str = "medical", **more: Any) -> Subscription:
    caller = Principal(f"webhook/{name}", Role(role), "service", "*", more.pop("venues", ()))
    return Subscription(name, f"http://127.0.0.1:1/{name}", caller, SECRET, **more)


@dataclass
class Receivers:
    """A `Sender` whose receivers answer at once, or when told. says: what a receiver answers;
    refuses: events that it never takes; holds: shipments lie here until `deliver`."""

    says: dict[str, Outcome] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)
    holds: bool = False
    wait_s: float = 0.0
    sent: list[Shipment] = field(default_factory=list)
    taken: dict[str, list[tuple[str, dict[str, Any]]]] = field(default_factory=dict)
    held: deque[Shipment] = field(default_factory=deque)
    answers: list[Answer] = field(default_factory=list)

    def send(self, shipment: Shipment) -> None:
        self.sent.append(shipment)
        self.held.append(shipment)
        if not self.holds:
            self.deliver()

    def deliver(self) -> None:
        """The oldest that is held gets its answer."""
        one = self.held.popleft()
        name, message = one.key[0], one.message
        outcome = self.says.get(name, Outcome.TAKEN)
        if outcome is Outcome.TAKEN and message.event_id in self.refuses:
            outcome = Outcome.REFUSED
        if outcome is Outcome.TAKEN:
            body = json.loads(message.body)
            self.taken.setdefault(name, []).append((one.key[1], body))
        self.answers.append(Answer(one.key, one.number, outcome, "HTTP", self.wait_s))

    def poll(self) -> list[Answer]:
        found, self.answers = self.answers, []
        return found

    def ids(self, name: str, venue: str = "v1") -> list[str]:
        """Event ids that a receiver took of a venue, in the order in which it did."""
        return [body["id"] for where, body in self.taken.get(name, []) if where == venue]


@dataclass
class Hooks:
    """A log, receivers, and the webhooks between them."""

    subscriptions: list[Subscription]
    config: DeliveryConfig = CONFIG
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.log = FakeLog(self.clock)
        self.receivers = Receivers()
        self.lives = 0
        self.start()

    def start(self) -> None:
        """Begin a new life with what is durable; answers to the last one are nobody's."""
        self.lives += 1
        self.receivers.held.clear()
        self.receivers.answers.clear()
        ports = WebhookPorts(self.log, self.receivers, self.clock)
        self.webhooks = Webhooks(self.lives, ports, self.subscriptions, self.config)

    def run(self, seconds: float = 3.0, step_s: float = 0.05) -> None:
        for _ in range(round(seconds / step_s)):
            self.webhooks.step()
            self.clock.advance(step_s)

    def put(self, kind: str, n: int = 1, venue: str = "v1", **more: Any) -> list[str]:
        """Append events; their ids."""
        found = []
        for _ in range(n):
            seq = self.log.last_seq(f"events/{venue}", "flow/x") + 1
            event_id, record = event_record(kind, seq, venue, **more)
            self.log.append(f"events/{venue}", [record], 0)
            found.append(event_id)
        return found

    def cursor(self, name: str, venue: str = "v1") -> int:
        return self.log.cursor(f"events/{venue}", f"webhook/{name}")

    def dead(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(r.payload) for r in self.log.all(f"dead-letters/{name}")]

    def notes(self) -> list[str]:
        return [json.loads(r.payload)["action"] for r in self.log.all("actions")]
