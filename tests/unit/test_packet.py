"""The binary packet codec: round trips, hostile bytes, resynchronisation, old versions."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telemetry.assemble import SENDER_FLAGS
from models.telemetry.decoded import Decoded, count_refused
from models.telemetry.devices import HEADER_HEALTH, index_of
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.packet import MAGIC, Packet, decode_packets, encode_packet, encode_packets
from models.telemetry.reasons import Reason
from models.telemetry.roster import Device, Role, Roster, Subject

NOW = 1_700_000_000_500_000_000
ROSTER = Roster(
    "v1", "m1", subjects=(Subject("a", Role.ATHLETE),),
    devices=tuple(Device(f"d{i}", kind, "a", 10.0) for kind in Kind for i in range(3)),
)
INDEX = index_of(ROSTER)


def packet(kind: Kind = Kind.LPS, n: int = 4, device: str = "d1", **fields: object) -> Packet:
    values = np.full((len(KINDS[kind].channels), n), np.nan, np.float32)
    required = [i for i, c in enumerate(KINDS[kind].channels) if not c.nullable]
    values[required] = np.arange(n, dtype=np.float32) / 8
    rate = min(20.0, KINDS[kind].max_rate_hz)
    base = {"boot": 3, "seq": 100, "t_event_ns": NOW, "rate_hz": rate, "values": values}
    return Packet(device, kind, **{**base, **fields})  # type: ignore[arg-type]


def decode(payload: bytes) -> Decoded:
    return decode_packets(payload, INDEX, NOW + 5)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    kind = draw(st.sampled_from(list(Kind)))
    n = draw(st.integers(1, 200))
    channels = KINDS[kind].channels
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.normal(0, 3, (len(channels), n)).astype(np.float32)
    for row, channel in enumerate(channels):
        if channel.nullable and draw(st.booleans()):
            values[row, : draw(st.integers(0, n))] = np.nan
    return Packet(
        draw(st.sampled_from(["d0", "d1", "d2"])), kind, draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 2**32 - 1)), draw(st.integers(10**18, 2 * 10**18)),
        draw(st.floats(0.5, 1.0)), values, venue_id=draw(st.sampled_from(["", "v1"])),
        match_id=draw(st.sampled_from(["", "m1"])), flags=draw(st.integers(0, 2**32 - 1)),
    )


@given(st.lists(packets(), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_what_is_encoded_is_decoded_in_order(sent: list[Packet]) -> None:
    decoded = decode(encode_packets(sent))
    assert not decoded.refusals
    assert [v.rows for v in decoded.verdicts] == [p.values.shape[1] for p in sent]
    for kind, block in decoded.blocks.items():
        mine = [p for p in sent if p.kind == kind]
        np.testing.assert_array_equal(block.values, np.concatenate([p.values for p in mine], 1))
        at = 0
        for p in mine:
            n = p.values.shape[1]
            assert block.t_event_ns[at + n - 1] == p.t_event_ns
            want = (p.seq + np.arange(n)) % 2**32
            np.testing.assert_array_equal(block.seq[at : at + n], want)
            assert (block.boot[at : at + n] == p.boot).all()
            assert (block.flags[at : at + n] == p.flags & SENDER_FLAGS).all()
            assert (block.device[at : at + n] == INDEX.rows_of[(p.device_id, kind)]).all()
            at += n
        assert at == len(block)
        assert (block.t_ingest_ns == NOW + 5).all()


def test_timestamps_are_spread_back_from_the_last_sample() -> None:
    block = decode(encode_packet(packet(n=5, rate_hz=20.0))).blocks[Kind.LPS]
    assert np.diff(block.t_event_ns).tolist() == [50_000_000] * 4
    assert block.t_event_ns[-1] == NOW


@pytest.mark.parametrize("version", [0, 1])
def test_a_packet_cut_at_any_offset_is_refused_and_counted(version: int) -> None:
    whole = encode_packet(packet(n=2), version)
    for end in range(len(whole)):
        decoded = decode(whole[:end])
        assert decoded.rows == 0
        assert len(decoded.refusals) == len(decoded.verdicts) == 1
        assert decoded.verdicts[0].reason in (Reason.EMPTY, Reason.TRUNCATED)


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_one_damaged_byte_costs_one_packet_and_no_other(place: int, change: int) -> None:
    sent = [packet(seq=100 + 10 * i, device=f"d{i}") for i in range(3)]
    whole = bytearray(encode_packets(sent))
    size = len(whole) // 3
    whole[place % len(whole)] ^= change
    decoded = decode(bytes(whole))
    hit = place % len(whole) // size
    assert [v.device_id for v in decoded.verdicts if v.reason is Reason.NONE] == [
        f"d{i}" for i in range(3) if i != hit
    ]
    assert sum(count_refused(decoded.refusals).values()) >= 1


def test_ten_megabytes_of_noise_are_refused_in_bounded_work() -> None:
    noise = np.random.default_rng(7).bytes(10 << 20)
    decoded = decode(noise)
    assert decoded.rows == 0
    assert 1 <= len(decoded.refusals) <= 3


def test_a_payload_of_nothing_but_magics_does_not_cost_quadratic_work() -> None:
    head = struct.pack("<4sBBHH", MAGIC, 1, 2, 4, 65535)
    decoded = decode(head * 400_000)
    assert decoded.rows == 0
    assert len(decoded.refusals) == 1


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_behind_a_magic_are_refused_not_raised(tail: bytes) -> None:
    decoded = decode(MAGIC + tail)
    assert decoded.verdicts[0].reason is not Reason.NONE


def forge(place: int, value: bytes, source: bytes) -> bytes:
    body = bytearray(source[:-4])
    body[place : place + len(value)] = value
    return bytes(body) + struct.pack("<I", zlib.crc32(bytes(body)))


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (4, b"\x09", Reason.UNKNOWN_VERSION),
        (5, b"\xc8", Reason.UNKNOWN_KIND),
        (6, b"\x00\x00", Reason.EMPTY),
        (6, struct.pack("<H", 201), Reason.OVERSIZE),
        (6, struct.pack("<H", 5), Reason.WRONG_FORMAT),
        (10, b"\xff\xff\xff", Reason.WRONG_FORMAT),
        (22, struct.pack("<q", -5), Reason.OUT_OF_RANGE),
        (22, struct.pack("<q", 2**63 - 1), Reason.OUT_OF_RANGE),
        (30, struct.pack("<f", 0.0), Reason.RATE),
        (30, struct.pack("<f", float("nan")), Reason.RATE),
        (42, struct.pack("<I", 0), Reason.WRONG_FORMAT),
        (42, struct.pack("<I", 2**31), Reason.WRONG_FORMAT),
    ],
)
def test_a_forged_header_is_refused_for_its_reason(
    place: int, value: bytes, reason: Reason
) -> None:
    decoded = decode(forge(place, value, encode_packet(packet())) + encode_packet(packet()))
    assert [v.reason for v in decoded.verdicts] == [reason, Reason.NONE]
    assert decoded.refusals[0].payload[:4] == MAGIC
    assert len(decoded.refusals[0].payload) <= 4096


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"device": "ghost"}, Reason.UNKNOWN_DEVICE),
        ({"venue_id": "elsewhere"}, Reason.IDENTITY),
        ({"match_id": "last week"}, Reason.IDENTITY),
    ],
)
def test_a_packet_that_does_not_belong_here_is_refused(
    fields: dict[str, object], reason: Reason
) -> None:
    decoded = decode(encode_packet(packet(n=7, **fields)))  # type: ignore[arg-type]
    assert count_refused(decoded.refusals) == {reason.label: 7}


def test_rows_that_are_not_finite_are_refused_and_the_others_taken() -> None:
    sent = packet(n=6)
    sent.values[0, 2] = np.nan
    sent.values[2, 4] = np.inf
    decoded = decode(encode_packet(sent))
    assert count_refused(decoded.refusals) == {"not_finite": 2}
    assert decoded.blocks[Kind.LPS].seq.tolist() == [100, 101, 103, 105]
    assert decoded.verdicts[0].rows == 4


def test_version_0_still_reads() -> None:
    sent = packet(Kind.IMU, n=3, flags=int(Flag.CLIPPED))
    sent.values[4] = 1.0
    block = decode(encode_packet(sent, version=0)).blocks[Kind.IMU]
    np.testing.assert_array_equal(block.values[:3], sent.values[:3])
    assert np.isnan(block.values[3:]).all()
    assert not block.flags.any()


def test_a_sender_cannot_set_the_findings_of_the_edge() -> None:
    sent = packet(flags=int(Flag.CONSENT_BLOCKED | Flag.LATE | Flag.CLIPPED))
    assert (decode(encode_packet(sent)).blocks[Kind.LPS].flags == Flag.CLIPPED).all()


def test_packet_headers_give_one_health_row_per_second_however_they_are_cut() -> None:
    devices = (
        Device("d", Kind.LPS, "a", 20.0),
        Device("d", Kind.HEALTH, "a", 1.0, model=HEADER_HEALTH),
    )
    index = index_of(Roster("v1", "m1", subjects=ROSTER.subjects, devices=devices))
    start = NOW // 10**9 * 10**9
    sent = [
        packet(
            n=5, device="d", seq=5 * i, t_event_ns=start + i * 250_000_000 + 1, batt_pct=80,
            rssi_dbm=-60,
        )
        for i in range(20)
    ]
    at_once = decode_packets(encode_packets(sent), index, NOW).blocks[Kind.HEALTH]
    one_by_one = [decode_packets(encode_packet(p), index, NOW).blocks for p in sent]
    seqs = [int(s) for blocks in one_by_one if Kind.HEALTH in blocks
            for s in blocks[Kind.HEALTH].seq]
    assert at_once.seq.tolist() == seqs == [start // 10**9 + i for i in range(5)]
    assert (at_once.values[KINDS[Kind.HEALTH].index("rssi_dbm")] == -60).all()
    assert (at_once.t_event_ns % 10**9 == 0).all()
