"""Binary packet codec: what a device or gateway sends in a datagram (DOMAIN: packet, batch rule).

A datagram holds one or more packets, each (little-endian, version 1):

    magic 4s "TLPK" | version u8 | kind u8 | n u16 | length u16, of the packet with magic and CRC
    venue, match, device: length u8 each | clock_src u8 | boot u32 | seq u32, of the first sample
    t_event i64 ns, of the LAST sample | rate f32 Hz | clock_err u32 ns | flags u32
    channel mask u32 | batt u8 % (255 unknown) | rssi i8 dBm (127 unknown)
    the three ids, UTF-8 | float32 samples, channel by channel in mask order | crc32 of all before

Version 0 (`models.telemetry.versions`) has the same first ten bytes and the CRC last. After damage
the decoder goes on at the next magic; a damaged stretch is one refusal. `clock_src` and `clock_err`
travel for tools and quarantine; the edge estimates clocks itself.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.telemetry.assemble import Frame, assemble, required_mask
from models.telemetry.bounds import MAX_PACKET_SAMPLES
from models.telemetry.decoded import (
    MAX_PAYLOAD_BYTES,
    Decoded,
    Refusal,
    Verdict,
    refusal,
    refused_whole,
)
from models.telemetry.devices import DeviceIndex, index_of
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason
from models.telemetry.roster import Roster

MAGIC: Final = b"TLPK"
VERSION: Final = 1
KIND_CODES: Final = {kind: code for code, kind in enumerate(Kind, start=1)}
KINDS_BY_CODE: Final = {code: kind for kind, code in KIND_CODES.items()}
NO_BATT: Final = 255
NO_RSSI: Final = 127
_PREFIX = struct.Struct("<4sBBHH")
_V1 = struct.Struct("<4sBBHHBBBBIIqfIIIBb")
_V0 = struct.Struct("<4sBBHHBBIIqfBb")
_CRC = struct.Struct("<I")


class ClockSource(IntEnum):
    """What disciplines the sender's clock."""

    FREE = 0
    NTP = 1
    GNSS = 2
    PTP = 3


@dataclass(frozen=True, slots=True)
class Packet:
    """Up to 200 samples of one stream. `t_event_ns` is of the last sample, `seq` of the first.

    values (C, n) float32 in the channel order of `kind`; nullable channels that are all NaN are
    not sent. `batt_pct` and `rssi_dbm` are whole numbers, None when unknown.
    """

    device_id: str
    kind: Kind
    boot: int
    seq: int
    t_event_ns: int
    rate_hz: float
    values: NDArray[np.float32]
    venue_id: str = ""
    match_id: str = ""
    clock_src: ClockSource = ClockSource.FREE
    clock_err_ns: int = 0
    flags: int = 0
    batt_pct: int | None = None
    rssi_dbm: int | None = None

    def __post_init__(self) -> None:
        assert self.values.shape[0] == len(KINDS[self.kind].channels), self.values.shape
        assert 0 < self.values.shape[1] <= MAX_PACKET_SAMPLES, self.values.shape


def channel_mask(packet: Packet) -> int:
    """Bit i is set where channel i is sent: it is required, or holds something (never none)."""
    known = ~np.isnan(packet.values).all(axis=1)
    mask = required_mask(packet.kind)
    return mask | sum(1 << i for i in np.flatnonzero(known).tolist()) or 1


def encode_packet(packet: Packet, version: int = VERSION) -> bytes:
    """The bytes of `packet`; version 0 leaves out what that version had no room for."""
    ids = [packet.venue_id.encode(), packet.match_id.encode(), packet.device_id.encode()]
    assert max(map(len, ids)) <= 255, "ids are at most 255 bytes"
    batt = NO_BATT if packet.batt_pct is None else packet.batt_pct
    rssi = NO_RSSI if packet.rssi_dbm is None else packet.rssi_dbm
    code, n = KIND_CODES[packet.kind], packet.values.shape[1]
    mask = channel_mask(packet) if version else required_mask(packet.kind)
    rows = [i for i in range(packet.values.shape[0]) if mask >> i & 1]
    body = np.ascontiguousarray(packet.values[rows], "<f4").tobytes()
    if version == 0:
        ids = [ids[0], ids[2]]
        size = _V0.size + sum(map(len, ids)) + len(body) + _CRC.size
        head = _V0.pack(
            MAGIC, 0, code, n, size, len(ids[0]), len(ids[1]), packet.boot, packet.seq,
            packet.t_event_ns, packet.rate_hz, batt, rssi,
        )
    else:
        size = _V1.size + sum(map(len, ids)) + len(body) + _CRC.size
        head = _V1.pack(
            MAGIC, VERSION, code, n, size, *map(len, ids), int(packet.clock_src), packet.boot,
            packet.seq, packet.t_event_ns, packet.rate_hz, packet.clock_err_ns, packet.flags,
            mask, batt, rssi,
        )
    whole = b"".join((head, *ids, body))
    return whole + _CRC.pack(zlib.crc32(whole))


def encode_packets(packets: Sequence[Packet]) -> bytes:
    """A datagram of several packets."""
    return b"".join(map(encode_packet, packets))


def decode_packets(
    payload: bytes, roster: Roster | DeviceIndex, t_ingest_ns: int
) -> Decoded:
    """All packets in `payload`. Never raises on bad bytes: they are refusals.

    Work is bounded by the payload's length, whatever it holds: once four times as many bytes have
    gone through the CRC as there are, what is left is refused as one stretch.
    """
    if not payload:
        return refused_whole(Reason.EMPTY, "no bytes")
    if len(payload) > MAX_PAYLOAD_BYTES:
        return refused_whole(Reason.OVERSIZE, f"{len(payload)} bytes", payload)
    frames: list[Frame] = []
    refusals: list[Refusal] = []
    verdicts: list[Verdict] = []
    view = memoryview(payload)
    for index, (start, end, fault) in enumerate(_stretches(payload)):
        raw = view[start:end]
        read = _read(raw, index) if fault is Reason.NONE else (fault, _FAULTS[fault], 1)
        if isinstance(read, Frame):
            frames.append(read)
        else:
            reason, detail, rows = read
            refusals.append(refusal(reason, f"{detail}, at byte {start}", raw, rows=rows))
            verdicts.append(Verdict(index, "", 0, 0, reason))
    return assemble(frames, refusals, verdicts, index_of(roster), t_ingest_ns)


_FAULTS: Final = {
    Reason.CRC: "bytes that fail their CRC",
    Reason.TRUNCATED: "packet cut short",
    Reason.WRONG_FORMAT: "no packet here",
}


def _stretches(payload: bytes) -> list[tuple[int, int, Reason]]:
    """(start, end, NONE) per packet that passes its CRC, and the damaged stretches between."""
    view, size = memoryview(payload), len(payload)
    found: list[tuple[int, int, Reason]] = []
    at, bad_from, bad = 0, -1, Reason.NONE
    budget = 4 * size + 65536
    while at < size:
        length, fault = _packet_length(view, at, size)
        if fault is Reason.NONE:
            budget -= length
            (crc,) = _CRC.unpack_from(view, at + length - _CRC.size)
            if budget < 0:
                length = size - at
            if budget < 0 or zlib.crc32(view[at : at + length - _CRC.size]) != crc:
                fault = Reason.CRC
        if fault is not Reason.NONE:
            if bad_from < 0:
                bad_from, bad = at, fault
            step = payload.find(MAGIC, at + 1) if budget >= 0 else -1
            at = size if step < 0 else step
            continue
        if bad_from >= 0:
            found.append((bad_from, at, Reason.CRC if bad is Reason.TRUNCATED else bad))
            bad_from = -1
        found.append((at, at + length, Reason.NONE))
        at += length
    if bad_from >= 0:
        found.append((bad_from, size, bad))
    return found


def _packet_length(view: memoryview, at: int, size: int) -> tuple[int, Reason]:
    if view[at : at + 4] != MAGIC[: size - at]:
        return 0, Reason.WRONG_FORMAT
    if size - at < _PREFIX.size:
        return 0, Reason.TRUNCATED
    length = int(_PREFIX.unpack_from(view, at)[4])
    if length < _PREFIX.size + _CRC.size:
        return 0, Reason.WRONG_FORMAT
    return (length, Reason.NONE) if at + length <= size else (0, Reason.TRUNCATED)


def _read(raw: memoryview, index: int) -> Frame | tuple[Reason, str, int]:
    """The packet in `raw`, which has passed its CRC, or why it cannot be one."""
    _, version, code, n, _ = _PREFIX.unpack_from(raw)
    kind = KINDS_BY_CODE.get(code)
    rows = min(max(n, 1), MAX_PACKET_SAMPLES)
    if version > VERSION:
        return Reason.UNKNOWN_VERSION, f"packet version {version}", rows
    if kind is None:
        return Reason.UNKNOWN_KIND, f"kind code {code}", rows
    head = _V1 if version else _V0
    if len(raw) < head.size + _CRC.size:
        return Reason.WRONG_FORMAT, "shorter than its header", rows
    fields = head.unpack_from(raw)
    if version:
        lengths, fields = fields[5:8], fields[8:]
        clock_src, boot, seq, t_ns, rate, clock_err, flags, mask, batt, rssi = fields
    else:
        lengths, (boot, seq, t_ns, rate, batt, rssi) = fields[5:7], fields[7:]
        clock_src, clock_err, flags, mask = 0, 0, 0, required_mask(kind)
    body_at = head.size + sum(lengths)
    if body_at > len(raw) - _CRC.size:
        return Reason.WRONG_FORMAT, "ids reach beyond the packet", rows
    ids, at = [], head.size
    for length in lengths:
        ids.append(str(raw[at : at + length], "utf-8", "replace"))
        at += length
    venue_id, match_id, device_id = ids if version else (ids[0], "", ids[1])
    return Frame(
        index, venue_id, match_id, device_id, kind, boot, seq, t_ns, rate, n, mask,
        raw[body_at : len(raw) - _CRC.size], clock_src, clock_err, flags,
        None if batt == NO_BATT else float(batt), None if rssi == NO_RSSI else float(rssi), raw,
    )
