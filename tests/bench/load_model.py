"""The capacity model: what a load takes, from the numbers of a load bench, with its arithmetic.

CPU by kind of process, memory and log volume are fitted as lines over all steps that kept up:
value = at rest + slope x venues. With one step alone everything is counted as the venues'. A stream
(a channel) is what one sensor sends: an inertial unit, a position tag, a heart strap, a ball's
sensor.
"""

from dataclasses import dataclass
from typing import Any

STREAMS_PER_VENUE = 77
"""25 wearers with position, inertial and heart streams, two streams of the ball."""
PER_VENUE = ("stadium",)
SHARED = ("worker", "twin store", "coordinator", "supervisor")
HEADROOM = 0.7
"""Share of a core that a plan may fill: p99 needs the rest."""


@dataclass(frozen=True, slots=True)
class Fit:
    """cores = base + slope * venues."""

    base: float
    slope: float


def fit(points: list[tuple[float, float]]) -> Fit:
    """Least squares of (venues, value); through the origin when there is one point."""
    if len({x for x, _ in points}) < 2:
        x, y = points[-1]
        return Fit(0.0, y / x)
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return Fit(mean_y - slope * mean_x, slope)


def model_text(result: dict[str, Any]) -> str:
    """The model of every family, as Markdown."""
    lines: list[str] = []
    for one in result["families"].values():
        steps = [s for s in one["steps"] if "cpu_cores" in s and s["behind_s"] < 1.0]
        if steps:
            lines += ["", f"### {one['what']}", *_family(one, steps, result["machine"])]
    return "\n".join(lines)


def _family(one: dict[str, Any], steps: list[dict[str, Any]], machine: dict[str, Any]) -> list[str]:
    rate = steps[-1]["samples_per_s"] / steps[-1]["venues"]
    kinds = sorted({kind for step in steps for kind in step["cpu_cores"]})
    fits = {
        kind: fit([(s["venues"], s["cpu_cores"].get(kind, 0.0)) for s in steps]) for kind in kinds
    }
    memory = fit([(s["venues"], float(sum(s["memory_mb"].values()))) for s in steps])
    log = fit([(s["venues"], s["log_mb_per_s"]) for s in steps])
    slope = sum(held.slope for held in fits.values())
    base = sum(held.base for held in fits.values())
    lines = [
        f"Fitted over steps of {', '.join(str(s['venues']) for s in steps)} venues"
        f"{'' if len(steps) > 1 else ' (one: what is at rest cannot be told)'}.", "",
        "| | measured |", "|---|---:|",
        f"| samples/s a venue | {rate:,.0f} |",
        f"| cores a venue | {slope:.3f} |", f"| cores at rest | {base:.3f} |",
        f"| CPU s per million samples, marginal | {slope / rate * 1e6:.1f} |",
        f"| MB a venue | {memory.slope:.0f} |", f"| MB at rest | {memory.base:.0f} |",
        f"| log MB/s a venue | {log.slope:.2f} |",
        f"| venues sustained on {machine['cores']} cores | {one['sustained']} |", "",
        "| process | cores at rest | cores a venue |", "|---|---:|---:|",
    ]
    lines += [f"| {kind} | {fits[kind].base:.3f} | {fits[kind].slope:.4f} |" for kind in kinds]
    return [*lines, "", *_ceilings(fits, rate), "", *_scaled(slope, memory, log, rate)]


def _ceilings(fits: dict[str, Fit], rate: float) -> list[str]:
    """Where one process of a kind fills a core: it has one thread that works."""
    lines = ["One thread of each carries the load; where it fills a core:", ""]
    for kind in PER_VENUE:
        used = fits[kind].slope
        lines.append(
            f"- {kind}: {used:.3f} cores at {rate:,.0f} samples/s, so one venue can have"
            f" {1 / used:.1f} times that ({rate / used:,.0f} samples/s)."
        )
    for kind in SHARED:
        if kind in fits and fits[kind].slope > 1e-4:
            most = (1.0 - max(fits[kind].base, 0.0)) / fits[kind].slope
            lines.append(f"- {kind}: {most:,.0f} venues, {most * rate:,.0f} samples/s.")
    return lines


def _scaled(slope: float, memory: Fit, log: Fit, rate: float) -> list[str]:
    """What so many concurrent streams take: venues, cores at HEADROOM, memory, log volume."""
    lines = [
        f"A core filled to {HEADROOM:.0%}: {HEADROOM / slope:.1f} venues,"
        f" {HEADROOM / slope * STREAMS_PER_VENUE:,.0f} streams,"
        f" {HEADROOM / slope * rate:,.0f} samples/s.",
        f"1,000,000 samples/s: {1e6 / rate:,.0f} venues x {slope:.3f} cores / {HEADROOM} ="
        f" {1e6 / rate * slope / HEADROOM:,.1f} cores.", "",
        "| streams | venues | samples/s | cores | memory GB | log MB/s | log TB a match |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for streams in (1_000_000, 10_000_000):
        venues = streams / STREAMS_PER_VENUE
        cores = venues * slope / HEADROOM
        lines.append(
            f"| {streams:,} | {venues:,.0f} | {venues * rate:,.0f} | {cores:,.0f} |"
            f" {venues * memory.slope / 1024:,.0f} | {venues * log.slope:,.0f} |"
            f" {venues * log.slope * 6300 / 1e6:,.1f} |"
        )
    return lines
