"""The digest of a run: one sha256 over what a replay must reproduce byte for byte.

Covered: every rule event (streams of flows and of the edge) and every final metric. Left out:
scores of nets, whose last bits depend on how calls were batched, and anything that holds
wall-clock time.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from models.events.envelope import Event


def is_rule_event(event: Event) -> bool:
    """Whether a digest covers `event`: made by the flow kernel or the edge, not by a net."""
    return event.stream == "edge" or event.stream.startswith("flow/")


def canonical_lines(
    events: Iterable[Event], finals: Iterable[Mapping[str, Any]]
) -> Iterable[str]:
    """The text that is hashed: a JSON line per event and per final row, in a fixed order.

    Events are taken once per id and ordered by (event time, id); finals by (match, subject).
    """
    unique = {event.event_id: event for event in events if is_rule_event(event)}
    for event in sorted(unique.values(), key=lambda e: (e.t_event_ns, e.event_id)):
        yield json.dumps(event.canonical(), sort_keys=True, separators=(",", ":"))
    rows = {(row.get("match_id", ""), row["subject_id"]): row for row in finals}
    for key in sorted(rows):
        plain = {name: _plain(value) for name, value in rows[key].items()}
        yield json.dumps(plain, sort_keys=True, separators=(",", ":"))


def digest(events: Iterable[Event], finals: Iterable[Mapping[str, Any]]) -> str:
    """sha256, hex, of `canonical_lines`, each ended by a newline."""
    state = hashlib.sha256()
    for line in canonical_lines(events, finals):
        state.update(line.encode())
        state.update(b"\n")
    return state.hexdigest()


def _plain(value: Any) -> Any:
    """A float as its exact hexadecimal text, so that no printing rule can hide a difference."""
    return value.hex() if isinstance(value, float) else value
