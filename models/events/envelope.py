"""The event envelope (DOMAIN: events) and its CloudEvents 1.0 JSON form.

Ids are deterministic: the same flow making the same effect gets the same id, so that a replayed
effect is recognised by every sink. `seq` counts the effects of the stream (one per flow).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from models.plain_fields import NUMBER, TEXT, check_plain, check_value, read_json

EVENT_TYPE: Final = "application/cloudevents+json"
"""Content type of `to_cloudevent`."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Times in ns UTC, positions in pitch-centred metres, `confidence` in [0, 1]."""

    type: str
    venue_id: str
    match_id: str
    stream: str
    seq: int
    t_event_ns: int
    t_detected_ns: int
    subject_id: str = ""
    team: str = ""
    sub_type: str = ""
    x_m: float | None = None
    y_m: float | None = None
    x_end_m: float | None = None
    y_end_m: float | None = None
    confidence: float = 1.0
    status: str = "provisional"
    supersedes: str = ""
    priority: str = "normal"
    context: tuple[str, ...] = ()
    algo_version: str = ""
    policy_class: str = "tracking"
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def event_id(self) -> str:
        """32 hex digits, a function of venue, match, stream and seq only."""
        key = f"{self.venue_id}\0{self.match_id}\0{self.stream}\0{self.seq}"
        return hashlib.sha256(key.encode()).hexdigest()[:32]

    def canonical(self) -> dict[str, Any]:
        """The part that a digest covers: everything; it holds no wall-clock time."""
        whole: dict[str, Any] = {"event_id": self.event_id}
        for name in _FIELDS:
            whole[name] = getattr(self, name)
        whole["context"], whole["metrics"] = list(self.context), dict(self.metrics)
        return whole


_FIELDS: Final = tuple(field.name for field in fields(Event))
# `json.dumps` makes an encoder a call, unless all is as usual.
_AS_JSON: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False
).encode


def to_cloudevent(event: Event, source_ns: int = 0) -> bytes:
    """CloudEvents 1.0 structured JSON, keys sorted.

    `source_ns` is the wall-clock arrival of the sample behind the event, carried as the extension
    attribute `sourcens` to measure latency; no result depends on it.
    """
    data = event.canonical()
    body = {
        "specversion": "1.0",
        "id": data["event_id"],
        "source": f"/venues/{event.venue_id}/matches/{event.match_id}",
        "type": f"io.touchline.{event.type}.v1",
        "subject": event.subject_id,
        "datacontenttype": "application/json",
        "sourcens": str(source_ns),
        "data": data,
    }
    return as_bytes(body)


def as_bytes(body: Mapping[str, Any]) -> bytes:
    """A CloudEvents body in the form of `to_cloudevent`: UTF-8, keys sorted, no spaces."""
    return _AS_JSON(body).encode()


def from_cloudevent(payload: bytes) -> Event:
    """The event in a CloudEvents body written by `to_cloudevent`. Raises ValueError, KeyError,
    TypeError."""
    return event_from(read_json(payload)["data"])


def event_from(data: Mapping[str, Any]) -> Event:
    """The event of `Event.canonical`. Raises TypeError, ValueError, KeyError for what is none."""
    if not isinstance(data, Mapping):
        raise TypeError("an event is an object")
    plain = {name: value for name, value in data.items() if name != "event_id"}
    event = Event(**{**plain, "context": tuple(plain["context"])})
    check_plain(event)
    if not isinstance(event.metrics, dict):
        raise TypeError("metrics are named")
    for name, value in event.metrics.items():
        check_value("metrics", name, TEXT)
        check_value("metrics", value, NUMBER)
    for one in event.context:
        check_value("context", one, TEXT)
    return event
