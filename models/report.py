"""The match report: what a run has to say at its end, as one JSON document.

Pure: takes what the stages counted and what the log holds, and arranges it. `holds` is the check of
conservation that the program itself makes: in = forwarded + rejected + thinned + buffered.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.digest import digest
from models.events.envelope import Event

ATHLETE_COLUMNS = {
    "distance_m": "distance_m", "sprints": "sprint_n", "max_speed_mps": "max_speed_mps",
    "player_load": "player_load_au", "hr_mean_bpm": "hr_mean_bpm", "coverage": "coverage",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Everything that a report is made of.

    accounts: one per venue, as `EdgeAccount.to_dict()`; finals: final state rows as dicts with
    `subject_id`, `match_id`; fatigue: subject -> net's {index, low, high}; devices: per device
    {id, status, faults, failure_p}; latency_ms: stage -> {p50, p95, p99}; tiers: tier -> {bytes,
    rows}; pool: {min, max, decisions}; webhooks: name -> {state, taken, dead_letters, ...}.
    """

    accounts: Sequence[Mapping[str, Any]]
    events: Sequence[Event]
    finals: Sequence[Mapping[str, Any]]
    fatigue: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    devices: Sequence[Mapping[str, Any]] = ()
    latency_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tiers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    pool: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)
    webhooks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def build_report(facts: RunFacts) -> dict[str, Any]:
    """The report's JSON, with the keys that the README names."""
    unique = {event.event_id: event for event in facts.events}
    samples = sum_accounts(facts.accounts)
    return {
        "samples": samples,
        "conservation": {"holds": holds(samples)},
        "events": dict(sorted(Counter(e.type for e in unique.values()).items())),
        "athletes": [_athlete(row, facts.fatigue) for row in _by_id(facts.finals) if _moves(row)],
        "devices": [dict(device) for device in facts.devices],
        "latency_ms": {stage: dict(values) for stage, values in facts.latency_ms.items()},
        "tiers": {tier: dict(values) for tier, values in facts.tiers.items()},
        "pool": dict(facts.pool),
        "webhooks": {name: dict(one) for name, one in facts.webhooks.items()},
        "digest": digest(unique.values(), facts.finals),
        **{key: round(value, 3) for key, value in facts.usage.items()},
    }


def sum_accounts(accounts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One account of all venues: totals, and rejections by reason."""
    totals: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for account in accounts:
        if not account:  # a venue that was never taken over has taken nothing in
            continue
        for key in ("in", "forwarded", "thinned", "buffered", "lost_by_counter"):
            totals[key] += int(account[key])
        rejected.update({str(reason): int(n) for reason, n in account["rejected"].items()})
    keys = ("in", "forwarded", "thinned", "buffered")
    return {
        **{key: totals[key] for key in keys},
        "rejected": dict(sorted(rejected.items())),
        "lost_by_counter": totals["lost_by_counter"],
    }


def holds(samples: Mapping[str, Any]) -> bool:
    """Whether every sample that came in is accounted for exactly once."""
    out = samples["forwarded"] + samples["thinned"] + samples["buffered"]
    return bool(samples["in"] == out + sum(samples["rejected"].values()))


def _by_id(finals: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    rows = {(str(r.get("match_id", "")), str(r["subject_id"])): r for r in finals}
    return [rows[key] for key in sorted(rows)]


def _moves(row: Mapping[str, Any]) -> bool:
    """People have sprints, however few; the ball has none."""
    return _finite(row.get("sprint_n")) is not None


def _athlete(
    row: Mapping[str, Any], fatigue: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    ours = {name: _finite(row.get(column)) for name, column in ATHLETE_COLUMNS.items()}
    rule = {key: _finite(row.get(f"fatigue_{key}")) for key in ("index", "low", "high")}
    net = fatigue.get(str(row["subject_id"]))
    return {
        "id": row["subject_id"], **ours,
        "fatigue": {**rule, "source": "rule"} if net is None else {**net, "source": "net"},
    }


def _finite(value: Any) -> Any:
    """None for a value that is not known (NaN), else the value to six digits."""
    if value is None or value != value:
        return None
    return round(value, 6) if isinstance(value, float) else value
