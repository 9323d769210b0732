"""VenueFlows: one worker's flows of one venue: kernel, backlog, and what their records turn into.

Reads and decodes telemetry, runs the flow kernel on the batches that the backlog chooses, and
hands effects to the outbox and to the nets. Loads and stores flow snapshots. Decides nothing about
who owns what. Offsets are those of the venue's telemetry topic, rows are rows of
`Roster.subjects`.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from actors.net_client import NetTask, fits
from actors.snapshot_writer import Writing
from actors.worker_outbox import Outbox
from actors.worker_snapshots import FlowSnapshot, SnapshotPort, flow_key, flow_stream
from cluster.eventlog.port import EventLog, Record, StoredRecord
from cluster.names import events_topic, insights_topic, roster_topic, telemetry_topic
from models.errors import LogError, OffsetError, SchemaError, TouchlineError
from models.events.envelope import EVENT_TYPE, Event, to_cloudevent
from models.flows.effects import FlowEffects, NetWindow
from models.flows.lanes import Held, Work
from models.flows.pending import Backlog, PendingConfig, Read
from models.flows.state_wire import Messages, MouldCache
from models.flows.states import StateRows, encode_states
from models.latency import LatencyHistogram
from models.readmodel_input import STATES_TYPE
from models.telemetry.devices import index_of
from models.telemetry.flow_records import RecordDecoder
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Roster

PIN_NS: Final = 60_000_000_000
"""A flow stays hot so long after a man-down event."""
PINNING: Final = frozenset({"man_down"})


class Kernel(Protocol):
    """What is needed of `models.flows.kernel.FlowKernel`."""

    def handle(
        self, records: Sequence[TelemetryRecord], subjects: NDArray[np.int32], *,
        since_ns: NDArray[np.int64] | None = None,
    ) -> FlowEffects: ...

    def snapshot(self, subjects: NDArray[np.int32]) -> bytes: ...

    def restore(self, payload: bytes) -> Any: ...

    def forget(self, subjects: NDArray[np.int32]) -> None: ...


@dataclass(slots=True)
class Stream:
    """The worker's own stream of insights: its name, and the next number in it."""

    name: str
    seq: int = 0

    def record(self, t_ns: int, payload: bytes, content_type: str) -> Record:
        record = Record(self.name, self.seq, t_ns, payload, content_type)
        self.seq += 1
        return record


@dataclass(frozen=True, slots=True)
class Tools:
    """What the venues of a worker share."""

    log: EventLog
    snapshots: SnapshotPort
    outbox: Outbox
    stream: Stream
    clock_ns: Callable[[], int]
    read_latency: LatencyHistogram
    counters: Counter[str]
    make_kernel: Callable[[Roster], Kernel]
    pending: PendingConfig
    messages: Messages = field(default_factory=dict)
    reads_ns: list[int] = field(default_factory=list)
    """How long records had lain in the log when they were read, since the last `settle`."""

    def settle(self) -> None:
        """Put what was collected into the histogram: one by one costs more than the reading."""
        self.read_latency.record(self.reads_ns)
        self.reads_ns.clear()


def load_roster(log: EventLog, venue_id: str, offset: int) -> Roster:
    """The roster at `offset` of the venue's roster topic. Raises LogError, ConfigError."""
    found = log.read(roster_topic(venue_id), offset, 1)
    if not found or found[0].offset != offset:
        raise LogError(f"{roster_topic(venue_id)}: no roster at {offset}")
    return Roster.from_json(found[0].record.payload)


class VenueFlows:
    """`epochs` are the flows held, with the epoch of their grant; never written to, so that a
    report may have them as they are."""

    def __init__(self, tools: Tools, roster: Roster, roster_offset: int) -> None:
        self.tools = tools
        self.venue_id, self.match_id = roster.venue_id, roster.match_id
        self.roster_offset = roster_offset
        self.subject_ids = [subject.subject_id for subject in roster.subjects]
        self.streams = [flow_stream(self.match_id, name) for name in self.subject_ids]
        self.row_of = roster.subject_row()
        self.epochs: Mapping[int, int] = {}
        self.final: frozenset[int] = frozenset()
        self.backlog = Backlog(tools.pending)
        self.rows_n = self.work_n = 0
        self._moulds = MouldCache(tools.messages)
        self._decoder = RecordDecoder(index_of(roster).rows_of)
        self._kernel = tools.make_kernel(roster)
        self.stored: dict[int, int] = {}
        self._telemetry = telemetry_topic(self.venue_id)

    # -- flows -------------------------------------------------------------------------------------

    def take(self, grants: Mapping[int, int]) -> list[int]:
        """Take over flows (row -> epoch) from their snapshots; those that could not be loaded.

        Raises LogError when the log does not answer; nothing is taken then.
        """
        begin = self.tools.log.describe(self._telemetry).begin
        offsets: dict[int, int] = {}
        lost: list[int] = []
        for row in sorted(grants):
            try:
                offsets[row] = self._load(row, begin)
            except (OSError, TouchlineError):
                self.tools.counters["flow_load_failed"] += 1
                lost.append(row)
                continue
            self.stored[row] = offsets[row]
        self.epochs = {**self.epochs, **{row: grants[row] for row in offsets}}
        self.backlog.add(offsets)
        return lost

    def release(self, rows: Iterable[int]) -> None:
        """Let go of flows; whoever wants their state has stored it before."""
        gone = self.epochs.keys() & set(rows)
        if not gone:
            return
        for row in gone:
            self.stored.pop(row, None)
            self.backlog.remove(row)
        self.final -= gone
        self.epochs = {row: epoch for row, epoch in self.epochs.items() if row not in gone}
        self._kernel.forget(np.array(sorted(gone), np.int32))

    def store(self, row: int) -> bool:
        """Snapshot a flow whose effects are all durable; False when nothing has changed since.

        Raises FencedError, StorageError (a TouchlineError), OSError.
        """
        what = self.snapshot_of(row)
        if what is None:
            return False
        self.tools.snapshots.put(what.key, what.payload, what.epoch)
        self.stored[row] = what.offset
        return True

    def snapshot_of(self, row: int) -> Writing | None:
        """What is to be stored of a flow whose effects are all durable; None when nothing has
        changed since it was."""
        offset = self.backlog.offsets()[row]
        if self.stored.get(row) == offset:
            return None
        state = self._kernel.snapshot(np.array([row], np.int32))
        snapshot = FlowSnapshot(offset, row in self.final, state)
        key = flow_key(self.venue_id, self.match_id, self.subject_ids[row])
        return Writing((self.venue_id, row), key, snapshot.encode(), self.epochs[row], offset)

    def _load(self, row: int, begin: int) -> int:
        """Restore a flow; the offset from which it goes on."""
        key = flow_key(self.venue_id, self.match_id, self.subject_ids[row])
        rows = np.array([row], np.int32)
        self._kernel.forget(rows)
        found = self.tools.snapshots.get(key)
        if found is None:
            return begin
        try:
            snapshot = FlowSnapshot.decode(found[0])
            self._kernel.restore(snapshot.state)
        except SchemaError:
            # Written by a version that this one cannot read: the log still has it all.
            self.tools.counters["flow_snapshot_unreadable"] += 1
            self._kernel.forget(rows)
            return begin
        if snapshot.final:
            self.final |= {row}
        if snapshot.offset < begin:
            self.tools.counters["records_trimmed_unread"] += begin - snapshot.offset
        return max(snapshot.offset, begin)

    # -- reading -----------------------------------------------------------------------------------

    def read(self) -> int:
        """Read what the backlog has room for; how many records came. Raises LogError."""
        count = 0
        for wish in self.backlog.reads():
            try:
                stored = self.tools.log.read(
                    self._telemetry, wish.offset, wish.max_records, wish.max_bytes
                )
            except OffsetError as error:
                if wish.offset >= error.begin:
                    raise
                self.tools.counters["records_trimmed_unread"] += error.begin - wish.offset
                self.backlog.feed(wish, [], error.begin)
                continue
            if stored:
                count += len(stored)
                self._feed(wish, stored)
            else:
                self.backlog.feed(wish, [], wish.offset)
        return count

    def _feed(self, wish: Read, stored: Sequence[StoredRecord]) -> None:
        now_ns = self.tools.clock_ns()
        held = []
        for one in stored:
            try:
                record = self._decoder.decode(one.record.payload)
            except SchemaError:
                self.tools.counters["records_unreadable"] += 1
                continue
            if record.match_id != self.match_id:
                self.tools.counters["records_of_other_match"] += 1
                continue
            self.rows_n += record.rows
            held.append(Held(one.offset, record, len(one.record.payload), one.t_append_ns, now_ns))
        self.tools.reads_ns.extend(now_ns - one.t_append_ns for one in stored)
        self.backlog.feed(wish, held, stored[-1].offset + 1)

    # -- work --------------------------------------------------------------------------------------

    def handle(self, work: Work) -> FlowEffects:
        """What the kernel makes of a batch; then `put_events`, `put_states` and `done`."""
        records = [held.record for held in work.held]
        since_ns = None if work.even else np.array(
            [records[first].t_from_ns for first in work.first], np.int64
        )
        return self._kernel.handle(records, np.array(work.subjects, np.int32), since_ns=since_ns)

    def put_events(self, work: Work, events: Sequence[Event]) -> None:
        """Events of a batch go to the outbox."""
        topic = events_topic(self.venue_id)
        starts = [held.record.t_from_ns for held in work.held]
        for event in events:
            # The flow that made it, which need not be its subject: a pass is made by the ball's.
            row = self.row_of[event.stream.removeprefix("flow/")]
            behind = work.held[max(bisect_left(starts, event.t_detected_ns) - 1, 0)].record
            payload = to_cloudevent(event, behind.marks.get("source", 0))
            record = Record(
                self.streams[row], event.seq, event.t_event_ns, payload, EVENT_TYPE
            )
            self.tools.outbox.put(topic, record, self.epochs[row])
            if event.type in PINNING:
                self.backlog.pin(row, event.t_detected_ns + PIN_NS)

    def put_states(self, states: Sequence[StateRows]) -> None:
        """State rows of a batch go to the outbox."""
        topic, stream = insights_topic(self.venue_id), self.tools.stream
        for rows in states:
            if len(rows.t_ns):
                payload = encode_states(rows, self.subject_ids, self.match_id, self._moulds)
                record = stream.record(int(rows.t_ns[-1]), payload, STATES_TYPE)
                self.tools.outbox.put(topic, record, 0)

    def done(self, work: Work, windows: Sequence[NetWindow]) -> list[NetTask]:
        """A batch has all of its effects in the outbox; what is left is for the nets."""
        for held in work.held:
            self.tools.outbox.done_with(held.t_read_ns)
        if work.held[-1].record.final:
            self.final |= set(work.subjects)
        self.work_n += work.times
        self.backlog.done(work)
        return [self._task(window) for window in windows if fits(window.kind, window.data)]

    def _task(self, window: NetWindow) -> NetTask:
        subject = ("subject_id", self.subject_ids[window.subject])
        return NetTask(
            window.kind, self.venue_id, subject, int(window.t_ns),
            np.asarray(window.data, np.float32), window.event_id, (self.venue_id, window.subject),
            {"match_id": self.match_id},
        )


def work_abreast(batches: Sequence[tuple[VenueFlows, Work]]) -> list[NetTask]:
    """Do a batch of each of several venues, one sort of work after the other: effects go to the
    outbox, windows for the nets are given back. Code that runs for several venues in a row is in
    the processor's caches for all but the first, and most of what a visit costs is code."""
    made = [(flows, work, flows.handle(work)) for flows, work in batches]
    for flows, work, effects in made:
        flows.put_events(work, effects.events)
    for flows, _, effects in made:
        flows.put_states(effects.states)
    return [
        task for flows, work, effects in made for task in flows.done(work, effects.windows)
    ]
