"""`python -m tests.bench.forecast`: what forecasts save the pool, over an evening of matches.

Arithmetic, seeded: two venues kick off early, six together half an hour later; load is
flow-records per second, by the timetable, with noise and bursts of transitions. Workers do
`EACH_PER_S` and take `START_S` to be ready. The policy and the forecasts are the real ones.
Printed as JSON; `--svg FILE` draws it.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.policies.forecast import RateForecast
from models.policies.match_forecast import MatchForecast, Phase
from models.policies.pool import PoolConfig, PoolPolicy, PoolSignals
from tests.bench.plot import Panel, Series, chart

STEP_S, START_S, EACH_PER_S = 0.5, 8.0, 300.0
TREND_S, TIMETABLE_S = 10.0, 30.0
EARLY = 2
S, MINUTE = 1_000_000_000, 60
RATES = {Phase.OFF: 0.0, Phase.WARM_UP: 90.0, Phase.PLAY: 270.0, Phase.BREAK: 60.0}
CONFIG = PoolConfig(min_workers=1, max_workers=12)
Ahead = Callable[["Evening", RateForecast, MatchForecast], float]


def periods(venue: int) -> list[tuple[int, int]]:
    """Two halves of 45 min with a quarter of an hour between."""
    kick_off = (20 if venue < EARLY else 50) * MINUTE
    halves = [(kick_off, kick_off + 45 * MINUTE), (kick_off + 60 * MINUTE, kick_off + 105 * MINUTE)]
    return [(start * S, end * S) for start, end in halves]


def loads(seed: int, venues: int = 8, minutes: int = 160) -> np.ndarray:
    """(steps, venues) flow-records per second."""
    rng = np.random.default_rng(seed)
    table = MatchForecast()
    steps = int(minutes * MINUTE / STEP_S)
    found = np.zeros((steps, venues))
    for v in range(venues):
        table.schedule(f"v{v}", periods(v))
        bursts = np.zeros(steps)
        for at in np.flatnonzero(rng.random(steps) < STEP_S / 60.0):
            bursts[at : at + int(rng.uniform(5, 15) / STEP_S)] = rng.uniform(0.2, 0.5)
        for n in range(steps):
            phase = table.phase(f"v{v}", int(n * STEP_S * S))
            assert phase is not None
            played = bursts[n] if phase == Phase.PLAY else 0.0
            found[n, v] = RATES[phase] * (1.0 + played)
        found[:, v] *= rng.normal(1.0, 0.03, steps).clip(0.8, 1.2)
    return found


@dataclass
class Evening:
    """State of the simulation: what waits (flow-records), workers that are ready, and those that
    will be."""

    waiting: float = 0.0
    ready: int = 1
    arrival: float = 0.0


def play(rates: np.ndarray, ahead: Ahead) -> dict[str, Any]:
    """Backlog and workers over the evening, with one way to look ahead."""
    policy, trend, table, state = PoolPolicy(CONFIG), RateForecast(), MatchForecast(), Evening()
    for v in range(rates.shape[1]):
        table.schedule(f"v{v}", periods(v))
    due: list[float] = []
    waits, sizes, reasons = [], [], {}
    for n, row in enumerate(rates):
        at_s = n * STEP_S
        state.ready += sum(t <= at_s for t in due)
        due = [t for t in due if t > at_s]
        state.arrival = float(row.sum())
        able = state.ready * EACH_PER_S * STEP_S
        wanted = state.waiting + state.arrival * STEP_S
        done = min(able, wanted)
        state.waiting = wanted - done
        now_ns = int(at_s * S)
        trend.observe(now_ns, state.arrival)
        table.observe(now_ns, {f"v{v}": float(rate) for v, rate in enumerate(row)})
        wait_s = state.waiting / max(state.arrival, 1.0)
        scale = policy.decide(PoolSignals(
            now_ns, state.ready, len(due), wait_s / 2, wait_s, state.arrival,
            ahead(state, trend, table), done / STEP_S, done / able,
        ))
        step = scale.target - state.ready - len(due)
        if step:
            reasons[str(scale.reason)] = reasons.get(str(scale.reason), 0) + 1
        due += [at_s + START_S] * max(step, 0)
        state.ready += min(step, 0)
        waits.append(wait_s)
        sizes.append(state.ready + len(due))
    return {"waits": waits, "sizes": sizes, "summary": {
        "backlog_s_summed": round(float(np.sum(waits)) * STEP_S, 1),
        "backlog_s_max": round(max(waits), 2),
        "seconds_over_1_s": round(float(np.sum(np.array(waits) > 1.0)) * STEP_S, 1),
        "worker_minutes": round(float(np.sum(sizes)) * STEP_S / 60.0, 1), "steps": reasons,
    }}


WAYS: dict[str, Ahead] = {
    "none": lambda state, trend, table: 0.0,
    "trend": lambda state, trend, table: trend.ahead(TREND_S),
    "trend and timetable": lambda state, trend, table: max(
        trend.ahead(TREND_S), state.arrival + table.change(TIMETABLE_S)
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--svg", type=Path, help="where to draw it")
    options = parser.parse_args(argv)
    rates = loads(options.seed)
    runs = {name: play(rates, ahead) for name, ahead in WAYS.items()}
    print(json.dumps({name: found["summary"] for name, found in runs.items()}, indent=1))
    if options.svg:
        options.svg.write_text(draw(rates, runs))
    return 0


def draw(rates: np.ndarray, runs: dict[str, Any]) -> str:
    """Backlog, and workers beside the load, by minute."""
    colors = dict(zip(WAYS, ("#c1121f", "#b8860b", "#1d70b8"), strict=True))
    per = int(15 / STEP_S)
    minutes = [k / 4 for k in range(len(rates) // per)]

    def worst(values: list[float]) -> list[float]:
        return [float(max(values[k * per : (k + 1) * per])) for k in range(len(minutes))]

    load = worst((rates.sum(axis=1) / EACH_PER_S).tolist())
    panels = [
        Panel("Backlog", "seconds, largest of 15 s", [
            Series(n, colors[n], minutes, worst(f["waits"])) for n, f in runs.items()
        ]),
        Panel("Workers (grey: load, in workers that are always busy)", "workers", [
            Series("load", "#8c959f", minutes, load),
            *(Series(n, colors[n], minutes, worst(f["sizes"])) for n, f in runs.items()),
        ]),
    ]
    return chart(panels, "minutes")


if __name__ == "__main__":
    raise SystemExit(main())
