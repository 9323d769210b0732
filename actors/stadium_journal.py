"""The stadium's side of the event log: what is durable, what is on its way, and under which epoch.

Effects are staged, then flushed topic by topic; a flush that fails half-way is repeated whole, and
the log skips what it has. Streams: `raw` numbers the raw records of the venue, `edge/<match>` what
the edge makes of them, `refusals` payloads that never became rows, `orders/<venue>/<match>` what
became of orders. All counters of `edge/<match>` and of the last follow from the raw records alone,
so a replay numbers its records the same.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cluster import names
from cluster.eventlog.port import EventLog, Record
from models.edge.effects import EdgeEffects, HealthWriter
from models.edge.standing import OrderAnswer, Outcome
from models.errors import LogError
from models.events.envelope import EVENT_TYPE, to_cloudevent
from models.latency import LatencyHistogram
from models.telemetry.decoded import Refusal
from models.telemetry.ipc_write import StreamWriter
from models.telemetry.quarantine import (
    REFUSALS_TYPE,
    REJECTED_TYPE,
    encode_refusals,
    encode_rejected,
)
from models.telemetry.raw import RawBatch, encode_raw
from models.telemetry.record import TelemetryRecord, encode_record
from models.telemetry.roster import Roster

RAW_STREAM: Final = "raw"
REFUSAL_STREAM: Final = "refusals"
ROSTER_STREAM: Final = "roster"
RAW_GROUP: Final = "edge"
RAW_TYPE: Final = "application/vnd.touchline.raw"
ACTION_TYPE: Final = "application/json"
TELEMETRY_TYPE: Final = "application/vnd.touchline.telemetry"
HEALTH_TYPE: Final = "application/vnd.touchline.device-health"
ROSTER_TYPE: Final = "application/json"
PATIENT: Final = "quarantine"
"""What nobody waits for: an append costs about as much as all that is done with a round's rows."""
PATIENCE_NS: Final = 1_000_000_000
MOST_PATIENT: Final = 16


def edge_stream(match_id: str) -> str:
    """The stream of everything that the edge makes of one match."""
    return f"edge/{match_id}"


def oldest_arrival_ns(record: TelemetryRecord) -> int:
    """Arrival of the row of `record` that came first; the record's end if it has none."""
    arrivals = [int(block.t_ingest_ns.min()) for block in record.blocks.values() if len(block)]
    return min(arrivals, default=record.t_to_ns)


@dataclass(slots=True)
class Counters:
    """What must survive a restart; all of it follows from the raw records handled so far.

    raw_offset: the next raw record to handle; cursors: where each source goes on; floor_ns: newest
    arrival time; ended: the final record has been made; refused: rows per reason label.
    """

    raw_offset: int = 0
    cursors: dict[str, int] = field(default_factory=dict)
    floor_ns: int = 0
    ended: bool = False
    quarantine_seq: int = 0
    health_seq: int = 0
    order_seq: int = 0
    raw_rows: int = 0
    raw_records: int = 0
    records: int = 0
    events: int = 0
    refused: dict[str, int] = field(default_factory=dict)


class Journal:
    """One per stadium; only its loop calls it."""

    def __init__(self, log: EventLog, roster: Roster) -> None:
        self.log = log
        self.roster = roster
        self.roster_sha = hashlib.sha256(roster.to_json().encode()).hexdigest()
        self.venue_id = roster.venue_id
        self.device_ids = [device.device_id for device in roster.devices]
        self._writer = StreamWriter(
            self.device_ids, [device.kind for device in roster.devices]
        )
        self._health_writer = HealthWriter(self.device_ids)
        self.stream = edge_stream(roster.match_id)
        self.order_stream = f"orders/{roster.venue_id}/{roster.match_id}"
        self.epoch = 0
        self.counters = Counters()
        self.latency = LatencyHistogram()
        self.appended_bytes: Counter[str] = Counter()
        self._raw_seq = 0
        self._refusal_seq = 0
        self._staged: dict[str, list[Record]] = {}
        self._marks: list[int] = []
        self._waits_from_ns = 0
        self.topics = {
            "raw": names.raw_topic(self.venue_id),
            "telemetry": names.telemetry_topic(self.venue_id),
            "events": names.events_topic(self.venue_id),
            "health": names.health_topic(self.venue_id),
            "quarantine": names.quarantine_topic(self.venue_id),
            "roster": names.roster_topic(self.venue_id),
            "actions": names.ACTIONS_TOPIC,
        }

    def fence(self) -> None:
        """Take over all streams of the venue; the raw stream's epoch is everybody's."""
        raw = self.topics["raw"]
        self.epoch = self.log.fence(raw, RAW_STREAM)
        for name in ("telemetry", "events", "health", "quarantine"):
            self.log.fence(self.topics[name], self.stream, self.epoch)
        self.log.fence(self.topics["quarantine"], REFUSAL_STREAM, self.epoch)
        self.log.fence(self.topics["roster"], ROSTER_STREAM, self.epoch)
        self.log.fence(self.topics["actions"], self.order_stream, self.epoch)
        self._raw_seq = self.log.last_seq(raw, RAW_STREAM) + 1
        self._refusal_seq = self.log.last_seq(self.topics["quarantine"], REFUSAL_STREAM) + 1

    def publish_roster(self, now_ns: int) -> None:
        """Append the roster, unless the newest one published says the same."""
        topic, text = self.topics["roster"], self.roster.to_json().encode()
        info = self.log.describe(topic)
        if info.end > info.begin:
            newest = self.log.read(topic, info.end - 1, 1)
            if newest and newest[0].record.payload == text:
                return
        seq = self.log.last_seq(topic, ROSTER_STREAM) + 1
        self._append("roster", [Record(ROSTER_STREAM, seq, now_ns, text, ROSTER_TYPE)])

    def append_raw(self, batches: Sequence[RawBatch]) -> None:
        """Make `batches` durable, all or none; `handled` must follow for each of them, in order."""
        records = [
            Record(
                RAW_STREAM, self._raw_seq + place, batch.now_ns,
                encode_raw(batch, self.device_ids, self._writer), RAW_TYPE,
            )
            for place, batch in enumerate(batches)
        ]
        self._append("raw", records)
        self._raw_seq += len(records)

    def append_refusals(self, refusals: Sequence[Refusal], now_ns: int) -> None:
        """Keep refused payloads; before the raw record that counts them, so none goes missing."""
        if refusals:
            payload = encode_refusals(refusals)
            record = Record(REFUSAL_STREAM, self._refusal_seq, now_ns, payload, REFUSALS_TYPE)
            self._append("quarantine", [record])
            self._refusal_seq += 1

    def handled(self, batch: RawBatch, offset: int | None = None) -> None:
        """The raw record at `offset` (the next one, if None) has gone through the kernel."""
        counters = self.counters
        # The raw topic has one writer, so what was just appended lies at consecutive offsets.
        counters.raw_offset = (counters.raw_offset if offset is None else offset) + 1
        counters.cursors[batch.source_id] = batch.cursor
        counters.floor_ns = max(counters.floor_ns, batch.now_ns)
        counters.ended |= batch.end
        counters.raw_records += 1
        counters.raw_rows += batch.rows
        for label, rows in batch.refused.items():
            counters.refused[label] = counters.refused.get(label, 0) + rows

    def stage(
        self, effects: EdgeEffects, now_ns: int, source_ns: Sequence[int], sealed_ns: int
    ) -> None:
        """Number and encode `effects`; `source_ns` is the wall clock mark per telemetry record."""
        counters = self.counters
        for record, mark in zip(effects.records, source_ns, strict=True):
            self._put("telemetry", self._telemetry(record, mark, sealed_ns))
            self._marks.append(mark)
            counters.records += 1
        oldest = min(source_ns, default=sealed_ns)
        for event in effects.events:
            body = to_cloudevent(event, oldest)
            self._put(
                "events", Record(self.stream, event.seq, event.t_event_ns, body, EVENT_TYPE)
            )
            counters.events += 1
        for rows in effects.health:
            body = self._health_writer.write(rows)
            seq = counters.health_seq
            self._put("health", Record(self.stream, seq, now_ns, body, HEALTH_TYPE))
            counters.health_seq += 1
        for rejected in effects.rejected:
            body = encode_rejected(rejected.block, rejected.reason, self.device_ids)
            seq = counters.quarantine_seq
            self._put("quarantine", Record(self.stream, seq, now_ns, body, REJECTED_TYPE))
            counters.quarantine_seq += 1
        for answer in effects.orders:
            self._put("actions", self._answered(answer))
            counters.order_seq += 1

    @property
    def staged(self) -> int:
        """Records on their way: not yet durable."""
        return sum(len(records) for records in self._staged.values())

    def flush(self, wall_ns: Callable[[], int], patient: bool = False) -> None:
        """Make all that is staged durable. On LogError nothing staged is forgotten.

        patient: quarantined rows may wait for `PATIENCE_NS`, so that a second's worth of them is
        one append. They are in the raw topic, and a replay makes them anew: a snapshot, from
        behind which nothing is replayed, is only made when all is durable.
        """
        for name in ("telemetry", "events", "health", "quarantine", "actions"):
            records = self._staged.get(name)
            if records and not (patient and name == PATIENT and self._may_wait(wall_ns())):
                self._append(name, records)
                self._staged[name] = []
        if self._marks:
            durable_ns = wall_ns()
            self.latency.record([durable_ns - mark for mark in self._marks])
            self._marks = []

    def _may_wait(self, now_ns: int) -> bool:
        """Whether what is `PATIENT` may wait longer; asked while some of it does. A clock that was
        set back does not make it wait anew."""
        if not self._waits_from_ns:
            self._waits_from_ns = now_ns
        waited_ns = now_ns - self._waits_from_ns
        full = len(self._staged[PATIENT]) >= MOST_PATIENT or self.counters.ended
        if not full and 0 <= waited_ns < PATIENCE_NS:
            return True
        self._waits_from_ns = 0
        return False

    def commit_raw(self) -> None:
        """Tell trimmers how far the raw topic is needed no more for recovery."""
        self.log.commit(self.topics["raw"], RAW_GROUP, self.counters.raw_offset)

    def append_action(self, action: str, reason: str, detail: dict[str, Any], t_ns: int) -> None:
        """Note in the topic `actions` what the stadium did by itself, and why."""
        topic, stream = names.ACTIONS_TOPIC, names.stadium_actor(self.venue_id)
        seq = self.log.last_seq(topic, stream) + 1
        record = self._action(stream, seq, action, reason, detail, t_ns)
        self.log.append(topic, [record], self.epoch)

    def _answered(self, answer: OrderAnswer) -> Record:
        """What became of an order, as an action with the reason of whoever gave it."""
        order = answer.order
        applied = answer.outcome in (Outcome.APPLIED, Outcome.NO_OTHER_SOURCE)
        action = "order_applied" if applied else "order_lapsed"
        if not applied and answer.outcome != Outcome.LAPSED:
            action = "order_refused"
        detail = {
            **order.to_dict(), "venue": self.venue_id, "target": order.target,
            "outcome": str(answer.outcome),
        }
        seq = self.counters.order_seq
        return self._action(self.order_stream, seq, action, order.reason, detail, answer.t_ns)

    def _action(
        self, stream: str, seq: int, action: str, reason: str, detail: dict[str, Any], t_ns: int
    ) -> Record:
        body = {
            "t_ns": t_ns, "actor": names.stadium_actor(self.venue_id), "action": action,
            "reason": reason, "detail": detail,
        }
        payload = json.dumps(body, sort_keys=True).encode()
        return Record(stream, seq, t_ns, payload, ACTION_TYPE)

    def _telemetry(self, record: TelemetryRecord, mark: int, sealed_ns: int) -> Record:
        marked = replace(record, marks={**record.marks, "source": mark, "edge": sealed_ns})
        body = encode_record(marked, self.device_ids, self._writer)
        return Record(self.stream, record.seq, record.t_to_ns, body, TELEMETRY_TYPE)

    def _put(self, name: str, record: Record) -> None:
        self._staged.setdefault(name, []).append(record)

    def _append(self, name: str, records: list[Record]) -> None:
        try:
            offsets = self.log.append(self.topics[name], records, self.epoch)
        except OSError as error:
            raise LogError(f"{self.topics[name]}: {error}") from error
        for record, offset in zip(records, offsets, strict=True):
            if offset >= 0:
                self.appended_bytes[name] += len(record.payload)
