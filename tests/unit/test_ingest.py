"""Arrow ingest: several streams, verdicts per device, hostile bytes."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Decoded, count_refused
from models.telemetry.flags import Flag
from models.telemetry.ingest import decode_arrow, encode_blocks
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason
from models.telemetry.roster import Device, Role, Roster, Subject

NOW = 1_700_000_000_500_000_000
ROSTER = Roster(
    "v1", "m1", subjects=(Subject("a", Role.ATHLETE),),
    devices=tuple(Device(f"d{i}", k, "a", 10.0) for k in (Kind.LPS, Kind.HEART) for i in range(3)),
)
IDS = [device.device_id for device in ROSTER.devices]


def block(kind: Kind, devices: list[int]) -> SampleBlock:
    n = len(devices)
    values = np.full((len(KINDS[kind].channels), n), 1.0, np.float32)
    base = 0 if kind == Kind.LPS else 3
    return SampleBlock(
        kind, np.array(devices, np.int32) + base, np.ones(n, np.uint32),
        np.arange(n, dtype=np.uint32), NOW + np.arange(n), np.zeros(n, np.int64),
        np.zeros(n, np.uint32), values,
    )


def decode(payload: bytes) -> Decoded:
    return decode_arrow(payload, ROSTER, NOW)


def stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def test_streams_of_several_kinds_are_read_one_after_the_other() -> None:
    sent = {Kind.LPS: block(Kind.LPS, [0, 1, 0, 2]), Kind.HEART: block(Kind.HEART, [2, 2])}
    decoded = decode(encode_blocks(sent, IDS))
    assert not decoded.refusals
    for kind, one in sent.items():
        np.testing.assert_array_equal(decoded.blocks[kind].values, one.values)
        np.testing.assert_array_equal(decoded.blocks[kind].device, one.device)
        assert (decoded.blocks[kind].t_ingest_ns == NOW).all()
    assert [(v.device_id, v.rows) for v in decoded.verdicts] == [
        ("d0", 2), ("d1", 1), ("d2", 1), ("d2", 2),
    ]


def test_bad_rows_are_refused_by_device_and_reason_and_the_others_taken() -> None:
    sent = block(Kind.LPS, [0, 1, 2, 0])
    sent.values[0, 0] = np.nan
    sent.t_event_ns[3] = -1
    batch = to_arrow(sent, ["d0", "ghost", "d2"])
    decoded = decode(stream(batch))
    assert count_refused(decoded.refusals) == {
        "not_finite": 1, "out_of_range": 1, "unknown_device": 1,
    }
    assert {r.device_id for r in decoded.refusals} == {"d0", "ghost"}
    assert decoded.rows == 1
    assert sum(v.rows for v in decoded.verdicts) == 1


def test_a_sender_cannot_set_the_findings_of_the_edge() -> None:
    sent = block(Kind.LPS, [0])
    sent.flags[:] = int(Flag.CONSENT_BLOCKED | Flag.NLOS)
    assert decode(encode_blocks({Kind.LPS: sent}, IDS)).blocks[Kind.LPS].flags[0] == Flag.NLOS


def test_a_stream_cut_at_any_offset_never_raises_and_loses_no_count() -> None:
    whole = encode_blocks({Kind.HEART: block(Kind.HEART, [0, 1])}, IDS)
    for end in range(0, len(whole) - 8, 3):
        decoded = decode(whole[:end])
        assert decoded.rows == 2 or decoded.refusals


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_damaged_streams_never_raise(changes: list[tuple[int, int]]) -> None:
    whole = bytearray(encode_blocks({Kind.HEART: block(Kind.HEART, [0, 1, 1])}, IDS))
    for place, change in changes:
        whole[place % len(whole)] ^= change
    decoded = decode(bytes(whole))
    assert decoded.verdicts


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"", Reason.EMPTY), (b"\0" * 64, Reason.WRONG_FORMAT), (b"TLPK" * 10, Reason.WRONG_FORMAT),
     (np.random.default_rng(3).bytes(10 << 20), Reason.WRONG_FORMAT)],
    ids=["empty", "zeros", "packet", "noise"],
)
def test_bytes_that_are_no_stream_are_refused(payload: bytes, reason: Reason) -> None:
    decoded = decode(payload)
    assert decoded.rows == 0
    assert decoded.refusals[0].reason in (reason, Reason.TRUNCATED)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [({"touchline.kind": "soul", "touchline.schema_v": "1"}, Reason.UNKNOWN_KIND), (
        {}, Reason.UNKNOWN_KIND),
     ({"touchline.kind": "lps", "touchline.schema_v": "7"}, Reason.UNKNOWN_VERSION)],
)
def test_a_schema_that_is_not_ours_is_refused(metadata: dict[str, str], reason: Reason) -> None:
    batch = to_arrow(block(Kind.LPS, [0, 1]), IDS).replace_schema_metadata(metadata)
    decoded = decode(stream(batch))
    assert count_refused(decoded.refusals) == {reason.label: 2}
