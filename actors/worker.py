"""Worker: tails the log for the flows that it owns, hot ones first, and logs what comes of them.

A plain class with two hands. `step` is one turn of the work: adopt the newest assignment, read,
work, append, snapshot. `beat` talks to the coordinator: it sends the report that the last step
published and leaves the answer for the next step. The two may run in threads of their own; they
share only whole values. Losing the coordinator stops nothing; losing a flow (fenced) drops it at
once.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from actors.snapshot_writer import SnapshotWriter, WriteNow
from actors.worker_due import DueFlows
from actors.worker_outbox import Outbox
from actors.worker_ports import CoordinatorAwayError, WorkerConfig, WorkerPorts
from actors.worker_report import VenueBoard, standing
from actors.worker_venue import Stream, Tools, VenueFlows, load_roster, work_abreast
from cluster.names import insights_topic
from models.errors import FencedError, LogError, TouchlineError
from models.flows.lanes import Priority, Work
from models.flows.waits import WaitMeter
from models.latency import LatencyHistogram
from models.policies.ownership import Assignment, VenueGrant, WorkerReport
from models.readmodel_input import PREDICTION_TYPE

STORE_TRIES: Final = 3
RETRY_LOAD_NS: Final = 2_000_000_000
ABREAST: Final = 16
"""So many venues are worked on at once, see `work_abreast`."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """A grant that could not be kept; the coordinator is told from `tell_ns` on."""

    epoch: int
    tell_ns: int = 0


_NEVER_LOST: Final = _Lost(-1)


class Worker:
    """`incarnation` rises with every start of the same worker."""

    def __init__(
        self, worker_id: int, incarnation: int, ports: WorkerPorts,
        config: WorkerConfig | None = None,
    ) -> None:
        self.worker_id, self.incarnation = worker_id, incarnation
        self.config = config or WorkerConfig()
        self._ports, self._clock_ns = ports, ports.clock_ns
        self.counters: Counter[str] = Counter()
        self._outbox = Outbox(ports.log, ports.clock_ns, ports.appenders)
        self._writer: SnapshotWriter = ports.writer or WriteNow(ports.snapshots)
        self._tools = Tools(
            ports.log, ports.snapshots, self._outbox, Stream(f"worker/{worker_id}/{incarnation}"),
            ports.clock_ns, LatencyHistogram(), self.counters, ports.make_kernel,
            self.config.pending,
        )
        self._venues: dict[str, VenueFlows] = {}
        self._board = VenueBoard()
        self._inbox: Assignment | None = None
        self._adopted = Assignment(0)
        self._registered = False
        self._lost: dict[tuple[str, int], _Lost] = {}
        self._due = DueFlows()
        self._busy_ns = self._turn = 0
        self._round_ns, self._late = self._clock_ns(), False
        self._waits = WaitMeter()
        self._gone_rows = self._gone_work = 0
        self.retired = self.drained = False
        self.error = ""
        self._pid = os.getpid()
        self.report = WorkerReport(incarnation, 0, self._clock_ns(), pid=self._pid)

    # -- the coordinator ---------------------------------------------------------------------------

    def beat(self) -> None:
        """One exchange with the coordinator. Never raises for one that is away."""
        coordinator, report = self._ports.coordinator, self.question()
        try:
            if report is not None:
                answer = coordinator.heartbeat(self.worker_id, report)
            else:
                answer = coordinator.register(self.worker_id, self.incarnation)
        except CoordinatorAwayError as error:
            self.unheard(error)
        else:
            self.hear(answer)

    def question(self) -> WorkerReport | None:
        """What the next beat says; None: it registers."""
        return self.report if self._registered else None

    def hear(self, answer: Assignment) -> None:
        """Take the answer to a beat; the next step acts on it."""
        self._registered = answer.known
        self._inbox = answer

    def unheard(self, error: CoordinatorAwayError) -> None:
        """A beat got no answer."""
        self.counters["coordinator_away"] += 1
        self.error = str(error)

    # -- the work ----------------------------------------------------------------------------------

    def step(self) -> bool:
        """One bounded turn; False when there was nothing to do."""
        start_ns = self._clock_ns()
        if not self._outbox.flush():
            self._handle_fenced()
            self._publish()
            return False
        self._handle_fenced()
        adopted = self._adopt()
        moved = self._round(start_ns) or adopted
        moved = self._collect_predictions() or moved
        if self._outbox.flush():
            self._handle_fenced()
            self._store_one()
        now_ns = self._clock_ns()
        if moved:
            self._busy_ns += now_ns - start_ns
        if adopted or now_ns - self.report.now_ns >= self.config.publish_ns:
            self._publish()
        return moved

    def idle(self) -> bool:
        """Whether all that was read is done and durable, and every net has answered."""
        waits = [since for f in self._venues.values() for since in f.backlog.waits_since().values()]
        waiting = any(since_ns is not None for since_ns in waits)
        owners = [(v, row) for v, flows in self._venues.items() for row in flows.epochs]
        return not waiting and not len(self._outbox) and not any(map(self._ports.nets.busy, owners))

    def _round(self, start_ns: int) -> bool:
        """A few venues after the other until all had their turn or the budget is spent; the next
        time it goes on with the next."""
        moved, venues, now_ns = False, list(self._venues.values()), start_ns
        left = len(venues)
        while left:
            some = [self._next_venue(venues) for _ in range(min(left, ABREAST))]
            left -= len(some)
            for flows in some:
                moved = self._read(flows) or moved
            while batches := self._batches(some, now_ns):
                moved = True
                if not self._do(batches):
                    return True
                now_ns = self._clock_ns()
                if now_ns - start_ns > self.config.budget_ns:
                    return True
        return moved

    def _next_venue(self, venues: Sequence[VenueFlows]) -> VenueFlows:
        """Whose turn it is. Whoever needs long for all of them is late."""
        self._turn = (self._turn + 1) % len(venues)
        if self._turn == 0:
            now_ns = self._clock_ns()
            self._late = now_ns - self._round_ns > self.config.late_ns
            self._round_ns = now_ns
        return venues[self._turn]

    def _read(self, flows: VenueFlows) -> bool:
        try:
            return flows.read() > 0
        except LogError as error:
            self.counters["read_failed"] += 1
            self.error = str(error)
            return False

    def _batches(self, some: Sequence[VenueFlows], now_ns: int) -> list[tuple[VenueFlows, Work]]:
        """What is hot at each of these venues, else what is calm. A worker that is late looks after
        hot flows first: a venue without any waits until its records have lain for `linger_ns`, and
        then costs no more for it."""
        since_ns = now_ns - self.config.linger_ns if self._late else None
        found = [(flows, flows.backlog.next_work(since_ns)) for flows in some]
        return [(flows, work) for flows, work in found if work is not None]

    def _do(self, batches: Sequence[tuple[VenueFlows, Work]]) -> bool:
        """Do a batch of each of these venues; False when the log takes nothing now."""
        hot = [flows.backlog.hot() for flows, _ in batches]
        self._ports.nets.submit(work_abreast(batches))
        now_ns = self._clock_ns()
        for (flows, work), hot_here in zip(batches, hot, strict=True):
            for priority, oldest in work.oldest(hot_here).items():
                self._waits.note(now_ns, priority, now_ns - oldest.t_append_ns)
            if work.held[-1].record.final:
                for row in work.subjects:
                    self._due.set((flows.venue_id, row), 0)
        # Hot effects do not wait for calm ones to be durable; those of a late worker wait for the
        # end of its turn, since appending them one by one makes it later still.
        if not self._late and any(work.priority == Priority.HOT for _, work in batches):
            if not self._outbox.flush():
                return False
            self._handle_fenced()
        return True

    def _collect_predictions(self) -> bool:
        predictions = self._ports.nets.poll()
        for prediction in predictions:
            task = prediction.task
            record = self._tools.stream.record(task.t_ns, prediction.encode(), PREDICTION_TYPE)
            self._outbox.put(insights_topic(task.venue_id), record, 0)
        return bool(predictions)

    # -- assignments -------------------------------------------------------------------------------

    def _adopt(self) -> bool:
        """Make what we hold what the newest assignment says. All effects are durable here."""
        wanted, self._inbox = self._inbox, None
        if wanted is None:
            return False
        if wanted.retired or not wanted.known:
            # Others own our flows by now: nothing of ours may be stored.
            self.retired = self.retired or wanted.retired
            for flows in self._venues.values():
                self._forget(flows, list(flows.epochs))
            self._adopted = Assignment(0)
            return True
        if wanted.epoch < self._adopted.epoch or (wanted == self._adopted and not self._lost):
            return False
        changed = self._release_unwanted(wanted)
        for venue_id, grant in sorted(wanted.venues.items()):
            changed = self._take_granted(venue_id, grant) or changed
        self._adopted = wanted
        self.drained = wanted.drain and not any(f.epochs for f in self._venues.values())
        return changed

    def _release_unwanted(self, wanted: Assignment) -> bool:
        changed = False
        for venue_id, flows in list(self._venues.items()):
            grant = wanted.venues.get(venue_id)
            if grant is None or grant.roster_offset != flows.roster_offset:
                keep: dict[int, int] = {}
            else:
                keep = grant.subjects
            leaving = [row for row, epoch in flows.epochs.items() if keep.get(row) != epoch]
            if leaving:
                self._hand_over(flows, leaving)
                changed = True
            if not flows.epochs and not keep:
                self._gone_rows += flows.rows_n
                self._gone_work += flows.work_n
                del self._venues[venue_id]
        return changed

    def _hand_over(self, flows: VenueFlows, rows: list[int]) -> None:
        """Store flows for their next owner, then let go of them. One that cannot be stored is let
        go all the same: its next owner replays more."""
        self._ports.nets.settle({(flows.venue_id, row) for row in rows})
        self._collect_predictions()
        self._outbox.flush()
        # What is on its way is older, and must not come to lie above what is stored now.
        self._writer.settle()
        for row in rows:
            for _ in range(STORE_TRIES):
                try:
                    flows.store(row)
                    break
                except FencedError:
                    break
                except (OSError, TouchlineError):
                    self.counters["snapshot_failed"] += 1
        self._forget(flows, rows)

    def _take_granted(self, venue_id: str, grant: VenueGrant) -> bool:
        flows = self._venues.get(venue_id)
        held = flows.epochs if flows is not None else {}
        fresh = {
            row: epoch for row, epoch in grant.subjects.items()
            if row not in held and self._lost.get((venue_id, row), _NEVER_LOST).epoch < epoch
        }
        if not fresh:
            return False
        try:
            if flows is None:
                roster = load_roster(self._ports.log, venue_id, grant.roster_offset)
                flows = VenueFlows(self._tools, roster, grant.roster_offset)
            failed = flows.take(fresh)
        except TouchlineError as error:
            self.error = str(error)
            failed = list(fresh)
        else:
            self._venues[venue_id] = flows
        now_ns = self._clock_ns()
        for row in fresh:
            self._lost.pop((venue_id, row), None)
            if row in failed:
                # Whatever stands in the way gets time to pass before the coordinator tries again.
                self._lost[venue_id, row] = _Lost(fresh[row], now_ns + RETRY_LOAD_NS)
            else:
                # Spread over the interval, so that no turn has to store them all.
                phase = 0.5 + (row * 7919 % 64) / 64
                self._due.set((venue_id, row), now_ns + int(phase * self.config.snapshot_ns))
        return True

    def _handle_fenced(self) -> None:
        """Drop flows that others have taken over, at once and without storing anything."""
        for stream in sorted(self._outbox.take_fenced()):
            for venue_id, flows in self._venues.items():
                rows = [row for row in flows.epochs if flows.streams[row] == stream]
                for row in rows:
                    self.counters["flows_fenced"] += 1
                    self._lost[venue_id, row] = _Lost(flows.epochs[row])
                self._forget(flows, rows)

    def _forget(self, flows: VenueFlows, rows: list[int]) -> None:
        self._ports.nets.settle({(flows.venue_id, row) for row in rows})
        self._outbox.drop({flows.streams[row] for row in rows})
        for row in rows:
            self._due.drop((flows.venue_id, row))
        flows.release(rows)

    # -- snapshots and report ----------------------------------------------------------------------

    def _store_one(self) -> None:
        """Snapshot the flow that is most overdue, if any is. Everything is durable here.

        A flow whose windows are still with the nets waits (another snapshot interval at most): a
        restart from the snapshot would not ask them again.
        """
        self._note_stored()
        if self._writer.busy():
            return
        now_ns, nets = self._clock_ns(), self._ports.nets
        while (key := self._due.take(
            now_ns, lambda key, late_ns: late_ns < self.config.snapshot_ns and nets.busy(key)
        )) is not None:
            self._due.set(key, now_ns + self.config.snapshot_ns)
            what = self._venues[key[0]].snapshot_of(key[1])
            if what is not None:
                self._writer.begin(what)
                self._note_stored()
                return

    def _note_stored(self) -> None:
        """Take notice of snapshots that were written, or could not be."""
        for what, error in self._writer.take_done():
            venue_id, row = what.of
            flows = self._venues.get(venue_id)
            # One that has another owner by now, or has begun anew, is no concern of ours.
            if flows is None or flows.epochs.get(row) != what.epoch:
                continue
            if error is None:
                self.counters["snapshots"] += 1
                flows.stored[row] = what.offset
            elif isinstance(error, FencedError):
                self.counters["flows_fenced"] += 1
                self._lost[venue_id, row] = _Lost(what.epoch)
                self._forget(flows, [row])
            elif isinstance(error, OSError | TouchlineError):
                self.counters["snapshot_failed"] += 1
                self.error = str(error)
            else:
                raise error

    def _publish(self) -> None:
        self._tools.settle()
        board, outbox, now_ns = self._board, self._outbox, self._clock_ns()
        board.look(self._venues)
        totals = board.totals()
        lost: dict[str, tuple[int, ...]] = {}
        for (venue_id, row), one in sorted(self._lost.items(), key=lambda item: item[0]):
            if one.tell_ns <= now_ns:
                lost[venue_id] = (*lost.get(venue_id, ()), row)
        self.report = WorkerReport(
            self.incarnation, self._adopted.epoch, now_ns,
            **board.fields(durable=not len(outbox)), lost=lost,
            backlog_s=board.backlog_s(now_ns, self._waits.worst_ns(now_ns)),
            work_n=self._gone_work + totals.work_n, rows_n=self._gone_rows + totals.rows_n,
            busy_ns=self._busy_ns, core=self._ports.core_time(),
            latency={
                "log": self._tools.read_latency.to_dict(),
                "worker": outbox.latency.to_dict(), "net": self._ports.nets.latency.to_dict(),
            },
            counters={
                **self.counters, **self._ports.nets.counters,
                "appended": outbox.appended, "repeated": outbox.repeated,
                "append_failures": outbox.failures,
                "held_records": totals.held_records, "held_bytes": totals.held_bytes,
            },
            error=outbox.error or self.error, pid=self._pid,
        )

    def stats(self) -> dict[str, Any]:
        """How the worker stands, as JSON values, for people."""
        return standing(self.worker_id, self.report, self.drained)
