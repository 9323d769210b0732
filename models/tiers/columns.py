"""Which columns of the warm tier are health data and must be encrypted.

State columns are classified by the access policy; what other kinds call their health columns is
here. A column that can hold health values of anybody is health, whatever else it holds.
"""

from collections.abc import Sequence
from typing import Final

from models.policies.access import DataClass, column_class
from models.telemetry.kinds import KINDS, Kind

HEALTH_EVENTS: Final = "health_events"
"""Events whose policy class is health: that one happened to somebody is health data already."""

HEALTH_CORRECTIONS: Final = "health_corrections"
"""Corrections of health metrics and of health events."""

_HEALTH: Final = frozenset({DataClass.HEALTH_BIOMETRIC, DataClass.HEALTH_INDEX})
# Payloads that were refused unread, and what decoders say of them, may hold anything.
_OTHERS: Final = frozenset({*KINDS[Kind.HEART].names, "health_scores", "payload", "detail"})
_OPEN_IN_HEALTH_EVENTS: Final = frozenset(
    {"event_id", "venue_id", "match_id", "seq", "t_event_ns", "t_detected_ns", "policy_class"}
)
_OPEN_IN_HEALTH_CORRECTIONS: Final = frozenset(
    {"correction_id", "match_id", "generation", "seq", "t_ns", "algo_version", "filter"}
)


def health_columns(kind: str, names: Sequence[str]) -> list[str]:
    """Those of the columns `names` of a file of `kind` that are health data, in order."""
    if kind == HEALTH_CORRECTIONS:
        return [name for name in names if name not in _OPEN_IN_HEALTH_CORRECTIONS]
    if kind == HEALTH_EVENTS:
        return [name for name in names if name not in _OPEN_IN_HEALTH_EVENTS]
    return [name for name in names if name in _OTHERS or column_class(name) in _HEALTH]
