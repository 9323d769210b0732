"""What the read model is told: a stored record, seen only through the fields that it reads.

Owns the shape of the input and the split of topic names, so that the kernel needs no event log.
"""

from typing import Final, Protocol

EVENTS: Final = "events"
INSIGHTS: Final = "insights"
HEALTH: Final = "device-health"
ROSTER: Final = "roster"
ACTIONS: Final = "actions"
FOLLOWED: Final = (ROSTER, EVENTS, INSIGHTS, HEALTH)
"""Topics per venue, in the order in which a fresh reader should take them."""

STATES_TYPE: Final = "application/vnd.touchline.states"
PREDICTION_TYPE: Final = "application/vnd.touchline.prediction+json"


class RecordLike(Protocol):
    """A record as its writer gave it."""

    @property
    def stream(self) -> str: ...

    @property
    def t_ns(self) -> int: ...

    @property
    def payload(self) -> bytes: ...

    @property
    def content_type(self) -> str: ...


class StoredLike(Protocol):
    """A record as the log holds it: `offset` in its topic, `t_append_ns` wall clock."""

    @property
    def offset(self) -> int: ...

    @property
    def t_append_ns(self) -> int: ...

    @property
    def record(self) -> RecordLike: ...


def split_topic(topic: str) -> tuple[str, str]:
    """(kind, venue_id) of a topic; the venue is empty for a topic of the whole system."""
    kind, _, venue_id = topic.partition("/")
    return kind, venue_id
