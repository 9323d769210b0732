"""What a stadium says about itself: the dict that `Stadium.stats()` returns.

venue_id, match_id, state, error, epoch, restarts (times the venue was taken over before);
account    the edge's account: in, forwarded, thinned, buffered, lost_by_counter, rejected {reason}
refused    rows refused before they were columns, by reason; part of the account's `in` as well
sources    per source: source_id, type, cursor, total, done, and its queue
latency    stage "edge": arrival of the oldest sample of a telemetry record until it is durable
records    raw, telemetry, events; bytes appended by topic since this start
orders     level of thinning in force, answers to orders so far by kind, and how reading them goes
queues     payloads waiting, their bytes, records staged
linger_ms  how long rows are let gather before a round, 0 while there is time enough
and log, snapshots, recovery, pid, cpu_s, uptime_s
"""

from typing import TYPE_CHECKING, Any

from actors.stadium_build import StadiumParts

if TYPE_CHECKING:
    from actors.stadium import Stadium


def describe(stadium: "Stadium", parts: StadiumParts | None, now_ns: int) -> dict[str, Any]:
    """See the module docstring. `parts` is None before the venue is taken over."""
    head = {
        "venue_id": stadium.venue_id, "match_id": stadium.match_id,
        "state": stadium.state, "done": stadium.done(), "error": stadium.error,
        "log": stadium.outage.as_dict(now_ns),
    }
    if parts is None:
        return {**head, "account": {}, "sources": [], "latency": {}}
    journal, counters = parts.journal, parts.journal.counters
    sources = parts.feeds.progress() if parts.feeds is not None else []
    recovery = stadium.recovery
    return {
        **head,
        "epoch": journal.epoch, "restarts": journal.epoch - 1,
        "account": parts.kernel.account().to_dict(),
        "refused": dict(counters.refused),
        "sources": sources,
        "orders": {
            "level": parts.kernel.orders.level, "counts": dict(parts.kernel.orders.counts),
            **(parts.feeds.orders.progress() if parts.feeds.orders is not None else {}),
        },
        "latency": {"edge": journal.latency.to_dict()},
        "records": {
            "raw": counters.raw_records, "telemetry": counters.records, "events": counters.events,
        },
        "raw_rows": counters.raw_rows, "raw_offset": counters.raw_offset,
        "bytes": dict(journal.appended_bytes),
        "queues": {
            "payloads": sum(source.get("queued", 0) for source in sources),
            "bytes": sum(source.get("queued_bytes", 0) for source in sources),
            "staged": journal.staged,
            "heads_left_out": parts.feeds.heads_left_out if parts.feeds is not None else 0,
        },
        "linger_ms": stadium.lingers_ns() // 1_000_000,
        "snapshots": {
            "taken": parts.snapshots_taken, "errors": parts.snapshot_errors,
            "bytes": parts.snapshot_bytes,
        },
        "recovery": {
            "replayed": recovery.replayed, "from_offset": recovery.from_offset,
            "damaged": recovery.damaged,
        } if recovery is not None else {},
    }
