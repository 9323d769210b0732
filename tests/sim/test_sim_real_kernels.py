"""A few seeds with the real edge and flow kernels: the same bytes, whatever happens."""

import pytest

from tests.sim import standins
from tests.sim.faults import Plan
from tests.sim.real_kernels import learn, world_of
from tests.sim.run import play, story


@pytest.mark.parametrize("seed", range(4))
def test_real_kernels_make_the_same_records_events_and_finals_bit_for_bit(seed: int) -> None:
    result = play(Plan.draw(seed), world_of(learn()))
    assert not result.rule, story(result)
    assert result.faults


def test_an_undisturbed_match_has_something_to_lose() -> None:
    learnt = learn().learnt
    assert len(learnt.digests) > 50
    assert sum(map(len, learnt.events.values())) > 3
    assert len(learnt.finals) > 20


def test_a_stand_in_flow_refuses_a_record_that_it_does_not_want() -> None:
    from tests.sim.match import Shape

    shape = Shape("arena", 1, 2, 10)
    kernel = standins.SimFlowKernel(shape.roster)
    record = standins.SimEdgeKernel(shape.roster).handle(
        standins.RawBatch("end", 0, 0, {}, {}, end=True)
    ).records[0]
    subjects = standins.np.array([0], standins.np.int32)
    kernel.handle([record], subjects)
    with pytest.raises(standins.OrderError):
        kernel.handle([record], subjects)
