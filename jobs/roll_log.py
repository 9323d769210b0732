"""The log as a roll sees it: which matches a venue has played, and which records are whose.

One venue's topics hold one match after another. A stadium publishes the roster of a match before
its first raw record, and takes the raw stream away from its predecessor before that; so the time at
which a roster was appended parts the raw records of two matches. Other records say whose they are.
"""

import logging
from dataclasses import dataclass
from typing import Final

from cluster.eventlog.port import EventLog
from cluster.eventlog.scan import records_of
from cluster.names import roster_topic
from models.errors import ConfigError
from models.telemetry.roster import Roster

_RAW: Final = "raw/"
_log = logging.getLogger("touchline.roll")


@dataclass(frozen=True, slots=True)
class Span:
    """A match in its venue's topics. `since_ns`, `until_ns`: append times of its own roster and of
    the next match's; None while it is the newest."""

    roster: Roster
    since_ns: int
    until_ns: int | None = None

    @property
    def match_id(self) -> str:
        return self.roster.match_id

    def holds(self, t_append_ns: int) -> bool:
        """Whether a record appended then is of this match, if it does not say of which it is."""
        return self.since_ns <= t_append_ns and (
            self.until_ns is None or t_append_ns < self.until_ns
        )


def venues_in(log: EventLog) -> list[str]:
    """Every venue that has raw records. Raises LogError."""
    return [topic.removeprefix(_RAW) for topic in log.topics() if topic.startswith(_RAW)]


def matches_in(log: EventLog, venue_id: str) -> list[Span]:
    """The matches of a venue, oldest first. Raises LogError.

    A match that begins again after another one was played is left out, with a warning, and so
    stays in the log: its numbers would be those of its first part.
    """
    topic = roster_topic(venue_id)
    found: list[Span] = []
    for stored in records_of(log, topic, log.describe(topic).begin, log.describe(topic).end):
        try:
            roster = Roster.from_json(stored.record.payload)
        except ConfigError as error:
            _log.warning("%s at %d: %s", topic, stored.offset, error)
            continue
        if found and found[-1].match_id == roster.match_id:
            found[-1] = Span(roster, found[-1].since_ns)
            continue
        if found:
            found[-1] = Span(found[-1].roster, found[-1].since_ns, stored.t_append_ns)
        found.append(Span(roster, stored.t_append_ns))
    known: dict[str, Span] = {}
    for span in found:
        if known.setdefault(span.match_id, span) is not span:
            _log.warning("%s: match %s is played again and is not rolled", topic, span.match_id)
    return list(known.values())


def match_in(log: EventLog, venue_id: str, match_id: str) -> Span | None:
    """The match of that id, if the log has its roster. Raises LogError."""
    return next((span for span in matches_in(log, venue_id) if span.match_id == match_id), None)


def offset_at(log: EventLog, topic: str, t_append_ns: int) -> int:
    """The first offset appended at `t_append_ns` or later; the end if there is none."""
    info = log.describe(topic)
    low, high = info.begin, info.end
    while low < high:
        middle = (low + high) // 2
        page = log.read(topic, middle, 1)
        # Damaged records are skipped: what comes after them speaks for them.
        if page and page[0].offset < high and page[0].t_append_ns < t_append_ns:
            low = page[0].offset + 1
        else:
            high = middle
    return low
