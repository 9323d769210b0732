"""Quarantine records: rows with their reasons, and payloads that never became rows."""

import numpy as np
import pytest

from models.errors import SchemaError
from models.telemetry.decoded import Refusal
from models.telemetry.kinds import Kind
from models.telemetry.quarantine import (
    HEAD_BYTES,
    decode_refusals,
    decode_rejected,
    encode_refusals,
    encode_rejected,
)
from models.telemetry.reasons import Reason
from tests.unit import source_world as world


def test_rejected_rows_come_back_with_their_reasons_and_values() -> None:
    index = world.index()
    block = world.block(6, device=2)
    block.values[2] = np.nan
    reasons = np.array([11, 13, 9, 13, 10, 20], np.uint8)
    payload = encode_rejected(block, reasons, index.device_ids)
    back, codes = decode_rejected(payload, index.kind_rows[Kind.LPS])
    assert codes.tolist() == reasons.tolist()
    assert back.device.tolist() == [2] * 6
    assert np.array_equal(back.values, block.values, equal_nan=True)


def test_rows_of_no_known_device_keep_no_device() -> None:
    index = world.index()
    block = world.block(2, device=-1)
    payload = encode_rejected(block, np.full(2, 5, np.uint8), index.device_ids)
    back, _ = decode_rejected(payload, index.kind_rows[Kind.LPS])
    assert back.device.tolist() == [-1, -1]


def test_refusals_keep_reason_device_count_and_the_head_of_the_payload() -> None:
    refusals = [
        Refusal(Reason.CRC, "tag_0", 12, "bad sum", b"\x00\xff" * 4000),
        Refusal(Reason.DECODER, "", 1, "", b""),
    ]
    back = decode_refusals(encode_refusals(refusals))
    assert back[0].payload == refusals[0].payload[:HEAD_BYTES]
    assert (back[0].reason, back[0].device_id, back[0].rows) == (Reason.CRC, "tag_0", 12)
    assert back[1] == refusals[1]


@pytest.mark.parametrize("payload", [b"", b"noise", encode_refusals([])])
def test_what_is_not_rejected_rows_is_a_clear_error(payload: bytes) -> None:
    with pytest.raises(SchemaError):
        decode_rejected(payload, {})
    if not payload.startswith(b"\xff"):
        with pytest.raises(SchemaError):
            decode_refusals(payload)
