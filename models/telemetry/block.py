"""SampleBlock: rows of one kind as columns. The unit in which all kernels take and give data.

Not owned here: which order the rows are in (a source gives arrival order, the edge gives
`(device, seq)` order), and what a device is (`models.telemetry.roster`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.telemetry.kinds import KINDS, Kind

ROW_BYTES = 32
"""Of a row's columns other than its values."""


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Rows of one kind; all arrays share length n and may be read-only.

    device       (n,) int32    row of the roster's device list; -1 = unknown to the roster
    boot         (n,) uint32   boot counter of the device
    seq          (n,) uint32   sample counter of (device, boot); one per sample, not per packet
    t_event_ns   (n,) int64    UTC nanoseconds at the sensor
    t_ingest_ns  (n,) int64    UTC nanoseconds at which the edge received the row
    flags        (n,) uint32   bits of `Flag`
    values       (C, n) float32, channel-major, C and order from `KINDS[kind]`
    """

    kind: Kind
    device: NDArray[np.int32]
    boot: NDArray[np.uint32]
    seq: NDArray[np.uint32]
    t_event_ns: NDArray[np.int64]
    t_ingest_ns: NDArray[np.int64]
    flags: NDArray[np.uint32]
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        n, channels = self.device.shape[0], len(KINDS[self.kind].channels)
        assert self.values.shape == (channels, n), (self.kind, self.values.shape, channels, n)
        assert self.t_event_ns.shape == self.seq.shape == self.boot.shape == (n,)
        assert self.t_ingest_ns.shape == self.flags.shape == (n,)

    def __len__(self) -> int:
        return int(self.device.shape[0])

    @property
    def size_bytes(self) -> int:
        """What the rows take in memory."""
        return self.values.nbytes + ROW_BYTES * len(self)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "SampleBlock":
        """The rows selected by an index array, a mask or a slice, in that order."""
        return SampleBlock(
            self.kind, self.device[rows], self.boot[rows], self.seq[rows], self.t_event_ns[rows],
            self.t_ingest_ns[rows], self.flags[rows], np.ascontiguousarray(self.values[:, rows]),
        )

    def with_flags(self, flags: NDArray[np.uint32]) -> "SampleBlock":
        return SampleBlock(
            self.kind, self.device, self.boot, self.seq, self.t_event_ns, self.t_ingest_ns, flags,
            self.values,
        )


def empty_block(kind: Kind) -> SampleBlock:
    """A block of `kind` with no rows."""
    return SampleBlock(
        kind, np.empty(0, np.int32), np.empty(0, np.uint32), np.empty(0, np.uint32),
        np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint32),
        np.empty((len(KINDS[kind].channels), 0), np.float32),
    )


def concat_blocks(blocks: Sequence[SampleBlock]) -> SampleBlock:
    """All rows of `blocks`, which are of one kind, one block after the other."""
    assert blocks
    assert all(block.kind == blocks[0].kind for block in blocks)
    if len(blocks) == 1:
        return blocks[0]
    return SampleBlock(
        blocks[0].kind,
        np.concatenate([b.device for b in blocks]), np.concatenate([b.boot for b in blocks]),
        np.concatenate([b.seq for b in blocks]), np.concatenate([b.t_event_ns for b in blocks]),
        np.concatenate([b.t_ingest_ns for b in blocks]),
        np.concatenate([b.flags for b in blocks]),
        np.concatenate([b.values for b in blocks], axis=1),
    )
