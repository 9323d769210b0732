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

_FIXED: Final = {
    "device": (0, np.uint32), "boot": (1, np.uint32), "seq": (2, np.uint32),
    "t_event_ns": (3, np.int64), "t_ingest_ns": (4, np.int64), "flags": (5, np.uint32),
}
"""Columns by their place in `Plan.fixed`; devices by number."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the columns of `count` rows lie in a body of `body_bytes`, in bytes: `fixed` each
    (device, boot, seq, t_event_ns, t_ingest_ns, flags), channels `stride` apart from `values` on.
    """

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
        for name, value in (("kind", kind), ("body", body), ("plan", plan), ("rows", rows)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return self.plan.count

    def __reduce__(self) -> tuple[Any, ...]:
        return SampleBlock, (self.kind, *(getattr(self, name) for name in (*_FIXED, "values")))

    def __getattr__(self, name: str) -> Any:
        """A column that nobody has asked for yet: its slot is empty."""
        if name == "values":
            shape = (len(KINDS[self.kind].channels), self.plan.count)
            steps = (self.plan.stride, 4)
            made = np.ndarray(shape, np.float32, self.body, self.plan.values, steps)
            column: NDArray[Any] = np.ascontiguousarray(made)
        elif name in _FIXED:
            at, dtype = _FIXED[name]
            column = np.ndarray((self.plan.count,), dtype, self.body, self.plan.fixed[at])
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
