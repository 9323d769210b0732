"""The ring of recent events of a venue: bounded, without doubles, read by cursor.

Owns order and bounds only. The cursor of an event is its log offset plus one: it rises strictly,
and it is the same after every restart, so that a reader can resume where it was. An event that a
later one supersedes is not served any more: the later one stands for it, also when it says that it
was retracted.
"""

import itertools
import json
import sys
import zlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

from models.events.envelope import from_cloudevent

_USUAL: Final = (
    b'{"metrics":{"duration_s":4.1,"length_m":19.8,"limit_effort_enter_mps2":3.0,'
    b'"limit_effort_leave_mps2":2.0,"limit_effort_hold_s":0.3,"limit_touch_dv_mps":2.0,'
    b'"limit_kick_mps2":150.0,"limit_collision_m":1.5,"peak_mps":7.1,"speed_mps":4.8},"cursor":'
    b'{"event_id":"0123456789abcdef","type":"kick","venue_id":"v0","match_id":"m0",'
    b'"stream":"flow/ath_v0_h10","seq":12,"t_event_ns":17673768,"t_detected_ns":17673768,'
    b'"subject_id":"ath_v0_h10","team":"home","sub_type":"","x_m":1.07,"y_m":-0.06,'
    b'"x_end_m":null,"y_end_m":null,"confidence":0.7,"status":"provisional","supersedes":"",'
    b'"priority":"normal","context":["ball:ball_v0"],"algo_version":"flow-1.1",'
    b'"policy_class":"tracking","metrics":{"limit_touch_m":1.5},"cursor":1,"t_append_ns":1795711,'
    b'"source_ns":1795711}'
)
"""What events have in common, most of it their keys: with it as a dictionary (zlib, RFC 1950) the
JSON of one takes a quarter."""
_WINDOW: Final = -12
_MEMORY_LEVEL: Final = 5


class _Slot(NamedTuple):
    """An event as it is kept: what it is chosen by, and its JSON, packed, a tenth of the size of a
    dictionary."""

    cursor: int
    event_id: str
    type: str
    match_id: str
    body: bytes

    def served(self) -> dict[str, Any]:
        return dict(json.loads(zlib.decompressobj(_WINDOW, _USUAL).decompress(self.body)))


class EventRing:
    """The newest `bound` events as JSON-ready dictionaries, oldest first."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._ring: deque[_Slot] = deque()
        self._ids: set[str] = set()
        self._superseded: set[str] = set()
        self.cursor = 0
        self.first_cursor = 0
        self.seen = 0
        self.doubles = 0

    def __len__(self) -> int:
        return len(self._ring)

    def add(self, event: dict[str, Any]) -> bool:
        """Take `event` (with its `cursor`, which rises); False when its id is in the ring."""
        cursor = int(event["cursor"])
        self.cursor = max(self.cursor, cursor)
        if event["event_id"] in self._ids:
            self.doubles += 1
            return False
        slot = _slot(event, cursor)
        if len(self._ring) >= self._bound:
            gone = self._ring.popleft()
            self._ids.discard(gone.event_id)
            self._superseded.discard(gone.event_id)
            self.first_cursor = gone.cursor
        self._ring.append(slot)
        self._ids.add(slot.event_id)
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
        # From the newest backwards: who follows lacks a few of ten thousand.
        later = itertools.takewhile(lambda slot: slot.cursor > cursor, reversed(self._ring))
        found = list(self._standing(later, types, match_id))
        return [slot.served() for slot in found[::-1][:limit]]

    def newest(self, limit: int, types: Collection[str] = ()) -> list[dict[str, Any]]:
        """The last `limit` events, oldest first."""
        found = list(itertools.islice(self._standing(reversed(self._ring), types, ""), limit))
        return [slot.served() for slot in found[::-1]]

    def _standing(
        self, slots: Iterable[_Slot], types: Collection[str], match_id: str
    ) -> Iterator[_Slot]:
        """Those that nothing supersedes, of one of `types` and of the match, if given."""
        return (
            slot for slot in slots
            if slot.event_id not in self._superseded
            and selects(slot.type, slot.match_id, types, match_id)
        )


def _slot(event: dict[str, Any], cursor: int) -> _Slot:
    packer = zlib.compressobj(
        1, zlib.DEFLATED, _WINDOW, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _USUAL
    )
    body = packer.compress(json.dumps(event, separators=(",", ":")).encode()) + packer.flush()
    return _Slot(
        cursor, event["event_id"], sys.intern(event["type"]), sys.intern(event["match_id"]), body
    )


def selects(event_type: str, event_match: str, types: Collection[str], match_id: str) -> bool:
    """Whether an event is of one of `types` (any if empty) and of the match (any if empty)."""
    return (not types or event_type in types) and (not match_id or event_match == match_id)


def event_entry(payload: bytes, offset: int, t_append_ns: int) -> dict[str, Any]:
    """The served form of a CloudEvents body. Raises ValueError, KeyError, TypeError."""
    event = from_cloudevent(payload)
    source_ns = int(json.loads(payload).get("sourcens", "0"))
    return {
        **event.canonical(), "cursor": offset + 1, "t_append_ns": t_append_ns,
        "source_ns": source_ns,
    }
