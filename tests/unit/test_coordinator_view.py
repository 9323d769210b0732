"""What the coordinator knows of its workers: who stands still, who works, who waits for a core."""

import pytest

from actors.coordinator_view import PoolView
from actors.nodes import NoNodes
from models.policies.linger import CoreTime
from models.policies.ownership import WorkerReport
from tests.unit.fakes_log import roster_of
from tests.unit.pool_world import World

S = 1_000_000_000
A, B = roster_of("a", 4), roster_of("b", 2)


def test_a_worker_on_a_machine_whose_clock_is_minutes_behind_keeps_its_flows() -> None:
    view = PoolView(World([A, B]).log)
    for second in range(200):
        view.take(0, WorkerReport(1, 0, second - 300 * S), second * S)
        view.take(1, WorkerReport(1, 0, 7), second * S)
    assert view.stalled(200 * S, 120 * S) == {1}


def test_time_in_which_a_worker_waits_for_a_core_is_no_work() -> None:
    world = World([A, B])
    view, table = PoolView(world.log), world.coordinator._table

    def report(second: int) -> WorkerReport:
        busy_ns, ran_ns, waited_ns = (int(part * second * S) for part in (0.8, 0.3, 0.45))
        return WorkerReport(1, 0, second * S, busy_ns=busy_ns, core=CoreTime(ran_ns, waited_ns))

    for second in range(1, 21):
        view.take(0, report(second), second * S)
        view.observe(second * S, table)
    assert view.crowded == pytest.approx(0.6, abs=0.01)
    assert view.utilisation == pytest.approx(0.8 * 0.4)
    assert view.busy[0] == pytest.approx(0.8), "who shares out flows, or thins them, counts it"
    assert view.signals()["crowded"] == pytest.approx(view.crowded, abs=1e-3)


@pytest.mark.parametrize("alone", [True, False])
def test_the_pool_is_crowded_only_where_there_is_no_other_machine(alone: bool) -> None:
    class Nodes(NoNodes):
        def alone(self) -> bool:
            return alone

    spent = [0, 0]

    def core_time() -> CoreTime:
        spent[0] += 1_000
        spent[1] += 4_000
        return CoreTime(*spent)

    world = World([A], nodes=Nodes(), core_time=core_time)
    for _ in range(200):
        world.turn()
    found = world.policy.told[-1].crowded
    assert found == (pytest.approx(0.8, abs=0.01) if alone else 0.0)
    assert world.coordinator.status()["crowded"] == pytest.approx(0.8, abs=0.01)
