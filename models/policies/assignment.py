"""Assignment: which worker owns which flow. Pure and deterministic.

Flows stay where they are (sticky). Flows without an owner go to the worker that has their venue
already, else whole venues at a time to the least loaded worker: a venue's records are decoded once
per worker that owns any of its flows. When one worker is loaded and another has room, the smallest
set of flows moves: a whole venue if the loaded one has several, else the hot flows of its venue.
Loads are shares of one worker's time; a worker at 1.0 is full.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_UNKNOWN_COST: Final = 0.01
_LEAST_COST: Final = 0.001
_HIGH_SHARE: Final = 0.80 / 0.85
_LOW_SHARE: Final = 0.60 / 0.85

Flow = tuple[str, int]
"""(venue id, subject row)."""


class MoveReason(StrEnum):
    """Why a flow gets a (new) owner."""

    NEW = "new_flow"
    OWNER_GONE = "owner_gone"
    DRAIN = "drain"
    SPREAD_VENUE = "spread_venue"
    SPREAD_HOT = "spread_hot"
    SPREAD_EVEN = "spread_even"


@dataclass(frozen=True, slots=True)
class AssignmentConfig:
    """`even`: spread by count over all workers (a pool of fixed size), not by load.

    high, low      a worker above `high` gives to one that is below `low` afterwards
    hot_weight     what a hot flow costs, a calm one being 1
    max_moves      flows moved in one round of rebalancing
    """

    even: bool = False
    high: float = 0.80
    low: float = 0.60
    hot_weight: float = 3.0
    max_moves: int = 64

    def __post_init__(self) -> None:
        assert 0 < self.low < self.high, self

    @staticmethod
    def beside(busy_high: float, even: bool = False) -> "AssignmentConfig":
        """For a pool that grows when its workers are busier than `busy_high`: flows move a little
        earlier, so that it need not grow for one worker, and whoever it grows by gets some."""
        return AssignmentConfig(even, _HIGH_SHARE * busy_high, _LOW_SHARE * busy_high)


@dataclass(frozen=True, slots=True)
class FlowInfo:
    """A flow as it stands. `owner` is a worker that is alive, or None."""

    flow: Flow
    owner: int | None = None
    hot: bool = False
    had_owner: bool = False


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker that is alive. `draining` ones give all that they have and get nothing."""

    worker_id: int
    utilisation: float = 0.0
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """`flow` goes to `target` (from its owner, if it has one)."""

    flow: Flow
    target: int
    reason: MoveReason


class _Table:
    """Working copy: owners and loads, changed as moves are chosen."""

    def __init__(
        self, flows: Iterable[FlowInfo], workers: Iterable[WorkerInfo], config: AssignmentConfig
    ) -> None:
        self.config = config
        self.infos = {info.flow: info for info in sorted(flows, key=lambda i: i.flow)}
        self.workers = {w.worker_id: w for w in sorted(workers, key=lambda w: w.worker_id)}
        self.open = [w for w in self.workers if not self.workers[w].draining]
        self.of: dict[int, set[Flow]] = {w: set() for w in self.workers}
        for info in self.infos.values():
            if info.owner in self.of:
                self.of[info.owner].add(info.flow)
        self.unit = {w: self._unit(w) for w in self.workers}
        self.moves: list[Move] = []

    def weight(self, flow: Flow) -> float:
        return self.config.hot_weight if self.infos[flow].hot else 1.0

    def weights(self, worker: int) -> float:
        return sum(self.weight(flow) for flow in self.of[worker])

    def load(self, worker: int) -> float:
        return self.weights(worker) * self.unit[worker]

    def venues(self, worker: int) -> dict[str, list[Flow]]:
        grouped: dict[str, list[Flow]] = defaultdict(list)
        for flow in sorted(self.of[worker]):
            grouped[flow[0]].append(flow)
        return dict(grouped)

    def give(self, flow: Flow, target: int, reason: MoveReason) -> None:
        for owned in self.of.values():
            owned.discard(flow)
        self.of[target].add(flow)
        self.moves.append(Move(flow, target, reason))

    def _unit(self, worker: int) -> float:
        """Time that a calm flow costs this worker; what it costs on average where it has none."""
        busy = [worker] if self.of[worker] else [w for w in self.workers if self.of[w]]
        if not busy:
            return _UNKNOWN_COST
        weights = sum(self.weights(w) for w in busy)
        return max(sum(self.workers[w].utilisation for w in busy) / weights, _LEAST_COST)


def plan_moves(
    flows: Sequence[FlowInfo], workers: Sequence[WorkerInfo], config: AssignmentConfig,
    rebalance: bool,
) -> list[Move]:
    """The moves to make now; with `rebalance` False only flows that need an owner get one."""
    table = _Table(flows, workers, config)
    if not table.open:
        return []
    _place(table, _homeless(table))
    if rebalance:
        if config.even:
            _spread_even(table)
        else:
            _spread_load(table)
    return table.moves


def _homeless(table: _Table) -> Mapping[str, list[tuple[Flow, MoveReason]]]:
    found: dict[str, list[tuple[Flow, MoveReason]]] = defaultdict(list)
    for flow, info in table.infos.items():
        if info.owner not in table.workers:
            reason = MoveReason.OWNER_GONE if info.had_owner else MoveReason.NEW
            found[flow[0]].append((flow, reason))
        elif info.owner is not None and table.workers[info.owner].draining:
            found[flow[0]].append((flow, MoveReason.DRAIN))
    return found


def _place(table: _Table, homeless: Mapping[str, list[tuple[Flow, MoveReason]]]) -> None:
    for venue in sorted(homeless):
        has_it = [w for w in table.open if any(flow[0] == venue for flow in table.of[w])]
        roomy = [w for w in has_it if table.load(w) < table.config.high]
        # A full worker is only better than an empty pool.
        target = min(roomy or table.open, key=lambda w: (table.load(w), len(table.of[w]), w))
        for flow, reason in homeless[venue]:
            table.give(flow, target, reason)


def _spread_even(table: _Table) -> None:
    """Whole venues while there are enough, else single flows, until counts differ by one."""
    venues = {flow[0] for flow in table.infos}
    whole = len(venues) >= len(table.open)
    for _ in range(len(table.infos)):
        most, least = _extremes(table, by_venue=whole)
        if most is None or least is None or len(table.moves) >= table.config.max_moves:
            return
        owned = table.venues(most)
        if whole:
            for flow in owned[sorted(owned)[-1]]:
                table.give(flow, least, MoveReason.SPREAD_EVEN)
        else:
            there = table.venues(least)
            venue = max(owned, key=lambda v: (v in there, len(owned[v]), v))
            table.give(owned[venue][-1], least, MoveReason.SPREAD_EVEN)


def _extremes(table: _Table, by_venue: bool) -> tuple[int | None, int | None]:
    def count(worker: int) -> int:
        return len(table.venues(worker)) if by_venue else len(table.of[worker])

    most = max(table.open, key=lambda w: (count(w), -w))
    least = min(table.open, key=lambda w: (count(w), w))
    return (most, least) if count(most) - count(least) > 1 else (None, None)


def _spread_load(table: _Table) -> None:
    for _ in range(len(table.open)):
        loaded = max(table.open, key=lambda w: (table.load(w), -w))
        free = min(table.open, key=lambda w: (table.load(w), w))
        if table.load(loaded) <= table.config.high or loaded == free:
            return
        chosen, reason = _to_move(table, loaded, free)
        if not chosen or len(table.moves) + len(chosen) > table.config.max_moves:
            return
        for flow in chosen:
            table.give(flow, free, reason)


def _to_move(table: _Table, loaded: int, free: int) -> tuple[list[Flow], MoveReason]:
    """What `loaded` gives to `free`: enough to meet in the middle, never to overload `free`."""
    unit = table.unit[loaded]
    room = min(table.config.low - table.load(free), (table.load(loaded) - table.load(free)) / 2)
    venues = table.venues(loaded)
    if len(venues) > 1:
        sizes = {v: sum(table.weight(f) for f in flows) * unit for v, flows in venues.items()}
        fitting = [v for v in sizes if sizes[v] <= room]
        if fitting:
            venue = max(fitting, key=lambda v: (sizes[v], v))
            return venues[venue], MoveReason.SPREAD_VENUE
    chosen: list[Flow] = []
    order = sorted(table.of[loaded], key=lambda f: (not table.infos[f].hot, f))
    for flow in order:
        cost = table.weight(flow) * unit
        if cost <= room:
            chosen.append(flow)
            room -= cost
    return chosen, MoveReason.SPREAD_HOT
