"""The fused kernel: what it computes, that cuts do not matter, that nothing is lost or grows."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.fused.config import FusedConfig
from models.fused.kernel import FusedKernel, Samples
from models.fused.stage import NEIGHBOURS
from models.state_bytes import pack_state, unpack_state
from tests.unit.fused_world import part, played, reference, streams, tidy


def same(one, other):
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_windows_and_sprints_are_those_of_the_definition(seed):
    samples = streams(seed, 7, 20)
    windows, sprints = played(FusedKernel(7), samples, range(0, 14_000, 331))
    wanted, wanted_sprints = reference(samples, 7)
    assert (windows[:, :3] == wanted[:, :3]).all()
    np.testing.assert_allclose(windows[:, 3:], wanted[:, 3:], rtol=1e-4, atol=1e-4)
    assert len(wanted_sprints) > 20
    assert sprints[:, :3].tolist() == wanted_sprints.tolist()


def test_other_rates_and_windows_are_those_of_the_definition_too():
    samples = streams(4, 3, 12)
    config = FusedConfig(reorder_ms=120, window_ms=700, sprint_mps=6.0, sprint_ms=800)
    windows, sprints = played(FusedKernel(3, config), samples, [1000])
    wanted, wanted_sprints = reference(samples, 3, config)
    assert (windows[:, :3] == wanted[:, :3]).all()
    np.testing.assert_allclose(windows[:, 3:], wanted[:, 3:], rtol=1e-4, atol=1e-4)
    assert sprints[:, :3].tolist() == wanted_sprints.tolist()


WHOLE = streams(11, 5, 12)
AT_ONCE = played(FusedKernel(5), WHOLE, [])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(WHOLE.stream)), max_size=60), st.booleans())
def test_cuts_and_restarts_change_nothing(cuts, restart):
    kernel, effects = FusedKernel(5), []
    edges = [0, *sorted(cuts), len(WHOLE.stream)]
    for a, b in pairwise(edges):
        if restart:
            other = FusedKernel(5)
            other.restore(kernel.snapshot())
            kernel = other
        effects.append(kernel.handle(part(WHOLE, a, b)))
    assert same(tidy([*effects, kernel.finish()]), AT_ONCE)


def test_one_row_at_a_time_is_the_same_as_all_at_once():
    some = part(WHOLE, 0, 1500)
    assert same(
        played(FusedKernel(5), some, range(1500)), played(FusedKernel(5), some, [])
    )


MANY = streams(12, 2 * NEIGHBOURS + 40, 2)
MANY_AT_ONCE = played(FusedKernel(2 * NEIGHBOURS + 40, FusedConfig(stage_n=1000)), MANY, [])


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.integers(0, len(MANY.stream)), max_size=8), st.integers(1, 12),
    st.integers(1, 400), st.booleans(),
)
def test_gathering_rows_of_many_streams_changes_nothing(cuts, stage_n, stage_ms, restart):
    count = 2 * NEIGHBOURS + 40
    kernel = FusedKernel(count, FusedConfig(stage_n=stage_n, stage_ms=stage_ms))
    edges, effects = [0, *sorted(cuts), len(MANY.stream)], []
    for a, b in pairwise(edges):
        effects.append(kernel.handle(part(MANY, a, b)))
        if restart:
            payload = kernel.snapshot()
            kernel = FusedKernel(count, kernel.config)
            kernel.restore(payload)
    assert same(tidy([*effects, kernel.finish()]), MANY_AT_ONCE)


def test_rows_in_runs_of_one_stream_need_no_gathering():
    order = np.lexsort((np.arange(len(MANY.stream)), MANY.stream))
    packets = Samples(*(column[order] for column in MANY))
    kernel = FusedKernel(2 * NEIGHBOURS + 40)
    kernel.handle(part(packets, 0, 5000))
    assert kernel.account().staged == 0
    kernel = FusedKernel(2 * NEIGHBOURS + 40)
    assert same(played(kernel, packets, [70_000]), MANY_AT_ONCE)


def test_kept_back_rows_come_out_by_a_flush():
    kernel = FusedKernel(2 * NEIGHBOURS + 40)
    kernel.handle(part(MANY, 0, 3000))
    assert kernel.account().staged > 0
    kernel.flush()
    assert kernel.account().staged == 0


def test_every_row_is_accounted_for_at_any_time():
    samples, kernel, rows = streams(5, 4, 10), FusedKernel(4), 0
    for a in range(0, len(samples.stream), 777):
        piece = part(samples, a, a + 777)
        kernel.handle(piece)
        rows += len(piece.stream)
        account = kernel.account()
        assert account.rows_in == rows
        assert rows == account.released + account.stale + account.waiting
    kernel.finish()
    account = kernel.account()
    assert account.rows_in == account.released + account.stale
    assert account.stale > 0


def test_windows_hold_all_released_rows_but_the_context():
    samples = streams(6, 3, 10)
    kernel = FusedKernel(3)
    windows, _ = played(kernel, samples, [500])
    assert windows[:, 2].sum() == kernel.account().released - 3 * 4


@pytest.mark.parametrize("stream_n", [4, 2 * NEIGHBOURS])
def test_bad_rows_are_counted_and_leave_no_trace(stream_n):
    samples = streams(7, 4, 6)
    rng = np.random.default_rng(1)
    clean = played(FusedKernel(stream_n), samples, [])
    bad = rng.choice(len(samples.stream), 40, replace=False)
    columns = [np.insert(column, bad, column[bad]) for column in samples]
    where = bad[np.argsort(bad)] + np.arange(40)
    columns[0][where[:20]] = rng.choice([-5, stream_n, 2**31 - 1], 20)
    for n, at in enumerate(where[20:]):
        columns[3 + n % 7][at] = (np.nan, np.inf, -np.inf)[n % 3]
        columns[1][at] += 100_000
    kernel = FusedKernel(stream_n)
    assert same(played(kernel, Samples(*columns), [1000, 1001]), clean)
    account = kernel.account()
    assert (account.unknown, account.not_finite) == (20, 20)
    assert account.rows_in == len(columns[0])


def test_a_counter_that_jumps_far_ahead_is_followed():
    samples = part(streams(8, 1, 4, rough=False), 0, 400)
    seq = samples.seq.copy()
    seq[200:] += 2_000_000_000
    t_ms = samples.t_ms + np.where(seq > 10_000, 60_000, 0)
    jumped = samples._replace(seq=seq, t_ms=t_ms)
    kernel = FusedKernel(1)
    windows, _ = played(kernel, jumped, [])
    assert kernel.account().released == 400
    assert windows[:, 2].sum() == 396


def test_what_a_stream_costs_does_not_grow_with_time():
    minute = streams(9, 20, 60)
    kernel, sizes = FusedKernel(20), []
    for k in range(6):
        shifted = minute._replace(
            seq=minute.seq + np.int32(6000 * k), t_ms=minute.t_ms + 60_000 * k
        )
        for a in range(0, len(minute.stream), 5000):
            kernel.handle(part(shifted, a, a + 5000))
        sizes.append(kernel.state_bytes())
    assert sizes[0] == sizes[-1]
    assert kernel.bytes_per_stream == 320 + 16 + 128


def test_torn_and_foreign_snapshots_are_refused_and_change_nothing():
    kernel = FusedKernel(5)
    effects = [kernel.handle(part(WHOLE, 0, 2000))]
    payload = kernel.snapshot()
    foreign = FusedKernel(6).snapshot(), FusedKernel(5, FusedConfig(sprint_mps=6.0)).snapshot()
    scalars, arrays = unpack_state(payload)
    foreign += tuple(
        pack_state(scalars, {name: held for name, held in arrays.items() if name != missing})
        for missing in arrays
    )
    for bad in (b"", payload[:-1], payload + b"x", payload[:40], b"nonsense!", *foreign):
        with pytest.raises(SchemaError):
            kernel.restore(bad)
    effects.append(kernel.handle(part(WHOLE, 2000, len(WHOLE.stream))))
    assert same(tidy([*effects, kernel.finish()]), AT_ONCE)
