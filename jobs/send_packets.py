"""Turns columns back into what devices send: packets of consecutive samples, and datagrams of them.

A packet says its counter once, its time once and its rate: rows go into one packet only while their
counters are consecutive and their times regular. Rates in Hz, times in ns UTC.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.telemetry.block import SampleBlock
from models.telemetry.bounds import MAX_PACKET_SAMPLES
from models.telemetry.packet import Packet, encode_packet
from models.telemetry.roster import Roster

DATAGRAM_BYTES: Final = 1_400
"""What fits into one frame of an ordinary network, signature included: nothing is fragmented."""
HEAD_BYTES: Final = 200
"""Kept free in a datagram for a packet's header and ids, and for the signature."""
_IRREGULAR: Final = 0.25
"""A step that differs from the nominal one by more than this share of it begins a new packet."""


def packets_of(block: SampleBlock, roster: Roster, speed: float = 1.0) -> list[Packet]:
    """The rows of `block` as packets, device by device, each device in the order of arrival.

    speed: how much faster than the roster's rates the rows come.
    """
    key = block.device.astype(np.int64) << 32 | block.boot.astype(np.int64)
    order = np.argsort(key, kind="stable")
    rows = block.take(order)
    rates = np.array([device.rate_hz for device in roster.devices]) * speed
    nominal_ns = 1e9 / rates[rows.device]
    cuts = _cuts(rows, key[order], nominal_ns)
    # One packet fits into one datagram.
    longest = min(MAX_PACKET_SAMPLES, (DATAGRAM_BYTES - HEAD_BYTES) // (4 * len(rows.values)))
    return [
        _packet(rows, begin, end, roster, float(rates[rows.device[begin]]))
        for begin, end in _runs(cuts, longest)
    ]


def datagrams_of(packets: list[Packet], room: int = DATAGRAM_BYTES) -> Iterator[bytes]:
    """The packets' bytes, as many to a datagram as `room` bytes hold, and one at least."""
    waiting: list[bytes] = []
    size = 0
    for encoded in map(encode_packet, packets):
        if waiting and size + len(encoded) > room:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(encoded)
        size += len(encoded)
    if waiting:
        yield b"".join(waiting)


def _cuts(
    rows: SampleBlock, key: NDArray[np.int64], nominal_ns: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(n,) whether a new packet begins at a row."""
    cut = np.ones(len(rows), np.bool_)
    step_ns = np.diff(rows.t_event_ns)
    irregular = np.abs(step_ns - nominal_ns[1:]) > _IRREGULAR * nominal_ns[1:]
    apart = np.diff(rows.seq) != 1
    cut[1:] = irregular | apart | (np.diff(key) != 0) | (np.diff(rows.flags) != 0)
    return cut


def _runs(cut: NDArray[np.bool_], longest: int) -> Iterator[tuple[int, int]]:
    """[begin, end) of each packet."""
    starts = np.flatnonzero(cut).tolist()
    for begin, end in zip(starts, [*starts[1:], len(cut)], strict=True):
        for first in range(begin, end, longest):
            yield first, min(first + longest, end)


def _packet(
    rows: SampleBlock, begin: int, end: int, roster: Roster, nominal_hz: float
) -> Packet:
    first_ns, last_ns = int(rows.t_event_ns[begin]), int(rows.t_event_ns[end - 1])
    samples = end - begin
    rate_hz = (samples - 1) * 1e9 / (last_ns - first_ns) if samples > 1 else nominal_hz
    return Packet(
        roster.devices[int(rows.device[begin])].device_id, rows.kind, int(rows.boot[begin]),
        int(rows.seq[begin]), last_ns, rate_hz, rows.values[:, begin:end], roster.venue_id,
        flags=int(rows.flags[begin]),
    )
