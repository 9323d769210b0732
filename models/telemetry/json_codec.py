"""JSON packet codec: the content of `models.telemetry.packet` as text, for HTTP and webhooks.

A payload is one packet object, an array of them, or {"packets": [...]}. A packet:

    {"schema_v": 1, "venue_id": "", "match_id": "", "device_id": "d7", "kind": "lps", "boot_id": 1,
     "seq": 40, "t_event": 1700000000000000000, "rate_hz": 20.0, "n": 2,
     "channels": {"pos_x_m": [1.5, 1.6], "pos_y_m": [0.1, 0.1], "pos_z_m": [null, 0.9]},
     "clock_src": "free", "clock_err_ns": 0, "flags": 0, "batt_pct": 80, "rssi_dbm": -60}

`t_event` is of the last sample, in ns; `seq` of the first. null means "applies but unknown". Ids,
clock fields, flags, battery and signal may be absent, `n` may be absent (it is the length of the
channels). Version 0 had no flags and only required channels; both are optional here.
"""

import json
import math
from typing import Any

import numpy as np

from models.plain_fields import read_json
from models.telemetry.assemble import Frame, assemble
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
from models.telemetry.packet import VERSION, ClockSource, Packet, channel_mask
from models.telemetry.reasons import Reason
from models.telemetry.roster import Roster

_U32 = 2**32
_CLOCKS = {source.name.lower(): int(source) for source in ClockSource}


class _FieldError(Exception):
    """A field that cannot be used; stays inside this module."""

    def __init__(self, reason: Reason, detail: str, rows: int = 1) -> None:
        super().__init__(reason, detail, rows)
        self.reason, self.detail, self.rows = reason, detail, rows


def packet_to_json(packet: Packet) -> dict[str, Any]:
    """`packet` as a JSON-able object."""
    mask = channel_mask(packet)
    channels = {
        name: [None if math.isnan(v) else v for v in packet.values[row].tolist()]
        for row, name in enumerate(KINDS[packet.kind].names) if mask >> row & 1
    }
    return {
        "schema_v": VERSION, "venue_id": packet.venue_id, "match_id": packet.match_id,
        "device_id": packet.device_id, "kind": str(packet.kind), "boot_id": packet.boot,
        "seq": packet.seq, "t_event": packet.t_event_ns, "rate_hz": packet.rate_hz,
        "n": packet.values.shape[1], "channels": channels,
        "clock_src": packet.clock_src.name.lower(), "clock_err_ns": packet.clock_err_ns,
        "flags": packet.flags, "batt_pct": packet.batt_pct, "rssi_dbm": packet.rssi_dbm,
    }


def encode_json(packets: list[Packet]) -> bytes:
    """A payload of several packets."""
    return json.dumps(
        {"packets": [packet_to_json(packet) for packet in packets]}, separators=(",", ":")
    ).encode()


def decode_json(payload: bytes, roster: Roster | DeviceIndex, t_ingest_ns: int) -> Decoded:
    """All packets in `payload`. Never raises on a bad payload: it is refused."""
    if not payload:
        return refused_whole(Reason.EMPTY, "no bytes")
    if len(payload) > MAX_PAYLOAD_BYTES:
        return refused_whole(Reason.OVERSIZE, f"{len(payload)} bytes", payload)
    try:
        found = read_json(payload)
    except ValueError as error:
        return refused_whole(Reason.WRONG_FORMAT, f"not JSON: {error}", payload)
    if isinstance(found, dict) and "packets" in found:
        found = found["packets"]
    packets = found if isinstance(found, list) else [found]
    if not packets:
        return refused_whole(Reason.EMPTY, "no packets", payload)
    frames: list[Frame] = []
    refusals: list[Refusal] = []
    verdicts: list[Verdict] = []
    for number, packet in enumerate(packets):
        try:
            frames.append(_frame(number, packet))
        except _FieldError as bad:
            name = packet.get("device_id") if isinstance(packet, dict) else None
            device = name if isinstance(name, str) else ""
            refusals.append(refusal(bad.reason, bad.detail, _bytes(packet), device, bad.rows))
            verdicts.append(Verdict(number, device, 0, 0, bad.reason))
    return assemble(frames, refusals, verdicts, index_of(roster), t_ingest_ns)


def _bytes(packet: object) -> bytes:
    """What is kept of a refused packet; a lone surrogate must not break the record of it."""
    try:
        return json.dumps(packet)[:4096].encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return b""


def _frame(number: int, packet: object) -> Frame:
    if not isinstance(packet, dict):
        raise _FieldError(Reason.WRONG_FORMAT, "a packet is an object")
    if _whole(packet, "schema_v", 0, _U32, VERSION) > VERSION:
        raise _FieldError(Reason.UNKNOWN_VERSION, f"schema_v {packet['schema_v']}")
    try:
        kind = Kind(_text(packet, "kind"))
    except ValueError:
        raise _FieldError(Reason.UNKNOWN_KIND, f"kind {packet.get('kind')!r}") from None
    mask, n, body = _samples(kind, packet)
    clock = _CLOCKS.get(_text(packet, "clock_src", "free"), int(ClockSource.FREE))
    return Frame(
        number, _text(packet, "venue_id", ""), _text(packet, "match_id", ""),
        _text(packet, "device_id"), kind, _whole(packet, "boot_id", 0, _U32),
        _whole(packet, "seq", 0, _U32), _whole(packet, "t_event", -(2**63), 2**63),
        _number(packet, "rate_hz"), n, mask, body, clock,
        _whole(packet, "clock_err_ns", 0, _U32, 0), _whole(packet, "flags", 0, _U32, 0),
        _maybe(packet, "batt_pct"), _maybe(packet, "rssi_dbm"), b"",
    )


def _samples(kind: Kind, packet: dict[str, Any]) -> tuple[int, int, bytes]:
    channels = packet.get("channels")
    if not isinstance(channels, dict) or not channels:
        raise _FieldError(Reason.WRONG_FORMAT, "channels is an object of arrays")
    names = KINDS[kind].names
    if not channels.keys() <= set(names):
        strange = sorted(str(name) for name in channels.keys() - set(names))
        raise _FieldError(Reason.WRONG_FORMAT, f"{kind} has no channel {strange[0][:40]!r}")
    lengths = {len(c) if isinstance(c, list) else -1 for c in channels.values()}
    n = lengths.pop()
    if lengths or n < 0 or _whole(packet, "n", 0, _U32, n) != n:
        raise _FieldError(Reason.WRONG_FORMAT, "n and the channels' lengths differ")
    if n > MAX_PACKET_SAMPLES:
        raise _FieldError(Reason.OVERSIZE, f"{n} samples, at most {MAX_PACKET_SAMPLES}", n)
    present = [row for row, name in enumerate(names) if name in channels]
    rows = []
    for row in present:
        samples = channels[names[row]]
        # bool is an int to Python, and text would be parsed by numpy: neither is a sample.
        if not all(v is None or type(v) in (int, float) for v in samples):
            detail = f"{names[row]} holds more than numbers"
            raise _FieldError(Reason.WRONG_FORMAT, detail, max(1, n))
        rows.append([math.nan if v is None else _as_float(v) for v in samples])
    with np.errstate(over="ignore"):
        body = np.array(rows, np.float64).astype("<f4").tobytes()
    return sum(1 << row for row in present), n, body


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _text(packet: dict[str, Any], name: str, default: str | None = None) -> str:
    value = packet.get(name, default)
    if not isinstance(value, str):
        raise _FieldError(Reason.WRONG_FORMAT, f"{name} is not text")
    return value.encode("utf-8", "replace").decode()


def _whole(
    packet: dict[str, Any], name: str, low: int, high: int, default: int | None = None
) -> int:
    value = packet.get(name, default)
    if type(value) is not int or not low <= value < high:
        raise _FieldError(Reason.WRONG_FORMAT, f"{name} is not a whole number in range")
    return value


def _number(packet: dict[str, Any], name: str) -> float:
    value = packet.get(name)
    if type(value) not in (int, float):
        raise _FieldError(Reason.WRONG_FORMAT, f"{name} is not a number")
    assert value is not None
    return _as_float(value)


def _maybe(packet: dict[str, Any], name: str) -> float | None:
    value = math.nan if packet.get(name) is None else _number(packet, name)
    return value if math.isfinite(value) else None
