"""Documents of which any part is not what it should be: refused by name, or read whole; never a
crash, when they come in or later."""

import copy
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from actors.worker_snapshots import FlowSnapshot
from models.errors import ConfigError, SchemaError
from models.events.envelope import EVENT_TYPE, Event, to_cloudevent
from models.plain_fields import check_plain
from models.readmodel import ReadModel
from models.readmodel_input import PREDICTION_TYPE
from models.state_bytes import pack_state, unpack_state
from models.telemetry.flow_records import RecordDecoder
from models.telemetry.kinds import Kind
from models.telemetry.orders import Order, OrderVerb, decode_order
from models.telemetry.raw import RawBatch, decode_raw, encode_raw
from models.telemetry.record import decode_record, encode_record
from models.telemetry.roster import Device, Roster, Subject
from models.tiers.progress import Progress
from tests.unit.flow_world import roster_of
from tests.unit.test_flow_records import IDS, ROWS, record_of

T0 = 10**18
HOSTILE: tuple[Any, ...] = (
    2**70, -(2**70), float("inf"), float("nan"), -1, 0, 1e300, "x", "\ud800", "9" * 30, None, True,
    [], {}, [[1]], [1, 2], [None], {"a": {"b": 1}},
)
ROSTER = roster_of(2)
ORDER = Order("i", "m", OrderVerb.THIN, "r", 5, level=2)
RECORD = encode_record(record_of({Kind.LPS: 3}, 1), IDS)
RAW = encode_raw(
    RawBatch("s", 4, T0, record_of({Kind.LPS: 3}, 1).blocks, {"empty": 2}, orders=(ORDER,)), IDS
)
SNAPSHOT = FlowSnapshot(7, False, b"state").encode()
STATE = pack_state({"a": 1}, {"x": np.arange(6.0).reshape(2, 3)})
ROLL = Progress({"a": (5, 1)}, {"a", "b"}, False, 7, 3, b"kernel", {9: None}).encode()
EVENT = Event(
    "sprint", ROSTER.venue_id, ROSTER.match_id, "flow/p0", 3, T0, T0 + 1, "p0", "home", x_m=1.0,
    context=("a:b",), metrics={"speed_mps": 8.0},
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The document itself, and every value in it; of lists the first two."""
    yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document[:2]):
            yield from places(value, (*path, index))


def damaged(document: Any) -> Iterator[bytes]:
    """The document with each value replaced by each hostile one, and with each left out."""
    for path in places(document):
        for value in HOSTILE:
            yield as_bytes(value if not path else changed(document, path, value))
        if path:
            yield as_bytes(changed(document, path))


def changed(document: Any, path: tuple[Any, ...], *value: Any) -> Any:
    whole = copy.deepcopy(document)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    if value:
        inner[path[-1]] = value[0]
    else:
        del inner[path[-1]]
    return whole


def as_bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


def with_head(payload: bytes) -> tuple[Any, Callable[[bytes], bytes]]:
    """The JSON header of a container, and the container with another."""
    (length,) = struct.unpack_from("<I", payload, 4)
    rest = payload[8 + length :]
    return json.loads(payload[8 : 8 + length]), lambda head: b"".join(
        (payload[:4], struct.pack("<I", len(head)), head, rest)
    )


@pytest.mark.parametrize(("payload", "decode"), [
    (RECORD, lambda data: decode_record(data, ROWS)),
    (RECORD, RecordDecoder(ROWS).decode),
    (RAW, lambda data: decode_raw(data, ROWS)),
    (SNAPSHOT, FlowSnapshot.decode), (STATE, unpack_state), (ROLL, Progress.decode),
], ids=["record", "record of flows", "raw", "flow snapshot", "kernel state", "state of a roll"])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_containers_are_read_or_refused(payload: bytes, decode: Callable[[bytes], Any]) -> None:
    header, container = with_head(payload)
    decode(container(as_bytes(header)))
    refused = 0
    for head in damaged(header):
        try:
            decode(container(head))
        except SchemaError:
            refused += 1
    assert refused > 30
    with pytest.raises(SchemaError):
        decode(container(b"[" * 100_000))


def test_orders_are_read_or_refused() -> None:
    for body in damaged({"schema_v": 1, **ORDER.to_dict()}):
        try:
            decode_order(body)
        except SchemaError:
            continue


def stored(payload: bytes, offset: int, content_type: str = "") -> Any:
    record = SimpleNamespace(payload=payload, content_type=content_type)
    return SimpleNamespace(offset=offset, t_append_ns=T0, record=record)


def ask_all(model: ReadModel) -> None:
    """What is served must be fit to be written as JSON in UTF-8."""
    served: list[Any] = [model.list_venues(T0), list(model.actions)]
    for name in model.venues:
        venue = model.venues[name]
        served += [model.snapshot_since(name, "", T0), venue.predictions(), venue.devices.counts()]
        served.append(venue.devices.served(T0))
    json.dumps(served, ensure_ascii=False, default=str).encode()


def test_a_roster_is_refused_or_can_be_served() -> None:
    for text in damaged(json.loads(ROSTER.to_json())):
        model = ReadModel()
        model.apply("roster/v", stored(text, 0))
        ask_all(model)


def test_an_event_is_refused_or_can_be_served_with_those_around_it() -> None:
    for payload in damaged(json.loads(to_cloudevent(EVENT, 5))):
        model = ReadModel()
        model.apply("roster/v", stored(ROSTER.to_json().encode(), 0))
        for n in range(70):
            body = payload if n == 3 else to_cloudevent(replace(EVENT, seq=100 + n), 5)
            model.apply("events/v", stored(body, n, EVENT_TYPE))
        ask_all(model)


@pytest.mark.parametrize("prediction", [
    {"kind": "failure", "device_id": "lps0", "t_ns": T0, "scores": {"p_fail": 0.7, "stuck": 0.6}},
    {"kind": "fatigue", "subject_id": "p0", "t_ns": T0, "scores": {"index": 0.2}},
    {"kind": "event", "subject_id": "p0", "t_ns": T0, "event_id": "", "scores": {"sprint": 0.9}},
])
def test_a_prediction_is_refused_or_can_be_served(prediction: dict[str, Any]) -> None:
    for payload in damaged([prediction, {**prediction, "t_ns": T0 + 1}]):
        model = ReadModel()
        model.apply("roster/v", stored(ROSTER.to_json().encode(), 0))
        model.apply("insights/v", stored(payload, 0, PREDICTION_TYPE))
        model.apply("insights/v", stored(as_bytes(prediction), 1, PREDICTION_TYPE))
        ask_all(model)


def test_an_action_is_refused_or_can_be_served() -> None:
    action = {"action": "thin", "reason": "load", "t_ns": str(T0), "detail": {"venue": "v"}}
    for payload in damaged(action):
        model = ReadModel()
        model.apply("actions", stored(payload, 0))
        ask_all(model)


@pytest.mark.parametrize(("topic", "content_type"), [
    ("roster/v", ""), ("events/v", EVENT_TYPE), ("insights/v", PREDICTION_TYPE), ("actions", ""),
])
def test_nesting_without_end_is_refused(topic: str, content_type: str) -> None:
    model = ReadModel()
    for payload in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 500 + b"]" * 500):
        assert model.apply(topic, stored(payload, 0, content_type)).what == "refused"
    ask_all(model)


@pytest.mark.parametrize("made", [
    Subject("p", "athlete", number="7"), Subject(["p"], "athlete"), Subject("p\ud800", "athlete"),
    Subject("p", "athlete", number=True), Subject("p", "athlete", mass_kg=float("nan")),
    Device("d", Kind.LPS, "p", 20.0, valid_from_ns=2**63), Device("d", Kind.LPS, None, 20.0),
])
def test_fields_that_are_not_as_declared_are_told(made: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        check_plain(made)


def test_a_roster_says_which_field_is_wrong() -> None:
    text = ROSTER.to_json().replace('"number": 2', '"number": "2"')
    with pytest.raises(ConfigError, match="number is str, not int"):
        Roster.from_json(text)
