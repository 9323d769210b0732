"""Compiles the kernels once, so that no live path waits for a compiler.

numba keeps compiled code beside the sources; this runs a few seconds of a simulated match through
the edge, the flow kernel and the recomputation, which touches every compiled function with the
types that it meets in a run.
"""

import time

import numpy as np

from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.flows.config import FlowConfig
from models.flows.kernel import FlowKernel
from models.policies.anomaly_watch import AnomalyWatch
from models.recompute.match import OF_BODY, Recomputation, Told
from models.simulator.match import MatchConfig, MatchSimulator
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import Kind
from models.telemetry.raw import RawBatch

SECONDS = 6


def warm_up() -> float:
    """Run every kernel once; the seconds it took."""
    start = time.perf_counter()
    simulator = MatchSimulator(MatchConfig(seed=1, duration_s=SECONDS))
    edge = EdgeKernel(simulator.roster, EdgeConfig())
    flows = FlowKernel(simulator.roster, FlowConfig())
    devices = simulator.roster.devices
    rate_hz = np.array([device.rate_hz for device in devices], np.float64)
    watch = AnomalyWatch(np.arange(len(devices), dtype=np.int32), rate_hz)
    everyone = np.arange(len(simulator.roster.subjects), dtype=np.int32)
    made: dict[Kind, list[SampleBlock]] = {}
    for cursor in range(simulator.chunks):
        blocks = simulator.chunk(cursor)
        now_ns = max((int(b.t_ingest_ns[-1]) for b in blocks.values() if len(b)), default=0)
        last = cursor == simulator.chunks - 1
        effects = edge.handle(RawBatch("warmup", cursor, now_ns, blocks, {}, end=last))
        flows.handle(effects.records, everyone)
        for rows in effects.health:
            watch.handle(rows.device, rows.t_ns, rows.values)
        for record in effects.records:
            for kind, block in record.blocks.items():
                made.setdefault(kind, []).append(block)
    edge.restore(edge.snapshot())
    flows.restore(flows.snapshot(everyone))
    whole = {kind: concat_blocks(blocks) for kind, blocks in made.items()}
    again = Recomputation(simulator.roster, {Kind.LPS: whole[Kind.LPS]})
    body = {kind: whole[kind] for kind in OF_BODY if kind in whole}
    again.handle(body, effects.records[-1].t_to_ns, final=True)
    again.findings(Told([], {}), 0)
    return time.perf_counter() - start


def main() -> int:
    """Compile, and say how long it took."""
    print(f"kernels compiled and warm in {warm_up():.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
