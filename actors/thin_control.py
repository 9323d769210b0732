"""ThinControl: tells edges to thin the calm flows of venues for which the pool does not keep up.

Decides by `ThinPolicy`, one for each venue and match, from what the workers report; writes orders
and notes each with its reason. A level that stays is ordered again now and then: the edge returns
to the full rate by itself when nobody says anything any more. A flow that a worker has pinned (man
down) is ordered to keep its full rate before anything is thinned. A coordinator that is started
again goes on from the levels that its predecessor ordered.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from actors.coordinator_view import PoolView
from actors.decisions import DecisionLog
from actors.order_writer import OrderWriter
from cluster.eventlog.port import EventLog
from cluster.eventlog.scan import records_now
from cluster.names import orders_topic
from models.errors import SchemaError
from models.policies.ownership import VenueEntry, WorkerReport
from models.policies.thinning import ThinConfig, ThinPolicy
from models.telemetry.orders import Order, OrderVerb, decode_order

STREAM: Final = "coordinator"
RENEW_NS: Final = 240_000_000_000
"""Well within the time that the edge holds to a level by itself (`models.edge.standing`)."""
_Key = tuple[str, str]


class ThinControl:
    """`term` numbers the coordinators: a later one fences the orders of those before. Venues in
    `unhurried` are left as they are."""

    def __init__(
        self, log: EventLog, decisions: DecisionLog, config: ThinConfig, term: int,
        unhurried: frozenset[str] = frozenset(),
    ) -> None:
        self._log, self._decisions, self._config = log, decisions, config
        self._term, self._count, self._unhurried = term, 0, unhurried
        self._writer = OrderWriter(log, STREAM, term)
        self._policies: dict[_Key, ThinPolicy] = {}
        self._ordered: dict[_Key, int] = {}
        self._said_ns: dict[_Key, int] = {}
        self._kept: dict[tuple[_Key, int], int] = {}

    def step(
        self, now_ns: int, venues: Mapping[str, VenueEntry], view: PoolView, ahead: bool,
        load: float = 0.0,
    ) -> None:
        """One round over all venues. Raises LogError: what could not be ordered is tried again."""
        if not self._config.most:
            return
        for venue, place in sorted(venues.items()):
            if venue not in self._unhurried:
                self._venue(now_ns, venue, place, view, ahead, load)
        self._forget(venues)

    def levels(self) -> dict[str, int]:
        """venue -> the level that was ordered, of venues that are thinned."""
        return {venue: level for (venue, _), level in sorted(self._ordered.items()) if level}

    # -- inside ------------------------------------------------------------------------------------

    def _venue(
        self, now_ns: int, venue: str, place: VenueEntry, view: PoolView, ahead: bool, load: float
    ) -> None:
        mine = {w: report for w, report in view.reports.items() if report.held.get(venue)}
        self._keep_pinned(now_ns, venue, place, mine.values())
        calm_s, hot_s = (
            max((report.backlog_s.get(name, 0.0) for report in mine.values()), default=0.0)
            for name in ("calm", "hot")
        )
        busy = max((view.busy.get(worker, 0.0) for worker in mine), default=0.0)
        policy = self._policy(venue, place.match_id)
        decided = policy.decide(now_ns, calm_s, hot_s, busy, ahead, load)
        key = (venue, place.match_id)
        same = decided.level == self._ordered[key]
        if same and (not decided.level or now_ns - self._said_ns.get(key, 0) < RENEW_NS):
            return
        reason = "still" if same else decided.reason
        self._send(now_ns, venue, place.match_id, OrderVerb.THIN, reason, level=decided.level)
        self._ordered[key], self._said_ns[key] = decided.level, now_ns
        if same:
            return
        self._decisions.note("thin", decided.reason, {
            "venue": venue, "level": decided.level, "calm_s": round(calm_s, 3),
            "hot_s": round(hot_s, 3), "busy": round(busy, 3), "load": round(load, 2),
        })

    def _keep_pinned(
        self, now_ns: int, venue: str, place: VenueEntry, reports: Iterable[WorkerReport]
    ) -> None:
        key = (venue, place.match_id)
        for report in reports:
            for row, until_ns in report.pinned.get(venue, {}).items():
                if until_ns <= self._kept.get((key, row), 0) or row >= len(place.subject_ids):
                    continue
                subject_id = place.subject_ids[row]
                self._send(
                    now_ns, venue, place.match_id, OrderVerb.WHOLE, "pinned",
                    subject_id=subject_id, until_ns=until_ns,
                )
                self._kept[key, row] = until_ns
                detail = {"venue": venue, "subject_id": subject_id, "until_ns": until_ns}
                self._decisions.note("keep_whole", "pinned", detail)

    def _policy(self, venue: str, match_id: str) -> ThinPolicy:
        key = (venue, match_id)
        if key not in self._policies:
            self._ordered[key] = level = self._last_level(venue, match_id)
            self._policies[key] = ThinPolicy(self._config, level)
        return self._policies[key]

    def _last_level(self, venue: str, match_id: str) -> int:
        """The level that coordinators before this one have ordered last. Raises LogError."""
        level = 0
        for stored in records_now(self._log, orders_topic(venue)):
            with suppress(SchemaError):
                order = decode_order(stored.record.payload)
                if order.verb == OrderVerb.THIN and order.match_id == match_id:
                    level = order.level
        return level

    def _send(
        self, now_ns: int, venue: str, match_id: str, verb: OrderVerb, reason: str,
        level: int = 0, subject_id: str = "", until_ns: int = 0,
    ) -> None:
        order_id = f"{STREAM}/{self._term}/{self._count}"
        self._writer.send(venue, Order(
            order_id, match_id, verb, str(reason), now_ns, level=level, subject_id=subject_id,
            until_ns=until_ns,
        ))
        self._count += 1

    def _forget(self, venues: Mapping[str, VenueEntry]) -> None:
        """Matches that are over leave nothing behind."""
        there = {(venue, place.match_id) for venue, place in venues.items()}
        for key in self._policies.keys() - there:
            del self._policies[key], self._ordered[key]
            self._said_ns.pop(key, None)
        for pinned in [one for one in self._kept if one[0] not in there]:
            del self._kept[pinned]
