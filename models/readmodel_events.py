"""The ring of recent events of a venue: bounded, without doubles, read by cursor.

Owns order and bounds only. The cursor of an event is its log offset plus one: it rises strictly,
and it is the same after every restart, so that a reader can resume where it was. An event that a
later one supersedes is not served any more: the later one stands for it, also when it says that it
was retracted.
"""

import json
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

from models.events.envelope import from_cloudevent


class EventRing:
    """The newest `bound` events as JSON-ready dictionaries, oldest first."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._ring: deque[dict[str, Any]] = deque()
        self._ids: set[str] = set()
        self._superseded: set[str] = set()
        self.cursor = 0
        self.first_cursor = 0
        self.seen = 0
        self.doubles = 0

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._ring)

    def add(self, event: dict[str, Any]) -> bool:
        """Take `event` (with its `cursor`); False when its id is in the ring already."""
        cursor = int(event["cursor"])
        self.cursor = max(self.cursor, cursor)
        if event["event_id"] in self._ids:
            self.doubles += 1
            return False
        if len(self._ring) >= self._bound:
            gone = self._ring.popleft()
            self._ids.discard(gone["event_id"])
            self._superseded.discard(gone["event_id"])
            self.first_cursor = int(gone["cursor"])
        self._ring.append(event)
        self._ids.add(event["event_id"])
        if event["supersedes"] in self._ids:
            self._superseded.add(event["supersedes"])
        self.seen += 1
        return True

    def holds_all_after(self, cursor: int) -> bool:
        """Whether no event after `cursor` has left the ring."""
        return cursor >= self.first_cursor

    def after(
        self, cursor: int, limit: int, types: Collection[str] = (), match_id: str = ""
    ) -> list[dict[str, Any]]:
        """Up to `limit` events after `cursor`, oldest first; only those of `types` if given."""
        found: list[dict[str, Any]] = []
        for event in self._ring:
            stands = event["event_id"] not in self._superseded
            if event["cursor"] > cursor and stands and selects(event, types, match_id):
                found.append(event)
                if len(found) >= limit:
                    break
        return found

    def newest(self, limit: int, types: Collection[str] = ()) -> list[dict[str, Any]]:
        """The last `limit` events, oldest first."""
        found: list[dict[str, Any]] = []
        for event in reversed(self._ring):
            stands = event["event_id"] not in self._superseded
            if stands and selects(event, types, ""):
                found.append(event)
                if len(found) >= limit:
                    break
        return found[::-1]


def selects(event: dict[str, Any], types: Collection[str], match_id: str) -> bool:
    """Whether `event` is of one of `types` (any if empty) and of the match (any if empty)."""
    return (not types or event["type"] in types) and (
        not match_id or event["match_id"] == match_id
    )


def event_entry(payload: bytes, offset: int, t_append_ns: int) -> dict[str, Any]:
    """The served form of a CloudEvents body. Raises ValueError, KeyError, TypeError."""
    event = from_cloudevent(payload)
    source_ns = int(json.loads(payload).get("sourcens", "0"))
    return {
        **event.canonical(), "cursor": offset + 1, "t_append_ns": t_append_ns,
        "source_ns": source_ns,
    }
