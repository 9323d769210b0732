"""Predictions and actions as they come in: JSON objects that can be kept, compared and served."""

from typing import Any, Final

from models.plain_fields import TEXT, check_json, check_value, read_json

WHOM: Final = {"failure": "device_id", "fatigue": "subject_id", "event": "subject_id"}
"""Kinds of prediction, and by which key each names whom it is about."""
_SCORE: Final = (float, int, type(None))


def read_action(payload: bytes) -> dict[str, Any]:
    """An action. Raises TypeError, ValueError for what is none."""
    return _object(read_json(payload))


def read_predictions(payload: bytes) -> list[dict[str, Any]]:
    """One prediction or a list of them; a score may be unknown (None or NaN). Raises KeyError,
    TypeError, ValueError for what is none."""
    body = read_json(payload)
    return [_prediction(one) for one in (body if isinstance(body, list) else [body])]


def _prediction(said: Any) -> dict[str, Any]:
    if not isinstance(said, dict) or not isinstance(said.get("scores", {}), dict):
        raise TypeError("a prediction is an object, and so are its scores")
    _object({name: value for name, value in said.items() if name != "scores"})
    for name, score in said.get("scores", {}).items():
        check_value("scores", name, TEXT)
        if type(score) not in _SCORE:
            raise TypeError(f"the score {name} is no number")
    kind = said["kind"]
    if not isinstance(kind, str) or kind not in WHOM:
        raise ValueError(f"unknown kind of prediction: {kind!r}")
    said["t_ns"] = int(str(said["t_ns"]))
    check_value("t_ns", said["t_ns"], (int,))
    check_value(WHOM[kind], said[WHOM[kind]], TEXT)
    return said


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise TypeError(f"{type(body).__name__}, not an object")
    check_json("document", body)
    return body
