"""The supervisor acts before a device is lost: a simulated match, once with and once without it.

One player's tag drops out: its signal fades, its loss climbs, then it is silent for 45 s. The
simulator's players have one position source each, so this one is given a GNSS vest. Edge, health
watch, policy, orders and their way back are the real ones; the net client answers by its rules.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from actors.net_client import NetClient
from actors.sources.arrival import ArrivalClock
from actors.sources.orders import OrderSource
from actors.stadium_journal import Journal
from actors.supervisor import Supervisor, SupervisorPorts
from models.edge.effects import decode_health
from models.edge.kernel import EdgeKernel
from models.nets.tracker import FailureTracker
from models.simulator.config import Faults, MatchConfig, PlannedFault
from models.simulator.faults import SILENT_S
from models.simulator.match import MatchSimulator
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.raw import RawBatch
from models.telemetry.roster import Device
from tests.unit.fakes_log import Clock, FakeLog

S = 1_000_000_000
AGENT, ONSET_S, RAMP_S, END_S = 5, 160.0, 80.0, 400
DEAD_S, BACK_S = ONSET_S + RAMP_S, ONSET_S + RAMP_S + SILENT_S
WELL = replace(
    Faults(), stuck_heart_s=0.0, dying_battery_s=0.0, clock_jump_at_s=0.0, dropout_at_s=0.0,
    hiccup_at_s=0.0,
)
CONFIG = MatchConfig(
    21, END_S, imu_hz=20, ball_hz=50, venue_id="v", match_id="m",
    faults=replace(WELL, extra=(PlannedFault("dropout", AGENT, ONSET_S, RAMP_S),)),
)


@dataclass
class Story:
    """What was forwarded of the player, when and from which source, and what was done."""

    t_s: NDArray[np.float64]
    lps: NDArray[np.bool_]
    actions: list[dict[str, Any]]
    stats: dict[str, Any] = field(default_factory=dict)

    def longest_gap_s(self, begin_s: float, end_s: float) -> float:
        inside = self.t_s[(self.t_s >= begin_s) & (self.t_s < end_s)]
        return float(np.diff(np.concatenate([[begin_s], inside, [end_s]])).max())

    def when_s(self, action: str, verb: str = "demote") -> list[float]:
        return [
            (a["t_ns"] - CONFIG.start_ns) / S for a in self.actions
            if a["action"] == action and a["detail"].get("verb", verb) == verb
        ]


class Match:
    """The match as it arrives, with the vest's rows: true places with the noise of a GNSS."""

    def __init__(self) -> None:
        self.simulator = MatchSimulator(CONFIG)
        given = self.simulator.roster
        self.tag = next(
            row for row, d in enumerate(given.devices) if d.kind == Kind.LPS
            and d.device_id == self.simulator.truth.faults[0].device_id
        )
        self.subject = given.devices[self.tag].subject
        vest = Device("vest", Kind.GNSS, self.subject, 10.0, source_rank=1)
        self.vest = len(given.devices)
        self.roster = replace(given, devices=(*given.devices, vest))
        self.chunks = [self._chunk(k) for k in range(END_S)]

    def _chunk(self, k: int) -> dict[Kind, SampleBlock]:
        truth = self.simulator.truth
        seq = np.arange(10 * k, 10 * k + 10, dtype=np.uint32)
        t_ns = CONFIG.start_ns + seq.astype(np.int64) * (S // 10)
        values = np.full((len(KINDS[Kind.GNSS].names), len(seq)), np.nan, np.float32)
        noise = np.random.default_rng(k).normal(0.0, 0.4, (2, len(seq)))
        values[:2] = truth.positions[seq, truth.subjects.index(self.subject)].T + noise
        ones = np.ones(len(seq), np.uint32)
        vest = SampleBlock(
            Kind.GNSS, np.full(len(seq), self.vest, np.int32), ones, seq, t_ns,
            t_ns + S // 50, 0 * ones, values,
        )
        return {**self.simulator.chunk(k), Kind.GNSS: vest}


def play(match: Match, acts: bool) -> Story:
    """The whole match on a virtual clock; without `acts` the edge does not hear the supervisor."""
    roster, clock = match.roster, Clock(CONFIG.start_ns)
    log = FakeLog(clock)
    journal, kernel = Journal(log, roster), EdgeKernel(roster)
    journal.fence()
    journal.publish_roster(clock())
    orders = OrderSource(log, "v", "m", ArrivalClock(clock, virtual=False), None)
    ports = SupervisorPorts(
        log, NetClient(None, clock), dict, lambda name: None, FailureTracker, decode_health, clock
    )
    supervisor = Supervisor(1, ports)
    t_ns: list[NDArray[np.int64]] = []
    lps: list[NDArray[np.bool_]] = []

    def handle(batch: RawBatch) -> None:
        effects = kernel.handle(batch)
        journal.stage(effects, batch.now_ns, [clock()] * len(effects.records), clock())
        journal.flush(clock)
        for record in effects.records:
            for kind in (Kind.LPS, Kind.GNSS):
                block = record.blocks.get(kind)
                if block is not None:
                    device = match.tag if kind == Kind.LPS else match.vest
                    mine = block.t_event_ns[block.device == device]
                    t_ns.append(mine)
                    lps.append(np.full(len(mine), kind == Kind.LPS))

    for k, chunk in enumerate(match.chunks):
        clock.now_ns = CONFIG.start_ns + (k + 1) * S
        handle(RawBatch("simulator-0", k + 1, clock(), chunk, {}, k == END_S - 1))
        told = orders.next_batch(clock()) if acts else None
        if told is not None:
            handle(told)
        for _ in range(3):
            supervisor.step()
    when, source = np.concatenate(t_ns), np.concatenate(lps)
    order = np.argsort(when, kind="stable")
    actions = [json.loads(record.payload) for record in log.all("actions")]
    t_s = (when[order] - CONFIG.start_ns) / S
    return Story(t_s, source[order], actions, supervisor.stats())


@pytest.fixture(scope="module")
def stories() -> tuple[Story, Story]:
    match = Match()
    return play(match, True), play(match, False)


def test_the_source_is_passed_over_before_its_device_is_lost(stories: tuple[Story, Story]) -> None:
    acting, _ = stories
    applied_s = acting.when_s("order_applied")
    assert applied_s[0] < DEAD_S - 30.0, "on the loss that grows, long before it is complete"
    assert applied_s[0] > ONSET_S, "and not by chance"
    after = (acting.t_s > applied_s[0] + 0.1) & (acting.t_s < BACK_S)
    assert after.sum() > 1000
    assert not acting.lps[after].any(), "the vest alone is believed when the tag dies"


def test_with_the_order_no_gap_is_seen_and_without_it_the_player_is_lost(
    stories: tuple[Story, Story],
) -> None:
    acting, idle = stories
    begin_s = acting.when_s("order_applied")[0]
    assert acting.longest_gap_s(begin_s, BACK_S) <= 0.2
    assert idle.longest_gap_s(begin_s, BACK_S) >= 1.0, "a second until the tag is known to be dead"
    holes = np.diff(idle.t_s[(idle.t_s > begin_s) & (idle.t_s < DEAD_S)])
    assert (holes > 0.12).sum() > 40, "and the holes of its last minute before that"
    switch_s = idle.t_s[~idle.lps & (idle.t_s > begin_s)].min()
    assert switch_s > DEAD_S + 0.9


def test_what_was_ordered_is_taken_back_when_the_device_is_well_again(
    stories: tuple[Story, Story],
) -> None:
    acting, _ = stories
    first, last = acting.when_s("order_applied")
    assert first < BACK_S + 60.0 < last
    late = acting.lps[acting.t_s > last + 2.0]
    assert len(late) > 100
    assert late.all(), "the better source is believed again"
    (over,) = [a for a in acting.actions if a["action"] == "demote_over"]
    assert over["reason"] == "prediction_over"
    assert over["detail"]["p_fail"] < 0.5


def test_every_order_is_a_decision_with_its_reason_and_an_answer(
    stories: tuple[Story, Story],
) -> None:
    acting, idle = stories
    decided = [a["detail"]["order_id"] for a in acting.actions if a["actor"] == "supervisor"]
    answered = [a["detail"]["order_id"] for a in acting.actions if a["actor"] == "stadium/v"]
    assert sorted(decided) == sorted(answered)
    assert len(set(decided)) == len(decided) == acting.stats["orders"]["given"]
    assert {a["reason"] for a in acting.actions} <= {
        "failure_predicted", "anomaly", "prediction_over",
    }
    assert all(a["actor"] == "supervisor" for a in idle.actions)
