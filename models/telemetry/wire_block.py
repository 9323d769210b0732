"""WireBlock: a sample block whose columns stay in the bytes that they came in until they are asked.

Whoever hands bytes on to compiled code needs the places of the columns only; making eight arrays of
each block would cost more than the work on their rows.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind

FIXED: Final = {
    "device": np.uint32, "boot": np.uint32, "seq": np.uint32, "t_event_ns": np.int64,
    "t_ingest_ns": np.int64, "flags": np.uint32,
}
"""What every stream's columns are before the channels, in their order; devices by number."""
_set: Final = object.__setattr__
_PLACES: Final = {name: at for at, name in enumerate(FIXED)}


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the columns of `count` rows lie in a body of `body_bytes`, in bytes: `fixed` those of
    `FIXED`, channels `stride` apart from `values` on."""

    count: int
    body_bytes: int
    fixed: tuple[int, ...]
    values: int
    stride: int


class WireBlock(SampleBlock):
    """`body` laid out by `plan`; `rows` (N,) int32: the roster row of each device number in it. A
    number outside is a device that the roster does not know (-1)."""

    __slots__ = ("body", "plan", "rows")

    body: bytes
    plan: Plan
    rows: NDArray[np.int32]

    def __init__(self, kind: Kind, body: bytes, plan: Plan, rows: NDArray[np.int32]) -> None:
        _set(self, "kind", kind)
        _set(self, "body", body)
        _set(self, "plan", plan)
        _set(self, "rows", rows)

    def __len__(self) -> int:
        return self.plan.count

    def __reduce__(self) -> tuple[Any, ...]:
        return SampleBlock, (self.kind, *(getattr(self, name) for name in (*FIXED, "values")))

    def __getattr__(self, name: str) -> Any:
        """A column that nobody has asked for yet: its slot is empty."""
        if name == "values":
            shape = (len(KINDS[self.kind].channels), self.plan.count)
            steps = (self.plan.stride, 4)
            made = np.ndarray(shape, np.float32, self.body, self.plan.values, steps)
            column: NDArray[Any] = np.ascontiguousarray(made)
        elif name in FIXED:
            at = self.plan.fixed[_PLACES[name]]
            column = np.ndarray((self.plan.count,), FIXED[name], self.body, at)
            column = self._roster_rows(column) if name == "device" else column
        else:
            raise AttributeError(name)
        object.__setattr__(self, name, column)
        return column

    def _roster_rows(self, number: NDArray[np.uint32]) -> NDArray[np.int32]:
        inside = number < len(self.rows)
        if inside.all():
            return self.rows[number]
        rows = np.full(len(number), -1, np.int32)
        rows[inside] = self.rows[number[inside]]
        return rows


def whole_block(
    kind: Kind, body: bytes, plan: Plan, rows: NDArray[np.int32], channels: tuple[int, ...]
) -> SampleBlock:
    """The block of a body that has only some `channels` of its kind: the others are NaN."""
    wire = WireBlock(kind, body, plan, rows)
    values = np.full((len(KINDS[kind].channels), plan.count), np.nan, np.float32)
    shape = (len(channels), plan.count)
    values[list(channels)] = np.ndarray(shape, np.float32, body, plan.values, (plan.stride, 4))
    return SampleBlock(
        kind, wire.device, wire.boot, wire.seq, wire.t_event_ns, wire.t_ingest_ns, wire.flags,
        values,
    )
