"""Coordinator of the flow pool: finds flows, assigns them, watches workers, scales. No data here.

A plain class. Workers pull: each heartbeat brings a report and takes an assignment away. `tick`
does everything that is not an answer to a heartbeat. Decisions are those of the pure policies;
what is here fences streams, stores the table, starts and ends workers, and writes down why. All
methods may be called from several threads.

The table of ownership is stored with every change, under its epoch, so that a coordinator that is
started again goes on where its predecessor stopped, and a predecessor that still runs is refused.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from actors.coordinator_matches import Matches
from actors.coordinator_ports import CoordinatorConfig, CoordinatorPorts, Policy
from actors.coordinator_view import PoolView
from actors.decisions import DecisionLog
from actors.nodes import NodeWish
from actors.thin_control import ThinControl
from actors.worker_snapshots import flow_stream
from cluster.names import ACTIONS_TOPIC, events_topic
from models.errors import FencedError, TouchlineError
from models.policies.assignment import FlowInfo, Move, WorkerInfo, plan_moves
from models.policies.forecast import RateForecast
from models.policies.load_meter import LoadMeter
from models.policies.ownership import Assignment, Ownership, WorkerReport
from models.policies.pool import HELD, PoolPolicy, PoolSignals, Scale, ScaleReason
from models.policies.prewarm import PrewarmSignals

TABLE_KEY: Final = "coordinator/table"
TERM_STREAM: Final = "coordinator"
TERM_SHIFT: Final = 20


class Coordinator:
    """`superseded`: another coordinator has taken over; this one answers nothing any more."""

    def __init__(
        self, ports: CoordinatorPorts, config: CoordinatorConfig | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.config = config or CoordinatorConfig()
        self._ports, self._clock_ns = ports, ports.clock_ns
        self._lock = threading.RLock()
        self._policy = policy or PoolPolicy(self.config.pool)
        self._forecast = RateForecast()
        self._wish = NodeWish(ports.nodes, self.config.prewarm)
        now_ns = self._clock_ns()
        self.decisions = DecisionLog(ports.log, "coordinator", now_ns, ports.clock_ns)
        self._started: dict[int, int] = {}
        self._retiring: set[int] = set()
        # Ended before they came: one that is on its way all the same is sent away.
        self._withdrawn: set[int] = set()
        # The last incarnation of workers that were ended: they may still be on their way out.
        self._ended: dict[int, int] = {}
        self._observed_ns = self._rebalanced_ns = self._thinned_ns = self._loaded_ns = 0
        self._planned = -1
        self._meter = LoadMeter()
        self._changed_members = False
        self._last_scale: Scale | None = None
        self.superseded = False
        self.errors: dict[str, str] = {}
        self._table = self._restore(now_ns)
        self._wanted_back = self._table.members.keys() - self._retiring
        self._view = PoolView(ports.log)
        self._matches = Matches(ports, self._table, self._view, self.decisions)
        self._thinning = ThinControl(
            ports.log, self.decisions, self.config.thin, self._table.epoch >> TERM_SHIFT,
            self.config.unhurried,
        )

    # -- the workers' calls ------------------------------------------------------------------------

    def register(self, worker_id: int, incarnation: int, node: str = "") -> Assignment:
        """A worker is there (again), on `node`. Its flows of before have waited since it went: they
        get an owner at once, not with the next tick."""
        with self._lock:
            now_ns = self._clock_ns()
            again = worker_id in self._table.members
            if self.superseded:
                return Assignment(0, known=False)
            ended = incarnation <= self._ended.get(worker_id, -1) or worker_id in self._withdrawn
            if ended or (worker_id in self._retiring and not again):
                return Assignment(self._table.epoch, drain=True, known=False, retired=True)
            if not self._table.register(worker_id, incarnation, now_ns):
                return Assignment(self._table.epoch, drain=True, known=False, retired=True)
            self._view.begin(worker_id, incarnation)
            self._started.pop(worker_id, None)
            self._changed_members = True
            reason = "restarted" if again else "started"
            self.decisions.note("worker_registered", reason, {"worker": worker_id, "node": node})
            if again:
                self._guarded("assign", lambda: self._assign(now_ns))
            if self.superseded:
                return Assignment(0, known=False)
            return self._table.assignment(worker_id)

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        """Take a report; the answer is exactly what the worker is to hold."""
        with self._lock:
            member = self._table.members.get(worker_id)
            if self.superseded or member is None:
                return Assignment(0, known=False)
            if report.incarnation != member.incarnation:
                old = report.incarnation < member.incarnation
                return Assignment(self._table.epoch, known=False, retired=old)
            member.seen_ns = self._clock_ns()
            self._table.report(worker_id, report)
            self._view.take(worker_id, report, member.seen_ns)
            return self._table.assignment(worker_id)

    # -- the coordinator's own turn ----------------------------------------------------------------

    def tick(self) -> None:
        """One round. Trouble with log or store is remembered and met again in the next round."""
        with self._lock:
            if self.superseded:
                return
            now_ns = self._clock_ns()
            self._guarded("discover", self._matches.discover)
            self._call_back()
            self._bury(now_ns)
            if now_ns - self._observed_ns >= self.config.observe_ns:
                self._guarded("observe", lambda: self._observe(now_ns))
            if now_ns - self._thinned_ns >= self.config.thin_ns:
                self._guarded("thin", lambda: self._thin(now_ns))
            self._scale_down(now_ns)
            self._guarded("assign", lambda: self._assign(now_ns))
            self.decisions.flush()

    def _guarded(self, what: str, do: Callable[[], None]) -> None:
        try:
            do()
        except FencedError as error:
            self.superseded = True
            self.errors[what] = str(error)
        except (OSError, TouchlineError) as error:
            self.errors[what] = str(error)
        else:
            self.errors.pop(what, None)

    def _call_back(self) -> None:
        """Start the predecessor's workers, once: after a restart of everything none is there, and
        to wait until their silence is noticed would cost seconds. One that runs is left alone."""
        for worker in sorted(self._wanted_back):
            self._ports.launcher.start(worker)
        self._wanted_back = set()

    def _bury(self, now_ns: int) -> None:
        """Take the flows of workers that are silent or stand still."""
        config = self.config
        stalled = self._view.stalled(now_ns, config.stalled_after_ns)
        for worker in self._table.silent(now_ns, config.dead_after_ns):
            self._lose(worker, "missed_heartbeats", now_ns)
        for worker in stalled & self._table.members.keys():
            self._lose(worker, "stands_still", now_ns)
        for worker, since_ns in list(self._started.items()):
            if now_ns - since_ns > config.start_patience_ns:
                self._started[worker] = now_ns
                self.decisions.note("worker_start_again", "never_registered", {"worker": worker})
                self._ports.launcher.start(worker)

    def _lose(self, worker: int, reason: str, now_ns: int) -> None:
        count = self._table.lose(worker)
        self._view.end(worker)
        self.decisions.note("worker_dead", reason, {"worker": worker, "flows": count})
        if worker in self._retiring:
            self._retiring.discard(worker)
            self._ports.launcher.drain(worker)
        else:
            # The same worker is wanted back; the launcher leaves one that still runs alone.
            self._started[worker] = now_ns
            self._ports.launcher.start(worker)

    # -- scaling -----------------------------------------------------------------------------------

    def _observe(self, now_ns: int) -> None:
        self._observed_ns = now_ns
        self._view.observe(now_ns, self._table)
        self._forecast.observe(now_ns, self._view.arrival_per_s)
        self._matches.forecast.observe(now_ns, self._view.arrivals)
        scale = self._policy.decide(replace(self._signals(now_ns), crowded=self._crowded()))
        have = len(self._members()) + len(self._started)
        new = self._last_scale is None or scale.reason != self._last_scale.reason
        self._last_scale = scale
        detail = {"from": have, "to": scale.target, **self._view.signals()}
        if scale.target != have:
            self.decisions.note("scale", scale.reason, detail)
        elif new and scale.reason in HELD:
            self.decisions.note("scale_held", scale.reason, detail)
        if scale.target > have:
            self._scale_up(scale.target - have, now_ns)
        elif scale.target < have:
            self._retire(have - scale.target)
        self._want_nodes(now_ns, scale if scale.target > have else None)

    def _want_nodes(self, now_ns: int, growth: Scale | None) -> None:
        """Ask the cluster ahead for room, or take that back. Raises NodesAwayError: tried again."""
        signals = self._signals(now_ns)
        rise = self._matches.forecast.change(self.config.prewarm.node_start_s)
        foreseen = growth is not None and growth.reason == ScaleReason.FORECAST
        change = self._wish.follow(PrewarmSignals(
            now_ns, signals.ready, signals.capacity_per_s, signals.arrival_per_s, rise,
            growth.target if growth is not None and foreseen else 0,
        ))
        if change is not None:
            self.decisions.note("prewarm", change.reason, change.detail)

    def let_nodes_go(self) -> None:
        """Take back what the cluster was asked for. Raises NodesAwayError."""
        with self._lock:
            self._wish.take_back()

    def _thin(self, now_ns: int) -> None:
        """Tell edges to thin calm flows where the pool does not keep up. Raises LogError."""
        self._thinned_ns = now_ns
        signals, scale = self._signals(now_ns), self._last_scale
        short = 0.0 < signals.capacity_per_s < signals.forecast_per_s
        ahead = short and scale is not None and scale.reason in HELD
        self._thinning.step(now_ns, self._table.venues, self._view, ahead, self._load(now_ns))

    def _load(self, now_ns: int) -> float:
        """What comes in real time, as a multiple of what the pool could do; not looked at where
        nothing is ever thinned. Raises LogError."""
        if not self.config.thin.most:
            return 0.0
        venues, reports = self._table.venues, self._view.reports.values()
        if now_ns - self._loaded_ns >= self.config.load_ns:
            self._loaded_ns = now_ns
            self._meter.note(
                now_ns, self._view.arrived(self._table), sum(r.work_n for r in reports),
                sum(r.busy_ns for r in reports),
            )
        return self._meter.load(venues.keys() - self.config.unhurried, len(reports))

    def _signals(self, now_ns: int) -> PoolSignals:
        view = self._view
        return PoolSignals(
            now_ns, len(self._members()), len(self._started), view.hot_backlog_s,
            view.calm_backlog_s, view.arrival_per_s, self._ahead_per_s(), view.service_per_s,
            view.utilisation,
        )

    def _crowded(self) -> float:
        """See `PoolSignals.crowded`; the cluster is asked only where it matters."""
        crowded = self._view.crowded
        matters = crowded > self.config.pool.crowded_high
        return crowded if matters and self._ports.nodes.alone() else 0.0

    def _ahead_per_s(self) -> float:
        """The rate when a worker that is started now is ready: the trend's, or the timetable's."""
        config = self.config
        timetable = self._view.arrival_per_s + self._matches.forecast.change(config.timetable_s)
        return max(self._forecast.ahead(config.forecast_s), timetable)

    def _members(self) -> list[int]:
        """Workers that are registered and stay."""
        return [w for w in sorted(self._table.members) if w not in self._retiring]

    def _scale_up(self, count: int, now_ns: int) -> None:
        taken = self._table.members.keys() | self._started.keys() | self._retiring
        free = (worker for worker in range(len(taken) + count) if worker not in taken)
        for worker in [next(free) for _ in range(count)]:
            self._started[worker] = now_ns
            self._withdrawn.discard(worker)
            self._ports.launcher.start(worker)

    def _retire(self, count: int) -> None:
        """Those that are still awaited go first, then those that hold least; of equals, the
        youngest."""
        for worker in sorted(self._started, reverse=True)[:count]:
            del self._started[worker]
            self._withdrawn.add(worker)
            self.decisions.note("worker_withdrawn", "not_wanted_any_more", {"worker": worker})
            self._ports.launcher.drain(worker)
            count -= 1
        order = sorted(self._members(), key=lambda w: (self._table.holdings(w), -w))
        for worker in order[:count]:
            self._retiring.add(worker)
            self._table.drain(worker)

    def _scale_down(self, now_ns: int) -> None:
        """End retiring workers once they hold nothing."""
        for worker in sorted(self._retiring & self._table.members.keys()):
            report = self._view.reports.get(worker)
            empty = report is None or not any(report.held.values())
            if not self._table.holdings(worker) and empty:
                self._ended[worker] = self._table.members[worker].incarnation
                self._table.lose(worker)
                self._view.end(worker)
                self._retiring.discard(worker)
                self.decisions.note("worker_drained", "scaled_down", {"worker": worker})
                self._ports.launcher.drain(worker)

    # -- assignment --------------------------------------------------------------------------------

    def _assign(self, now_ns: int) -> None:
        """Plan, fence what is free to be fenced, grant, store. Raises LogError, StorageError."""
        for venue, row in self._table.overdue(now_ns, self.config.release_ns):
            self.decisions.note("flow_taken", "not_released_in_time", {"venue": venue, "row": row})
        due_ns = self._rebalanced_ns + self.config.rebalance_ns
        rebalance = now_ns >= due_ns or (self._changed_members and self.config.assignment.even)
        moves: list[Move] = []
        # Who has an owner keeps it: only a change of owners, workers or venues asks for a plan.
        if rebalance or self._planned != self._table.version:
            self._planned = self._table.version
            moves = plan_moves(self._infos(), self._workers(), self.config.assignment, rebalance)
        if rebalance:
            self._rebalanced_ns = now_ns
        self._changed_members = False
        before = self._table.epoch
        if self._table.move(moves, now_ns):
            reasons = sorted({str(move.reason) for move in moves})
            detail = {"flows": len(moves), "to": sorted({move.target for move in moves})}
            self.decisions.note("flows_assigned", "+".join(reasons), detail)
        if self._grant_due() or self._table.epoch != before:
            self._store()

    def _infos(self) -> list[FlowInfo]:
        hot = self._view.hot()
        infos = []
        for flow, entry in self._table.flows():
            owner = entry.owner if entry.target is None else entry.target
            infos.append(FlowInfo(flow, owner, flow in hot, entry.had_owner))
        return infos

    def _workers(self) -> list[WorkerInfo]:
        return [
            WorkerInfo(worker, self._view.busy.get(worker, 0.0), member.draining)
            for worker, member in sorted(self._table.members.items())
        ]

    def _grant_due(self) -> bool:
        """Fence and grant. The epoch is stored before any stream is fenced with it, so that no
        later coordinator can use it again."""
        due = self._table.due()
        if not due:
            return False
        self._table.epoch += 1
        self._store()
        for one in due:
            venue, row = one.flow
            place = self._table.venues[venue]
            stream = flow_stream(place.match_id, place.subject_ids[row])
            self._ports.log.fence(events_topic(venue), stream, self._table.epoch)
            self._table.granted(one, self._table.epoch)
        return True

    def _store(self) -> None:
        """Raises FencedError when another coordinator has taken over."""
        self._ports.snapshots.put(TABLE_KEY, self._table.to_json(), self._table.epoch)

    def _restore(self, now_ns: int) -> Ownership:
        """The table of the last coordinator, in a new term. Raises LogError, StorageError.

        The log counts terms, and every epoch of a term is above all of the terms before it: what a
        predecessor that still runs stores or fences is refused, even if our table was lost.
        """
        term = self._ports.log.fence(ACTIONS_TOPIC, TERM_STREAM)
        found = self._ports.snapshots.get(TABLE_KEY)
        if found is None:
            table = Ownership()
            table.epoch = term << TERM_SHIFT
            return table
        table = Ownership.from_json(found[0], now_ns)
        table.epoch = max(term << TERM_SHIFT, found[1] + 1)
        self._ports.snapshots.put(TABLE_KEY, table.to_json(), table.epoch)
        self._retiring = {w for w, member in table.members.items() if member.draining}
        self.decisions.note("coordinator_restarted", "started_again", {"epoch": table.epoch})
        return table

    # -- for people and jobs -----------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """How the pool stands, as JSON values."""
        with self._lock:
            scale = self._last_scale
            view = self._view.status(self._table, self.config.venues)
            view["all_final"] &= not self._matches.waiting
            return {
                "epoch": self._table.epoch, "superseded": self.superseded,
                "errors": dict(self.errors), "pending": sorted(self._started),
                "scale": {"target": scale.target, "reason": str(scale.reason)} if scale else {},
                "prewarmed": self._wish.workers, "thinned": self._thinning.levels(),
                "forecast_per_s": self._ahead_per_s(),
                "decisions": list(self.decisions.recent), "decisions_n": self.decisions.count,
                **view,
            }

    def latency(self) -> dict[str, dict[str, Any]]:
        """stage -> histogram (`LatencyHistogram.from_dict`) over all workers there ever were."""
        with self._lock:
            return {stage: held.to_dict() for stage, held in self._view.latency().items()}
