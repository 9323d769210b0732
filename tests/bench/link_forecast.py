"""`python -m tests.bench.link_forecast`: how well forecasts of a link's capacity hold, as JSON.

Forecast: the mean rate of the next 5 s at the quantiles 0.1, 0.5, 0.9; pinball loss relative to the
trace's mean rate, and the share of seconds that came out below (honest: 0.1, 0.5, 0.9). Constants
were chosen on the 5G downloads with even numbers (`--part chosen`); judged are those with odd ones
and all LTE, UMTS and EVDO traces, which had no say. The first minute of a trace is not judged.
Baselines: last value, mean of 5 s, damped Holt, and the quantiles of the last minute.
"""

import argparse
import json

import numpy as np

from models.policies.forecast import RateForecast
from models.policies.link_forecast import LinkConfig, LinkForecast
from tests.bench import link_traces

SHARES = (0.1, 0.5, 0.9)
H = LinkConfig().horizon
UNJUDGED_S, MINUTE_S, S = 60, 60, 1_000_000_000


def main(argv: list[str] | None = None) -> int:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("judged", "chosen"), default="judged")
    parser.add_argument("--fading", type=float, default=LinkConfig().fading)
    parser.add_argument("--memory", type=int, default=LinkConfig().memory)
    options = parser.parse_args(argv)
    config = LinkConfig(fading=options.fading, memory=options.memory)
    where = link_traces.folder()
    half = options.part == "judged"
    downloads = [r for k, r in enumerate(link_traces.downloads(where).values()) if k % 2 == half]
    sets = {"5g downloads": downloads}
    if half:
        sets["lte, umts, evdo"] = list(link_traces.capacities(where).values())
    print(json.dumps({name: judged(traces, config) for name, traces in sets.items()}, indent=1))
    return 0


def judged(traces: list[np.ndarray], config: LinkConfig) -> dict[str, object]:
    """Means over the traces, each trace counting once."""
    each = [scores(rates, config) for rates in traces]
    ways: dict[str, dict[str, list[float]]] = {}
    for way in each[0]:
        loss, below = (np.mean([one[way][k] for one in each], axis=0) for k in (0, 1))
        ways[way] = {"pinball": np.round(loss, 4).tolist(), "below": np.round(below, 3).tolist()}
    return {"traces": len(traces), "seconds": sum(map(len, traces)), "at": SHARES, "ways": ways}


def scores(rates: np.ndarray, config: LinkConfig) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(pinball loss, share below), each (quantiles,), of every way."""
    link, trend = LinkForecast(config), RateForecast()
    found: dict[str, list[list[float]]] = {}
    came = []
    for n in range(len(rates) - H):
        link.observe(float(rates[n]))
        trend.observe(n * S, float(rates[n]))
        if n < UNJUDGED_S:
            continue
        came.append(float(rates[n + 1 : n + 1 + H].mean()))
        minute = rates[max(0, n + 1 - MINUTE_S) : n + 1]
        for way, value in {
            "link": [link.quantile(q) for q in SHARES],
            "last value": [float(rates[n])] * 3,
            "mean of 5 s": [float(rates[n - H + 1 : n + 1].mean())] * 3,
            "holt": [trend.ahead((H + 1) / 2)] * 3,
            "quantiles of a minute": np.quantile(minute, SHARES).tolist(),
        }.items():
            found.setdefault(way, []).append(value)
    scale, truth = max(float(rates.mean()), 1.0), np.array(came)[:, None]
    shares = np.array(SHARES)
    told = {}
    for way, values in found.items():
        miss = truth - np.array(values)
        loss = np.maximum(shares * miss, (shares - 1) * miss).mean(axis=0) / scale
        told[way] = (loss, (miss < 0).mean(axis=0))
    return told


if __name__ == "__main__":
    raise SystemExit(main())
