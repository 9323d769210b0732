"""Rows of the warm tier that a recomputation writes and reads: finals, corrections, live events.

Kinds: `metrics_final` (one row a person), `corrections` and `health_corrections` (one row a number
or event whose word has changed; `models.tiers.columns` says what is encrypted).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from math import isnan, nan
from typing import Any, Final

import numpy as np
import pyarrow as pa

from models.errors import SchemaError
from models.events.envelope import Event, event_from
from models.flows.config import ALGO_VERSION, FlowConfig
from models.flows.layout import PERSON_COLUMNS
from models.flows.state_columns import is_whole
from models.flows.states import StateRows
from models.recompute.config import RECOMPUTE_VERSION, ZERO_PHASE, RecomputeConfig
from models.recompute.events import EventCorrection
from models.recompute.match import Findings
from models.recompute.metrics import MetricCorrection
from models.recompute.walk import PEAK_COLUMNS
from models.telemetry.roster import Roster
from models.tiers.columns import HEALTH_CORRECTIONS, health_columns

FINALS: Final = "metrics_final"
CORRECTIONS: Final = "corrections"
_TEXT: Final = (
    "correction_id", "match_id", "what", "subject_id", "name", "status", "reason", "supersedes",
    "event_id", "algo_version", "old_algo_version", "filter", "body",
)
_FLOATS: Final = ("old", "new", "coverage_old", "coverage_new")
CORRECTION_SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in _TEXT),
        *(pa.field(name, pa.int64()) for name in ("generation", "seq", "t_ns", "late_rows")),
        *(pa.field(name, pa.float64()) for name in _FLOATS),
    ]
)
"""what: "metric" (old, new; status "corrected") or "event" (`body`: the whole event as canonical
JSON, which supersedes `supersedes`; status as in the event). Unknown numbers are NaN."""


def finals_table(findings: Findings, generation: int, flow: FlowConfig) -> pa.Table:
    """One row per person; the schema's metadata says how it was made, as for states."""
    rows = sorted(findings.finals.items())
    columns: dict[str, Any] = {
        "subject_id": pa.array([name for name, _ in rows], pa.string()),
        "t_ns": pa.array([findings.t_ns] * len(rows), pa.int64()),
        "status": pa.array(["final"] * len(rows), pa.string()),
        "generation": pa.array([generation] * len(rows), pa.int64()),
        "late_rows": pa.array([findings.late.get(name, 0) for name, _ in rows], pa.int64()),
    }
    for name in (*PERSON_COLUMNS, *PEAK_COLUMNS):
        columns[name] = pa.array([row[name] for _, row in rows], pa.float64())
    how = json.dumps(RecomputeConfig().describe(flow), sort_keys=True)
    return pa.table(columns).replace_schema_metadata(
        {"algo_version": RECOMPUTE_VERSION, "metric": how}
    )


def final_states(roster: Roster, findings_rows: pa.Table, flow: FlowConfig) -> StateRows:
    """The rows of `finals_table` as final state rows, for whoever reads states."""
    row_of = roster.subject_row()
    subject = np.array([row_of[n] for n in findings_rows.column("subject_id").to_pylist()])
    order = np.argsort(subject, kind="stable")
    columns: dict[str, Any] = {}
    for name in PERSON_COLUMNS:
        values = findings_rows.column(name).to_numpy()[order]
        columns[name] = values.astype(np.int32) if is_whole(name) else values
    t_ns = findings_rows.column("t_ns").to_numpy()[order]
    how = RecomputeConfig().describe(flow)
    return StateRows(t_ns, subject[order].astype(np.int32), columns, True, how)


def correction_tables(findings: Findings, roster: Roster, generation: int) -> dict[str, pa.Table]:
    """Kind -> rows of `CORRECTION_SCHEMA`; kinds without rows are left out."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for seq, metric in enumerate(findings.metrics):
        kind = HEALTH_CORRECTIONS if health_columns("states", [metric.metric]) else CORRECTIONS
        rows.setdefault(kind, []).append(_metric_row(metric, findings, roster, generation, seq))
    for event in findings.events:
        kind = HEALTH_CORRECTIONS if event.new.policy_class == "health" else CORRECTIONS
        rows.setdefault(kind, []).append(_event_row(event, findings, roster, generation))
    return {
        kind: pa.Table.from_pylist(found, schema=CORRECTION_SCHEMA)
        for kind, found in sorted(rows.items())
    }


def events_of(corrections: Iterable[pa.Table]) -> list[Event]:
    """The events in tables of corrections, by generation and then by their own order."""
    found = [
        (row["generation"], row["seq"], event_of(json.loads(row["body"])))
        for table in corrections for row in table.to_pylist() if row["what"] == "event"
    ]
    return [event for *_, event in sorted(found, key=lambda one: one[:2])]


def told_events(table: pa.Table, streams: frozenset[str]) -> list[Event]:
    """The events of `streams` in a table of warm events. Raises SchemaError."""
    kept = []
    for row in table.to_pylist():
        if row["stream"] in streams:
            context = row["context"].split(",") if row["context"] else []
            kept.append(
                event_of({**row, "metrics": json.loads(row["metrics"]), "context": context})
            )
    return kept


def event_of(data: Mapping[str, Any]) -> Event:
    """The event of a canonical dictionary. Raises SchemaError."""
    try:
        return event_from(data)
    except (KeyError, TypeError, ValueError) as error:
        raise SchemaError("wrong_format", f"event: {error}"[:200]) from error


def _metric_row(
    one: MetricCorrection, findings: Findings, roster: Roster, generation: int, seq: int
) -> dict[str, Any]:
    key = f"metric\0{one.subject_id}\0{one.metric}"
    return {
        **_common(findings, roster, generation, one.subject_id, key), "what": "metric",
        "name": one.metric, "status": "corrected", "reason": str(one.reason), "supersedes": "",
        "event_id": "", "body": "", "seq": seq, "t_ns": findings.t_ns,
        "old_algo_version": ALGO_VERSION if generation == 0 else RECOMPUTE_VERSION,
        "old": one.old, "new": one.new,
    }


def _event_row(
    one: EventCorrection, findings: Findings, roster: Roster, generation: int
) -> dict[str, Any]:
    event = one.new
    return {
        **_common(findings, roster, generation, event.subject_id, f"event\0{event.event_id}"),
        "what": "event", "name": event.type, "status": event.status, "reason": str(one.reason),
        "supersedes": event.supersedes, "event_id": event.event_id,
        "body": json.dumps(event.canonical(), sort_keys=True), "seq": event.seq,
        "t_ns": event.t_event_ns, "old": nan, "new": nan,
        "old_algo_version": one.old.algo_version if one.old is not None else "",
    }


def _common(
    findings: Findings, roster: Roster, generation: int, subject_id: str, key: str
) -> dict[str, Any]:
    key = f"{roster.venue_id}\0{roster.match_id}\0{generation}\0{key}"
    told, final = findings.told.rows.get(subject_id, {}), findings.finals.get(subject_id, {})
    return {
        "correction_id": hashlib.sha256(key.encode()).hexdigest()[:32],
        "match_id": roster.match_id, "subject_id": subject_id, "generation": generation,
        "algo_version": RECOMPUTE_VERSION, "filter": ZERO_PHASE,
        "late_rows": findings.late.get(subject_id, 0),
        "coverage_old": _number(told.get("coverage")),
        "coverage_new": _number(final.get("coverage")),
    }


def _number(value: float | None) -> float:
    return nan if value is None or isnan(value) else float(value)
