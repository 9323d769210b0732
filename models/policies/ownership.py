"""Ownership: who owns which flow, and how a flow changes hands without loss or duplicate. Pure.

A flow is granted to a worker at an epoch. To move it, the coordinator stops granting it (the flow
is *leaving*); the worker stores a snapshot, lets go, and its next report, made under the new epoch,
no longer holds the flow. Then its event stream is fenced with a fresh epoch, and it is granted to
the new owner. An owner that is dead, or does not let go in time, is fenced. Epochs only rise.
Owns the protocol's types too. Times are ns of the coordinator's clock.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.policies.assignment import Flow, Move
from models.policies.linger import CoreTime

Rows = dict[str, dict[int, int]]
"""venue id -> subject row -> a number per flow (an epoch or an offset)."""


@dataclass(frozen=True, slots=True)
class VenueGrant:
    """Flows of one venue, subject row -> epoch; `roster_offset`: where their roster is."""

    match_id: str
    roster_offset: int
    subjects: dict[int, int]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is to hold from now on: exactly `venues`.

    known False: the coordinator does not know this worker, it must register again. retired: a newer
    incarnation of the worker exists, this one must end.
    """

    epoch: int
    venues: dict[str, VenueGrant] = field(default_factory=dict)
    drain: bool = False
    known: bool = True
    retired: bool = False

    @property
    def flows(self) -> dict[str, tuple[int, ...]]:
        """venue id -> subject rows."""
        return {venue: tuple(sorted(grant.subjects)) for venue, grant in self.venues.items()}


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A worker's heartbeat. Counters rise from 0 within an incarnation.

    epoch       of the assignment that it has adopted
    held        its flows with the epoch of their grant; offsets: what they want next
    final       flows whose final record is done and durable; hot: flows that are hot
    lost        flows that were fenced away from it or that it could not load
    pinned      flows that are to stay hot, whatever their intensity, and until when, event time
    backlog_s   by class ("hot", "calm"): age of the oldest record that waits or was done lately
    work_n      flow-records done; rows_n: samples read; busy_ns: time spent working
    core        of the thread that works: how long it ran on a core and waited for one
    latency     stage -> histogram
    node        where it runs: the cluster's name for it, empty if it has none
    """

    incarnation: int
    epoch: int
    now_ns: int
    held: Rows = field(default_factory=dict)
    offsets: Rows = field(default_factory=dict)
    final: dict[str, tuple[int, ...]] = field(default_factory=dict)
    hot: dict[str, tuple[int, ...]] = field(default_factory=dict)
    lost: dict[str, tuple[int, ...]] = field(default_factory=dict)
    pinned: Rows = field(default_factory=dict)
    backlog_s: dict[str, float] = field(default_factory=dict)
    work_n: int = 0
    rows_n: int = 0
    busy_ns: int = 0
    core: CoreTime = field(default_factory=CoreTime)
    latency: dict[str, Any] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    error: str = ""
    pid: int = 0
    node: str = ""


@dataclass(slots=True)
class FlowEntry:
    """`owner` None: nobody works on it. leaving_epoch > 0: taken from its owner at that epoch."""

    owner: int | None = None
    epoch: int = 0
    target: int | None = None
    leaving_epoch: int = 0
    leaving_ns: int = 0
    had_owner: bool = False
    final: bool = False


@dataclass(slots=True)
class VenueEntry:
    """One venue's match. `subject_ids` are in roster order."""

    match_id: str
    roster_offset: int
    subject_ids: tuple[str, ...]
    flows: dict[int, FlowEntry]


@dataclass(slots=True)
class Member:
    """A worker that has registered. `epoch` is the last one that it reported."""

    incarnation: int
    seen_ns: int
    epoch: int = 0
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """A flow that can be fenced and granted to `target` now."""

    flow: Flow
    target: int


class Ownership:
    """The table. The caller fences (`due`, then `granted`), stores (`to_json`) and keeps time."""

    def __init__(self) -> None:
        self.epoch = 0
        self.venues: dict[str, VenueEntry] = {}
        self.members: dict[int, Member] = {}
        self.version = 0
        """Rises with every change of who owns or is to own what: while it stays, so do `due`, who
        is leaving, and, with the epoch, `assignment`. Thousands of flows are not looked at then."""
        self._flows: list[tuple[Flow, FlowEntry]] | None = None
        self._leaving: tuple[int, frozenset[str]] = (-1, frozenset())
        self._due: tuple[int, list[Due]] = (-1, [])
        self._answers: dict[int, tuple[tuple[int, int], Assignment]] = {}

    # -- venues and workers ------------------------------------------------------------------------

    def set_venue(
        self, venue: str, match_id: str, roster_offset: int, subject_ids: Iterable[str]
    ) -> bool:
        """Take in a venue, or its next match; False when nothing is new."""
        known = self.venues.get(venue)
        if known is not None and known.match_id == match_id:
            return False
        ids = tuple(subject_ids)
        flows = {row: FlowEntry() for row in range(len(ids))}
        self.venues[venue] = VenueEntry(match_id, roster_offset, ids, flows)
        self._flows = None
        self.version += 1
        return True

    def register(self, worker: int, incarnation: int, now_ns: int) -> bool:
        """A worker has come (again); False when a newer incarnation of it is known."""
        member = self.members.get(worker)
        if member is not None and incarnation < member.incarnation:
            return False
        if member is None or incarnation > member.incarnation:
            self.lose(worker)
            self.members[worker] = Member(incarnation, now_ns)
            self.version += 1
        self.members[worker].seen_ns = now_ns
        return True

    def lose(self, worker: int) -> int:
        """The worker is dead or gone: its flows have no owner. How many there were."""
        self.members.pop(worker, None)
        self._answers.pop(worker, None)
        self.version += 1
        count = 0
        for _, entry in self.flows():
            if entry.target == worker:
                entry.target = None
            if entry.owner == worker:
                entry.owner, entry.leaving_epoch = None, 0
                count += 1
        return count

    def drain(self, worker: int) -> None:
        """A member is to give all that it holds, and gets nothing more."""
        self.members[worker].draining = True
        self.version += 1

    def silent(self, now_ns: int, dead_after_ns: int) -> list[int]:
        """Workers not heard of for too long."""
        return [w for w, m in sorted(self.members.items()) if now_ns - m.seen_ns > dead_after_ns]

    def flows(self) -> list[tuple[Flow, FlowEntry]]:
        """Every flow in a fixed order; not to be written to."""
        if self._flows is None:
            self._flows = [
                ((venue, row), entry)
                for venue, place in sorted(self.venues.items())
                for row, entry in sorted(place.flows.items())
            ]
        return self._flows

    # -- the protocol ------------------------------------------------------------------------------

    def report(self, worker: int, report: WorkerReport) -> None:
        """Take in a heartbeat of a member: what it let go, lost, or finished."""
        member = self.members[worker]
        member.epoch = max(member.epoch, report.epoch)
        for venue in report.final.keys() | report.lost.keys() | self._venues_left():
            place = self.venues.get(venue)
            for row, entry in place.flows.items() if place is not None else ():
                if entry.owner == worker:
                    self._take(worker, venue, row, entry, report)

    def _take(
        self, worker: int, venue: str, row: int, entry: FlowEntry, report: WorkerReport
    ) -> None:
        """What the owner of a flow says of it."""
        # The same row under another epoch is another grant, maybe of another match.
        held = report.held.get(venue, {}).get(row) == entry.epoch
        if held and row in report.final.get(venue, ()):
            entry.final = True
        if entry.leaving_epoch:
            if not held and report.epoch >= entry.leaving_epoch:
                entry.owner, entry.leaving_epoch = None, 0
                self.version += 1
        elif row in report.lost.get(venue, ()) and not held and report.epoch >= entry.epoch:
            # What it says under an older epoch would say nothing of the present grant.
            entry.owner, entry.target = None, worker
            self.version += 1

    def _venues_left(self) -> frozenset[str]:
        """Venues of which a flow is leaving its owner."""
        if self._leaving[0] != self.version:
            venues = frozenset(venue for (venue, _), entry in self.flows() if entry.leaving_epoch)
            self._leaving = (self.version, venues)
        return self._leaving[1]

    def move(self, moves: Iterable[Move], now_ns: int) -> int:
        """Plan new owners; the epoch rises when a flow is taken from its owner."""
        count = 0
        for move in moves:
            venue, row = move.flow
            entry = self.venues[venue].flows[row]
            entry.target = move.target
            count += 1
            if entry.owner is not None and not entry.leaving_epoch:
                entry.leaving_epoch, entry.leaving_ns = -1, now_ns
        if not count:
            return 0
        self.version += 1
        if any(entry.leaving_epoch < 0 for _, entry in self.flows()):
            self.epoch += 1
            for _, entry in self.flows():
                if entry.leaving_epoch < 0:
                    entry.leaving_epoch = self.epoch
        return count

    def overdue(self, now_ns: int, patience_ns: int) -> list[Flow]:
        """Flows that their owner has not let go in time; they are taken from it by fencing."""
        late: list[Flow] = []
        if not self._venues_left():
            return late
        for flow, entry in self.flows():
            if entry.leaving_epoch and now_ns - entry.leaving_ns > patience_ns:
                entry.owner, entry.leaving_epoch = None, 0
                late.append(flow)
        self.version += bool(late)
        return late

    def due(self) -> list[Due]:
        """Flows with a new owner that is alive, and no old one any more."""
        if self._due[0] != self.version:
            self._due = (self.version, [
                Due(flow, entry.target)
                for flow, entry in self.flows()
                if entry.owner is None and entry.target in self.members
                and entry.target is not None
            ])
        return list(self._due[1])

    def granted(self, due: Due, epoch: int) -> None:
        """The stream was fenced at `epoch`; the flow is now the target's."""
        venue, row = due.flow
        entry = self.venues[venue].flows[row]
        entry.owner, entry.target, entry.epoch = due.target, None, epoch
        entry.had_owner = True
        self.version += 1

    def assignment(self, worker: int) -> Assignment:
        """What the worker is to hold; not to be written to."""
        now = (self.version, self.epoch)
        known = self._answers.get(worker)
        if known is None or known[0] != now:
            known = self._answers[worker] = (now, self._assignment(worker))
        return known[1]

    def _assignment(self, worker: int) -> Assignment:
        venues: dict[str, VenueGrant] = {}
        for (venue, row), entry in self.flows():
            if entry.owner == worker and not entry.leaving_epoch:
                place = self.venues[venue]
                grant = venues.setdefault(
                    venue, VenueGrant(place.match_id, place.roster_offset, {})
                )
                grant.subjects[row] = entry.epoch
        return Assignment(self.epoch, venues, self.members[worker].draining)

    def holdings(self, worker: int) -> int:
        """Flows that the worker owns or is about to get."""
        return sum(worker in (entry.owner, entry.target) for _, entry in self.flows())

    # -- its stored form ---------------------------------------------------------------------------

    def to_json(self) -> bytes:
        """Everything that a restarted coordinator must know."""
        venues = {
            venue: {
                "match_id": place.match_id, "roster_offset": place.roster_offset,
                "subject_ids": place.subject_ids,
                "flows": [
                    [row, e.owner, e.epoch, e.leaving_epoch, e.had_owner, e.final]
                    for row, e in sorted(place.flows.items())
                ],
            }
            for venue, place in sorted(self.venues.items())
        }
        members = {
            str(w): [m.incarnation, m.epoch, m.draining] for w, m in sorted(self.members.items())
        }
        return json.dumps({"epoch": self.epoch, "venues": venues, "members": members}).encode()

    @staticmethod
    def from_json(payload: bytes, now_ns: int) -> "Ownership":
        """The table as stored; members count as just heard of. Raises ValueError, KeyError."""
        body: Mapping[str, Any] = json.loads(payload)
        table = Ownership()
        table.epoch = int(body["epoch"])
        for venue, place in body["venues"].items():
            flows = {
                row: FlowEntry(owner, epoch, None, leaving, now_ns, had_owner, final)
                for row, owner, epoch, leaving, had_owner, final in place["flows"]
            }
            table.venues[venue] = VenueEntry(
                place["match_id"], place["roster_offset"], tuple(place["subject_ids"]), flows
            )
        for worker, (incarnation, epoch, draining) in body["members"].items():
            table.members[int(worker)] = Member(incarnation, now_ns, epoch, draining)
        return table
