"""From records to what compiled code reads: their rows as one piece of memory, and where what lies.

Columns are not looked at here: those of blocks that came as bytes (`models.telemetry.wire_block`)
are handed on as they lie, so that a call costs the same whatever number of rows it has.
"""

from array import array
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.columns import frozen
from models.flows.tables import PART_WIDTH, Rows
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.record import TelemetryRecord
from models.telemetry.wire_block import WireBlock

ORDER: Final = (
    Kind.LPS, Kind.GNSS, Kind.IMU, Kind.HEART, Kind.BOOT, Kind.BALL_POS, Kind.BALL_IMU,
)
_AXES: Final = ("acc_x_mps2", "acc_y_mps2", "acc_z_mps2")
_PLACE: Final = ("pos_x_m", "pos_y_m", "speed_dop_mps", "residual_m", "nlos_p", "hdop")
_MOTION: Final = (*KINDS[Kind.IMU].names[:6], "load_au", "peak_mps2", "load_flat_au")
CHANNELS: Final = (
    _PLACE, _PLACE, _MOTION, ("hr_bpm", "rr_ms", "contact"), KINDS[Kind.BOOT].names[:6],
    ("pos_x_m", "pos_y_m", "pos_z_m", "in_play", "spin_radps"), (*_AXES, "peak_mps2", "clip"),
)
"""Kinds that flows read, and what of each."""
CODES: Final = {kind: code for code, kind in enumerate(ORDER)}
"""What compiled code knows them by."""
_NO_MAP: Final = frozen(np.empty(0, np.int32))
_PAD: Final = bytes(8)
MOST_TABLES: Final = 256


def channel_table() -> NDArray[np.int64]:
    """(kinds, most channels) int64, read-only: which row of a block's values is which channel, -1
    where the kind has none, -2 behind the last."""
    table = np.full((len(ORDER), max(map(len, CHANNELS))), -2, np.int64)
    for code, (kind, names) in enumerate(zip(ORDER, CHANNELS, strict=True)):
        known = KINDS[kind].names
        table[code, : len(names)] = [known.index(n) if n in known else -1 for n in names]
    return frozen(table)


class Gatherer:
    """Gathers the rows of records. It remembers the last tables of device numbers, which are the
    same in all records of a venue; results do not depend on it."""

    def __init__(self) -> None:
        self._tables: list[NDArray[np.int32]] = []
        self._starts: dict[int, int] = {}
        self._maps = _NO_MAP

    def gather(self, records: Sequence[TelemetryRecord]) -> Rows:
        """The rows of the kinds in `ORDER`."""
        if len(self._tables) > MOST_TABLES:
            self._tables, self._starts, self._maps = [], {}, _NO_MAP
        pieces: list[Any] = []
        parts = array("q")
        at = 0
        for record in records:
            for kind, block in record.blocks.items():
                code = CODES.get(kind, -1)
                if code < 0 or not len(block):
                    continue
                parts.append(code)
                if isinstance(block, WireBlock):
                    parts.extend(self._wire(block, at))
                    pieces.append(block.body)
                    at += block.plan.body_bytes
                else:
                    parts.extend(_columns(block, at, pieces))
                    at += -(-(16 * len(block) + block.values.nbytes) // 8) * 8
        data = b"".join(pieces)
        table = np.frombuffer(parts, np.int64) if parts else np.empty(0, np.int64)
        return Rows(
            np.frombuffer(data, np.int64), np.frombuffer(data, np.int32),
            np.frombuffer(data, np.float32), table.reshape(-1, PART_WIDTH), self._maps,
        )

    def _wire(self, block: WireBlock, at: int) -> tuple[int, ...]:
        plan, rows = block.plan, block.rows
        fixed = plan.fixed
        start = self._starts.get(id(rows))
        if start is None:
            start = self._learn(rows)
        return (
            plan.count, (at + fixed[3]) >> 3, (at + fixed[0]) >> 2, (at + fixed[5]) >> 2,
            (at + plan.values) >> 2, plan.stride >> 2, start, len(rows),
        )

    def _learn(self, rows: NDArray[np.int32]) -> int:
        """Where the table `rows` begins in the maps, from now on. Earlier ones stay where they are:
        a call may have parts of both."""
        start = len(self._maps)
        self._tables.append(rows)
        self._starts[id(rows)] = start
        self._maps = frozen(np.concatenate([self._maps, rows]), np.int32)
        return start


def _columns(block: SampleBlock, at: int, pieces: list[Any]) -> tuple[int, ...]:
    """Put the columns of a block of arrays among `pieces`, times first; where they lie."""
    count = len(block)
    pieces += [
        np.ascontiguousarray(block.t_event_ns, np.int64),
        np.ascontiguousarray(block.device, np.int32), np.ascontiguousarray(block.flags, np.uint32),
        np.ascontiguousarray(block.values, np.float32),
    ]
    over = (16 * count + block.values.nbytes) % 8
    if over:
        pieces.append(_PAD[over:])
    words = at >> 2
    return (
        count, at >> 3, words + 2 * count, words + 3 * count, words + 4 * count, count, -1, 0,
    )
