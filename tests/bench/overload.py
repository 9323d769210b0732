"""`python -m tests.bench.overload`: twice the load that a worker can carry, for a minute.

The pool's way (hot flows first, calm ones thinned at the edges by order) against plain first in,
first out, in one run, printed as JSON; `--svg FILE` draws it. The clock is virtual: it moves by the
CPU time that the worker takes, times a factor by which `--venues` are twice what the worker is
measured to carry: half as many are the most at which it keeps p99 under a second, first in, first
out. So the machine's speed and what else it does cancel out of the load, and a time is that of a
worker with that share of a core. Latency counts from the oldest sample of a record, so 350 ms of
every figure are the record's span and what the edge waits for late rows. `--times` is the load.

Every run has a process of its own, which looks for garbage as seldom as a worker's: in one that has
held a minute's backlog the same work costs up to twice as much.
"""

import argparse
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.worker_warmup import warm_up
from cluster.heap import look_seldom
from models.events.envelope import from_cloudevent
from tests.bench.overload_world import TICK_NS, Edges, Match, Pace, World, simulate
from tests.bench.plot import Panel, Series, chart

NORMAL_TICKS, OVER_TICKS, AFTER_TICKS = 100, 600, 300
TRIED_TICKS, WARM_TICKS = 100, 10
WAITING_S = 0.5
CLASSES = ("hot", "medical", "calm")
POLL_NS = 5_000_000


def main(argv: list[str] | None = None) -> int:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venues", type=int, default=192, help="during the overload")
    parser.add_argument("--seed", type=int, default=3, help="of the simulated match")
    parser.add_argument("--svg", type=Path, help="where to draw it")
    parser.add_argument("--times", type=float, default=2.0, help="what is carried")
    options = parser.parse_args(argv)
    assert options.venues % 8 == 0, "--venues: a multiple of 8"
    look_seldom()
    warm_up()
    match = simulate((NORMAL_TICKS + OVER_TICKS + AFTER_TICKS) // 10, options.seed)
    pace = Pace(match)
    plain = Edges(match, pace, keep=True)
    carried = round(options.venues / options.times)
    slow = carried_slowness(match, plain, carried)
    plan = plan_of(options.venues)
    plain.play(begins(plan), len(plan))
    runs = {
        "priority": apart(run, match, Edges(match, pace), plain, plan, slow, False),
        "fifo": apart(run, match, plain, plain, plan, slow, True),
    }
    result = {
        "venues": options.venues, "venues_carried": carried,
        "core_share": round(1.0 / slow, 4),
        "venues_per_core_carried": round(carried * slow, 1),
        "overload_s": OVER_TICKS / 10,
        **{name: found["summary"] for name, found in runs.items()},
    }
    print(json.dumps(result, indent=1))
    if options.svg:
        options.svg.write_text(draw(runs))
    return 0


def apart(work: Callable[..., Any], *args: Any) -> Any:
    """What `work` gives in a copy of this process as it is now."""
    _ASKED[:] = [work, *args]
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as copy:
        return copy.submit(_asked).result()


_ASKED: list[Any] = []
"""Handed on by the fork: no bytes can be made of kernels."""


def _asked() -> Any:
    work, *args = _ASKED
    return work(*args)


def carried_slowness(match: Match, edges: Edges, venues: int) -> float:
    """How slow the worker may be and still carry `venues` with p99 under a second, first in, first
    out; virtual ns per ns of CPU, by halving."""
    low, high = 0.25, 64.0
    while high / low > 1.06:
        middle = (low * high) ** 0.5
        if p99_s(match, edges, venues, middle) < 1.0:
            low = middle
        else:
            high = middle
    return low


def p99_s(match: Match, edges: Edges, venues: int, slow: float) -> float:
    """p99 latency of `TRIED_TICKS` of steady load, first in, first out."""
    plan = [venues] * TRIED_TICKS
    world = World(match, edges, begins(plan), {}, fifo=True)
    end_ns = match.start_ns + int(1.5 * TRIED_TICKS * TICK_NS)
    play(world, plan, slow, lambda now_ns, sent: now_ns > end_ns)
    table = Table(world, {}, edges)
    # The first records find a worker that has not run yet; the last are still at the edge. What is
    # not done at the end counts, too.
    first, after = TRIED_TICKS // 5, TRIED_TICKS - 5
    late = (table.tick >= first) & (table.tick < after)
    waiting = venues * len(match.roster.subjects) * (after - first) - int(late.sum())
    latency_s = np.concatenate([table.latency_s[late], np.full(max(waiting, 0), np.inf)])
    return float(np.percentile(latency_s, 99, method="higher"))


def begins(plan: Sequence[int]) -> list[int]:
    """The tick with which each venue begins, `WARM_TICKS` before it is one of `plan[tick]`: its
    stream has no gap when its turn comes."""
    first = [next(n for n, venues in enumerate(plan) if venues > v) for v in range(max(plan))]
    return [max(tick - WARM_TICKS, 0) for tick in first]


def play(
    world: World, plan: Sequence[int], slow: float, stop: Callable[[int, bool], bool],
) -> None:
    """Send tick n for `plan[n]` venues when it is due, and let the worker work, until all is sent
    and done or `stop(now_ns, all sent)`. The first `WARM_TICKS` of every venue take no time: what
    is only done once is done then."""
    tick, begin_ns = 0, world.match.start_ns
    beginnings = {begin for begin, _ in world.courses}
    for _ in range(WARM_TICKS):
        world.clock.at_ns = max(world.clock.at_ns, begin_ns + (tick + 1) * TICK_NS)
        world.send({begin: begin + tick for begin in beginnings}, world.clock.at_ns, world.venues)
        while world.step(0.0):
            pass
        tick += 1
    while True:
        while tick < len(plan) and begin_ns + (tick + 1) * TICK_NS <= world.clock.at_ns:
            due_ns = begin_ns + (tick + 1) * TICK_NS
            world.send(dict.fromkeys(beginnings, tick), due_ns, plan[tick])
            tick += 1
        moved = world.step(slow)
        if stop(world.clock.at_ns, tick >= len(plan)):
            return
        if not moved:
            if tick >= len(plan):
                return
            world.clock.at_ns += POLL_NS


def plan_of(venues: int) -> list[int]:
    """Ten seconds of an eighth of `venues`, a minute of all, then a quarter."""
    return [venues // 8] * NORMAL_TICKS + [venues] * OVER_TICKS + [venues // 4] * AFTER_TICKS


def run(
    match: Match, edges: Edges, plain: Edges, plan: Sequence[int], slow: float, fifo: bool
) -> dict[str, Any]:
    """Tick n for `plan[n]` venues, a minute of overload and what surrounds it, until nothing waits.
    `plain` has sealed all of it without orders."""
    medical = {venue: venue % 22 for venue in range(0, max(plan), 6)}
    world = World(match, edges, begins(plan), medical, fifo)
    over_s = (NORMAL_TICKS + OVER_TICKS) / 10
    looks: list[tuple[float, float, float]] = []
    drained: list[float] = []

    def look(now_ns: int, sent: bool) -> bool:
        at_s = (now_ns - match.start_ns) / 1e9
        if not looks or at_s - looks[-1][0] >= 0.25:
            looks.append((at_s, *world.waits_s()))
            if at_s > over_s and not drained and max(looks[-1][1:]) < WAITING_S:
                drained.append(at_s - over_s)
        return False

    play(world, plan, slow, look)
    table = Table(world, medical, plain)
    waits = {"hot": max(x[1] for x in looks), "calm": max(x[2] for x in looks)}
    summary = {
        **table.summary(), "drained_after_s": round(drained[0], 2) if drained else None,
        "longest_wait_s": {name: round(wait_s, 3) for name, wait_s in waits.items()},
        "rows_sent": int(sum(world.rows)),
        "levels": levels(world), "thinned_to": thinned_share(world),
    }
    seconds = [table.by_second(sort) for sort in range(len(CLASSES))]
    return {"looks": looks, "by_second": seconds, "summary": summary}


def levels(world: World) -> list[tuple[float, int, str]]:
    """When the calm flows of the first venue were thinned how far, and why."""
    return [
        (round((int(str(a["t_ns"])) - world.match.start_ns) / 1e9, 1), detail["level"],
         str(a["reason"]))
        for a in world.actions() if a["action"] == "thin"
        and isinstance(detail := a["detail"], dict) and detail["venue"] == "v0"
    ]


def thinned_share(world: World) -> float:
    """Rows that left the edges in the last third of the overload, as a share of those of the same
    venues when nothing was thinned."""
    before = sum(world.rows[20:NORMAL_TICKS]) / (NORMAL_TICKS - 20) * 8
    late = world.rows[NORMAL_TICKS + 2 * OVER_TICKS // 3 : NORMAL_TICKS + OVER_TICKS]
    return round(sum(late) / len(late) / before, 3)


class Table:
    """A row per flow and tenth of a second that was handled: class, when it was made, how long it
    took. `plain` tells which flows were hot when: records of thinned venues are longer."""

    def __init__(self, world: World, medical: dict[int, int], plain: Edges) -> None:
        self._world, self._medical = world, medical
        first_ns = world.match.first_ns
        # Tick n of the plan is what arrives then: its rows are of this tenth of a second.
        self._origin = (world.match.start_ns - first_ns) // TICK_NS
        self._courses = sorted(set(world.courses))
        self._hot = self._hot_table(plain)
        ticks, sort, latency = [], [], []
        for venue, rows, since_ns, whole, at_ns in world.done.batches:
            first, last = np.array(whole, np.int64).T
            since = np.full(len(rows), first[0]) if since_ns is None else since_ns
            spans = ((last - first) // TICK_NS).astype(np.int64)
            tick = np.repeat((first - first_ns) // TICK_NS, spans)
            tick += np.concatenate([np.arange(n) for n in spans])
            mine = (tick[:, None] >= (since - first_ns) // TICK_NS).ravel()
            ticks.append(np.repeat(tick, len(rows))[mine])
            sort.append(self._class_of(venue, ticks[-1], np.tile(rows, len(tick))[mine]))
            latency.append((at_ns - first_ns) / 1e9 - ticks[-1] / 10)
        self.tick = np.concatenate(ticks) - self._origin
        self.sort, self.latency_s = np.concatenate(sort), np.concatenate(latency)

    def _hot_table(self, plain: Edges) -> NDArray[np.bool_]:
        hot = plain.hot
        last = max(tick for _, tick in hot) + 1
        subjects = len(self._world.match.roster.subjects)
        table = np.zeros((len(self._courses), last, subjects), np.bool_)
        for (course, tick), rows in hot.items():
            if course in self._courses:
                table[self._courses.index(course), tick, rows] = True
        return table

    def _class_of(
        self, venue: int, tick: NDArray[np.int64], row: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        course = self._courses.index(self._world.courses[venue])
        sort = np.where(self._hot[course, tick, row], 0, 2)
        return np.where(row == self._medical.get(venue, -1), 1, sort)

    def during(self) -> NDArray[np.bool_]:
        """What was made during the overload."""
        return (self.tick >= NORMAL_TICKS) & (self.tick < NORMAL_TICKS + OVER_TICKS)

    def events_s(self, decided: bool) -> dict[str, NDArray[np.float64]]:
        """Sensor to event in the log, by class of the flow at that time: from the sample that
        decided it, or from the oldest of its record."""
        found: dict[str, list[float]] = {name: [] for name in CLASSES}
        rows = self._world.match.roster.subject_row()
        first_ns = self._world.match.first_ns
        for venue in range(self._world.venues):
            for stored in self._world.log._records[f"events/v{venue}"]:
                event = from_cloudevent(stored.record.payload)
                source_ns = int(json.loads(stored.record.payload)["sourcens"])
                from_ns = event.t_detected_ns if decided else source_ns
                tick = np.array([(from_ns - first_ns) // TICK_NS])
                if not NORMAL_TICKS <= tick[0] - self._origin < NORMAL_TICKS + OVER_TICKS:
                    continue
                row = np.array([rows[event.stream.removeprefix("flow/")]], np.int32)
                name = CLASSES[int(self._class_of(venue, tick, row)[0])]
                found[name].append((stored.t_append_ns - from_ns) / 1e9)
        return {name: np.array(values) for name, values in found.items()}

    def summary(self) -> dict[str, Any]:
        """Latency by class of what was made during the overload, and what became of all."""
        world, during = self._world, self.during()
        subjects = len(world.match.roster.subjects)
        sent = [len(world.log.all(f"telemetry/v{v}")) for v in range(world.venues)]
        return {
            "flow_records": {
                "sent": sum(sent) * subjects, "handled": len(self.tick),
                "hot_share": round(float((self.sort[during] == 0).mean()), 3),
            },
            "latency_s": {
                name: quantiles(self.latency_s[during & (self.sort == k)])
                for k, name in enumerate(CLASSES)
            },
            "sensor_to_event_s": {
                name: quantiles(s) for name, s in self.events_s(decided=True).items()
            },
            "record_to_event_s": {
                name: quantiles(s) for name, s in self.events_s(decided=False).items()
            },
        }

    def by_second(self, sort: int) -> tuple[list[float], list[float]]:
        """p99 latency of what each second made."""
        mine = (self.sort == sort) & (self.tick >= 0)
        second, latency_s = self.tick[mine] // 10, self.latency_s[mine]
        seconds = np.unique(second)
        p99 = [float(np.percentile(latency_s[second == s], 99)) for s in seconds]
        return [float(s) for s in seconds], p99


def quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    """p50, p95, p99 and the largest, in seconds."""
    if not len(values):
        return {"n": 0}
    found = np.percentile(values, [50, 95, 99, 100])
    names = ("p50", "p95", "p99", "max")
    return {"n": len(values)} | {n: round(float(v), 3) for n, v in zip(names, found, strict=True)}


def draw(runs: dict[str, Any]) -> str:
    """Latency by class and what waits, over time."""
    colors = {"hot": "#c1121f", "medical": "#7209b7", "calm": "#1d70b8"}
    lines, waits = [], []
    for name, dash in (("priority", ""), ("fifo", "6 4")):
        for sort, seconds in zip(CLASSES, runs[name]["by_second"], strict=True):
            lines.append(Series(f"{name}: {sort}", colors[sort], *seconds, dash))
        at, hot, calm = (list(column) for column in zip(*runs[name]["looks"], strict=True))
        waits.append(Series(f"{name}: hot", colors["hot"], at, hot, dash))
        waits.append(Series(f"{name}: other", colors["calm"], at, calm, dash))
    shade = (NORMAL_TICKS / 10, (NORMAL_TICKS + OVER_TICKS) / 10)
    panels = [
        Panel("p99 latency by priority class (shaded: more than fits)",
              "seconds, by when it was made", lines, 0.1, shade, ((1.0, "1 s"),)),
        Panel("Age of the oldest record that waits", "seconds", waits, 0.1, shade),
    ]
    return chart(panels, "seconds")


if __name__ == "__main__":
    raise SystemExit(main())
