"""Orders to thin calm flows: from what workers report, once each, and on from a predecessor's."""

import json
from dataclasses import replace
from typing import Any

import pytest

from actors.coordinator_view import PoolView
from actors.decisions import DecisionLog
from actors.thin_control import RENEW_NS, ThinControl
from cluster.eventlog.port import Record
from cluster.names import ACTIONS_TOPIC, orders_topic, telemetry_topic
from models.edge.standing import LONGEST_THIN_NS
from models.errors import FencedError
from models.policies.ownership import VenueEntry, WorkerReport
from models.policies.thinning import ThinConfig
from models.telemetry.orders import Order, OrderVerb, decode_order
from tests.unit.fakes_log import Clock, FakeLog, roster_of
from tests.unit.pool_world import World

VENUES = {
    name: VenueEntry("m1", 0, ("ann", "bob"), {}) for name in ("wembley", "ajax")
}
HELD = {"wembley": {0: 1, 1: 1}, "ajax": {0: 1, 1: 1}}


class Desk:
    """A coordinator's part in this: reports come in, a round is made every half second."""

    def __init__(self, log: FakeLog, clock: Clock, term: int = 1, **options: Any) -> None:
        self.clock, self.log = clock, log
        self.view = PoolView(log)
        self.decisions = DecisionLog(log, "coordinator", term, clock)
        self.control = ThinControl(
            log, self.decisions, options.pop("config", ThinConfig()), term, **options
        )

    def round(
        self, held: dict[str, dict[int, int]] = HELD, pinned: Any = None, load: float = 0.0,
        **waits: float,
    ) -> None:
        """Worker 0 holds `held`; waits: calm=, hot= in seconds."""
        self.clock.advance(0.5)
        self.view.take(0, WorkerReport(
            1, 1, self.clock(), held=held, backlog_s=dict(waits), pinned=pinned or {},
        ), self.clock())
        self.control.step(self.clock(), VENUES, self.view, False, load)
        self.decisions.flush()


def orders(log: FakeLog, venue: str) -> list[Order]:
    return [decode_order(record.payload) for record in log.all(orders_topic(venue))]


def fresh() -> tuple[FakeLog, Clock]:
    clock = Clock()
    return FakeLog(clock), clock


def test_venues_of_a_worker_that_is_late_are_thinned_and_each_order_says_why() -> None:
    log, clock = fresh()
    desk = Desk(log, clock)
    desk.round(held={"wembley": {0: 1}}, calm=0.7)
    desk.round(held={"wembley": {0: 1}}, calm=0.8)
    assert [(o.verb, o.level, o.reason) for o in orders(log, "wembley")] == [
        (OrderVerb.THIN, 1, "calm_waits"), (OrderVerb.THIN, 2, "calm_waits"),
    ]
    assert orders(log, "ajax") == []
    assert desk.control.levels() == {"wembley": 2}
    actions = [json.loads(record.payload) for record in log.all(ACTIONS_TOPIC)]
    assert [(a["action"], a["detail"]["level"], a["detail"]["calm_s"]) for a in actions] == [
        ("thin", 1, 0.7), ("thin", 2, 0.8),
    ]


def test_nothing_is_ordered_twice_and_the_way_back_is_an_order_too() -> None:
    log, clock = fresh()
    desk = Desk(log, clock)
    desk.round(calm=0.7)
    for _ in range(30):
        desk.round(calm=0.0)
    assert [order.level for order in orders(log, "ajax")] == [1, 0]
    assert desk.control.levels() == {}
    ids = [order.order_id for name in VENUES for order in orders(log, name)]
    assert len(set(ids)) == len(ids) == 4


def test_a_level_that_stays_is_said_again_before_the_edge_lets_it_lapse() -> None:
    assert 2 * RENEW_NS < LONGEST_THIN_NS
    log, clock = fresh()
    desk = Desk(log, clock)
    desk.round(calm=0.7)
    for _ in range(2 * RENEW_NS // 1_000_000_000 - 2):
        clock.advance(0.5)
        desk.round(calm=0.4)
    assert [(o.level, o.reason) for o in orders(log, "ajax")] == [(1, "calm_waits"), (1, "still")]
    assert len(log.all(ACTIONS_TOPIC)) == 2, "one decision for each venue"


def test_a_pinned_flow_is_kept_whole_before_anything_is_thinned() -> None:
    log, clock = fresh()
    desk = Desk(log, clock)
    until_ns = clock() + 60_000_000_000
    for _ in range(3):
        desk.round(calm=0.9, pinned={"wembley": {1: until_ns}})
    first = orders(log, "wembley")[0]
    assert (first.verb, first.subject_id, first.until_ns) == (OrderVerb.WHOLE, "bob", until_ns)
    assert [order.verb for order in orders(log, "wembley")].count(OrderVerb.WHOLE) == 1
    desk.round(pinned={"wembley": {1: until_ns + 5}})
    assert orders(log, "wembley")[-1].until_ns == until_ns + 5


def test_a_successor_goes_on_from_the_levels_that_were_ordered_and_fences_its_predecessor() -> None:
    log, clock = fresh()
    former, successor = Desk(log, clock, term=1), Desk(log, clock, term=2)
    former.round(calm=0.7)
    former.round(calm=0.8)
    successor.round(calm=0.0)
    assert successor.control.levels() == {"wembley": 2, "ajax": 2}
    for _ in range(11):
        successor.round(calm=0.0)
    assert successor.control.levels() == {"wembley": 1, "ajax": 1}
    with pytest.raises(FencedError):
        former.round(calm=2.0)


def test_an_order_that_the_log_does_not_take_is_given_again() -> None:
    log, clock = fresh()
    desk = Desk(log, clock)
    desk.round()
    log.down = True
    with pytest.raises(Exception, match="down"):
        desk.round(calm=0.7)
    log.down = False
    desk.round(calm=0.71)
    # What had been decided for the first venue has gone on meanwhile; the second was not reached.
    assert [order.level for order in orders(log, "ajax")] == [2]
    assert [order.level for order in orders(log, "wembley")] == [1]


def test_venues_that_are_played_fast_and_pools_that_may_not_thin_are_left_alone() -> None:
    for options in ({"unhurried": frozenset(VENUES)}, {"config": ThinConfig(most=0)}):
        log, clock = fresh()
        desk = Desk(log, clock, **options)
        for _ in range(6):
            desk.round(calm=3.0, hot=1.0)
        assert orders(log, "wembley") == orders(log, "ajax") == []


def test_a_load_that_jumped_is_a_reason_and_the_decision_tells_it() -> None:
    log, clock = fresh()
    desk = Desk(log, clock)
    desk.round(calm=0.3, load=1.5)
    desk.round(calm=0.3, load=2.345)
    assert [(o.level, o.reason) for o in orders(log, "ajax")] == [(3, "load_jumped")]
    [action, _] = [json.loads(record.payload) for record in log.all(ACTIONS_TOPIC)]
    assert (action["reason"], action["detail"]["load"]) == ("load_jumped", 2.35)


def test_the_coordinator_sees_a_load_jump_by_the_ends_of_the_topics() -> None:
    world = World([roster_of("a", 4)])
    for _ in range(5):
        world.turn()
    [(worker, there)] = world.workers.items()
    work_n, busy_ns = there.report.work_n, there.report.busy_ns

    def tenth(came: int, done: int, busy: float, wait_s: float) -> None:
        nonlocal work_n, busy_ns
        world.clock.advance(0.1)
        for _ in range(came):
            at = world.log.describe(telemetry_topic("a")).end
            world.log.append(telemetry_topic("a"), [Record("edge", at, 0, b"-")], 1 << 40)
        work_n, busy_ns = work_n + 4 * done, busy_ns + int(busy * 1e8)
        report = replace(
            there.report, now_ns=world.clock(), work_n=work_n, busy_ns=busy_ns,
            backlog_s={"calm": wait_s, "hot": 0.0},
        )
        world.coordinator.heartbeat(worker, report)
        world.coordinator.tick()

    for _ in range(20):
        tenth(1, 1, 0.3, 0.28)
    assert orders(world.log, "a") == [], "a third of what it could do, however long records wait"
    for _ in range(4):
        tenth(8, 3, 1.0, 0.28)
    assert [(o.level, o.reason) for o in orders(world.log, "a")] == [(3, "load_jumped")]
