"""Matches: the venues that there are and what they play, from their rosters, one after the other.

Part of the coordinator: it calls `discover` in its turn, and the flows that a roster names go into
its table of ownership.
"""

from typing import Final

from actors.coordinator_ports import CoordinatorPorts
from actors.coordinator_view import PoolView
from actors.decisions import DecisionLog
from cluster.names import roster_topic
from models.errors import ConfigError, LogError
from models.policies.match_forecast import MatchForecast
from models.policies.ownership import Ownership
from models.policies.succession import Ending, Succession
from models.telemetry.roster import Roster

_ROSTER: Final = roster_topic("")


class Matches:
    """`waiting`: a match has a roster, and its flows are not taken in yet; `forecast` knows the
    timetable of all venues."""

    def __init__(
        self, ports: CoordinatorPorts, table: Ownership, view: PoolView, decisions: DecisionLog
    ) -> None:
        self._log, self._clock_ns = ports.log, ports.clock_ns
        self._table, self._view, self._decisions = table, view, decisions
        self.forecast = MatchForecast()
        self._succession = Succession()
        self._rosters: dict[str, int] = {}
        self.waiting = True

    def discover(self) -> None:
        """Rosters in the order of their matches, so that none is passed over. Raises LogError."""
        waiting = False
        for topic in self._log.topics():
            if topic.startswith(_ROSTER):
                place = self._table.venues.get(topic.removeprefix(_ROSTER))
                after = place.roster_offset + 1 if place is not None else 0
                info = self._log.describe(topic)
                offset = max(self._rosters.get(topic, after), info.begin)
                if offset < info.end:
                    self._rosters[topic] = offset = self._take_roster(topic, offset)
                waiting = waiting or offset < info.end
        self.waiting = waiting

    def _take_roster(self, topic: str, offset: int) -> int:
        """A roster of a venue: its flows, unless they are known. Raises LogError.

        The offset to go on from: this one again while the venue's last match is still worked on.
        """
        venue_id = topic.removeprefix(_ROSTER)
        stored = self._log.read(topic, offset, 1)
        if not stored:
            raise LogError(f"{topic}: the roster at {offset} cannot be read")
        try:
            roster = Roster.from_json(stored[0].record.payload)
        except ConfigError as error:
            self._decisions.note("roster_refused", str(error), {"venue": venue_id})
            return stored[0].offset + 1
        if not self._may_begin(venue_id, roster.match_id):
            return offset
        self.forecast.schedule(venue_id, [(p.start_ns, p.end_ns) for p in roster.periods])
        ids = [subject.subject_id for subject in roster.subjects]
        if self._table.set_venue(venue_id, roster.match_id, stored[0].offset, ids):
            detail = {"venue": venue_id, "match": roster.match_id, "flows": len(ids)}
            self._decisions.note("venue_found", "roster", detail)
        return stored[0].offset + 1

    def _may_begin(self, venue_id: str, match_id: str) -> bool:
        """Whether no other match of the venue has effects still to be made."""
        present = self._table.venues.get(venue_id)
        if present is None or present.match_id == match_id:
            return True
        reports, now_ns = self._view.reports, self._clock_ns()
        ending = self._succession.judge(venue_id, present, reports, now_ns)
        if ending == Ending.BROKEN_OFF:
            open_n = sum(not entry.final for entry in present.flows.values())
            detail = {"venue": venue_id, "match": present.match_id, "flows": open_n}
            self._decisions.note("match_left", ending, detail)
        return ending != Ending.PLAYED
