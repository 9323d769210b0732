"""Runs the flow kernel once before a worker registers, so that no flow waits for a compiler.

numba keeps compiled code beside the sources: where that is there, this only loads it.
"""

from typing import Final

import numpy as np

from models.flows.kernel import FlowKernel
from models.simulator.match import MatchConfig, MatchSimulator
from models.telemetry.record import TelemetryRecord

SECONDS: Final = 3
_SECOND_NS: Final = 1_000_000_000


def warm_up() -> None:
    """Play seconds of a simulated match through a kernel that is then forgotten."""
    config = MatchConfig(seed=1, duration_s=SECONDS)
    simulator = MatchSimulator(config)
    kernel = FlowKernel(simulator.roster)
    everyone = np.arange(len(simulator.roster.subjects), dtype=np.int32)
    for seq in range(simulator.chunks):
        start_ns = config.start_ns + seq * _SECOND_NS
        blocks = {
            kind: block.take(np.lexsort((block.seq, block.boot, block.device)))
            for kind, block in simulator.chunk(seq).items()
        }
        record = TelemetryRecord(
            simulator.roster.venue_id, simulator.roster.match_id, seq, start_ns,
            start_ns + _SECOND_NS, blocks, final=seq == simulator.chunks - 1,
        )
        kernel.handle([record], everyone)
