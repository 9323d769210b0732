"""Forgets what the hot log need not hold any longer: segments of records that are safe elsewhere.

A record may go when it is older than `log.retention_s`, the warm tier holds it, and nobody needs it
to recover: raw records before the stadium's snapshot, telemetry before the oldest flow snapshot.
Events and insights of the match being played stay: the live picture is read from them. So do the
orders to its edge.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from actors.stadium_journal import RAW_GROUP
from actors.supervisor_health import GROUP as SUPERVISOR_GROUP
from actors.worker_shell import snapshot_store
from actors.worker_snapshots import FlowSnapshot, SnapshotPort, flow_key
from cluster import names
from cluster.eventlog.port import EventLog
from cluster.settings import Settings
from cluster.tiers import Manifest, TierStorage, last_manifest
from jobs.roll_log import Span, matches_in, offset_at, venues_in
from models.errors import SchemaError

_ROLLED: Final = (
    names.raw_topic, names.health_topic, names.quarantine_topic, names.events_topic,
    names.insights_topic,
)
_LIVE_PICTURE: Final = (names.events_topic, names.insights_topic)


def trim_hot(
    settings: Settings, log: EventLog, warm: TierStorage,
    now_ns: Callable[[], int] = time.time_ns, snapshots: SnapshotPort | None = None,
) -> dict[str, int]:
    """Trim every venue's topics; topic -> records that went. Raises LogError, StorageError."""
    oldest_ns = now_ns() - int(settings.log.retention_s * 1e9)
    store = snapshots or snapshot_store(settings)
    gone: dict[str, int] = {}
    for venue_id in venues_in(log):
        spans = matches_in(log, venue_id)
        if not spans:
            continue
        rolled = [last_manifest(warm, venue_id, span.match_id) for span in spans]
        for topic, bound in _bounds(log, spans, rolled, store).items():
            info = log.describe(topic)
            before = min(bound, offset_at(log, topic, oldest_ns))
            if before > info.begin:
                went = log.trim(topic, before) - info.begin
                gone |= {topic: went} if went else {}
    return gone


def _bounds(
    log: EventLog, spans: list[Span], rolled: list[Manifest | None], store: SnapshotPort
) -> dict[str, int]:
    """Topic -> the first offset that is still needed, whatever its age."""
    newest, venue_id = spans[-1], spans[-1].roster.venue_id
    bounds = {make(venue_id): _rolled_to(log, make(venue_id), spans, rolled) for make in _ROLLED}
    for topic, group in (
        (names.raw_topic(venue_id), RAW_GROUP), (names.health_topic(venue_id), SUPERVISOR_GROUP),
    ):
        bounds[topic] = min(bounds[topic], log.cursor(topic, group))
    for make in _LIVE_PICTURE:
        begins = offset_at(log, make(venue_id), newest.since_ns)
        bounds[make(venue_id)] = min(bounds[make(venue_id)], begins)
    # Who orders looks up what it has said in this match; orders to earlier ones hold no longer.
    orders = names.orders_topic(venue_id)
    bounds[orders] = offset_at(log, orders, newest.since_ns)
    # A flow without a snapshot starts from the oldest record that there is.
    bounds[names.telemetry_topic(venue_id)] = min(_flow_offsets(newest, store), default=0)
    return bounds


def _rolled_to(
    log: EventLog, topic: str, spans: list[Span], rolled: list[Manifest | None]
) -> int:
    """Up to where the warm tier holds all records of `topic`, of whichever match."""
    for span, last in zip(spans, rolled, strict=True):
        if last is None:
            return offset_at(log, topic, span.since_ns)
        if span.until_ns is None or not last.closed:
            return last.cursors.get(topic, 0)
    return 0


def _flow_offsets(span: Span, store: SnapshotPort) -> Iterable[int]:
    for subject in span.roster.subjects:
        found = store.get(flow_key(span.roster.venue_id, span.match_id, subject.subject_id))
        try:
            yield FlowSnapshot.decode(found[0]).offset if found is not None else 0
        except SchemaError:
            yield 0
