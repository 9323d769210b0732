"""What the edge's tests share: rosters, blocks, streams cut anywhere, and results to compare."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.edge.config import EdgeConfig
from models.edge.effects import EdgeEffects
from models.edge.kernel import EdgeKernel
from models.edge.standing import OrderAnswer
from models.events.envelope import Event
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.orders import Order
from models.telemetry.raw import RawBatch
from models.telemetry.roster import Device, Role, Roster, Subject

T0 = 1_767_376_800_000_000_000
MS = 1_000_000
SECOND = 1_000_000_000


def roster_of(*devices: Device, extra: Sequence[Subject] = ()) -> Roster:
    """A roster of these devices; subjects named b... are balls."""
    names = dict.fromkeys(device.subject for device in devices)
    subjects = tuple(
        Subject(name, Role.BALL if name.startswith("b") else Role.ATHLETE) for name in names
    )
    return Roster("v", "m", subjects=subjects + tuple(extra), devices=devices)


def block_of(
    kind: Kind, device: Any, seq: Any, t_ns: Any, channels: Mapping[str, Any] | None = None,
    t_ingest_ns: Any = None, boot: Any = 1,
) -> SampleBlock:
    """A block of `kind`: channels not given are NaN where they may be, else 1."""
    seq = np.asarray(seq, np.int64)
    n = len(seq)
    names = KINDS[kind].names
    values = np.full((len(names), n), np.nan, np.float32)
    for c, channel in enumerate(KINDS[kind].channels):
        given = (channels or {}).get(channel.name)
        if given is not None:
            values[c] = given
        elif not channel.nullable:
            values[c] = 1.0
    t_ns = np.broadcast_to(np.asarray(t_ns, np.int64), n).copy()
    ingest = t_ns if t_ingest_ns is None else t_ingest_ns
    return SampleBlock(
        kind, np.broadcast_to(np.asarray(device, np.int32), n).copy(),
        np.broadcast_to(np.asarray(boot, np.uint32), n).copy(), seq.astype(np.uint32), t_ns,
        np.broadcast_to(np.asarray(ingest, np.int64), n).copy(), np.zeros(n, np.uint32), values,
    )


def walk(n: int, rng: np.random.Generator, size: float = 2.0) -> dict[str, NDArray[np.float64]]:
    """Channels of a motion sensor that is worn: gravity and noise."""
    acc = rng.normal(0.0, size, (3, n))
    return {
        "acc_x_mps2": acc[0], "acc_y_mps2": acc[1], "acc_z_mps2": 9.81 + acc[2],
        "gyr_x_radps": rng.normal(0, 1, n), "gyr_y_radps": rng.normal(0, 1, n),
        "gyr_z_radps": rng.normal(0, 1, n),
    }


@dataclass
class Result:
    """Everything that a kernel has said, joined over calls."""

    live: dict[Kind, list[SampleBlock]] = field(default_factory=dict)
    late: dict[Kind, list[SampleBlock]] = field(default_factory=dict)
    rejected: list[tuple[Kind, SampleBlock, NDArray[np.uint8]]] = field(default_factory=list)
    verdicts: dict[Kind, list[NDArray[np.uint8]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    health: list[Any] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    orders: list[OrderAnswer] = field(default_factory=list)

    def take(self, effects: EdgeEffects) -> None:
        for record in effects.records:
            self.records.append(record)
            for kind, block in record.blocks.items():
                self.live.setdefault(kind, []).append(block)
            for kind, block in record.supplements.items():
                self.late.setdefault(kind, []).append(block)
        self.rejected += [(r.kind, r.block, r.reason) for r in effects.rejected]
        for kind, verdict in effects.verdicts.items():
            self.verdicts.setdefault(kind, []).append(verdict)
        self.events += effects.events
        self.health += effects.health
        self.orders += effects.orders

    def rows(self, kind: Kind) -> SampleBlock:
        return concat_blocks(self.live[kind])

    def supplements(self, kind: Kind) -> SampleBlock:
        return concat_blocks(self.late[kind])

    def reasons(self) -> dict[int, int]:
        codes = [r.tolist() for _, _, r in self.rejected]
        flat = [code for part in codes for code in part]
        return {code: flat.count(code) for code in set(flat)}

    def canonical(self) -> dict[str, Any]:
        """A form that is equal, byte for byte, for equal results."""
        said: dict[str, Any] = {"events": [event.canonical() for event in self.events]}
        said["orders"] = self.orders
        for name, lanes in (("live", self.live), ("late", self.late)):
            for kind, blocks in lanes.items():
                said[f"{name}/{kind}"] = sorted(_lines(concat_blocks(blocks)))
        refused: dict[str, list[bytes]] = {}
        for kind, block, reason in self.rejected:
            lines = [line + bytes([r]) for line, r in zip(_lines(block), reason, strict=True)]
            refused.setdefault(str(kind), []).extend(lines)
        said["rejected"] = {kind: sorted(lines) for kind, lines in refused.items()}
        said["verdicts"] = {
            str(kind): np.concatenate(parts).tobytes() for kind, parts in self.verdicts.items()
        }
        said["health"] = [
            (h.device.tobytes(), h.t_ns.tobytes(), h.values.tobytes()) for h in self.health
        ]
        return said


def _lines(block: SampleBlock) -> list[bytes]:
    columns = (
        block.device, block.boot, block.seq, block.t_event_ns, block.t_ingest_ns, block.flags
    )
    table = np.concatenate(
        [np.ascontiguousarray(c).view(np.uint8).reshape(len(block), -1) for c in columns]
        + [np.ascontiguousarray(block.values.T).view(np.uint8).reshape(len(block), -1)], axis=1,
    )
    return [row.tobytes() for row in table]


def cut(blocks: Iterable[SampleBlock], cuts_ns: Sequence[int]) -> list[dict[Kind, SampleBlock]]:
    """Blocks in arrival order, cut at arrival times."""
    edges = [-(2**62), *sorted(cuts_ns), 2**62]
    parts = []
    for low, high in pairwise(edges):
        part = {}
        for block in blocks:
            first, last = np.searchsorted(block.t_ingest_ns, (low, high))
            if last > first:
                part[block.kind] = block.take(slice(int(first), int(last)))
        parts.append(part)
    return parts


def batch_of(blocks: Mapping[Kind, SampleBlock], end: bool = False) -> RawBatch:
    now_ns = max((int(b.t_ingest_ns[-1]) for b in blocks.values() if len(b)), default=0)
    return RawBatch("s", 0, now_ns, dict(blocks), {}, end)


def batches_of(
    blocks: Sequence[SampleBlock], cuts_ns: Sequence[int] = (),
    orders: Sequence[tuple[int, Order]] = (), together: bool = False,
) -> list[RawBatch]:
    """Blocks cut anywhere, and orders as they came (arrival ns, order), alone or with the rows that
    came before them."""
    edges = sorted({*cuts_ns, *(t_ns for t_ns, _ in orders)})
    batches = []
    for end_ns, part in zip([*edges, 0], cut(blocks, edges), strict=True):
        batch = batch_of(part)
        mine = tuple(order for t_ns, order in orders if t_ns == end_ns)
        if mine and together:
            batch = replace(batch, now_ns=end_ns, orders=mine)
        batches.append(batch)
        if mine and not together:
            batches.append(RawBatch("orders", 1, end_ns, {}, orders=mine))
    return batches


def play(
    roster: Roster, blocks: Iterable[SampleBlock], cuts_ns: Sequence[int] = (),
    config: EdgeConfig | None = None, orders: Sequence[tuple[int, Order]] = (),
    together: bool = False,
) -> tuple[EdgeKernel, Result]:
    """Run blocks (one per kind) through a fresh kernel, cut anywhere, to the end."""
    kernel, result = EdgeKernel(roster, config), Result()
    for batch in batches_of(list(blocks), cuts_ns, orders, together):
        result.take(kernel.handle(batch))
        assert kernel.account().holds(), kernel.account()
    result.take(kernel.finish(0))
    assert kernel.account().holds(), kernel.account()
    assert kernel.account().buffered == 0
    return kernel, result
