"""One match from the hot log into the warm tier: full-rate samples and all that was made of them.

The samples are made by the edge kernel, run again over the raw records with thinning off: the same
code as live, at full rate. Its state at the end of a roll is kept beside the manifest, so that the
next roll goes on exactly where this one stopped. Events, states, predictions, device health and
quarantine are taken from their topics. Memory is bounded: rows leave in groups.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from actors.stadium_journal import edge_stream
from cluster import names
from cluster.edge_settings import edge_config
from cluster.eventlog.port import EventLog, StoredRecord
from cluster.eventlog.scan import records_of
from cluster.settings import Settings
from cluster.tier_files import GROUP_ROWS, TierWriter
from cluster.tiers import Manifest, TierStorage, last_manifest, leave_to_sweep, put_state
from jobs.roll_log import Span, offset_at
from models.edge.config import EdgeConfig
from models.edge.effects import decode_health
from models.edge.kernel import EdgeKernel
from models.errors import ConfigError, LogError, SchemaError
from models.flows.states import decode_states, match_of_states
from models.flows.subjects import DeviceMap
from models.plain_fields import read_json
from models.readmodel_input import PREDICTION_TYPE, STATES_TYPE
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.devices import index_of
from models.telemetry.kinds import Kind
from models.telemetry.quarantine import REJECTED_TYPE, decode_refusals
from models.telemetry.raw import RawBatch, RawDecoder
from models.telemetry.raw_join import join_batches
from models.telemetry.record import TelemetryRecord
from models.tiers import warm
from models.tiers.columns import HEALTH_EVENTS
from models.tiers.progress import Progress

SETTLE_NS: Final = 60_000_000_000
"""So long after the next match began, what this one still lacks will not come."""
SLACK_NS: Final = 2_000_000_000
"""Insights may be so far ahead of the newest sample: device health is by whole seconds."""
_log = logging.getLogger("touchline.roll")


@dataclass(frozen=True, slots=True)
class WarmPorts:
    """What a roll works with."""

    log: EventLog
    storage: TierStorage
    key_dir: str
    config: EdgeConfig
    now_ns: Callable[[], int] = time.time_ns

    @staticmethod
    def of(settings: Settings, log: EventLog, storage: TierStorage) -> "WarmPorts":
        """As the settings say. Raises ConfigError."""
        config = replace(edge_config(settings.edge), thin=False)
        return WarmPorts(log, storage, settings.identity.key_dir, config)


def derived_topics(venue_id: str) -> tuple[str, ...]:
    """Topics that hold what was made of the raw records."""
    makers = (
        names.events_topic, names.insights_topic, names.health_topic, names.quarantine_topic,
    )
    return tuple(make(venue_id) for make in makers)


def has_news(log: EventLog, span: Span, last: Manifest | None) -> bool:
    """Whether a roll of the match could add anything to what `last` says. Raises LogError."""
    venue_id = span.roster.venue_id
    if span.until_ns is not None and last is not None and last.closed:
        return False
    cursors = last.cursors if last is not None else {}
    topics = (names.raw_topic(venue_id), *derived_topics(venue_id))
    return span.until_ns is not None or any(
        log.describe(topic).end > cursors.get(topic, 0) for topic in topics
    )


def roll_match(ports: WarmPorts, span: Span) -> Manifest | None:
    """Write what the log has gained of a match; the manifest that would publish it.

    None when there is nothing to publish. Nothing is content until the manifest is published.
    Raises LogError, StorageError, ConfigError.
    """
    venue_id, match_id = span.roster.venue_id, span.match_id
    last = last_manifest(ports.storage, venue_id, match_id)
    try:
        return _Roll(ports, span, last, _progress(ports.storage, last)).run()
    except (ConfigError, LogError):
        newest = last_manifest(ports.storage, venue_id, match_id)
        if newest is None or newest == last:
            raise
    # Another roll has published meanwhile, swept our state and files away, or trimmed what we were
    # about to read: it has done our work.
    leave_to_sweep(ports.storage, newest)
    return None


def _progress(storage: TierStorage, last: Manifest | None) -> Progress:
    if last is None:
        return Progress()
    state = storage.get(last.state_key)
    if state is None:
        raise ConfigError(f"{last.state_key}: the state of the last roll is gone")
    return Progress.decode(state)


class _Roll:
    """One roll of one match: reads five topics from their cursors, writes files by kind."""

    def __init__(
        self, ports: WarmPorts, span: Span, last: Manifest | None, progress: Progress
    ) -> None:
        self._ports, self._log, self._span, self._last = ports, ports.log, span, last
        self._roster, self._progress = span.roster, progress
        self._venue_id, self._match_id = span.roster.venue_id, span.match_id
        self._number = last.number + 1 if last is not None else 0
        self._cursors = dict(last.cursors) if last is not None else {}
        self._root = (
            f"data/sport={quote(self._roster.sport, safe='')}/venue={self._venue_id}"
            f"/match={self._match_id}"
        )
        self._tables = warm.SampleTables(self._roster)
        self._flow_of = DeviceMap(self._roster).subject
        self._pending: dict[Kind, list[SampleBlock]] = {}
        self._pending_rows: Counter[Kind] = Counter()
        self._passed_over: Counter[str] = Counter()
        self._writer = TierWriter(ports.storage, self._root, self._number, ports.key_dir)

    def run(self) -> Manifest | None:
        # Ends are taken before the raw topic's: what was derived is never ahead of its source.
        ends = {topic: self._log.describe(topic).end for topic in derived_topics(self._venue_id)}
        self._samples()
        for topic, take in zip(
            ends, (self._event, self._insight, self._health, self._quarantine), strict=True
        ):
            for stored in self._new(topic, ends[topic]):
                try:
                    take(stored)
                except SchemaError:
                    self._passed_over["unreadable"] += 1
        if any(self._passed_over.values()):
            _log.warning("%s/%s: passed over %s", self._venue_id, self._match_id,
                         dict(self._passed_over))
        files = self._writer.finish()
        closed = self._closed()
        was_closed = self._last is not None and self._last.closed
        if not files and closed == was_closed:
            return None
        state_key = put_state(
            self._ports.storage, self._venue_id, self._match_id, self._number,
            self._progress.encode(),
        )
        before = self._last.files_total if self._last is not None else 0
        return Manifest(
            self._venue_id, self._match_id, self._number, self._root, files, before + len(files),
            self._cursors, state_key, closed,
        )

    def _closed(self) -> bool:
        if self._progress.complete or (self._last is not None and self._last.closed):
            return True
        until_ns = self._span.until_ns
        return until_ns is not None and self._ports.now_ns() - until_ns > SETTLE_NS

    # -- samples ----------------------------------------------------------------------------------

    def _samples(self) -> None:
        topic, progress, until_ns = (
            names.raw_topic(self._venue_id), self._progress, self._span.until_ns
        )
        end = self._log.describe(topic).end
        if until_ns is not None:
            end = min(end, offset_at(self._log, topic, until_ns))
        kernel: EdgeKernel | None = None
        for batch in join_batches(self._raw_batches(topic, end)):
            kernel = kernel or self._kernel()
            if not progress.ended:
                self._handle(kernel, batch)
        if until_ns is not None and not progress.ended:
            # The match was left for another one: what the kernel still holds comes out.
            kernel = kernel or self._kernel()
            self._handle(kernel, RawBatch("roll", 0, progress.floor_ns, {}, {}, end=True))
        for kind in list(self._pending):
            self._flush(kind)
        if kernel is not None:
            progress.kernel = kernel.snapshot()

    def _raw_batches(self, topic: str, end: int) -> Iterator[RawBatch]:
        decoder = RawDecoder(index_of(self._roster).rows_of)
        for stored in self._new(topic, end):
            try:
                yield decoder.decode(stored.record.payload)
            except SchemaError:
                self._passed_over["unreadable"] += 1  # the stadium passed it over as well

    def _kernel(self) -> EdgeKernel:
        kernel = EdgeKernel(self._roster, self._ports.config)
        if self._progress.kernel:
            kernel.restore(self._progress.kernel)
        return kernel

    def _handle(self, kernel: EdgeKernel, batch: RawBatch) -> None:
        for record in kernel.handle(batch).records:
            self._take(record)
        self._progress.floor_ns = max(self._progress.floor_ns, batch.now_ns)
        self._progress.ended |= batch.end

    def _take(self, record: TelemetryRecord) -> None:
        self._progress.end_ns = max(self._progress.end_ns, record.t_to_ns)
        for block in record.blocks.values():
            for row in set(np.unique(self._flow_of[block.device]).tolist()) - {-1}:
                self._progress.expected.add(self._roster.subjects[row].subject_id)
        for lane in (record.blocks, record.supplements):
            for kind, block in lane.items():
                self._pending.setdefault(kind, []).append(block)
                self._pending_rows[kind] += len(block)
                if self._pending_rows[kind] >= GROUP_ROWS:
                    self._flush(kind)

    def _flush(self, kind: Kind) -> None:
        self._pending_rows[kind] = 0
        blocks = [block for block in self._pending.pop(kind) if len(block)]
        if blocks:
            self._writer.add(str(kind), self._tables.of(concat_blocks(blocks)))

    # -- what was made of them --------------------------------------------------------------------

    def _new(self, topic: str, end: int) -> Iterator[StoredRecord]:
        """The records of `topic` from the cursor to `end`; moves the cursor when all are taken."""
        info = self._log.describe(topic)
        cursor = self._cursors.get(topic)
        begin = offset_at(self._log, topic, self._span.since_ns) if cursor is None else cursor
        if begin < info.begin:
            raise ConfigError(
                f"{topic}: records {begin} to {info.begin} were trimmed before they were rolled"
            )
        yield from records_of(self._log, topic, begin, end)
        self._cursors[topic] = max(begin, end)

    def _event(self, stored: StoredRecord) -> None:
        data = _json(stored.record.payload).get("data")
        if not isinstance(data, dict) or data.get("match_id") != self._match_id:
            return
        table = warm.event_table(data)
        if self._progress.is_new(f"event {data['event_id']}"):
            health = data["policy_class"] == "health"
            self._writer.add(HEALTH_EVENTS if health else "events", table)

    def _insight(self, stored: StoredRecord) -> None:
        if stored.record.content_type == STATES_TYPE:
            table = decode_states(stored.record.payload)
            said = match_of_states(table)
            newest_ns = max(table.column("t_ns").to_pylist(), default=0)
            if self._is_ours(said, newest_ns, stored):
                self._writer.add(warm.state_kind(table), self._progress.new_states(table))
        elif stored.record.content_type == PREDICTION_TYPE:
            body = _json(stored.record.payload)
            if not self._is_ours(str(body.get("match_id", "")), _time_of(body), stored):
                return
            table = warm.prediction_table(body)
            parts = ("kind", "subject_id", "device_id", "device_kind", "t_ns", "event_id")
            identity = json.dumps([body.get(part) for part in parts])
            if self._progress.is_new(f"prediction {identity}"):
                self._writer.add("predictions", table)

    def _is_ours(self, said: str, t_ns: int, stored: StoredRecord) -> bool:
        """Whether an insight is of this match: as it says, else by when it was appended."""
        if said:
            return said == self._match_id
        if not self._span.holds(stored.t_append_ns):
            return False
        # A worker may still be busy with the former match when the next one begins.
        ours = t_ns <= self._progress.end_ns + SLACK_NS
        self._passed_over["strays"] += not ours
        return ours

    def _health(self, stored: StoredRecord) -> None:
        if stored.record.stream == edge_stream(self._match_id):
            table = decode_health(stored.record.payload)
            self._writer.add(
                "device_health", warm.device_health_table(table, self._tables.subject_of)
            )

    def _quarantine(self, stored: StoredRecord) -> None:
        record, subject_of = stored.record, self._tables.subject_of
        if record.content_type == REJECTED_TYPE:
            if record.stream == edge_stream(self._match_id):
                self._writer.add("quarantine", warm.rejected_table(record.payload, subject_of))
        elif self._span.holds(stored.t_append_ns):
            refusals = decode_refusals(record.payload)
            self._writer.add("quarantine", warm.refusal_table(refusals, record.t_ns, subject_of))


def _json(payload: bytes) -> dict[str, Any]:
    try:
        body = read_json(payload)
    except ValueError as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error
    return body if isinstance(body, dict) else {}


def _time_of(prediction: dict[str, Any]) -> int:
    try:
        return int(prediction["t_ns"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SchemaError("wrong_format", f"time of a prediction: {error}"[:200]) from error
