"""Where the fused kernel's time goes, and that it does not grow: with streams, nor with time.

`python -m tests.bench.fused` prints JSON: nanoseconds of CPU per sample of each pass, for 500 to
100,000 streams (samples interleaved one by one, or in packets of ten), and for each tenth of a
match of 90 minutes.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from models.columns import frozen
from models.fused import state as S  # noqa: N812
from models.fused.arrange import arrange, keep_raw, place, recall_clean
from models.fused.filters import clean_channel, move, shake
from models.fused.kernel import FusedKernel, Samples
from models.fused.sequence import admit, finite
from models.fused.sums import sum_up
from tests.unit.fused_world import part, streams

ROWS = 5000
TICKS = 10


def main(argv: list[str] | None = None) -> int:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer streams, a shorter match")
    options = parser.parse_args(argv)
    counts = (500, 5000) if options.quick else (500, 5000, 20_000, 100_000)
    minutes = 10 if options.quick else 90
    result = {
        "passes_ns": passes(), "state_bytes": {n: FusedKernel(n).bytes_per_stream for n in counts},
        "streams_ns": {
            order: {n: growth(n, order == "packets") for n in counts}
            for order in ("interleaved", "packets")
        },
        "tenths_of_the_match_ns": tenths(minutes),
    }
    print(json.dumps(result, indent=1))
    return 0


def passes(repeats: int = 5) -> dict[str, float]:
    """Nanoseconds per sample of each pass over 500 rough streams in calls of 5,000 rows."""
    samples = streams(1, 500, 20)
    best: dict[str, float] = {}
    for _ in range(repeats):
        spent: dict[str, int] = {}
        kernel = FusedKernel(500)
        for begin in range(0, len(samples.stream), ROWS):
            one_call(kernel, part(samples, begin, begin + ROWS), spent)
        for name, ns in spent.items():
            best[name] = min(best.get(name, 1e9), round(ns / len(samples.stream), 2))
    return {**best, "all": round(sum(best.values()), 2)}


def one_call(kernel: FusedKernel, samples: Samples, spent: dict[str, int]) -> None:
    """What `FusedKernel.handle` does, pass by pass."""
    def timed(name: str, work: Callable[..., Any], *inputs: Any) -> Any:
        start = time.thread_time_ns()
        result = work(*inputs)
        spent[name] = spent.get(name, 0) + time.thread_time_ns() - start
        return result

    kernel._make_room(len(samples.stream))
    stream, seq, t_ms, *channels = (frozen(column) for column in samples)
    values, rule, state, pool = tuple(channels), kernel._rule, kernel._streams, kernel._pool
    listed, columns, given = kernel._work
    base_ms = int(t_ms[0])
    listed.n[:] = 0
    timed("finite", finite, values, columns.dist)
    timed("admit", admit, stream, seq, t_ms, values, columns.dist, rule.wait_n, state.gate,
          state.ring, pool, listed)
    touched = listed.touched, int(listed.n[S.TOUCHED])
    used = timed("arrange", arrange, base_ms, state, *touched, columns)
    channel, t_used, work = columns.channel, columns.t_ms[:used], columns.work[:used]
    timed("place", place, t_ms, values, base_ms, state.gate, pool, listed, channel, t_used)
    timed("context", keep_raw, state.row, state.gate, *touched, channel)
    floors = [rule.position_floor] * 3 + [rule.acceleration_floor] * 3 + [rule.heart_floor]
    for c, floor in enumerate(floors):
        timed("hampel", clean_channel, channel[c, :used], columns.valid[:used], floor, rule.k,
              work, columns.changed[:used])
    timed("context", recall_clean, state.row, state.gate, *touched, channel)
    timed("move", move, channel, t_used, rule.position_m, columns.dist[:used],
          columns.speed[:used], work)
    timed("shake", shake, channel, rule.per_g, columns.acc[:used], columns.load[:used], work)
    timed("sums", sum_up, state, *touched, columns, given, rule, base_ms)
    used_n, free_n = int(pool.n[1]), int(pool.n[0])
    pool.free[free_n : free_n + used_n] = pool.used[:used_n]
    pool.n[:] = free_n + used_n, 0


def growth(stream_n: int, packets: bool, rounds: int = 8) -> float:
    """Nanoseconds per sample, in calls of 5,000 rows; the first two rounds warm up."""
    kernel, spent, rows = FusedKernel(stream_n), 0, 0
    for number, samples in enumerate(ticks(stream_n, packets, rounds)):
        start = time.thread_time_ns()
        for begin in range(0, len(samples.stream), ROWS):
            kernel.handle(part(samples, begin, begin + ROWS))
        if number >= 2:
            spent += time.thread_time_ns() - start
            rows += len(samples.stream)
    return round(spent / rows, 1)


def ticks(stream_n: int, packets: bool, rounds: int) -> Iterator[Samples]:
    """`rounds` times 100 ms of every stream at 100 Hz, smooth: no losses, no spikes."""
    rng = np.random.default_rng(1)
    for number in range(rounds):
        seq = np.repeat(np.arange(TICKS), stream_n) + number * TICKS
        stream = np.concatenate([rng.permutation(stream_n) for _ in range(TICKS)])
        if packets:
            order = np.lexsort((seq, stream))
            seq, stream = seq[order], stream[order]
        noise = rng.normal(0, 1, seq.size)
        x, small = 30.0 * seq + 8 * noise, noise
        heads = stream.astype(np.int32), seq.astype(np.int32), (seq * 10 + stream % 10)
        body = (x, 8 * noise, 1000 + 4 * noise, small, small, 9.8 + small, 150 + small)
        yield Samples(*heads, *(column.astype(np.float32) for column in body))


def tenths(minutes: int) -> list[float]:
    """Nanoseconds per sample in each tenth of a match of 25 rough streams."""
    minute = streams(2, 25, 60)
    kernel, spent = FusedKernel(25), [0] * 10
    for number in range(minutes):
        later = minute._replace(
            seq=minute.seq + np.int32(6000 * number), t_ms=minute.t_ms + 60_000 * number
        )
        start = time.thread_time_ns()
        for begin in range(0, len(minute.stream), ROWS):
            kernel.handle(part(later, begin, begin + ROWS))
        spent[number * 10 // minutes] += time.thread_time_ns() - start
    return [round(ns / (len(minute.stream) * minutes / 10), 1) for ns in spent]


if __name__ == "__main__":
    raise SystemExit(main())
