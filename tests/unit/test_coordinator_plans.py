"""The coordinator plans who owns what when there is something to plan."""

import pytest

import actors.coordinator
from models.policies.assignment import plan_moves
from tests.unit.fakes_log import publish_roster, roster_of
from tests.unit.test_coordinator import held, up


def test_it_plans_when_owners_change_and_when_loads_may_be_uneven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned: list[bool] = []

    def plan(flows, workers, config, rebalance):
        planned.append(rebalance)
        return plan_moves(flows, workers, config, rebalance)

    monkeypatch.setattr(actors.coordinator, "plan_moves", plan)
    world = up()
    planned.clear()
    turns = 3 * world.coordinator.config.rebalance_ns // 1_000_000_000 * 10
    for _ in range(turns):
        world.turn()
    assert set(planned) == {True}
    assert 1 <= len(planned) < turns / 10
    planned.clear()
    publish_roster(world.log, roster_of("c", 3))
    for _ in range(5):
        world.turn()
    assert planned.count(False) >= 1
    assert held(world) == {0: 9}
