"""Reads of whole topics for the twin store: pages older than the ring, and the full dump.

Owns completeness: what is answered here comes from the durable log and from nothing else.
"""

from collections.abc import Collection
from typing import Any

import pyarrow.compute as pc

from cluster.eventlog.port import EventLog
from cluster.eventlog.scan import records_now
from cluster.names import events_topic, insights_topic, roster_topic
from models.errors import TouchlineError
from models.events.envelope import from_cloudevent
from models.flows.states import decode_states, match_of_states
from models.readmodel_events import event_entry, selects
from models.readmodel_input import STATES_TYPE
from models.recompute.events import is_recomputed
from models.telemetry.roster import Roster


def events_from_log(
    log: EventLog, venue_id: str, cursor: int, limit: int, types: Collection[str], match_id: str
) -> dict[str, Any]:
    """A page of events as the read model serves them, for a cursor older than its ring."""
    topic = events_topic(venue_id)
    begin = log.describe(topic).begin
    found: list[dict[str, Any]] = []
    reached = cursor
    for stored in records_now(log, topic, cursor):
        reached = stored.offset + 1
        try:
            event = event_entry(stored.record.payload, stored.offset, stored.t_append_ns)
        except (KeyError, TypeError, ValueError):
            continue  # counted by the read model when it was tailed
        if selects(event["type"], event["match_id"], types, match_id):
            found.append(event)
        if len(found) >= limit:
            break
    return {
        "events": found, "next_cursor": max(reached, cursor), "more": len(found) >= limit,
        "complete": cursor >= begin,
    }


def dump_venue(log: EventLog, venue_id: str) -> dict[str, dict[str, Any]]:
    """match_id -> {"venue_id", "events", "finals"}; each event once, each subject's final row."""
    out: dict[str, dict[str, Any]] = {}
    newest_match = ""
    for stored in records_now(log, roster_topic(venue_id)):
        try:
            newest_match = Roster.from_json(stored.record.payload).match_id
        except TouchlineError:
            continue
        _match(out, venue_id, newest_match)
    seen: set[str] = set()
    for stored in records_now(log, events_topic(venue_id)):
        try:
            event = from_cloudevent(stored.record.payload)
        except (KeyError, TypeError, ValueError):
            continue  # counted by the read model when it was tailed
        if event.event_id not in seen:
            seen.add(event.event_id)
            _match(out, venue_id, event.match_id)["events"].append(event.canonical())
    for (match_id, _), row in sorted(_finals(log, venue_id, newest_match).items()):
        _match(out, venue_id, match_id)["finals"].append(row)
    return out


def _finals(
    log: EventLog, venue_id: str, newest_match: str
) -> dict[tuple[str, str], dict[str, Any]]:
    finals: dict[tuple[str, str], dict[str, Any]] = {}
    for stored in records_now(log, insights_topic(venue_id)):
        recomputed = is_recomputed(stored.record.stream)
        if stored.record.content_type != STATES_TYPE or recomputed:
            continue
        table = decode_states(stored.record.payload)
        match_id = match_of_states(table) or newest_match
        for row in table.filter(pc.equal(table.column("status"), "final")).to_pylist():
            finals[match_id, str(row["subject_id"])] = row
    return finals


def _match(out: dict[str, dict[str, Any]], venue_id: str, match_id: str) -> dict[str, Any]:
    return out.setdefault(match_id, {"venue_id": venue_id, "events": [], "finals": []})
