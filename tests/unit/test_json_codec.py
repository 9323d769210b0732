"""The JSON packet codec says the same as the binary one, and never raises."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telemetry.decoded import count_refused
from models.telemetry.json_codec import decode_json, encode_json, packet_to_json
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.packet import Packet, decode_packets, encode_packets
from models.telemetry.reasons import Reason
from models.telemetry.roster import Device, Role, Roster, Subject

NOW = 1_700_000_000_500_000_000
ROSTER = Roster(
    "v1", "m1", subjects=(Subject("a", Role.ATHLETE),),
    devices=tuple(Device("d", kind, "a", 10.0) for kind in Kind),
)


def packet(kind: Kind, n: int, seed: int, gaps: bool) -> Packet:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 3, (len(KINDS[kind].channels), n)).astype(np.float32)
    for row, channel in enumerate(KINDS[kind].channels):
        if channel.nullable and gaps:
            values[row, ::2] = np.nan
    return Packet("d", kind, 1, 2**32 - 3, NOW, 0.75, values, "v1", "m1", batt_pct=50)


@given(st.sampled_from(list(Kind)), st.integers(1, 200), st.integers(0, 99), st.booleans())
@settings(max_examples=40, deadline=None)
def test_json_and_binary_decode_to_the_same_rows(
    kind: Kind, n: int, seed: int, gaps: bool
) -> None:
    sent = [packet(kind, n, seed, gaps)]
    text = decode_json(encode_json(sent), ROSTER, NOW)
    wire = decode_packets(encode_packets(sent), ROSTER, NOW)
    assert not text.refusals
    assert text.verdicts == wire.verdicts
    for name in ("device", "boot", "seq", "t_event_ns", "flags", "values"):
        np.testing.assert_array_equal(
            getattr(text.blocks[kind], name), getattr(wire.blocks[kind], name)
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_v": 2}, Reason.UNKNOWN_VERSION),
        ({"kind": "telepathy"}, Reason.UNKNOWN_KIND),
        ({"kind": 3}, Reason.WRONG_FORMAT),
        ({"device_id": "ghost"}, Reason.UNKNOWN_DEVICE),
        ({"device_id": None}, Reason.WRONG_FORMAT),
        ({"venue_id": "v2"}, Reason.IDENTITY),
        ({"seq": -1}, Reason.WRONG_FORMAT),
        ({"seq": True}, Reason.WRONG_FORMAT),
        ({"boot_id": 2**32}, Reason.WRONG_FORMAT),
        ({"t_event": 1.5}, Reason.WRONG_FORMAT),
        ({"t_event": -1}, Reason.OUT_OF_RANGE),
        ({"rate_hz": 0}, Reason.RATE),
        ({"rate_hz": 1e9}, Reason.RATE),
        ({"n": 3}, Reason.WRONG_FORMAT),
        ({"channels": {}}, Reason.WRONG_FORMAT),
        ({"channels": {"hr_bpm": []}}, Reason.WRONG_FORMAT),
        ({"channels": {"hr_bpm": [], "rr_ms": []}, "n": 0}, Reason.EMPTY),
        ({"channels": {"hr_bpm": [60.0, "61"]}}, Reason.WRONG_FORMAT),
        ({"channels": {"hr_bpm": [60.0, True]}}, Reason.WRONG_FORMAT),
        ({"channels": {"soul": [1.0, 2.0]}}, Reason.WRONG_FORMAT),
        ({"channels": {"rr_ms": [1.0, 2.0]}}, Reason.WRONG_FORMAT),
        ({"channels": {"hr_bpm": [60.0] * 201}, "n": 201}, Reason.OVERSIZE),
        ({"channels": {"hr_bpm": [60.0, None]}}, Reason.NOT_FINITE),
        ({"channels": {"hr_bpm": [60.0, 1e300]}}, Reason.NOT_FINITE),
        ({"channels": {"hr_bpm": [60.0, 10**400]}}, Reason.NOT_FINITE),
    ],
)
def test_a_bad_field_is_refused_for_its_reason(
    change: dict[str, object], reason: Reason
) -> None:
    good = packet_to_json(packet(Kind.HEART, 2, 0, False))
    decoded = decode_json(json.dumps([{**good, **change}, good]).encode(), ROSTER, NOW)
    assert [v.reason for v in decoded.verdicts] == [reason, Reason.NONE]
    assert count_refused(decoded.refusals).keys() == {reason.label}


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{", b"null", b"3", b'"x"', b"[[[", b"[" * 200_000, b"\xff\xfe", b'{"packets":1}',
     b'[{"device_id":"\\ud800","kind":"lps"}]', b"[" + b"9" * 9000 + b"]"],
)
def test_text_that_is_no_packet_is_refused(payload: bytes) -> None:
    decoded = decode_json(payload, ROSTER, NOW)
    assert decoded.rows == 0
    assert decoded.refusals
    assert decoded.verdicts[0].reason is not Reason.NONE


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["packets", "device_id", "kind", "channels", "n", "seq", "hr_bpm"]),
        inner, max_size=5,
    ), max_leaves=20,
))
@settings(max_examples=200, deadline=None)
def test_any_json_is_answered(value: object) -> None:
    decoded = decode_json(json.dumps(value).encode(), ROSTER, NOW)
    assert decoded.rows == 0
    assert decoded.refusals
