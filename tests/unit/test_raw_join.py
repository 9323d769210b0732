"""Raw batches that are joined do to an edge what they do one by one, and are few."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from models.edge.kernel import EdgeKernel
from models.telemetry.kinds import Kind
from models.telemetry.orders import Order, OrderVerb
from models.telemetry.raw import RawBatch
from models.telemetry.raw_join import join_batches
from tests.unit.edge_lab import MS, T0, Result, batches_of, block_of
from tests.unit.edge_world import CUTS, FEW, ROSTER, blocks_of, orders_of


def _handled(batches: list[RawBatch]) -> tuple[EdgeKernel, Result]:
    kernel, result = EdgeKernel(ROSTER), Result()
    for batch in batches:
        result.take(kernel.handle(batch))
    result.take(kernel.finish(0))
    return kernel, result


@FEW
@given(
    seed=st.integers(0, 2**32 - 1), cuts=CUTS, orders=orders_of(), together=st.booleans(),
    most_rows=st.sampled_from([1, 500, 1 << 14]),
    ahead_ms=st.lists(st.integers(0, 400), min_size=1, max_size=8),
)
def test_joined_batches_give_the_same_results(
    seed: int, cuts: list[int], orders: list[tuple[int, Order]], together: bool, most_rows: int,
    ahead_ms: list[int],
) -> None:
    # A source whose clock runs behind the edge's hands over rows from before its last batch came.
    batches = [
        replace(batch, now_ns=batch.now_ns + ahead_ms[n % len(ahead_ms)] * MS)
        for n, batch in enumerate(batches_of(blocks_of(seed), cuts, orders, together))
    ]
    joined = list(join_batches(batches, most_rows))
    assert sum(batch.rows for batch in joined) == sum(batch.rows for batch in batches)
    (one_by_one, theirs), (few, ours) = _handled(batches), _handled(joined)
    assert few.account() == one_by_one.account()
    assert ours.canonical() == theirs.canonical()


def _batch(n: int, rows: int = 10, ago_ns: int = 0, **more: object) -> RawBatch:
    """Batch `n` of one every 50 ms, with `rows` rows that came in `ago_ns` before it did."""
    now_ns = T0 + n * 50 * MS
    block = block_of(Kind.LPS, 0, range(n * 100, n * 100 + rows), now_ns - 5 * MS,
                     t_ingest_ns=now_ns - ago_ns)
    return replace(RawBatch("s", n, now_ns, {Kind.LPS: block}, {"crc": 1}), **more)


def test_what_is_joined_is_what_followed_each_other() -> None:
    joined = list(join_batches((_batch(n) for n in range(20)), 64))
    assert [batch.rows for batch in joined] == [70, 70, 60]
    assert [batch.cursor for batch in joined] == [6, 13, 19]
    assert [batch.refused for batch in joined] == [{"crc": 7}, {"crc": 7}, {"crc": 6}]
    assert joined[0].blocks[Kind.LPS].seq.tolist() == [
        100 * n + k for n in range(7) for k in range(10)
    ]


def test_what_depends_on_when_it_is_handled_stays_alone() -> None:
    order = Order("o", "m", OrderVerb.THIN, "test", T0, level=1)
    batches = [_batch(n) for n in range(9)]
    batches[2] = replace(batches[2], orders=(order,))
    batches[5] = _batch(5, ago_ns=60 * MS)
    batches[7] = replace(batches[7], end=True)
    joined = list(join_batches(batches))
    assert [batch.cursor for batch in joined] == [1, 2, 4, 7, 8]
    assert [batch.end for batch in joined] == [False, False, False, True, False]
    assert joined[1].orders == (order,)


def test_no_batches_are_none() -> None:
    assert list(join_batches([])) == []
