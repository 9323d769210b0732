"""WireBlock: a sample block whose columns stay in the bytes that they came in until they are asked.

Whoever hands bytes on to compiled code needs the places of the columns only; making eight arrays of
each block would cost more than the work on their rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind


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
        whole = slice(None)
        return SampleBlock, (
            self.kind, self.device[whole], self.boot, self.seq, self.t_event_ns, self.t_ingest_ns,
            self.flags, self.values,
        )

    def _column(self, at: int, dtype: Any) -> NDArray[Any]:
        return np.ndarray((self.plan.count,), dtype, self.body, self.plan.fixed[at])

    @property
    def device(self) -> NDArray[np.int32]:  # type: ignore[override]
        index = self._column(0, np.uint32)
        inside = index < len(self.rows)
        if inside.all():
            return self.rows[index]
        return np.where(inside, self.rows[np.where(inside, index, 0)], -1).astype(np.int32)

    @property
    def boot(self) -> NDArray[np.uint32]:  # type: ignore[override]
        return self._column(1, np.uint32)

    @property
    def seq(self) -> NDArray[np.uint32]:  # type: ignore[override]
        return self._column(2, np.uint32)

    @property
    def t_event_ns(self) -> NDArray[np.int64]:  # type: ignore[override]
        return self._column(3, np.int64)

    @property
    def t_ingest_ns(self) -> NDArray[np.int64]:  # type: ignore[override]
        return self._column(4, np.int64)

    @property
    def flags(self) -> NDArray[np.uint32]:  # type: ignore[override]
        return self._column(5, np.uint32)

    @property
    def values(self) -> NDArray[np.float32]:  # type: ignore[override]
        shape = (len(KINDS[self.kind].channels), self.plan.count)
        values: NDArray[np.float32] = np.ndarray(
            shape, np.float32, self.body, self.plan.values, (self.plan.stride, 4)
        )
        return np.ascontiguousarray(values)
