"""The webhooks as a simulated process, their receivers, and the network between them.

A post may be lost, late or doubled, its answer lost, its receiver away; a post that is on its way
arrives although its sender has died meanwhile. Receivers check each message as real ones do, and
what only an observer can: that policy lets them see it, that it is durable, that it comes in order.
"""

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from actors.webhook_ports import Answer, Shipment, Subscription, WebhookPorts
from actors.webhooks import Webhooks
from cluster.eventlog.port import StoredRecord
from models.errors import AccessError
from models.events.envelope import from_cloudevent
from models.events.webhook import verified
from models.policies.access import Principal, Role
from models.policies.delivery import DeliveryConfig, Outcome
from tests.sim.process import Process
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.world import World

S: Final = 1_000_000_000
TIMEOUT_NS: Final = 5 * S
CONFIG: Final = DeliveryConfig(
    first_s=0.1, most_s=2.0, refusals=3, give_up_s=1e6, warn_after=2, abreast=2
)
ROLES: Final = {"board": Role.MEDICAL, "risk": Role.BETTING}
HIDDEN: Final = {"board": frozenset[str](), "risk": frozenset({"man_down"})}
"""Types of events that a receiver must never see, by hand and not by the product's table. None of
what the supervisor says is in it: those streams are left out of what betting wants altogether."""


def subscriptions(names: tuple[str, ...]) -> list[Subscription]:
    """One receiver that may see everything and refuses some events, and one that may see little."""
    return [
        Subscription(
            name, f"https://{name}.example/hook",
            Principal(f"webhook/{name}", role, "service", "*"), name.encode() * 8,
        )
        for name, role in ROLES.items() if name in names
    ]


@dataclass
class Receiver:
    """Takes each event once, whatever it is sent. `taken`: (venue, offset) in order of arrival."""

    world: "World"
    to: Subscription
    down_until: int = 0
    repeated: int = 0
    taken: dict[str, list[int]] = field(default_factory=dict)
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def refuses(self, event_id: str) -> bool:
        """Some events are beyond this receiver, however often it is asked."""
        return self.to.hook_id == "board" and event_id[-1] in "059d"

    def wants(self, stored: StoredRecord) -> bool:
        """Whether the event is one that it is to get."""
        by_supervisor = stored.record.stream.startswith("supervisor/")
        if self.to.hook_id == "risk" and by_supervisor:
            return False
        return from_cloudevent(stored.record.payload).type not in HIDDEN[self.to.hook_id]

    def take(self, shipment: Shipment) -> Outcome:
        """What it answers. Raises Violation."""
        if self.world.now_ns < self.down_until:
            return Outcome.AWAY
        venue, message = shipment.key[1], shipment.message
        now_s = self.world.now_ns // S
        try:
            event_id = verified(self.to.secret, shipment.headers(now_s), message.body, now_s)
        except AccessError as error:
            raise Violation("webhooks", f"{self.to.hook_id} cannot verify: {error}") from error
        self._check(venue, shipment, event_id)
        if self.refuses(event_id):
            return Outcome.REFUSED
        if (venue, event_id) in self._seen:
            self.repeated += 1
            return Outcome.TAKEN
        before = self.taken.setdefault(venue, [])
        if before and before[-1] >= message.offset:
            raise Violation(
                "webhooks", f"{self.to.hook_id} gets event {message.offset} of {venue} after"
                f" {before[-1]}",
            )
        before.append(message.offset)
        self._seen.add((venue, event_id))
        return Outcome.TAKEN

    def _check(self, venue: str, shipment: Shipment, event_id: str) -> None:
        """The event is durable, and the receiver may see it."""
        topic = self.world.store.look(f"events/{venue}")
        place = shipment.message.offset - topic.begin
        stored = topic.records[place] if 0 <= place < len(topic.records) else None
        body = json.loads(shipment.message.body)
        if stored is None or from_cloudevent(stored.record.payload).event_id != event_id:
            raise Violation("webhooks", f"{event_id} of {venue} was sent and is not in the log")
        if not self.wants(stored) or {body["id"], body["data"]["event_id"]} != {event_id}:
            raise Violation("webhooks", f"{self.to.hook_id} is sent {body['type']}")

    def settled(self, venue: str, before: int) -> str:
        """Why an event of `venue` below offset `before` is neither here nor a dead letter."""
        topic = self.world.store.look(f"events/{venue}")
        letters = self.world.store.look(f"dead-letters/{self.to.hook_id}").records
        dead = {
            one.record.seq for one in letters if one.record.stream.endswith(f"/{venue}")
        }
        here = dead.union(self.taken.get(venue, ()))
        for stored in topic.records[: max(before - topic.begin, 0)]:
            if stored.offset not in here and self.wants(stored):
                return f"{self.to.hook_id} has not got event {stored.offset} of {venue}"
        return ""


@dataclass
class Post:
    """A shipment on its way. `answered` False: a double, whose answer nobody hears."""

    shipment: Shipment
    proc: "WebhookProcess"
    due_step: int
    answered: bool = True


class PostOffice:
    """Brings posts to receivers and answers back: lost, late, doubled, in any order."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.waiting: list[Post] = []

    def send(self, shipment: Shipment, proc: "WebhookProcess") -> None:
        dice, story = self._world.dice, self._world.story
        what = f"webhook {'/'.join(shipment.key)} event {shipment.message.offset}"
        post = Post(shipment, proc, story.step)
        if dice.roll("net_loss"):
            story.fault("net_loss", what)
            self._answer(post, Outcome.AWAY, TIMEOUT_NS)
            return
        if dice.roll("net_delay"):
            post.due_step += dice.of("net_delay").randint(5, 60)
            story.fault("net_delay", what)
        self.waiting.append(post)
        if dice.roll("net_dup"):
            later = post.due_step + dice.of("net_dup").randint(1, 40)
            story.fault("net_dup", what)
            self.waiting.append(replace(post, due_step=later, answered=False))

    def due(self) -> list[Post]:
        return [one for one in self.waiting if one.due_step <= self._world.story.step]

    def deliver(self, post: Post) -> str:
        """Raises Violation."""
        self.waiting.remove(post)
        name, venue = post.shipment.key
        outcome = self._world.receivers[name].take(post.shipment)
        if post.answered:
            lost = self._world.dice.roll("net_loss")
            if lost:
                self._world.story.fault("net_loss", f"answer of {name}: {outcome}")
            self._answer(post, Outcome.AWAY if lost else outcome, TIMEOUT_NS if lost else 0)
        return f"{name} answers {outcome} to event {post.shipment.message.offset} of {venue}"

    def _answer(self, post: Post, outcome: Outcome, after_ns: int) -> None:
        one = post.shipment
        answer = Answer(one.key, one.number, outcome, "simulated")
        post.proc.answers.append((self._world.now_ns + after_ns, answer))


class WebhookProcess(Process):
    """One life of the webhooks: a `Sender` of its own, whose answers die with it."""

    def __init__(self, world: "World", name: str, life: int) -> None:
        super().__init__(world, name, life)
        self.answers: list[tuple[int, Answer]] = []
        log = self.log()
        ports = WebhookPorts(log, self, world.clock_of(self))
        incarnation = world.incarnation(self, log)
        self.webhooks = Webhooks(incarnation, ports, subscriptions(world.HOOKS), CONFIG)

    def turn(self) -> str:
        moved = self.webhooks.step()
        states = {
            f"{hook}/{venue}": lane._next for hook, one in self.webhooks.receivers.items()
            for venue, lane in one.lanes.items()
        }
        return f"delivers{', moved' if moved else ''} {states} {self.webhooks.error}".rstrip()

    def send(self, shipment: Shipment) -> None:
        self.world.posts.send(shipment, self)

    def poll(self) -> list[Answer]:
        now_ns = self.world.now_ns
        found = [answer for due_ns, answer in self.answers if due_ns <= now_ns]
        self.answers = [one for one in self.answers if one[0] > now_ns]
        return found

    def bounded(self) -> str:
        """What it holds too much of."""
        for hook, one in self.webhooks.receivers.items():
            lanes: list[Any] = list(one.lanes.values())
            if sum(lane.out for lane in lanes) > CONFIG.abreast:
                return f"{hook} is sent too much at once"
            if any(len(lane._held) > 64 for lane in lanes):
                return f"{hook} holds too many events"
        return ""
