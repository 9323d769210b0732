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
from array import array
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from models.events.envelope import event_from
from models.plain_fields import read_json

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
"""What events have in common, most of it their keys: a dictionary for zlib (RFC 1950)."""
_WINDOW: Final = -15
_MEMORY_LEVEL: Final = 8
_PACKED_TOGETHER: Final = 64
"""Events of a block: one after the other they have more in common than each has with `_USUAL`."""


class _Slot(NamedTuple):
    """What an event is chosen by."""

    cursor: int
    event_id: str
    type: str
    match_id: str


class _Block:
    """Up to `_PACKED_TOGETHER` events that came one after the other, as JSON; packed once they are
    so many, a twentieth of the size of dictionaries."""

    __slots__ = ("_bodies", "_packed", "cursors", "event_ids", "matches", "types")

    def __init__(self) -> None:
        self.cursors, self.event_ids = array("q"), list[str]()
        self.types, self.matches = list[str](), list[str]()
        self._bodies: list[bytes] = []
        self._packed = b""

    def __len__(self) -> int:
        return len(self.cursors)

    @property
    def full(self) -> bool:
        return len(self.cursors) >= _PACKED_TOGETHER

    def add(self, event: dict[str, Any]) -> None:
        """Take an event; packs those of a block that is full then. Raises KeyError, TypeError,
        ValueError for one that is none, which leaves no trace."""
        cursor, event_id = int(event["cursor"]), event["event_id"]
        kind, match_id = sys.intern(event["type"]), sys.intern(event["match_id"])
        rest = {key: value for key, value in event.items() if key != "event_id"}
        body = json.dumps(rest, separators=(",", ":")).encode()
        self.cursors.append(cursor)
        self.event_ids.append(event_id)
        self.types.append(kind)
        self.matches.append(match_id)
        self._bodies.append(body)
        if self.full:
            packer = zlib.compressobj(
                6, zlib.DEFLATED, _WINDOW, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _USUAL
            )
            self._packed = packer.compress(b"\n".join(self._bodies)) + packer.flush()
            self._bodies = []

    def slot(self, index: int) -> _Slot:
        return _Slot(
            self.cursors[index], self.event_ids[index], self.types[index], self.matches[index]
        )

    def served(self, indexes: Iterable[int]) -> list[dict[str, Any]]:
        """Those events as they came."""
        bodies = self._bodies
        if self.full:
            bodies = zlib.decompressobj(_WINDOW, _USUAL).decompress(self._packed).split(b"\n")
        return [
            {"event_id": self.event_ids[index], **json.loads(bodies[index])} for index in indexes
        ]


_Place = tuple[_Block, int, _Slot]
"""Where an event is, and what it is chosen by."""


class EventRing:
    """The newest `bound` events as JSON-ready dictionaries, oldest first."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._blocks: deque[_Block] = deque([_Block()])
        self._gone = 0
        """Events of the oldest block that have left the ring."""
        self._ids: set[str] = set()
        self._superseded: set[str] = set()
        self.cursor = 0
        self.first_cursor = 0
        self.seen = 0
        self.doubles = 0

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, event: dict[str, Any]) -> bool:
        """Take `event` (with its `cursor`, which rises); False when its id is in the ring."""
        self.cursor = max(self.cursor, int(event["cursor"]))
        event_id = event["event_id"]
        if event_id in self._ids:
            self.doubles += 1
            return False
        if self._blocks[-1].full:
            self._blocks.append(_Block())
        self._blocks[-1].add(event)
        self._ids.add(event_id)
        if len(self._ids) > self._bound:
            self._drop_oldest()
        if event["supersedes"] in self._ids:
            self._superseded.add(event["supersedes"])
        self.seen += 1
        return True

    def _drop_oldest(self) -> None:
        gone = self._blocks[0].slot(self._gone)
        self._ids.discard(gone.event_id)
        self._superseded.discard(gone.event_id)
        self.first_cursor = gone.cursor
        self._gone += 1
        if self._gone == len(self._blocks[0]):
            self._blocks.popleft()
            self._gone = 0

    def holds_all_after(self, cursor: int) -> bool:
        """Whether no event after `cursor` has left the ring."""
        return cursor >= self.first_cursor

    def after(
        self, cursor: int, limit: int, types: Collection[str] = (), match_id: str = ""
    ) -> list[dict[str, Any]]:
        """Up to `limit` events after `cursor`, oldest first; only those of `types` if given."""
        # From the newest backwards: who follows lacks a few of ten thousand.
        later = itertools.takewhile(lambda place: place[2].cursor > cursor, self._backwards())
        return _served(list(self._standing(later, types, match_id))[::-1][:limit])

    def newest(self, limit: int, types: Collection[str] = ()) -> list[dict[str, Any]]:
        """The last `limit` events, oldest first."""
        standing = self._standing(self._backwards(), types, "")
        return _served(list(itertools.islice(standing, limit))[::-1])

    def _backwards(self) -> Iterator[_Place]:
        """All events, newest first."""
        for block in reversed(self._blocks):
            first = self._gone if block is self._blocks[0] else 0
            for index in range(len(block) - 1, first - 1, -1):
                yield block, index, block.slot(index)

    def _standing(
        self, places: Iterable[_Place], types: Collection[str], match_id: str
    ) -> Iterator[_Place]:
        """Those that nothing supersedes, of one of `types` and of the match, if given."""
        return (
            place for place in places
            if place[2].event_id not in self._superseded
            and selects(place[2].type, place[2].match_id, types, match_id)
        )


def _served(places: Sequence[_Place]) -> list[dict[str, Any]]:
    """The events there; each block is unpacked once."""
    return [
        event for block, group in itertools.groupby(places, key=lambda place: place[0])
        for event in block.served([index for _, index, _ in group])
    ]


def selects(event_type: str, event_match: str, types: Collection[str], match_id: str) -> bool:
    """Whether an event is of one of `types` (any if empty) and of the match (any if empty)."""
    return (not types or event_type in types) and (not match_id or event_match == match_id)


def event_entry(payload: bytes, offset: int, t_append_ns: int) -> dict[str, Any]:
    """The served form of a CloudEvents body. Raises ValueError, KeyError, TypeError."""
    body = read_json(payload)
    event = event_from(body["data"])
    source_ns = int(str(body.get("sourcens", "0")))
    return {
        **event.canonical(), "cursor": offset + 1, "t_append_ns": t_append_ns,
        "source_ns": source_ns,
    }
