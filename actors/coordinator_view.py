"""PoolView: what the coordinator knows of its workers and of the log, as rates, ages and totals.

Owns the arithmetic between raw counters and signals. Rates are per second; work is counted in
flow-records: one telemetry record handled for one flow.
"""

from dataclasses import dataclass
from typing import Any, Final

from cluster.eventlog.port import EventLog
from cluster.names import telemetry_topic
from models.latency import LatencyHistogram
from models.policies.assignment import Flow
from models.policies.linger import CoreTime, since
from models.policies.ownership import Ownership, WorkerReport

STAGES: Final = ("log", "worker", "net")
CROWDED_PART: Final = 0.3
"""Of what a look finds goes into `PoolView.crowded`: threads wait for a core by chance, too."""


@dataclass(slots=True)
class _Mark:
    """Counters of a worker as of one moment."""

    now_ns: int
    work_n: int
    rows_n: int
    busy_ns: int
    core: CoreTime


def _mark(report: WorkerReport) -> _Mark:
    return _Mark(report.now_ns, report.work_n, report.rows_n, report.busy_ns, report.core)


class PoolView:
    """Fed by heartbeats (`take`) and by `observe`, which also looks at the ends of the topics.

    busy: share of time that each worker spent on its turns; working: without what it waited for a
    core, which another worker beside it would not do for it. `utilisation` is the mean of that.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.reports: dict[int, WorkerReport] = {}
        self.busy: dict[int, float] = {}
        self.working: dict[int, float] = {}
        self.arrivals: dict[str, float] = {}
        self.rows_per_s: dict[int, float] = {}
        self.arrival_per_s = self.service_per_s = self.utilisation = self.crowded = 0.0
        self.hot_backlog_s = self.calm_backlog_s = 0.0
        self.min_size: int | None = None
        self.max_size = 0
        self._marks: dict[int, _Mark] = {}
        self._moved_ns: dict[int, int] = {}
        self._ends: dict[str, int] = {}
        self._ends_ns = 0
        self._restarts = 0
        self._past: dict[str, LatencyHistogram] = {s: LatencyHistogram() for s in STAGES}
        self._past_rows = 0
        self._past_counters: dict[str, int] = {}

    def begin(self, worker: int, incarnation: int) -> None:
        """A worker has registered; what its former self reported is kept in the totals."""
        former = self.reports.get(worker)
        if former is not None and former.incarnation != incarnation:
            self._restarts += 1
            self.end(worker)

    def take(self, worker: int, report: WorkerReport, now_ns: int) -> None:
        """The newest report of a worker, taken at `now_ns` of the coordinator's clock."""
        before = self.reports.get(worker)
        if before is None or before.now_ns != report.now_ns:
            self._moved_ns[worker] = now_ns
        self.reports[worker] = report
        self._marks.setdefault(worker, _mark(report))

    def end(self, worker: int) -> None:
        """The worker is gone."""
        report = self.reports.pop(worker, None)
        for held in (self._marks, self._moved_ns, self.busy, self.working, self.rows_per_s):
            held.pop(worker, None)
        if report is not None:
            self._past_rows += report.rows_n
            for stage, values in report.latency.items():
                self._past[stage].merge(LatencyHistogram.from_dict(values))
            for name, count in report.counters.items():
                if not name.startswith("held_"):
                    self._past_counters[name] = self._past_counters.get(name, 0) + count

    def stalled(self, now_ns: int, after_ns: int) -> set[int]:
        """Workers that answer, but whose loop has published nothing new for too long.

        By the coordinator's clock alone: that of a worker's machine may be minutes off.
        """
        return {w for w, moved_ns in self._moved_ns.items() if now_ns - moved_ns > after_ns}

    def observe(self, now_ns: int, table: Ownership) -> None:
        """Work out rates since the last call. Raises LogError."""
        self._observe_ends(now_ns, table)
        self.service_per_s = 0.0
        spent: list[CoreTime] = []
        for worker, report in self.reports.items():
            mark = self._marks[worker]
            span_s = (report.now_ns - mark.now_ns) / 1e9
            if span_s > 0:
                core = since(mark.core, report.core)
                spent.append(core)
                self.busy[worker] = min((report.busy_ns - mark.busy_ns) / 1e9 / span_s, 1.0)
                self.working[worker] = self.busy[worker] * (1.0 - core.crowded)
                self.rows_per_s[worker] = (report.rows_n - mark.rows_n) / span_s
                self.service_per_s += (report.work_n - mark.work_n) / span_s
                self._marks[worker] = _mark(report)
        if spent:
            now = CoreTime(sum(c.ran_ns for c in spent), sum(c.waited_ns for c in spent)).crowded
            self.crowded += CROWDED_PART * (now - self.crowded)
        held = [self.working.get(worker, 0.0) for worker in self.reports]
        self.utilisation = sum(held) / len(held) if held else 0.0
        backlogs = [report.backlog_s for report in self.reports.values()]
        self.hot_backlog_s = max((b.get("hot", 0.0) for b in backlogs), default=0.0)
        self.calm_backlog_s = max((b.get("calm", 0.0) for b in backlogs), default=0.0)
        size = len(table.members)
        self.max_size = max(self.max_size, size)
        if size:
            self.min_size = size if self.min_size is None else min(self.min_size, size)

    def arrived(self, table: Ownership) -> dict[str, int]:
        """venue -> flow-records that have come so far. Raises LogError."""
        ends = self._ends_now(table)
        return {venue: end * len(table.venues[venue].flows) for venue, end in ends.items()}

    def hot(self) -> set[Flow]:
        """Flows that are hot by their owner's word."""
        return {
            (venue, row) for report in self.reports.values()
            for venue, rows in report.hot.items() for row in rows
        }

    def signals(self) -> dict[str, float]:
        """What a scaling decision was based on."""
        return {
            "hot_backlog_s": round(self.hot_backlog_s, 3),
            "calm_backlog_s": round(self.calm_backlog_s, 3),
            "arrival_per_s": round(self.arrival_per_s, 1),
            "service_per_s": round(self.service_per_s, 1),
            "utilisation": round(self.utilisation, 3), "crowded": round(self.crowded, 3),
        }

    def latency(self) -> dict[str, LatencyHistogram]:
        """Histograms over all workers, those that are gone included."""
        merged = {stage: LatencyHistogram() for stage in STAGES}
        for stage, held in self._past.items():
            merged[stage].merge(held)
        for report in self.reports.values():
            for stage, values in report.latency.items():
                merged[stage].merge(LatencyHistogram.from_dict(values))
        return merged

    def status(self, table: Ownership, expected: tuple[str, ...]) -> dict[str, Any]:
        """Workers, venues, totals, as JSON values."""
        venues = {venue: self._venue(venue, table) for venue in sorted(table.venues)}
        there = bool(venues) and venues.keys() >= set(expected)
        return {
            "workers": {str(w): self._worker(w, table) for w in sorted(table.members)},
            "venues": venues, "size": len(table.members), "min_size": self.min_size or 0,
            "nodes": len({report.node for report in self.reports.values() if report.node}),
            "max_size": self.max_size, "worker_restarts": self._restarts,
            "lag_records": max((v["lag_records"] for v in venues.values()), default=0),
            "all_final": there and all(v["final"] == v["flows"] for v in venues.values()),
            "rows_n": self._past_rows + sum(r.rows_n for r in self.reports.values()),
            "counters": self._counters(), **self.signals(),
        }

    # -- inside ------------------------------------------------------------------------------------

    def _ends_now(self, table: Ownership) -> dict[str, int]:
        return {venue: self._log.describe(telemetry_topic(venue)).end for venue in table.venues}

    def _observe_ends(self, now_ns: int, table: Ownership) -> None:
        ends = self._ends_now(table)
        arrived = {
            venue: (end - self._ends.get(venue, end)) * len(table.venues[venue].flows)
            for venue, end in ends.items()
        }
        self._ends.update(ends)
        span_s = (now_ns - self._ends_ns) / 1e9
        if self._ends_ns and span_s > 0:
            self.arrivals = {venue: count / span_s for venue, count in arrived.items()}
            self.arrival_per_s = sum(self.arrivals.values())
        self._ends_ns = now_ns

    def _venue(self, venue: str, table: Ownership) -> dict[str, Any]:
        place, end = table.venues[venue], self._ends.get(venue, 0)
        owners: dict[str, int] = {}
        lags = []
        for row, entry in place.flows.items():
            owners[str(entry.owner)] = owners.get(str(entry.owner), 0) + 1
            report = self.reports.get(entry.owner) if entry.owner is not None else None
            offset = report.offsets.get(venue, {}).get(row) if report is not None else None
            if offset is not None:
                lags.append(max(end - offset, 0))
            elif not entry.final:
                lags.append(end)
        return {
            "match_id": place.match_id, "flows": len(place.flows), "owners": owners,
            "final": sum(entry.final for entry in place.flows.values()),
            "lag_records": max(lags, default=0), "end": end,
        }

    def _worker(self, worker: int, table: Ownership) -> dict[str, Any]:
        report = self.reports.get(worker)
        body: dict[str, Any] = {
            "flows": table.holdings(worker), "draining": table.members[worker].draining,
            "incarnation": table.members[worker].incarnation,
            "utilisation": round(self.busy.get(worker, 0.0), 3),
            "rows_per_s": round(self.rows_per_s.get(worker, 0.0), 1),
        }
        if report is not None:
            body |= {
                "pid": report.pid, "node": report.node, "epoch": report.epoch,
                "backlog_s": report.backlog_s, "rows_n": report.rows_n,
                "busy_s": round(report.busy_ns / 1e9, 3),
                "hot": sum(len(rows) for rows in report.hot.values()), "error": report.error,
                "counters": report.counters,
            }
        return body

    def _counters(self) -> dict[str, int]:
        totals = dict(self._past_counters)
        for report in self.reports.values():
            for name, count in report.counters.items():
                totals[name] = totals.get(name, 0) + count
        return totals
