"""One venue from the hot log into the warm tier: full-rate samples, events and states as Parquet.

The samples are made by the edge kernel, run again over the raw packets with thinning off: the same
code as live, at full rate. The kernel's state at the end of a roll is kept beside the manifest, so
that the next roll goes on exactly where this one stopped. Health columns are encrypted.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cluster.edge_settings import edge_config
from models.edge.kernel import EdgeKernel

from cluster.eventlog.open import open_log
from cluster.eventlog.port import EventLog, StoredRecord
from cluster.names import events_topic, insights_topic, raw_topic, roster_topic
from cluster.settings import Settings
from cluster.tier_keys import encrypt_columns
from cluster.tiers import (
    DataFile,
    Manifest,
    TierStorage,
    chain,
    open_tier,
    put_data,
    put_state,
)
from models.flows.states import STATES_TYPE, decode_states
from models.telemetry.arrow import to_arrow
from models.telemetry.raw import decode_raw
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Roster

ROWS_PER_FILE = 500_000
RECORDS_PER_READ = 64
HEALTH_PREFIXES = ("hr_", "rr_", "trimp", "fatigue_", "dbal_", "contact")


def roll_venue(settings: Settings, venue_id: str) -> Manifest | None:
    """Write what the log has gained since the last roll; the manifest that would publish it.

    None when there is nothing new. Nothing is content until the manifest is published.
    """
    log = open_log(settings.log.url)
    try:
        roster = newest_roster(log, venue_id)
        if roster is None:
            return None
        storage = open_tier(settings.tiers.warm_url, settings)
        return _Roll(settings, log, storage, roster).run()
    finally:
        log.close()


def newest_roster(log: EventLog, venue_id: str) -> Roster | None:
    """The roster that the venue published last."""
    info = log.describe(roster_topic(venue_id))
    if info.end == info.begin:
        return None
    last = log.read(roster_topic(venue_id), info.end - 1, max_records=1)
    return Roster.from_json(last[0].record.payload) if last else None


class _Roll:
    """One roll of one venue: reads three topics from their cursors, writes files by kind."""

    def __init__(
        self, settings: Settings, log: EventLog, storage: TierStorage, roster: Roster
    ) -> None:
        self._log, self._storage, self._roster = log, storage, roster
        self._key_dir = settings.identity.key_dir
        self._config = replace(edge_config(settings.edge), thin=False)
        self._past = chain(storage, roster.venue_id, roster.match_id)
        self._cursors = dict(self._past[-1].cursors) if self._past else {}
        self._writers: dict[str, list[pa.Table]] = {}
        self._rows: dict[str, int] = {}
        self._files: list[DataFile] = []
        self._closed = False

    def run(self) -> Manifest | None:
        if self._past and self._past[-1].closed:
            return None
        state_key = self._samples()
        self._events()
        self._states()
        for kind in list(self._writers):
            self._write(kind)
        if not self._files and not self._closed:
            return None
        return Manifest(
            self._roster.venue_id, self._roster.match_id, len(self._past), tuple(self._files),
            self._cursors, state_key, self._closed,
        )

    def _samples(self) -> str:
        roster = self._roster
        kernel = EdgeKernel(roster, self._config)
        if self._past and self._past[-1].state_key:
            state = self._storage.get(self._past[-1].state_key)
            if state is not None:
                kernel.restore(state)
        rows_of = {(d.device_id, d.kind): row for row, d in enumerate(roster.devices)}
        for stored in self._new(raw_topic(roster.venue_id)):
            batch = decode_raw(stored.record.payload, rows_of)
            for record in kernel.handle(batch).records:
                self._take(record)
            self._closed = self._closed or batch.end
        return put_state(self._storage, kernel.snapshot())

    def _take(self, record: TelemetryRecord) -> None:
        devices = self._roster.devices
        ids = [device.device_id for device in devices]
        subjects = pa.array([device.subject for device in devices], pa.string())
        for lane in (record.blocks, record.supplements):
            for kind, block in lane.items():
                if len(block):
                    table = pa.Table.from_batches([to_arrow(block, ids)])
                    column = pa.DictionaryArray.from_arrays(pa.array(block.device), subjects)
                    self._add(str(kind), table.append_column("subject_id", column))

    def _events(self) -> None:
        for stored in self._new(events_topic(self._roster.venue_id)):
            data: dict[str, Any] = json.loads(stored.record.payload)["data"]
            flat = {k: v for k, v in data.items() if k not in ("metrics", "context")}
            flat |= {"metrics": json.dumps(data["metrics"], sort_keys=True)}
            flat |= {"context": ",".join(data["context"])}
            self._add("events", pa.Table.from_pylist([flat], schema=EVENT_SCHEMA))

    def _states(self) -> None:
        for stored in self._new(insights_topic(self._roster.venue_id)):
            if stored.record.content_type == STATES_TYPE:
                self._add("states", decode_states(stored.record.payload))

    def _new(self, topic: str) -> Iterator[StoredRecord]:
        """What `topic` has gained since the last roll, up to its end as it is now."""
        info = self._log.describe(topic)
        offset = max(self._cursors.get(topic, info.begin), info.begin)
        while offset < info.end:
            records = self._log.read(topic, offset, max_records=RECORDS_PER_READ)
            taken = [stored for stored in records if stored.offset < info.end]
            yield from taken
            if not taken:
                break
            offset = taken[-1].offset + 1
        self._cursors[topic] = offset

    def _add(self, kind: str, table: pa.Table) -> None:
        self._writers.setdefault(kind, []).append(table)
        self._rows[kind] = self._rows.get(kind, 0) + table.num_rows
        if self._rows[kind] >= ROWS_PER_FILE:
            self._write(kind)

    def _write(self, kind: str) -> None:
        tables = self._writers.pop(kind)
        table = pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()
        self._rows[kind] = 0
        health = [name for name in table.schema.names if name.startswith(HEALTH_PREFIXES)]
        sink = pa.BufferOutputStream()
        pq.write_table(
            table, sink, compression="zstd", compression_level=1,
            encryption_properties=encrypt_columns(self._key_dir, health),
        )
        roster = self._roster
        partition = (
            f"sport={roster.sport}/venue={roster.venue_id}/match={roster.match_id}/kind={kind}"
        )
        data = sink.getvalue().to_pybytes()
        self._files.append(put_data(self._storage, partition, kind, table.num_rows, data))


_TEXT = ("event_id", "type", "venue_id", "match_id", "stream", "subject_id", "team", "sub_type",
         "status", "supersedes", "priority", "algo_version", "policy_class", "metrics", "context")
_NUMBERS = ("x_m", "y_m", "x_end_m", "y_end_m", "confidence")
EVENT_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in _TEXT),
        *(pa.field(name, pa.int64()) for name in ("seq", "t_event_ns", "t_detected_ns")),
        *(pa.field(name, pa.float64()) for name in _NUMBERS),
    ]
)
