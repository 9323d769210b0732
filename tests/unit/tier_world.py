"""A match in a real log, for tests of the tiers: what stadium and flow workers leave behind.

`Match.play` runs a stadium's kernel over a simulated match, `Match.work` the flow kernel over what
it made. Both can be done in steps, so that a log can be rolled while it grows.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from actors.stadium_journal import Journal
from actors.worker_snapshots import flow_stream
from cluster import names
from cluster.eventlog.port import EventLog, Record
from cluster.eventlog.sqlite import SqliteLog
from cluster.settings import Settings
from cluster.storage import StorageError
from cluster.tier_files import read_kind
from cluster.tiers import all_manifests, open_tier
from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.events.envelope import EVENT_TYPE, to_cloudevent
from models.flows.kernel import FlowKernel
from models.flows.states import encode_states
from models.readmodel_input import PREDICTION_TYPE, STATES_TYPE
from models.simulator.match import MatchConfig, MatchSimulator
from models.telemetry.decoded import Refusal
from models.telemetry.devices import index_of
from models.telemetry.raw import RawBatch
from models.telemetry.reasons import Reason
from models.telemetry.record import decode_record
from models.telemetry.roster import Role

VENUE = "test-park"


def settings(root: Path, **more: Any) -> Settings:
    """Log, tiers and keys below `root`."""
    return Settings.from_dict({"data_dir": str(root), **more})


@dataclass
class Match:
    """One simulated match on its way into `log`; steps are seconds."""

    log: EventLog
    match_id: str = "m1"
    seconds: int = 6
    seed: int = 5
    start_ns: int = 1_780_000_000_000_000_000
    stepped: int = 0
    says: bool = False
    accounts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = MatchConfig(
            seed=self.seed, duration_s=self.seconds, start_ns=self.start_ns, venue_id=VENUE,
            match_id=self.match_id,
        )
        self.simulator = MatchSimulator(config)
        self.roster = self.simulator.roster
        self._edge = EdgeKernel(self.roster, EdgeConfig())
        self._journal = Journal(self.log, self.roster)
        self._journal.fence()
        self._journal.publish_roster(self.start_ns)
        self._flows = FlowKernel(self.roster)
        self._insight_seq, self._now_ns = 0, self.start_ns
        self._offset = self.log.describe(names.telemetry_topic(VENUE)).end
        self._began = self._offset

    def play(self, steps: int | None = None, end: bool = True) -> "Match":
        """The next seconds of the match, and its end if nothing is left and `end` says so."""
        upto = self.simulator.chunks if steps is None else self.stepped + steps
        for cursor in range(self.stepped, min(upto, self.simulator.chunks)):
            blocks = self.simulator.chunk(cursor)
            arrivals = [int(b.t_ingest_ns[-1]) for b in blocks.values() if len(b)]
            self._now_ns = max([*arrivals, self._now_ns])
            self._handle(RawBatch("sim", cursor, self._now_ns, blocks, {}))
        self.stepped = min(upto, self.simulator.chunks)
        if end and self.stepped == self.simulator.chunks:
            refusal = Refusal(Reason.CRC, "", 1, "checksum", b"\0garbage")
            self._journal.append_refusals([refusal], self._now_ns)
            self._handle(RawBatch("end", 0, self._now_ns, {}, {"crc": 1}, end=True))
        return self

    def work(self, again: bool = False) -> "Match":
        """Run the flows over new telemetry; `again`: as a worker that has lost all it knew."""
        stream = f"worker/{self.match_id}/{self._insight_seq if again else 0}"
        if again:
            self._flows, self._offset = FlowKernel(self.roster), self._began
        rows_of = index_of(self.roster).rows_of
        everyone = np.arange(len(self.roster.subjects), dtype=np.int32)
        while page := self.log.read(names.telemetry_topic(VENUE), self._offset, 4):
            records = [decode_record(stored.record.payload, rows_of) for stored in page]
            self._offset = page[-1].offset + 1
            ours = [record for record in records if record.match_id == self.match_id]
            self._put(self._flows.handle(ours, everyone), stream)
        return self

    def _handle(self, batch: RawBatch) -> None:
        self._journal.append_raw([batch])
        effects = self._edge.handle(batch)
        self._journal.handled(batch)
        self._journal.stage(effects, batch.now_ns, [batch.now_ns] * len(effects.records), 1)
        self._journal.flush(lambda: 1)
        self.accounts = self._edge.account()

    def _put(self, effects: Any, stream: str) -> None:
        ids = [subject.subject_id for subject in self.roster.subjects]
        for event in effects.events:
            name = flow_stream(self.match_id, event.stream.removeprefix("flow/"))
            record = Record(name, event.seq, event.t_event_ns, to_cloudevent(event), EVENT_TYPE)
            self.log.append(names.events_topic(VENUE), [record], 0)
        bodies = [
            (int(rows.t_ns[-1]), self._states(encode_states(rows, ids)), STATES_TYPE)
            for rows in effects.states if len(rows)
        ]
        bodies += [
            (window.t_ns, prediction(window.kind, ids[window.subject], window), PREDICTION_TYPE)
            for window in effects.windows
        ]
        records = [
            Record(stream, self._insight_seq + place, t_ns, body, kind)
            for place, (t_ns, body, kind) in enumerate(bodies)
        ]
        self._insight_seq += len(records)
        self.log.append(names.insights_topic(VENUE), records, 0)


    def _states(self, payload: bytes) -> bytes:
        """With the name of the match in them, if this match `says` so."""
        if not self.says:
            return payload
        with pa.ipc.open_stream(payload) as reader:
            table = reader.read_all()
        named = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), "match_id": self.match_id}
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, named.schema) as writer:
            writer.write_table(named)
        return sink.getvalue().to_pybytes()


def prediction(net: str, subject_id: str, window: Any) -> bytes:
    body = {
        "kind": net, "subject_id": subject_id, "t_ns": window.t_ns, "event_id": window.event_id,
        "scores": {"mid": float(window.data.mean())}, "source": "net", "model": f"{net}-net",
    }
    return json.dumps(body).encode()


def people(match: Match) -> list[str]:
    """Who must have a final state row."""
    return [s.subject_id for s in match.roster.subjects if s.role != Role.INFRASTRUCTURE]


def open_sqlite(
    root: Path, segment_bytes: int = 64 << 20, clock: Callable[[], int] = time.time_ns
) -> SqliteLog:
    return SqliteLog(str(root / "log"), segment_bytes, clock)


class Clock:
    """Wall clock of a log: begins `ago_s` before now, and moves by a millisecond per look."""

    def __init__(self, ago_s: float = 0.0) -> None:
        self.now_ns = time.time_ns() - int(ago_s * 1e9)

    def __call__(self) -> int:
        self.now_ns += 1_000_000
        return self.now_ns


def content(tree: Settings, tier: str = "warm", match_id: str = "") -> dict[str, pa.Table]:
    """Kind -> all rows (of a match) that manifests name, in an order of their own making."""
    url = tree.tiers.warm_url if tier == "warm" else tree.tiers.cold_url
    storage = open_tier(url, tree)
    manifests = [one for one in all_manifests(storage) if match_id in ("", one.match_id)]
    kinds = sorted({entry.kind for one in manifests for entry in one.files})
    found = {}
    for kind in kinds:
        tables = read_kind(storage, manifests, kind, tree.identity.key_dir)
        table = pa.concat_tables([plain(one) for one in tables])
        found[kind] = table.sort_by([(name, "ascending") for name in table.schema.names])
    return found


def plain(table: pa.Table) -> pa.Table:
    """Without dictionaries: the same rows are equal however they were packed."""
    for at, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(at, column.name, table.column(at).cast(column.type.value_type))
    return table


def same(left: dict[str, pa.Table], right: dict[str, pa.Table]) -> None:
    """Row for row and bit for bit; NaN equals NaN."""
    assert left.keys() == right.keys()
    for kind in left:
        assert left[kind].num_rows == right[kind].num_rows, kind
        for name in left[kind].schema.names:
            a, b = left[kind].column(name), right[kind].column(name)
            if pa.types.is_floating(a.type):
                a = a.to_numpy(zero_copy_only=False)
                b = b.to_numpy(zero_copy_only=False)
                assert np.array_equal(a, b, equal_nan=True), (kind, name)
            else:
                assert a.equals(b), (kind, name)


class Dying:
    """A storage that dies at the n-th change, before it or after it; then nothing works."""

    def __init__(self, inner: Any, at: int, after: bool, changes: list[str]) -> None:
        self._inner, self._at, self._after, self._changes = inner, at, after, changes

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._inner, name)
        if name not in ("put_atomic", "put_if_absent", "delete"):
            return call

        def change(*args: Any) -> Any:
            self._changes.append(name)
            if len(self._changes) >= self._at:
                if self._after and len(self._changes) == self._at:
                    call(*args)
                raise StorageError(f"died at change {len(self._changes)}")
            return call(*args)

        return change
