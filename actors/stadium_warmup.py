"""Loads the edge's compiled kernels before the first sample needs them.

Loading takes a good part of a second; while a paced source already runs, that would be a backlog.
"""

import numpy as np

from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.raw import RawBatch
from models.telemetry.roster import Roster

_T_NS = 1_000_000_000_000
_ROWS = 3


def warm_up(roster: Roster, config: EdgeConfig) -> None:
    """Run a throwaway kernel over a few still rows of every device of `roster`, to the end."""
    rows_of: dict[Kind, list[int]] = {}
    for row, device in enumerate(roster.devices):
        rows_of.setdefault(device.kind, []).append(row)
    kernel = EdgeKernel(roster, config)
    blocks = {kind: _still(kind, rows) for kind, rows in rows_of.items()}
    kernel.handle(RawBatch("warm-up", 1, _T_NS, blocks))
    kernel.handle(RawBatch("warm-up", 2, _T_NS, {}, end=True))
    kernel.restore(kernel.snapshot())


def _still(kind: Kind, devices: list[int]) -> SampleBlock:
    n = len(devices) * _ROWS
    back_ns = np.repeat(np.arange(_ROWS, dtype=np.int64)[::-1], len(devices)) * 10_000_000
    return SampleBlock(
        kind, np.tile(np.array(devices, np.int32), _ROWS), np.ones(n, np.uint32),
        np.repeat(np.arange(_ROWS, dtype=np.uint32), len(devices)), _T_NS - back_ns,
        np.full(n, _T_NS, np.int64), np.zeros(n, np.uint32),
        np.zeros((len(KINDS[kind].channels), n), np.float32),
    )
