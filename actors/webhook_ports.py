"""What goes between the webhooks and the world: subscriptions, messages, attempts, answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from cluster.eventlog.port import EventLog, StoredRecord
from models.events.envelope import as_bytes, event_from
from models.events.webhook import signed
from models.plain_fields import read_json
from models.policies.access import Principal
from models.policies.delivery import Outcome
from models.policies.event_view import event_view
from models.policies.sight import Sight


@dataclass(frozen=True, slots=True)
class Subscription:
    """One receiver. `caller` is whom policy takes it for; `types` empty: every type of event that
    it may see. The secret is in no text that is made of this."""

    hook_id: str
    url: str = field(repr=False)
    caller: Principal
    secret: bytes = field(repr=False)
    types: frozenset[str] = frozenset()

    def covers(self, venue_id: str) -> bool:
        """Whether the venue is one of the receiver's."""
        return not self.caller.venues or venue_id in self.caller.venues


@dataclass(frozen=True, slots=True)
class Message:
    """An event as one receiver may see it. `offset` is its place in the venue's events."""

    offset: int
    event_id: str
    body: bytes
    t_append_ns: int


@dataclass(frozen=True, slots=True)
class Shipment:
    """One attempt: `number` counts those of the lane `key` = (hook_id, venue_id)."""

    key: tuple[str, str]
    number: int
    subscription: Subscription
    message: Message

    def headers(self, at_s: int) -> dict[str, str]:
        """What goes with the body when it is sent at `at_s`, seconds UTC."""
        secret, message = self.subscription.secret, self.message
        return signed(secret, message.event_id, at_s, message.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a shipment. `detail` says why for people; `wait_s` is what the receiver asks."""

    key: tuple[str, str]
    number: int
    outcome: Outcome
    detail: str = ""
    wait_s: float = 0.0


class Sender(Protocol):
    """Sends shipments; neither call waits, and each shipment has one answer in bounded time."""

    def send(self, shipment: Shipment) -> None: ...

    def poll(self) -> list[Answer]: ...


@dataclass(frozen=True, slots=True)
class WebhookPorts:
    """`clock_ns` never goes back."""

    log: EventLog
    sender: Sender
    clock_ns: Callable[[], int]


class UnreadableError(ValueError):
    """A record of an events topic that is no event."""


def message_of(stored: StoredRecord, to: Subscription, sight: Sight) -> Message | None:
    """The message that an event is for a receiver; None if it does not want it, or may not see it.

    Raises UnreadableError.
    """
    try:
        envelope: Any = read_json(stored.record.payload)
        event = event_from(envelope["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error
    if to.types and event.type not in to.types:
        return None
    seen = event_view(event.canonical(), sight)
    if seen is None:
        return None
    envelope |= {"data": seen, "subject": seen["subject_id"]}
    return Message(stored.offset, seen["event_id"], as_bytes(envelope), stored.t_append_ns)
