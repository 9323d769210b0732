"""What a worker's report says of its venues and its outbox, and how it stands in plain values.

Put together some twenty times a second over all venues: what seldom changes is handed on as it is.
"""

from collections.abc import Mapping
from typing import Any

from actors.worker_outbox import Outbox
from actors.worker_venue import VenueFlows
from models.flows.lanes import Priority
from models.flows.pending import worst_ages_ns
from models.policies.ownership import WorkerReport

Venues = Mapping[str, VenueFlows]


def of_venues(venues: Venues, durable: bool) -> dict[str, Any]:
    """The fields of `WorkerReport` that tell of flows. durable: whether every effect is in the log,
    so that what is final may be said to be."""
    return {
        "held": {venue: flows.epochs for venue, flows in venues.items()},
        "offsets": {venue: flows.backlog.offsets() for venue, flows in venues.items()},
        "final": {v: tuple(sorted(f.final)) for v, f in venues.items() if durable and f.final},
        "hot": {v: rows for v, flows in venues.items() if (rows := _hot(flows))},
        "pinned": {v: kept for v, flows in venues.items() if (kept := flows.backlog.pinned())},
    }


def _hot(flows: VenueFlows) -> tuple[int, ...]:
    hot = flows.backlog.hot()
    return tuple(sorted(hot & flows.epochs.keys())) if hot else ()


def ages(venues: Venues, now_ns: int) -> list[dict[Priority, int]]:
    """How long the oldest record has waited for each class, venue by venue."""
    return [flows.backlog.ages_ns(now_ns) for flows in venues.values()]


def backlog_s(
    venues: Venues, now_ns: int, done_lately: Mapping[Priority, int]
) -> dict[str, float]:
    """By class, the age of the oldest record that waits or was done lately."""
    worst = worst_ages_ns([*ages(venues, now_ns), done_lately])
    return {str(priority): age_ns / 1e9 for priority, age_ns in worst.items()}


def totals(venues: Venues, outbox: Outbox) -> dict[str, int]:
    """Counters that are kept elsewhere."""
    return {
        "appended": outbox.appended, "repeated": outbox.repeated,
        "append_failures": outbox.failures,
        "held_records": sum(flows.backlog.held_records for flows in venues.values()),
        "held_bytes": sum(flows.backlog.held_bytes for flows in venues.values()),
    }


def standing(worker_id: int, report: WorkerReport, drained: bool) -> dict[str, Any]:
    """How a worker stands, as JSON values, for people."""
    return {
        "worker_id": worker_id, "incarnation": report.incarnation, "pid": report.pid,
        "epoch": report.epoch, "flows": {v: len(rows) for v, rows in report.held.items()},
        "backlog_s": report.backlog_s, "rows_n": report.rows_n, "busy_s": report.busy_ns / 1e9,
        "counters": report.counters, "error": report.error, "drained": drained,
    }
