"""Collects what a report is made of: counts from the actors, events and finals from the log.

Events and final metrics are read from the log itself, whole, and not from any actor's memory: what
the report and its digest cover is what is durable.
"""

import logging
from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from cluster.eventlog.port import EventLog
from cluster.eventlog.scan import records_now
from cluster.names import events_topic, insights_topic
from cluster.tiers import open_tier, totals
from jobs.session import Session
from models.events.envelope import Event, from_cloudevent
from models.flows.states import decode_states
from models.latency import LatencyHistogram
from models.readmodel_input import STATES_TYPE
from models.recompute.events import is_recomputed
from models.report import RunFacts

_log = logging.getLogger("touchline.report")
PERCENTILES = (("p50", 50.0), ("p95", 95.0), ("p99", 99.0))
HOT_TOPICS = ("raw", "telemetry", "events", "insights", "device-health", "quarantine")


def collect_facts(session: Session, usage: Mapping[str, float]) -> RunFacts:
    """Everything about the run as it stands; the actors must still be up."""
    stats = session.stadium_stats()
    log = session.log
    events = [event for venue in session.venues for event in read_events(log, venue)]
    finals = [row for venue in session.venues for row in read_finals(log, venue)]
    return RunFacts(
        accounts=[entry["account"] for entry in stats.values()],
        events=events, finals=finals,
        fatigue=session.fatigue(), devices=session.devices(),
        latency_ms=percentiles_ms(session.latency()),
        tiers=tier_sizes(session), pool=session.pool(), usage=dict(usage),
        webhooks=session.webhooks(),
    )


def read_events(log: EventLog, venue_id: str) -> list[Event]:
    """Every event of the venue as told live, each once; corrections are reported apart. What is no
    event is left out, and said so: the report of all that is must still come."""
    found: dict[str, Event] = {}
    unreadable = 0
    for stored in records_now(log, events_topic(venue_id)):
        if is_recomputed(stored.record.stream):
            continue
        try:
            event = from_cloudevent(stored.record.payload)
        except (ValueError, KeyError, TypeError):
            unreadable += 1
            continue
        found.setdefault(event.event_id, event)
    if unreadable:
        _log.warning("%s: %d records are no events", events_topic(venue_id), unreadable)
    return list(found.values())


def read_finals(log: EventLog, venue_id: str) -> list[dict[str, Any]]:
    """The final state row of every subject of the venue as told live, as a dictionary."""
    rows: dict[str, dict[str, Any]] = {}
    for stored in records_now(log, insights_topic(venue_id)):
        recomputed = is_recomputed(stored.record.stream)
        if stored.record.content_type != STATES_TYPE or recomputed:
            continue
        table = decode_states(stored.record.payload)
        for row in table.filter(pc.equal(table.column("status"), "final")).to_pylist():
            rows[row["subject_id"]] = row
    return list(rows.values())


def percentiles_ms(
    histograms: Mapping[str, LatencyHistogram],
) -> dict[str, dict[str, float]]:
    """p50, p95 and p99 of each stage in milliseconds; a stage that saw nothing is left out."""
    return {
        stage: {name: round(held.percentile_ns(q) / 1e6, 3) for name, q in PERCENTILES}
        for stage, held in histograms.items()
        if held.count
    }


def tier_sizes(session: Session) -> dict[str, dict[str, int]]:
    """Bytes and rows of each tier. Hot rows are records of the log."""
    settings = session.settings
    infos = [session.log.describe(topic) for topic in session.log.topics()]
    hot = {
        "bytes": sum(info.size_bytes for info in infos),
        "rows": sum(info.end - info.begin for info in infos),
    }
    warm = totals(open_tier(settings.tiers.warm_url, settings))
    cold = totals(open_tier(settings.tiers.cold_url, settings))
    return {"hot": hot, "warm": warm, "cold": cold}
