"""What of an answer a caller may see: rows, events, predictions and devices cut to data classes.

Pure functions over JSON values; events are cut by `models.policies.event_view`. Deny by default: a
key that the catalogue does not name is cut. Which class may be seen of whom is asked of a `Sight`.
"""

from collections.abc import Iterable
from typing import Any, Final

from models.policies.event_view import events_view
from models.policies.sight import Sight
from serve.catalogue import (
    ALWAYS,
    DEVICE,
    HEALTH,
    INDEX,
    METRICS,
    ON_BALL,
    PERFORMANCE,
    TRACKING,
    class_of,
)

TRACKING_COARSE: Final = "tracking_coarse"
_COARSE_KEYS: Final = frozenset({"x_m", "y_m", "z_m", "speed_mps"})


def row_view(row: dict[str, Any], sight: Sight) -> dict[str, Any]:
    """A state row with the columns that may be seen of this subject; coarse tracking to the metre.

    Empty when nothing of the subject may be seen.
    """
    classes = sight.of(str(row.get("team", "")), str(row.get("subject_id", "")))
    if not classes - {DEVICE}:
        return {}
    coarse = TRACKING_COARSE in classes and TRACKING not in classes
    seen = classes | {ALWAYS}
    out = {}
    for key, value in row.items():
        if class_of(key) in seen:
            out[key] = value
        elif coarse and key in _COARSE_KEYS:
            out[key] = round(float(value))
    return out


def rows_view(rows: Iterable[dict[str, Any]], sight: Sight) -> list[dict[str, Any]]:
    """The rows of which something may be seen."""
    return [seen for row in rows if (seen := row_view(row, sight))]


def predictions_view(predictions: dict[str, Any], sight: Sight) -> dict[str, Any]:
    """Fatigue for readers of the index, failures for operators, impacts for analysts.

    What a reader has no class for is not even named.
    """
    general = sight.of("", "")
    teams = predictions.get("teams", {})

    def may(prediction: dict[str, Any], needed: str) -> bool:
        subject = str(prediction.get("subject_id", ""))
        return needed in sight.of(str(teams.get(subject, "")), subject)

    out: dict[str, Any] = {}
    if INDEX in general:
        out["fatigue"] = [p for p in predictions["fatigue"] if may(p, INDEX)]
    if PERFORMANCE in general:
        out["event"] = [p for p in predictions["event"] if may(p, PERFORMANCE)]
    if DEVICE in general:
        out |= {key: predictions[key] for key in ("failure", "next_failure")}
    return out


def devices_view(devices: Iterable[dict[str, Any]], sight: Sight) -> list[dict[str, Any]]:
    """Device health; the wearer only for readers who may know anything of athletes."""
    classes = sight.of("", "")
    if DEVICE not in classes:
        return []
    if {TRACKING, PERFORMANCE, HEALTH} & classes:
        return list(devices)
    return [{**device, "subject_id": ""} for device in devices]


def snapshot_view(body: dict[str, Any], sight: Sight) -> dict[str, Any]:
    """A message of the live feed, cut to what may be seen."""
    out = {
        **body, "athletes": rows_view(body["athletes"], sight),
        "events": events_view(body["events"], sight),
        "trail": body["trail"] if {TRACKING, ON_BALL} & sight.of("", "") else [],
    }
    if "devices" in body:
        out["devices"] = devices_view(body["devices"], sight)
    if "predictions" in body:
        out["predictions"] = predictions_view(body["predictions"], sight)
    return out


def history_view(points: Iterable[dict[str, Any]], row: dict[str, Any], sight: Sight) -> list[Any]:
    """History points of the subject of `row`, with the columns that may be seen of it."""
    return [
        {key: value for key, value in row_view({**who(row), **point}, sight).items()
         if key in point}
        for point in points
    ]


def who(row: dict[str, Any]) -> dict[str, Any]:
    """The keys of a row that name its subject."""
    return {key: row[key] for key in ("subject_id", "role", "team", "number") if key in row}


def metric_values(row: dict[str, Any], sight: Sight) -> list[dict[str, Any]]:
    """Each metric of a state row with unit, age, status, version, coverage and formula."""
    seen = row_view(row, sight)
    out = []
    for name, value in seen.items():
        metric = METRICS.get(name)
        if metric is None:
            continue
        heart = metric.data_class == HEALTH
        out.append({
            "name": name, "label": metric.label, "value": value, "unit": metric.unit,
            "status": row.get("status", ""), "algo_version": row.get("algo_version", ""),
            "age_ms": row.get("hr_age_ms") if heart else row.get("age_ms"),
            "received_age_ms": row.get("received_age_ms"),
            "stale": bool(row.get("hr_stale") if heart else row.get("stale")),
            "coverage": row.get("hr_coverage" if heart else "coverage"),
            "formula": metric.formula, "window": metric.window,
        })
    return out
