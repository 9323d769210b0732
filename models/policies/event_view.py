"""What of an event a reader may see: the one filter of REST, live feed and webhooks.

Pure functions over the JSON form of events. Deny by default: an event whose class the reader lacks
is cut, one that nobody classified counts as health, and a reader who may know nothing of athletes
is not told who wears a device.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final

from models.policies.access import DataClass, column_class
from models.policies.sight import Sight

ALWAYS: Final = "always"
"""The class of what everybody may see who may see a venue at all."""
_C = DataClass
_EVENT_CLASS: Final[Mapping[str, str]] = {
    "fatigue_amber": _C.HEALTH_INDEX, "fatigue_red": _C.HEALTH_INDEX,
    "fatigue_clear": _C.HEALTH_INDEX, "man_down": _C.HEALTH_BIOMETRIC,
    "load_cap_reached": _C.HEALTH_BIOMETRIC, "heart_rate_recovery": _C.HEALTH_BIOMETRIC,
    "heart_rate_suspect": _C.HEALTH_BIOMETRIC,
    "device_degraded": _C.DEVICE_HEALTH, "device_failed": _C.DEVICE_HEALTH,
    "device_recovered": _C.DEVICE_HEALTH, "device_failure_predicted": _C.DEVICE_HEALTH,
    "clock_fault": _C.DEVICE_HEALTH, "anchor_fault": _C.DEVICE_HEALTH,
    "device_anomaly": _C.DEVICE_HEALTH, "feed_gap": ALWAYS, "feed_restored": ALWAYS,
    "acceleration": _C.PERFORMANCE, "deceleration": _C.PERFORMANCE, "impact": _C.PERFORMANCE,
    "collision": _C.PERFORMANCE, "jump": _C.PERFORMANCE, "fall": _C.PERFORMANCE,
    "change_of_direction": _C.PERFORMANCE, "high_intensity_bout": _C.PERFORMANCE,
    "sprint": _C.TRACKING,
    "pass": _C.ON_THE_BALL, "shot": _C.ON_THE_BALL, "kick": _C.ON_THE_BALL,
    "possession_gain": _C.ON_THE_BALL, "ball_out": _C.ON_THE_BALL,
    "goal_candidate": _C.ON_THE_BALL, "kick_off": _C.ON_THE_BALL, "throw_in": _C.ON_THE_BALL,
    "corner": _C.ON_THE_BALL, "goal_kick": _C.ON_THE_BALL, "free_kick": _C.ON_THE_BALL,
    "penalty": _C.ON_THE_BALL, "carry": _C.ON_THE_BALL, "possession_loss": _C.ON_THE_BALL,
}
_CLAIMED: Final[Mapping[str, str]] = {
    "tracking": _C.TRACKING, "physical": _C.PERFORMANCE, "on_the_ball": _C.ON_THE_BALL,
}
_PLACES: Final[tuple[str, ...]] = ("x_m", "y_m", "x_end_m", "y_end_m")
_LIMIT: Final = "limit_"
"""Metrics that say by which threshold an event was judged: nothing of the athlete."""
_HEALTH: Final = frozenset({_C.HEALTH_BIOMETRIC, _C.HEALTH_INDEX})
_OF_ATHLETES: Final = frozenset({_C.TRACKING, _C.PERFORMANCE, _C.HEALTH_BIOMETRIC})
_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("fatigue", "dbal", "wbal"), _C.HEALTH_INDEX),
    **dict.fromkeys(("hr_", "rr_", "trimp", "heart", "tilt", "rmssd"), _C.HEALTH_BIOMETRIC),
}
"""What a metric is about that no column is called like."""


def class_of_event(event: Mapping[str, Any]) -> str:
    """The class that a reader needs: by the event's type, else by its claim, else health."""
    by_type = _EVENT_CLASS.get(str(event["type"]))
    claimed = _CLAIMED.get(str(event.get("policy_class", "")))
    return str(by_type or claimed or _C.HEALTH_BIOMETRIC)


def events_view(events: Iterable[dict[str, Any]], sight: Sight) -> list[dict[str, Any]]:
    """The events that may be seen, each as `event_view` has it."""
    return [seen for event in events if (seen := event_view(event, sight)) is not None]


def event_view(event: dict[str, Any], sight: Sight) -> dict[str, Any] | None:
    """The event without metrics of health of a class that the reader lacks; None: it may not be
    seen."""
    subject, team = str(event.get("subject_id", "")), str(event.get("team", ""))
    needed = class_of_event(event)
    of_devices = needed in (_C.DEVICE_HEALTH, ALWAYS)
    classes = sight.of("", "") if of_devices else sight.of(team, subject)
    coarse = needed == _C.TRACKING and needed not in classes and _C.TRACKING_COARSE in classes
    if needed != ALWAYS and needed not in classes and not coarse:
        return None
    if coarse:
        event = _coarse(event)
    if _HEALTH - classes:
        metrics = event.get("metrics", {})
        kept = {name: value for name, value in metrics.items() if _may_see(name, classes)}
        event = {**event, "metrics": kept}
    if of_devices and subject and not classes & _OF_ATHLETES:
        event = {**event, "subject_id": ""}
    return event


def _coarse(event: dict[str, Any]) -> dict[str, Any]:
    """An event of tracking to the metre, and its metrics to the whole unit, as in state rows."""
    placed = {key: _whole(event[key]) for key in _PLACES if key in event}
    metrics = {
        name: value if name.startswith(_LIMIT) else _whole(value)
        for name, value in event.get("metrics", {}).items()
    }
    return {**event, **placed, "metrics": metrics}


def _whole(value: Any) -> Any:
    return round(value) if isinstance(value, float) and isfinite(value) else value


def _may_see(metric: str, classes: frozenset[str]) -> bool:
    """Whether a metric of an event that may be seen is none of health, or one that may be, too."""
    known = column_class(metric)
    about = {known} if known else {cls for word, cls in _WORDS.items() if word in metric}
    return not (about & _HEALTH) - classes
