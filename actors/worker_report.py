"""What a worker's report says of its venues, and how it stands in plain values.

Put together some twenty times a second over all venues, of which few have changed since: each is
asked again only when it has.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from actors.worker_venue import VenueFlows
from models.flows.lanes import Priority
from models.policies.ownership import WorkerReport

T = TypeVar("T")
Venues = Mapping[str, VenueFlows]


class Counts(NamedTuple):
    """Records and bytes that are held; samples read; flow-records done."""

    held_records: int = 0
    held_bytes: int = 0
    rows_n: int = 0
    work_n: int = 0


class VenueBoard:
    """The fields of a report that tell of venues, as of the last `look`."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[VenueFlows, int]] = {}
        self._held: dict[str, Mapping[int, int]] = {}
        self._offsets: dict[str, dict[int, int]] = {}
        self._pinned: dict[str, dict[int, int]] = {}
        self._final: dict[str, tuple[int, ...]] = {}
        self._hot: dict[str, tuple[int, ...]] = {}
        self._since_ns: dict[Priority, dict[str, int]] = {priority: {} for priority in Priority}
        self._counts: dict[str, Counts] = {}

    def look(self, venues: Venues) -> None:
        """Notice what has changed at `venues`, which are all that there are."""
        for venue_id in self._seen.keys() - venues.keys():
            self._forget(venue_id)
        for venue_id, flows in venues.items():
            now = (flows, flows.backlog.changes)
            if self._seen.get(venue_id) != now:
                self._seen[venue_id] = now
                self._notice(venue_id, flows)

    def fields(self, durable: bool) -> dict[str, Any]:
        """Fields of `WorkerReport`. durable: whether every effect is in the log, so that what is
        final may be said to be."""
        return {
            "held": self._held.copy(), "offsets": self._offsets.copy(), "hot": self._hot.copy(),
            "pinned": self._pinned.copy(), "final": self._final.copy() if durable else {},
        }

    def backlog_s(self, now_ns: int, done_lately: Mapping[Priority, int]) -> dict[str, float]:
        """By class, the age of the oldest record that waits or was done lately."""
        return {
            str(priority): max(
                now_ns - min(since.values(), default=now_ns), done_lately[priority]
            ) / 1e9
            for priority, since in self._since_ns.items()
        }

    def totals(self) -> Counts:
        """Of all the venues that there are."""
        return Counts(*map(sum, zip(Counts(), *self._counts.values(), strict=True)))

    def _notice(self, venue_id: str, flows: VenueFlows) -> None:
        backlog = flows.backlog
        self._held[venue_id], self._offsets[venue_id] = flows.epochs, backlog.offsets()
        _put(self._pinned, venue_id, backlog.pinned() or None)
        _put(self._final, venue_id, tuple(sorted(flows.final)) or None)
        _put(self._hot, venue_id, tuple(sorted(backlog.hot() & flows.epochs.keys())) or None)
        for priority, since_ns in backlog.waits_since().items():
            _put(self._since_ns[priority], venue_id, since_ns)
        self._counts[venue_id] = Counts(
            backlog.held_records, backlog.held_bytes, flows.rows_n, flows.work_n
        )

    def _forget(self, venue_id: str) -> None:
        known: tuple[dict[str, Any], ...] = (
            self._seen, self._held, self._offsets, self._pinned, self._final, self._hot,
            self._counts, *self._since_ns.values(),
        )
        for of_venue in known:
            of_venue.pop(venue_id, None)


def _put(of_venue: dict[str, T], venue_id: str, what: T | None) -> None:
    """Nothing is said of a venue of which there is nothing to say."""
    if what is None:
        of_venue.pop(venue_id, None)
    else:
        of_venue[venue_id] = what


def standing(worker_id: int, report: WorkerReport, drained: bool) -> dict[str, Any]:
    """How a worker stands, as JSON values, for people."""
    return {
        "worker_id": worker_id, "incarnation": report.incarnation, "pid": report.pid,
        "epoch": report.epoch, "flows": {v: len(rows) for v, rows in report.held.items()},
        "backlog_s": report.backlog_s, "rows_n": report.rows_n, "busy_s": report.busy_ns / 1e9,
        "counters": report.counters, "error": report.error, "drained": drained,
    }
