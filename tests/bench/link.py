"""`python -m tests.bench.link`: the backlog of a gateway on recorded uplinks, with and without a
forecast, as JSON.

The sending loop, its spool, pilot and bodies are the real ones; clock and link are virtual
(`tests/link_world.py`), the match is simulated (seed 3). An uplink is a trace of `net_cellular`,
the first four minutes of it, round and round (downlinks are taken for uplinks: the recording has
few of those); figures of a group are sums over its traces, or the largest. `--svg FILE` draws one.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from actors.sources.simulator import SimulatedTrack
from models.policies.link_pilot import LinkPilot
from models.policies.link_policy import Body, LinkPolicyConfig
from models.simulator.config import Faults, MatchConfig
from models.simulator.match import MatchSimulator
from tests.bench import link_traces
from tests.bench.plot import Panel, Series, chart
from tests.link_world import KeptTrack, Sizes, TracedLink, Wall, ages_of, play, waits_of
from tests.link_world import with_outage as outage_in

SEED, SECONDS, LATE_S, OUTAGE_AT_S, OUTAGE_S = 3, 240, 1.0, 60, 78
STEP = "5 MB/s, for a minute 200 kB/s"
SUMS = ("backlog_s_summed", "sent_mb", "rows", "lost_bodies")
LARGEST = ("backlog_s_max", "spool_mb_max", "over_after_s")
MEANS = ("late_rows_pct", "dense_pct")
WAYS: dict[str, tuple[LinkPolicyConfig, bool, int]] = {
    "plain, a slice a body": (LinkPolicyConfig(fixed=Body.PLAIN), False, 1),
    "plain": (LinkPolicyConfig(fixed=Body.PLAIN), False, 10),
    "reactive": (LinkPolicyConfig(), False, 10),
    "forecast": (LinkPolicyConfig(), True, 10),
    "always dense": (LinkPolicyConfig(fixed=Body.DENSE), False, 10),
}


def uplinks() -> dict[str, list[np.ndarray]]:
    """Bytes per second of the traces of each group."""
    where = link_traces.folder()
    lte = link_traces.capacities(where)
    evdo = lte.pop("Verizon-EVDO-driving.down")
    fifth = list(link_traces.downloads(where).values())
    step = np.full(SECONDS, 5_000_000.0)
    step[90:150] = 200_000.0
    away = outage_in(lte["Verizon-LTE-short.up"], OUTAGE_AT_S, OUTAGE_S)
    return {
        STEP: [step], "5G": [rates[:SECONDS] for rates in fifth],
        "LTE, UMTS": [rates[:SECONDS] for rates in lte.values()],
        "LTE, 78 s away": [away], "EVDO": [evdo[:SECONDS]],
    }


def main(argv: list[str] | None = None) -> int:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--svg", type=Path, help="where to draw it")
    parser.add_argument("--draw", default="LTE, UMTS", help="of which group")
    parser.add_argument("--trace", type=int, default=6, help="which of the group")
    options = parser.parse_args(argv)
    match = MatchSimulator(MatchConfig(SEED, SECONDS, faults=Faults.none()))
    track, sizes = KeptTrack(SimulatedTrack(match)), {}
    ids = [device.device_id for device in match.roster.devices]
    groups = uplinks()
    runs = {
        group: {way: [run(track, rates, ids, sizes, way) for rates in traces] for way in WAYS}
        for group, traces in groups.items()
    }
    told = {g: {w: summed(some) for w, some in by.items()} for g, by in runs.items()}
    print(json.dumps(told, indent=1))
    if options.svg:
        drawn = {way: some[options.trace] for way, some in runs[options.draw].items()}
        options.svg.write_text(draw(groups[options.draw][options.trace], drawn))
    return 0


def summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table for the traces of a group."""
    parts = [one["summary"] for one in runs]
    decisions: Counter[str] = Counter()
    for one in parts:
        decisions.update(one["decisions"])
    return {
        "traces": len(parts), "decisions": dict(decisions),
        **{k: round(sum(one[k] for one in parts), 1) for k in SUMS},
        **{k: max(one[k] for one in parts) for k in LARGEST},
        **{k: round(sum(one[k] for one in parts) / len(parts), 1) for k in MEANS},
    }


def run(
    track: KeptTrack, rates: np.ndarray, ids: list[str], sizes: Sizes, way: str
) -> dict[str, Any]:
    """The match over one uplink in one way."""
    policy, forecast, pack_slices = WAYS[way]
    link = TracedLink(rates, Wall(), ids, sizes)
    sent = play(track, link, LinkPilot(policy, forecast=forecast), pack_slices)
    ages, waits = ages_of(link), waits_of(link, SECONDS)
    behind = max(0.0, (link.wall.now_ns - link.taken[0][1]) / 1e9 - SECONDS)
    dense = sent.bodies.get(Body.DENSE, 0) / sum(sent.bodies.values())
    return {"waits": waits, "summary": {
        "backlog_s_summed": round(float(waits.sum()), 1),
        "backlog_s_max": round(float(waits.max()), 1),
        "late_rows_pct": round(100 * float((ages > LATE_S).mean()), 1),
        "spool_mb_max": round(sent.spool_bytes_max / 1e6, 1),
        "sent_mb": round(sent.sent_bytes / 1e6, 1), "over_after_s": round(behind, 1),
        "dense_pct": round(100 * dense), "rows": sent.rows,
        "lost_bodies": link.lost, "decisions": sent.decisions,
    }}


def draw(rates: np.ndarray, runs: dict[str, Any]) -> str:
    """Backlog by second, and the link."""
    colors = dict(zip(WAYS, ("#8c959f", "#c1121f", "#b8860b", "#1d70b8", "#2a9d8f"), strict=True))
    x = [float(k) for k in range(SECONDS)]
    link = [float(rates[k % len(rates)]) / 1e3 for k in range(SECONDS)]
    return chart([
        Panel("Backlog", "age of the oldest row, s", [
            Series(way, colors[way], x, one["waits"].tolist()) for way, one in runs.items()
        ], log_from=0.1),
        Panel("Uplink", "kB/s", [Series("uplink", "#1b1f24", x, link)]),
    ], "seconds")


if __name__ == "__main__":
    raise SystemExit(main())
