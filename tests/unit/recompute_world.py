"""A match as live path and warm tier see it, for tests of the recomputation."""

from dataclasses import dataclass, field, replace

import numpy as np

from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.events.envelope import Event
from models.flows.kernel import FlowKernel
from models.flows.subjects import PERSONS
from models.recompute.match import Recomputation, Told
from models.simulator.match import MatchConfig, MatchSimulator
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import POSITION_KINDS, Kind
from models.telemetry.raw import RawBatch

WET = 6
"""Row of the athlete whose sensors are late."""


@dataclass
class Played:
    """What a simulated match left behind: events and final rows of persons as told live; every row
    of the warm tier by kind, in pieces; end_ns of the last record."""

    simulator: MatchSimulator
    events: list[Event] = field(default_factory=list)
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    warm: dict[Kind, list[SampleBlock]] = field(default_factory=dict)
    end_ns: int = 0

    @property
    def told(self) -> Told:
        return Told(self.events, self.rows)

    def whole(self, *kinds: Kind) -> dict[Kind, SampleBlock]:
        return {kind: concat_blocks(self.warm[kind]) for kind in kinds if kind in self.warm}


def play(seconds: int, seed: int = 5, late_from_s: float = 0.0, late_s: float = 0.0) -> Played:
    """`late_s` seconds of an athlete's (`WET`) sensors, from `late_from_s` on, arrive in one batch
    when they are over, as from a radio that was out of reach."""
    simulator = MatchSimulator(MatchConfig(seed=seed, duration_s=seconds))
    roster = simulator.roster
    wet = roster.subjects[WET].subject_id
    mine = np.array([device.subject == wet for device in roster.devices])
    live, full = EdgeKernel(roster, EdgeConfig()), EdgeKernel(roster, EdgeConfig(thin=False))
    flows, played = FlowKernel(roster), Played(simulator)
    everyone = np.arange(len(roster.subjects), dtype=np.int32)
    begin_ns = simulator.config.start_ns + int(late_from_s * 1e9)
    over_ns = begin_ns + int(late_s * 1e9)
    held: dict[Kind, list[SampleBlock]] = {}
    for k in range(simulator.chunks):
        blocks, last = dict(simulator.chunk(k)), k == simulator.chunks - 1
        now_ns = max(int(b.t_ingest_ns[-1]) for b in blocks.values() if len(b))
        for kind, block in list(blocks.items()):
            out = mine[block.device] & (block.t_event_ns >= begin_ns) & (block.t_event_ns < over_ns)
            if out.any():
                held.setdefault(kind, []).append(block.take(np.flatnonzero(out)))
                blocks[kind] = block.take(np.flatnonzero(~out))
        if held and now_ns >= over_ns:
            for kind, parts in held.items():
                late = concat_blocks(parts)
                late = replace(late, t_ingest_ns=np.full(len(late), now_ns))
                blocks[kind] = concat_blocks([blocks[kind], late] if kind in blocks else [late])
            held = {}
        _take(played, RawBatch("sim", k, now_ns, blocks, {}, end=last), live, full, flows, everyone)
    persons = {f"flow/{s.subject_id}" for s in roster.subjects if s.role in PERSONS}
    played.events = [event for event in played.events if event.stream in persons]
    return played


def _take(played, batch, live, full, flows, everyone):
    roster = played.simulator.roster
    persons = {s.subject_id for s in roster.subjects if s.role in PERSONS}
    effects = flows.handle(live.handle(batch).records, everyone)
    played.events += effects.events
    for states in effects.states:
        for n, s in enumerate(states.subject.tolist()):
            name = roster.subjects[s].subject_id
            if states.final and name in persons:
                played.rows[name] = {c: float(v[n]) for c, v in states.columns.items()}
                played.end_ns = int(states.t_ns[n])
    for record in full.handle(batch).records:
        for lane in (record.blocks, record.supplements):
            for kind, block in lane.items():
                played.warm.setdefault(kind, []).append(block)


def recomputed(played: Played, cuts_s=(), told: Told | None = None, generation: int = 0, rng=None):
    """The findings over the warm rows; slices end `cuts_s` after the beginning, and rows are
    shuffled by `rng`."""
    start_ns = played.simulator.config.start_ns

    def mixed(block):
        return block if rng is None else block.take(rng.permutation(len(block)))

    positions = {k: mixed(b) for k, b in played.whole(*POSITION_KINDS).items()}
    work = Recomputation(played.simulator.roster, positions)
    body, since_ns = played.whole(Kind.IMU, Kind.HEART), -(2**62)
    ends = sorted({start_ns + int(s * 1e9) for s in cuts_s if s * 1e9 < played.end_ns - start_ns})
    for until_ns in (*ends, played.end_ns):
        blocks = {}
        for kind, block in body.items():
            inside = (block.t_event_ns >= since_ns) & (block.t_event_ns < until_ns)
            blocks[kind] = mixed(block.take(np.flatnonzero(inside)))
        work.handle(blocks, until_ns, final=until_ns == played.end_ns)
        since_ns = until_ns
    return work.findings(played.told if told is None else told, generation)
