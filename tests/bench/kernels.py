"""CPU seconds per million samples of each stage, each alone in this process."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.flows.config import FlowConfig
from models.flows.kernel import FlowKernel
from models.simulator.match import MatchConfig, MatchSimulator
from models.telemetry.raw import RawBatch, decode_raw, encode_raw
from models.telemetry.record import decode_record, encode_record

CHUNKS_PER_BATCH = 8


def measure(seconds: int) -> dict[str, Any]:
    """Stage -> CPU seconds per million samples in; plus what one core takes of each."""
    simulator = MatchSimulator(MatchConfig(seed=3, duration_s=seconds))
    roster = simulator.roster
    ids = [device.device_id for device in roster.devices]
    rows_of = {(d.device_id, d.kind): row for row, d in enumerate(roster.devices)}
    spent: dict[str, float] = {}
    chunks = timed(spent, "simulate", lambda: [simulator.chunk(k) for k in range(seconds)])
    batches = [batch_of(chunks, k) for k in range(0, seconds, CHUNKS_PER_BATCH)]
    samples = sum(batch.rows for batch in batches)
    raw = timed(spent, "raw_encode", lambda: [encode_raw(b, ids) for b in batches])
    timed(spent, "raw_decode", lambda: [decode_raw(p, rows_of) for p in raw])
    edge = EdgeKernel(roster, EdgeConfig())
    effects = timed(spent, "edge", lambda: [edge.handle(b) for b in batches])
    records = [record for effect in effects for record in effect.records]
    sealed = timed(spent, "record_encode", lambda: [encode_record(r, ids) for r in records])
    opened = timed(spent, "record_decode", lambda: [decode_record(p, rows_of) for p in sealed])
    flows = FlowKernel(roster, FlowConfig())
    everyone = np.arange(len(roster.subjects), dtype=np.int32)
    timed(spent, "flows", lambda: [flows.handle([record], everyone) for record in opened])
    per_million = {stage: round(s / samples * 1e6, 4) for stage, s in spent.items()}
    path = sum(v for stage, v in per_million.items() if stage != "simulate")
    return {
        "samples": samples,
        "cpu_s_per_million": per_million,
        "kernels_and_codecs_samples_per_core_s": round(1e6 / path),
        "bytes_per_sample": {
            "raw": round(sum(map(len, raw)) / samples, 1),
            "telemetry": round(sum(map(len, sealed)) / samples, 1),
        },
    }


def batch_of(chunks: list[Any], first: int) -> RawBatch:
    """Some chunks of the match as one batch."""
    from models.telemetry.block import concat_blocks

    taken = chunks[first : first + CHUNKS_PER_BATCH]
    kinds = {kind for chunk in taken for kind in chunk}
    blocks = {
        kind: concat_blocks([chunk[kind] for chunk in taken if kind in chunk]) for kind in kinds
    }
    now_ns = max(int(b.t_ingest_ns.max()) for b in blocks.values() if len(b))
    upto = first + len(taken)
    return RawBatch("bench", upto, now_ns, blocks, {}, upto >= len(chunks))


def timed(spent: dict[str, float], stage: str, work: Callable[[], Any]) -> Any:
    """Run `work`; its CPU seconds go to `spent[stage]`."""
    start = time.process_time()
    result = work()
    spent[stage] = time.process_time() - start
    return result
