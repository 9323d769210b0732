"""Orders survive their bytes; what is no order is a schema error, never a crash."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.telemetry.kinds import Kind
from models.telemetry.orders import (
    MAX_BYTES,
    MAX_TEXT,
    Order,
    OrderVerb,
    decode_order,
    encode_order,
    order_from,
)
from models.telemetry.raw import RawBatch, decode_raw, encode_raw
from tests.unit.test_raw import IDS, ROWS, block, same

TEXT = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)
NS = st.integers(0, 2**63 - 1)


@st.composite
def any_order(draw: st.DrawFn) -> Order:
    verb = draw(st.sampled_from(OrderVerb))
    return Order(
        draw(TEXT), draw(TEXT), verb, draw(TEXT), draw(NS), draw(st.integers(0, 3)),
        draw(TEXT) if verb == OrderVerb.WHOLE else "",
        draw(TEXT) if verb == OrderVerb.DEMOTE else "", draw(NS),
    )


@given(any_order())
@settings(max_examples=100, deadline=None)
def test_an_order_survives_its_bytes(order: Order) -> None:
    assert decode_order(encode_order(order)) == order


GOOD: dict[str, Any] = {
    "order_id": "o", "match_id": "m", "verb": "demote", "reason": "r", "issued_ns": 1,
    "device_id": "d", "until_ns": 2,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verb": "drop"}, "unknown_verb"), ({"verb": None}, "unknown_verb"),
        ({"verb": ["thin"]}, "unknown_verb"), ({"device_id": ""}, "missing_field"),
        ({"verb": "whole"}, "missing_field"), ({"order_id": ""}, "missing_field"),
        ({"match_id": ""}, "missing_field"), ({"reason": 5}, "out_of_range"),
        ({"reason": "x" * (MAX_TEXT + 1)}, "out_of_range"), ({"reason": "a\nb"}, "out_of_range"),
        ({"until_ns": -1}, "out_of_range"), ({"until_ns": 2**63}, "out_of_range"),
        ({"until_ns": 1.5}, "out_of_range"), ({"issued_ns": True}, "out_of_range"),
        ({"verb": "thin", "level": 4}, "out_of_range"), ({"level": "1"}, "out_of_range"),
    ],
)
def test_a_field_out_of_bounds_is_named(change: dict[str, Any], reason: str) -> None:
    assert order_from(GOOD).device_id == "d"
    with pytest.raises(SchemaError, match=reason):
        order_from(GOOD | change)


@pytest.mark.parametrize("missing", ["order_id", "match_id", "reason", "issued_ns"])
def test_a_field_that_is_missing_is_a_schema_error(missing: str) -> None:
    with pytest.raises(SchemaError):
        order_from({name: value for name, value in GOOD.items() if name != missing})


def test_fields_of_later_writers_are_passed_over_but_later_versions_are_not() -> None:
    body = {**GOOD, "schema_v": 1, "colour": "red"}
    assert decode_order(json.dumps(body).encode()).device_id == "d"
    with pytest.raises(SchemaError, match="unknown_version"):
        decode_order(json.dumps({**body, "schema_v": 2}).encode())


@given(st.one_of(st.binary(max_size=200), st.from_regex(rb'\{"schema_v":1,.*\}')))
@settings(max_examples=200, deadline=None)
def test_foreign_bytes_raise_a_schema_error(payload: bytes) -> None:
    with pytest.raises(SchemaError):
        decode_order(payload)


@pytest.mark.parametrize("payload", [b"[1]", b"3", b"null", b"[" * 5000, b" " * (MAX_BYTES + 1)])
def test_json_that_is_no_order_raises_a_schema_error(payload: bytes) -> None:
    with pytest.raises(SchemaError):
        decode_order(payload)


@given(st.lists(any_order(), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_raw_batches_carry_orders(orders: list[Order]) -> None:
    rows = block(Kind.HEART, 3)
    batch = RawBatch("orders", 9, 1, {Kind.HEART: rows}, {}, False, tuple(orders), {"oversize": 2})
    back = decode_raw(encode_raw(batch, IDS), ROWS)
    assert (back.orders, back.unread, back.cursor) == (tuple(orders), {"oversize": 2}, 9)
    same(back.blocks[Kind.HEART], rows)


def test_raw_bytes_without_orders_are_what_they_were_before_there_were_any() -> None:
    bytes_ = encode_raw(RawBatch("s", 7, 99, {}, {"crc": 3}, True), IDS)
    head = json.loads(bytes_[8:])
    assert set(head) == {"schema_v", "source_id", "cursor", "now_ns", "refused", "end", "parts"}
    back = decode_raw(bytes_, ROWS)
    assert (back.orders, back.unread) == ((), {})


def test_a_raw_batch_with_a_damaged_order_is_a_schema_error() -> None:
    order = Order("o", "m", OrderVerb.THIN, "r", 1, level=3)
    whole = encode_raw(RawBatch("orders", 9, 1, {}, orders=(order,)), IDS)
    with pytest.raises(SchemaError):
        decode_raw(whole.replace(b'"level":3', b'"level":9'), ROWS)
