"""The read model: all that the interfaces answer from, as a pure fold over stored records.

`apply(topic, record)` is its one door; the rest are questions. Time is an argument (`now_ns`, wall
clock, only to say how old a value is). A record that cannot be read is counted under a reason and
changes nothing. Memory is bounded by the number of subjects and devices, and by rings.
"""

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from models.errors import TouchlineError
from models.readmodel_documents import read_action, read_predictions
from models.readmodel_events import event_entry
from models.readmodel_input import (
    ACTIONS,
    EVENTS,
    HEALTH,
    INSIGHTS,
    PREDICTION_TYPE,
    ROSTER,
    STATES_TYPE,
    StoredLike,
    split_topic,
)
from models.readmodel_rows import read_table
from models.readmodel_venue import VenueModel

EVENT_RING: Final = 10_000
ACTION_RING: Final = 1_000
MAX_VENUES: Final = 256
SNAPSHOT_EVENTS: Final = 200


@dataclass(frozen=True, slots=True)
class Applied:
    """What a record did: `source_ns` is the wall-clock mark of a new event, 0 for anything else."""

    what: str
    changed: int = 0
    source_ns: int = 0
    reason: str = ""


class ReadModel:
    """Not thread-safe: its owner serialises. `incarnation` tells one life of it from another."""

    def __init__(self, incarnation: int = 0, event_ring: int = EVENT_RING) -> None:
        self.incarnation = incarnation
        self.venues: dict[str, VenueModel] = {}
        self.actions: deque[dict[str, Any]] = deque(maxlen=ACTION_RING)
        self.version = 0
        self.damaged: Counter[str] = Counter()
        self.records: Counter[str] = Counter()
        self._event_ring = event_ring

    def apply(self, topic: str, stored: StoredLike) -> Applied:
        """Take one record of `topic`. Never raises for what the record holds."""
        kind, venue_id = split_topic(topic)
        self.records[kind] += 1
        self.version += 1
        try:
            if kind == ACTIONS:
                self.actions.append(read_action(stored.record.payload))
                return Applied("action", 1)
            venue = self._venue(venue_id)
            if venue is None:
                return self._refuse(kind, "too_many_venues")
            return self._apply(kind, venue, stored)
        except (TouchlineError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            return self._refuse(kind, f"unreadable: {type(error).__name__}")

    def _apply(self, kind: str, venue: VenueModel, stored: StoredLike) -> Applied:
        record, version = stored.record, self.version
        if kind == EVENTS:
            event = event_entry(record.payload, stored.offset, stored.t_append_ns)
            new = venue.take_event(event, version)
            return Applied("event", int(new), event["source_ns"] if new else 0)
        if kind == INSIGHTS and record.content_type == STATES_TYPE:
            table = read_table(record.payload)
            return Applied("states", venue.take_states(table, stored.t_append_ns, version))
        if kind == INSIGHTS and record.content_type == PREDICTION_TYPE:
            for prediction in read_predictions(record.payload):
                venue.take_prediction(prediction, version)
            return Applied("prediction", 1)
        if kind == HEALTH:
            # Read by column names: the edge's own decoder would bring its compiled kernels along.
            table = read_table(record.payload)
            return Applied("health", venue.take_health(table, stored.t_append_ns, version))
        if kind == ROSTER:
            venue.take_roster(record.payload, version)
            return Applied("roster", 1)
        return self._refuse(kind, f"not expected: {record.content_type[:80]}")

    def _venue(self, venue_id: str) -> VenueModel | None:
        venue = self.venues.get(venue_id)
        if venue is None and venue_id and len(self.venues) < MAX_VENUES:
            venue = self.venues[venue_id] = VenueModel(venue_id, self._event_ring)
        return venue

    def _refuse(self, kind: str, reason: str) -> Applied:
        key = f"{kind}: {reason}"
        self.damaged[key if key in self.damaged or len(self.damaged) < 64 else "others"] += 1
        return Applied("refused", 0, 0, reason)

    # -- questions --------------------------------------------------------------------------------

    def list_venues(self, now_ns: int) -> list[dict[str, Any]]:
        """Summary of every venue, by id."""
        return [self.venues[key].summary(now_ns) for key in sorted(self.venues)]

    def venue_of_match(self, match_id: str) -> VenueModel | None:
        """The venue that plays the match now."""
        return next((v for v in self.venues.values() if v.match_id == match_id), None)

    def venue_of_subject(self, subject_id: str) -> VenueModel | None:
        """The venue whose roster has the subject."""
        return next((v for v in self.venues.values() if subject_id in v.subjects), None)

    def events(
        self, venue_id: str, cursor: int, limit: int, types: Collection[str] = (),
        match_id: str = "",
    ) -> dict[str, Any]:
        """Events after `cursor` in log order. `complete` is False when older ones left the ring."""
        venue = self.venues[venue_id]
        found = venue.events.after(cursor, limit, types, match_id)
        full = len(found) >= limit
        return {
            "events": venue.stamped(found),
            "next_cursor": found[-1]["cursor"] if full else max(cursor, venue.events.cursor),
            "more": full, "complete": venue.events.holds_all_after(cursor),
        }

    def snapshot_since(self, venue_id: str, cursor: str, now_ns: int) -> dict[str, Any]:
        """What changed in the venue since `cursor` (empty: everything), for the live feed.

        The cursor is "<events>.<version>.<incarnation>": events resume exactly, across restarts;
        states, of which only the newest counts, are sent whole when the incarnation is another.
        """
        venue = self.venues[venue_id]
        seen, version = self._parse(cursor)
        fresh = seen is None
        new = venue.events.newest(SNAPSHOT_EVENTS) if seen is None else venue.events.after(
            seen, SNAPSHOT_EVENTS
        )
        full = not fresh and len(new) >= SNAPSHOT_EVENTS
        reached = new[-1]["cursor"] if full else venue.events.cursor
        body: dict[str, Any] = {
            "cursor": f"{reached}.{self.version}.{self.incarnation:x}", "full": version == 0,
            "venue": venue.summary(now_ns), "athletes": venue.athletes(now_ns, version),
            "trail": [list(point) for point in venue.states.trail],
            "events": venue.stamped(new), "more": full,
            "gap": not fresh and not venue.events.holds_all_after(seen or 0),
        }
        if venue.devices_version > version or version == 0:
            body["devices"] = venue.devices.served(now_ns)
        if venue.predictions_version > version or version == 0:
            body["predictions"] = venue.predictions(SNAPSHOT_EVENTS)
        return body

    def _parse(self, cursor: str) -> tuple[int | None, int]:
        """(events seen or None, version seen); a cursor of another life knows no version."""
        parts = cursor.split(".")
        if len(parts) != 3 or not (parts[0].isdecimal() and parts[1].isdecimal()):
            return None, 0
        same = parts[2] == f"{self.incarnation:x}" and int(parts[1]) <= self.version
        return int(parts[0]), int(parts[1]) if same else 0
