"""Packets to columns: checks each packet's header, then builds the blocks of all packets at once.

Owns the rules that every packet codec shares: identity, known device, rate, event time, sample
count, spreading timestamps back from the last sample, and health rows from packet headers. Work per
packet is a handful of scalar checks; samples are moved by numpy, by channel layout and count.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.bounds import (
    MAX_PACKET_SAMPLES,
    MIN_RATE_HZ,
    RATE_TOLERANCE,
    not_finite,
    time_ok,
)
from models.telemetry.decoded import Decoded, Refusal, Verdict, bounded, refusal
from models.telemetry.devices import DeviceIndex
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason

SENDER_FLAGS = int(
    Flag.CLIPPED | Flag.STUCK | Flag.INTERPOLATED | Flag.LOW_BATT | Flag.CLOCK_ADJUSTED
    | Flag.NLOS | Flag.SIMULATED
)
"""Flags that a sender may set; the others are findings of the edge and are cleared on arrival."""


SECOND_NS = 1_000_000_000


class Frame(NamedTuple):
    """One packet as its codec read it. `body` is (popcount(mask), n) little-endian float32."""

    number: int
    venue_id: str
    match_id: str
    device_id: str
    kind: Kind
    boot: int
    seq: int
    t_event_ns: int
    rate_hz: float
    n: int
    mask: int
    body: bytes | memoryview
    clock_src: int
    clock_err_ns: int
    flags: int
    batt_pct: float | None
    rssi_dbm: float | None
    raw: bytes | memoryview


@cache
def required_mask(kind: Kind) -> int:
    """Bit i is set where channel i of `kind` must be in a packet."""
    return sum(1 << i for i, c in enumerate(KINDS[kind].channels) if not c.nullable)


def header_reason(frame: Frame, index: DeviceIndex) -> tuple[Reason, str]:
    """Why a packet is refused before its samples are looked at; NONE if it is not."""
    if frame.n == 0:
        return Reason.EMPTY, "packet without samples"
    if frame.n > MAX_PACKET_SAMPLES:
        return Reason.OVERSIZE, f"{frame.n} samples, at most {MAX_PACKET_SAMPLES}"
    if frame.venue_id not in ("", index.venue_id) or frame.match_id not in ("", index.match_id):
        return Reason.IDENTITY, f"for {frame.venue_id!r} {frame.match_id!r}"
    if (frame.device_id, frame.kind) not in index.rows_of:
        return Reason.UNKNOWN_DEVICE, f"no {frame.kind} device of this id"
    required = required_mask(frame.kind)
    if frame.mask & required != required or frame.mask >> len(KINDS[frame.kind].channels):
        return Reason.WRONG_FORMAT, f"channel mask {frame.mask:#x} does not suit {frame.kind}"
    if len(frame.body) != 4 * frame.n * frame.mask.bit_count():
        return Reason.WRONG_FORMAT, f"{len(frame.body)} bytes of samples for {frame.n} rows"
    limit = KINDS[frame.kind].max_rate_hz * RATE_TOLERANCE
    if not MIN_RATE_HZ <= frame.rate_hz <= limit:
        return Reason.RATE, f"{frame.rate_hz} Hz is outside [{MIN_RATE_HZ}, {limit}]"
    if not time_ok(frame.t_event_ns) or not time_ok(_first_ns(frame)):
        return Reason.OUT_OF_RANGE, f"event time {frame.t_event_ns} ns"
    return Reason.NONE, ""


def _first_ns(frame: Frame) -> int:
    return frame.t_event_ns - round((frame.n - 1) * 1e9 / frame.rate_hz)


def assemble(
    frames: list[Frame], refusals: list[Refusal], verdicts: list[Verdict], index: DeviceIndex,
    t_ingest_ns: int,
) -> Decoded:
    """The outcome of `frames`, added to what the codec has refused already."""
    taken: dict[Kind, list[Frame]] = {}
    for frame in frames:
        reason, detail = header_reason(frame, index)
        if reason is Reason.NONE:
            taken.setdefault(frame.kind, []).append(frame)
        else:
            rows = max(1, frame.n)
            refusals.append(refusal(reason, detail, frame.raw, frame.device_id, rows))
            verdicts.append(Verdict(frame.number, frame.device_id, frame.seq, 0, reason))
    blocks: dict[Kind, SampleBlock] = {}
    for kind, group in taken.items():
        block = _columns(kind, group, index, t_ingest_ns)
        bad = not_finite(kind, block.values)
        lost = _refuse_rows(group, bad, refusals) if bad.any() else {}
        blocks[kind] = block.take(~bad) if lost else block
        for place, frame in enumerate(group):
            rows = frame.n - lost.get(place, 0)
            reason = Reason.NOT_FINITE if place in lost else Reason.NONE
            verdicts.append(
                Verdict(frame.number, frame.device_id, frame.seq, rows, reason, kind)
            )
    blocks = {kind: block for kind, block in blocks.items() if len(block)}
    health = _header_health(taken, index, t_ingest_ns) if index.header_health else None
    if health is not None:
        own = blocks.get(Kind.HEALTH)
        blocks[Kind.HEALTH] = health if own is None else concat_blocks([own, health])
    verdicts.sort(key=lambda verdict: verdict.index)
    return Decoded(blocks, bounded(refusals), verdicts)


def _refuse_rows(
    group: list[Frame], bad: NDArray[np.bool_], refusals: list[Refusal]
) -> dict[int, int]:
    """Rows refused as not finite, by place of the packet in `group`."""
    owner = np.repeat(np.arange(len(group)), [frame.n for frame in group])
    places, counts = np.unique(owner[bad], return_counts=True)
    lost = dict(zip(places.tolist(), counts.tolist(), strict=True))
    for place, rows in lost.items():
        frame = group[place]
        refusals.append(
            refusal(Reason.NOT_FINITE, "NaN or infinite samples", frame.raw, frame.device_id, rows)
        )
    return lost


def _columns(
    kind: Kind, group: list[Frame], index: DeviceIndex, t_ingest_ns: int
) -> SampleBlock:
    n = np.array([frame.n for frame in group], np.int64)
    starts = np.cumsum(n) - n
    total = int(n.sum())
    within = np.arange(total) - np.repeat(starts, n)
    rate = np.array([frame.rate_hz for frame in group], np.float64)
    back = np.repeat(n - 1, n) - within
    spread = np.rint(back * 1e9 / np.repeat(rate, n)).astype(np.int64)
    rows = index.kind_rows[kind]
    device = np.array([rows[frame.device_id] for frame in group], np.int32)
    seq = np.array([frame.seq for frame in group], np.uint32)
    flags = np.array([frame.flags & SENDER_FLAGS for frame in group], np.uint32)
    t_last = np.array([frame.t_event_ns for frame in group], np.int64)
    return SampleBlock(
        kind, np.repeat(device, n),
        np.repeat(np.array([frame.boot for frame in group], np.uint32), n),
        # The counter is 32 bits wide and wraps, as the devices' counters do.
        np.repeat(seq, n) + within.astype(np.uint32),
        np.repeat(t_last, n) - spread, np.full(total, t_ingest_ns, np.int64), np.repeat(flags, n),
        _values(kind, group, starts, total),
    )


def _values(
    kind: Kind, group: list[Frame], starts: NDArray[np.int64], total: int
) -> NDArray[np.float32]:
    """(C, total) float32; channels that a packet does not carry are NaN."""
    values = np.full((len(KINDS[kind].channels), total), np.nan, np.float32)
    layouts: dict[tuple[int, int], list[int]] = {}
    for place, frame in enumerate(group):
        layouts.setdefault((frame.mask, frame.n), []).append(place)
    for (mask, n), places in layouts.items():
        channels = np.array([i for i in range(values.shape[0]) if mask >> i & 1], np.int64)
        joined = b"".join(group[place].body for place in places)
        samples = np.frombuffer(joined, "<f4").reshape(len(places), len(channels), n)
        rows = (starts[places][:, None] + np.arange(n)).ravel()
        flat = samples.transpose(1, 0, 2).reshape(len(channels), rows.shape[0])
        values[np.ix_(channels, rows)] = flat
    return values


def _header_health(
    taken: dict[Kind, list[Frame]], index: DeviceIndex, t_ingest_ns: int
) -> SampleBlock | None:
    """One HEALTH row per device and second of event time, from battery and signal in the headers.

    A packet gives a row when its samples reach over a full second. Packets of a stream follow each
    other, so this needs no memory and gives the same rows however the stream is cut. The row's
    counter is that second (it rises by one per second, so silence shows as lost rows).
    """
    rows: list[tuple[int, Frame]] = []
    for kind, group in taken.items():
        for frame in group:
            row = index.header_health.get((frame.device_id, kind))
            known = frame.batt_pct is not None or frame.rssi_dbm is not None
            before = frame.t_event_ns - round(frame.n * 1e9 / frame.rate_hz)
            if row is not None and known and frame.t_event_ns // SECOND_NS > before // SECOND_NS:
                rows.append((row, frame))
    if not rows:
        return None
    spec = KINDS[Kind.HEALTH]
    values = np.full((len(spec.channels), len(rows)), np.nan, np.float32)
    nan = float("nan")
    for name, found in (
        ("batt_pct", [nan if f.batt_pct is None else f.batt_pct for _, f in rows]),
        ("rssi_dbm", [nan if f.rssi_dbm is None else f.rssi_dbm for _, f in rows]),
    ):
        values[spec.index(name)] = found
    seconds = [frame.t_event_ns // SECOND_NS for _, frame in rows]
    return SampleBlock(
        Kind.HEALTH, np.array([row for row, _ in rows], np.int32),
        np.array([frame.boot for _, frame in rows], np.uint32),
        np.array([second % 2**32 for second in seconds], np.uint32),
        np.array([second * SECOND_NS for second in seconds], np.int64),
        np.full(len(rows), t_ingest_ns, np.int64), np.zeros(len(rows), np.uint32), values,
    )
