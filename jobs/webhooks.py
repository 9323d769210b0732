"""`touchline webhooks`: how far each webhook is, what it has lost; pings one, or sends again.

Reads the log, and needs no running system. `--ping ID` posts a test message. `--again ID` offers
the receiver what it has refused: each dead letter names an event, which is read from the log and
cut to what the receiver may see now; it ends at the first that is not taken, and goes on there the
next time.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Final

from actors.webhook_ports import Message, Shipment, Subscription, message_of
from actors.webhook_sender import HttpSender
from actors.webhooks_shell import secret_path, subscription_of
from cluster.eventlog.open import open_log
from cluster.eventlog.port import EventLog
from cluster.eventlog.scan import records_now
from cluster.names import dead_letters_topic, events_topic, webhook_group
from cluster.settings import Settings
from jobs.options import add_settings_options, settings_of
from models.errors import ConfigError, OffsetError
from models.plain_fields import read_json
from models.policies.delivery import Outcome
from models.policies.sight import PolicySight

PING_TYPE: Final = "io.touchline.ping.v1"
AGAIN: Final = "again"
"""The group whose cursor says which dead letters were sent again."""
_EVENTS: Final = events_topic("")


def main(argv: Sequence[str] | None = None) -> int:
    """0; 1 when what was sent was not taken."""
    parser = argparse.ArgumentParser(prog="touchline webhooks", description=__doc__)
    add_settings_options(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--ping", metavar="ID", help="post a test message to this webhook")
    what.add_argument("--again", metavar="ID", help="send its dead letters again")
    options = parser.parse_args(argv)
    settings = settings_of(options)
    if not settings.webhooks:
        raise ConfigError("the settings have no [[webhooks]]")
    if options.ping:
        return ping(subscription_named(settings, options.ping), HttpSender())
    log = open_log(settings.log.url, settings.log.segment_bytes)
    try:
        if options.again:
            return again(log, subscription_named(settings, options.again), HttpSender())
        for line in told(log, settings):
            print(line)
    finally:
        log.close()
    return 0


def subscription_named(settings: Settings, hook_id: str) -> Subscription:
    """Raises ConfigError for one that the settings do not name, AccessError without its secret."""
    for hook in settings.webhooks:
        if hook.id == hook_id:
            return subscription_of(settings, hook)
    names = ", ".join(hook.id for hook in settings.webhooks)
    raise ConfigError(f"no webhook {hook_id!r}; there are {names}")


def told(log: EventLog, settings: Settings) -> list[str]:
    """A line per webhook and venue. Secrets that are not there yet are made: the receiver needs its
    own before the first event comes."""
    lines = []
    topics = [topic for topic in log.topics() if topic.startswith(_EVENTS)]
    for hook in settings.webhooks:
        to = subscription_of(settings, hook)
        dead = log.describe(dead_letters_topic(hook.id))
        lines.append(
            f"{hook.id}: {hook.role}, {dead.end - dead.begin} dead letters,"
            f" secret in {secret_path(settings, hook)}"
        )
        for topic in topics:
            venue_id = topic.removeprefix(_EVENTS)
            if to.covers(venue_id):
                cursor, end = log.cursor(topic, webhook_group(hook.id)), log.describe(topic).end
                lines.append(f"  {venue_id}: event {cursor} of {end}, {end - cursor} behind")
    return lines


def ping(to: Subscription, sender: HttpSender) -> int:
    """Post a message that is no event; tells what the receiver said."""
    now_ns = time.time_ns()
    body = json.dumps({
        "specversion": "1.0", "id": f"ping-{now_ns}", "source": f"/webhooks/{to.hook_id}",
        "type": PING_TYPE, "datacontenttype": "application/json", "data": {},
    }).encode()
    message = Message(0, f"ping-{now_ns}", body, now_ns)
    answer = sender.attempt(Shipment((to.hook_id, ""), 0, to, message))
    print(f"{to.hook_id}: {answer.outcome}, {answer.detail}")
    return 0 if answer.outcome is Outcome.TAKEN else 1


def again(log: EventLog, to: Subscription, sender: HttpSender) -> int:
    """Offer dead letters again, oldest first, each once it was taken never more."""
    topic, sent, left_out = dead_letters_topic(to.hook_id), 0, 0
    for stored in records_now(log, topic, log.cursor(topic, AGAIN)):
        message = _message(log, to, stored.record.payload)
        if message is None:
            left_out += 1
        else:
            key = (to.hook_id, "")
            answer = sender.attempt(Shipment(key, 0, to, message))
            if answer.outcome is not Outcome.TAKEN:
                print(f"{to.hook_id}: {sent} taken, then {answer.outcome}, {answer.detail}")
                return 1
            sent += 1
        log.commit(topic, AGAIN, stored.offset + 1)
    print(f"{to.hook_id}: {sent} taken, {left_out} no longer there or not for it any more")
    return 0


def _message(log: EventLog, to: Subscription, letter: bytes) -> Message | None:
    """The event that a dead letter names; None where the log has it no more, or policy says no."""
    try:
        told = read_json(letter)
        venue_id, offset = str(told["venue_id"]), int(told["offset"])
        found = log.read(events_topic(venue_id), offset, 1)
        message = message_of(found[0], to, PolicySight(to.caller, venue_id)) if found else None
        same = message is not None and message.event_id == told["event_id"]
    except (OffsetError, ValueError, KeyError, TypeError):
        return None
    return message if same and to.covers(venue_id) else None
