"""The edge's results do not depend on how its input is cut, nor on being stopped and restored."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.telemetry.orders import Order
from tests.unit.edge_lab import MS, Result, batches_of, play
from tests.unit.edge_world import CUTS, FEW, ROSTER, blocks_of, orders_of


@FEW
@given(
    seed=st.integers(0, 2**32 - 1), cuts=CUTS, tick_ms=st.sampled_from([100, 300]),
    orders=orders_of(), together=st.booleans(),
)
def test_any_cut_of_the_stream_gives_the_same_results(
    seed: int, cuts: list[int], tick_ms: int, orders: list[tuple[int, Order]], together: bool
) -> None:
    config, blocks = EdgeConfig(tick_ns=tick_ms * MS), blocks_of(seed)
    whole_kernel, whole = play(ROSTER, blocks, (), config, orders)
    cut_kernel, parts = play(ROSTER, blocks, cuts, config, orders, together)
    assert len(whole.orders) >= len(orders)
    assert cut_kernel.account() == whole_kernel.account()
    ours, theirs = parts.canonical(), whole.canonical()
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key] == value, key


@FEW
@given(seed=st.integers(0, 2**32 - 1), cuts=CUTS, stop=st.integers(0, 20), orders=orders_of())
def test_a_restored_kernel_goes_on_as_if_it_had_never_stopped(
    seed: int, cuts: list[int], stop: int, orders: list[tuple[int, Order]]
) -> None:
    parts = batches_of(blocks_of(seed), cuts, orders)
    kernel, straight, restored = EdgeKernel(ROSTER), Result(), Result()
    other = EdgeKernel(ROSTER)
    for n, batch in enumerate(parts):
        straight.take(kernel.handle(batch))
        restored.take(other.handle(batch))
        if n == stop % len(parts):
            snapshot = other.snapshot()
            other = EdgeKernel(ROSTER)
            other.restore(snapshot)
            assert other.snapshot() == snapshot
    straight.take(kernel.finish(0))
    restored.take(other.finish(0))
    assert other.account() == kernel.account()
    assert [r.seq for r in restored.records] == [r.seq for r in straight.records]
    assert restored.canonical() == straight.canonical()
    assert other.snapshot() == kernel.snapshot()


def test_the_streams_of_these_tests_really_hold_what_goes_wrong() -> None:
    seen: set[int] = set()
    flags = 0
    events: set[str] = set()
    for seed in range(6):
        _, result = play(ROSTER, blocks_of(seed))
        seen |= set(result.reasons())
        flags |= int(np.bitwise_or.reduce(
            [np.bitwise_or.reduce(b.flags) for bs in result.live.values() for b in bs]
        ))
        events |= {event.type for event in result.events}
    assert {9, 10, 11, 13, 16} <= seen, seen
    assert {"device_failed", "device_recovered", "clock_fault"} <= events, events
    for bit in (2, 3, 5, 8, 14):
        assert flags & (1 << bit), bit
