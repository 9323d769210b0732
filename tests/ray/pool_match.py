"""A short simulated match as telemetry records, cut as the edge cuts them, for the pool's tests."""

import numpy as np

from cluster.eventlog.port import EventLog, Record
from cluster.names import events_topic, insights_topic, roster_topic, telemetry_topic
from models.events.envelope import from_cloudevent
from models.flows.states import decode_states
from models.simulator.match import Faults, MatchConfig, MatchSimulator
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import Kind
from models.telemetry.record import FlowStates, TelemetryRecord, encode_record
from models.telemetry.roster import Roster

TICK_NS = 100_000_000


def play(seconds: int, venue: str = "arena") -> tuple[Roster, list[TelemetryRecord]]:
    """The records of a faultless match; the subjects that are hot change every second."""
    config = MatchConfig(3, seconds, faults=Faults.none(), venue_id=venue, match_id="m1")
    simulator = MatchSimulator(config)
    roster = simulator.roster
    chunks = [simulator.chunk(k) for k in range(simulator.chunks)]
    blocks = {
        kind: concat_blocks([chunk[kind] for chunk in chunks if kind in chunk])
        for kind in Kind if any(kind in chunk for chunk in chunks)
    }
    count = seconds * 10
    ticks = {k: (b.t_event_ns - config.start_ns) // TICK_NS for k, b in blocks.items()}
    subjects = np.arange(len(roster.subjects), dtype=np.int32)
    records = []
    for seq in range(count):
        cut = {
            kind: _sorted(block.take(ticks[kind] == seq)) for kind, block in blocks.items()
            if (ticks[kind] == seq).any()
        }
        hot = (subjects + seq // 10) % 7 == 0
        start_ns = config.start_ns + seq * TICK_NS
        records.append(TelemetryRecord(
            roster.venue_id, roster.match_id, seq, start_ns, start_ns + TICK_NS, cut, {},
            FlowStates(subjects, hot.astype(np.float32), hot), {"source": start_ns},
            seq == count - 1,
        ))
    return roster, records


def _sorted(block: SampleBlock) -> SampleBlock:
    return block.take(np.lexsort((block.seq, block.boot, block.device)))


def publish_roster(log: EventLog, roster: Roster) -> None:
    record = Record("roster", 0, 0, roster.to_json().encode())
    log.append(roster_topic(roster.venue_id), [record], 0)


def encode(roster: Roster, records: list[TelemetryRecord]) -> list[Record]:
    """Log records of the telemetry topic."""
    ids = [device.device_id for device in roster.devices]
    return [Record("edge/m1", r.seq, r.t_to_ns, encode_record(r, ids)) for r in records]


def publish(log: EventLog, roster: Roster, records: list[Record]) -> None:
    log.append(telemetry_topic(roster.venue_id), records, 0)


def outcome(log: EventLog, venue: str) -> tuple[dict[str, list[dict]], dict[str, dict]]:
    """Canonical events by flow in log order, and the final row of every subject."""
    events: dict[str, list[dict]] = {}
    for record in _all(log, events_topic(venue)):
        event = from_cloudevent(record.payload)
        events.setdefault(event.stream, []).append(event.canonical())
    finals: dict[str, dict] = {}
    for record in _all(log, insights_topic(venue)):
        if record.content_type.endswith("states"):
            for row in decode_states(record.payload).to_pylist():
                if row["status"] == "final":
                    finals[row["subject_id"]] = {k: repr(v) for k, v in row.items()}
    return events, finals


def _all(log: EventLog, topic: str) -> list[Record]:
    found, offset = [], 0
    while stored := log.read(topic, offset):
        found += [one.record for one in stored]
        offset = stored[-1].offset + 1
    return found
