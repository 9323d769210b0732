"""Clocks that are wrong: skewed, stepped, drifting; and delays that only look like wrong clocks."""

import numpy as np
import pytest

from models.edge.config import EdgeConfig
from models.edge.effects import HEALTH_FEATURES
from models.edge.kernel import EdgeKernel
from models.state_bytes import pack_state, unpack_state
from models.telemetry.flags import Flag
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device
from tests.unit.edge_lab import (
    MS,
    SECOND,
    T0,
    Result,
    batches_of,
    block_of,
    play,
    roster_of,
    walk,
)

FULL = EdgeConfig(thin=False)
ROSTER = roster_of(Device("d", Kind.IMU, "a0", 100.0))
N = 3000


def _block(error_ns, delay_ns=None, seed: int = 0):
    """30 s of rows whose clock is wrong by `error_ns` and that arrive `delay_ns` later."""
    rng = np.random.default_rng(seed)
    true = T0 + np.arange(N) * 10 * MS
    delay = rng.integers(10 * MS, 150 * MS, N) if delay_ns is None else delay_ns
    arrival = true + delay
    block = block_of(
        Kind.IMU, 0, np.arange(N), true + error_ns, walk(N, rng, 1.0), arrival
    )
    return true, block.take(np.argsort(arrival, kind="stable"))


@pytest.mark.parametrize("skew_s", [300.0, -300.0, 2.0, -7.0])
def test_a_skewed_clock_is_corrected_to_the_lowest_delay(skew_s: float) -> None:
    true, block = _block(int(skew_s * SECOND))
    kernel, result = play(ROSTER, [block], [T0 + i * SECOND for i in range(30)], FULL)
    rows = result.rows(Kind.IMU)
    assert (rows.flags & int(Flag.CLOCK_ADJUSTED)).all()
    assert (np.diff(rows.seq.astype(int)) > 0).all()
    error_ns = rows.t_event_ns - true[rows.seq]
    assert np.abs(error_ns).max() < 200 * MS
    assert len(rows) > N - 260, "what came before the clock was known is refused or late"
    assert kernel.account().holds()
    fault = [e for e in result.events if e.type == "clock_fault"]
    assert len(fault) == 1
    assert abs(fault[0].metrics["step_ms"] + skew_s * 1000) < 200


@pytest.mark.parametrize("step_s", [-0.6, 5.0, -5.0, 600.0, -600.0])
def test_a_stepped_clock_is_corrected_by_exactly_the_step(step_s: float) -> None:
    error = np.where(np.arange(N) >= 1500, int(step_s * SECOND), 0)
    true, block = _block(error)
    _, result = play(ROSTER, [block], [T0 + i * SECOND for i in range(30)], FULL)
    rows = result.rows(Kind.IMU)
    assert len(rows) > N - 100
    after = rows.flags & int(Flag.CLOCK_ADJUSTED) != 0
    assert np.abs(rows.t_event_ns - true[rows.seq])[after].max() <= MS
    assert (rows.t_event_ns == true[rows.seq])[rows.seq < 1500].all()
    assert [e.sub_type for e in result.events if e.type == "clock_fault"] == ["clock"]


def test_a_step_that_is_taken_back_is_no_correction_any_more() -> None:
    error = np.where((np.arange(N) >= 1000) & (np.arange(N) < 2000), 3 * SECOND, 0)
    true, block = _block(error)
    _, result = play(ROSTER, [block], (), FULL)
    rows = result.rows(Kind.IMU)
    last = rows.take(rows.seq > 2100)
    assert (last.t_event_ns == true[last.seq]).all()
    assert not (last.flags & int(Flag.CLOCK_ADJUSTED)).any()


def test_a_batch_that_was_held_back_for_fifteen_seconds_is_late_not_skewed() -> None:
    delay = np.full(N, 20 * MS)
    held = np.arange(1000, 2500)
    delay[held] = (2500 - held) * 10 * MS
    _, block = _block(0, delay)
    kernel, result = play(ROSTER, [block], (), FULL)
    late = result.supplements(Kind.IMU)
    assert not (late.flags & int(Flag.CLOCK_ADJUSTED)).any()
    assert len(result.rows(Kind.IMU)) + len(late) == N
    assert kernel.account().rejected == {}


@pytest.mark.parametrize(("outage_s", "step_ms"), [(15, 5), (45, 5), (10, 8)])
def test_what_an_outage_has_held_back_is_late_however_long_catching_up_takes(
    outage_s: int, step_ms: int
) -> None:
    n = 12_000
    true = T0 + np.arange(n) * 10 * MS
    back = T0 + (5 + outage_s) * SECOND
    queued = back + (np.arange(n) - 500) * step_ms * MS
    arrival = np.where(np.arange(n) < 500, true, np.maximum(true, queued)) + 20 * MS
    block = block_of(
        Kind.IMU, 0, np.arange(n), true, walk(n, np.random.default_rng(3), 1.0), arrival
    )
    kernel, result = play(ROSTER, [block], (), FULL)
    refused = sum(arrival - true > 30 * SECOND)
    assert kernel.account().rejected == ({"too_late": refused} if refused else {})
    late = result.supplements(Kind.IMU)
    rows = result.rows(Kind.IMU)
    assert len(rows) + len(late) == n - refused
    assert not (rows.flags & int(Flag.CLOCK_ADJUSTED)).any()
    assert not (late.flags & int(Flag.CLOCK_ADJUSTED)).any()
    assert not [e for e in result.events if e.type == "clock_fault"]


def _after_an_outage(of_n: int = 6_000, seed: int = 5):
    """10 s at once; an outage of 20 s, after which 15 s of rows come no faster than they are made;
    then the queue is emptied at ten times that pace. A twentieth is lost, numbers have 16 bits."""
    number = np.arange(of_n)
    true = T0 + number * 10 * MS
    arrival = true + 20 * MS
    arrival[1_000:2_500] += 20 * SECOND
    queued = arrival[2_499] + np.arange(1, of_n - 2_499) * MS
    arrival[2_500:] = np.maximum(arrival[2_500:], queued)
    rng = np.random.default_rng(seed)
    keep = np.flatnonzero(rng.random(of_n) > 0.05)
    block = block_of(
        Kind.IMU, 0, (number + 64_000) & 0xFFFF, true, walk(of_n, rng, 1.0), arrival
    )
    return block.take(keep)


@pytest.mark.parametrize("older", [False, True])
def test_a_queue_that_drains_no_faster_than_it_fills_after_a_restart_is_late(older: bool) -> None:
    """The kernel goes on from a snapshot that was made before the outage, by an older one too."""
    roster = roster_of(Device("d", Kind.IMU, "a0", 100.0, counter_bits=16))
    block, result, kernel = _after_an_outage(), Result(), EdgeKernel(roster, FULL)
    cuts = [T0 + i * SECOND // 2 for i in range(2, 140)]
    for batch in batches_of([block], cuts):
        if batch.now_ns > T0 + 25 * SECOND and kernel.roster is roster:
            saved = kernel.snapshot()
            if older:
                scalars, arrays = unpack_state(saved)
                saved = pack_state(scalars, arrays | {"clocks": arrays["clocks"][:, :18]})
            kernel = EdgeKernel(roster_of(*roster.devices), FULL)
            kernel.restore(saved)
        result.take(kernel.handle(batch))
    result.take(kernel.finish(0))
    assert kernel.roster is not roster
    assert kernel.account().rejected == {}
    rows, late = result.rows(Kind.IMU), result.supplements(Kind.IMU)
    assert len(rows) + len(late) == len(block)
    assert not ((rows.flags[-1] | late.flags) & int(Flag.CLOCK_ADJUSTED)).any()
    assert not [e for e in result.events if e.type == "clock_fault"]


def test_a_congested_link_is_not_a_wrong_clock() -> None:
    delay = 20 * MS + np.clip(np.arange(N) - 1000, 0, 400) * 2 * MS
    delay[1400:] = 20 * MS + np.clip(800 - (np.arange(1600)) * 2, 0, 800) * MS
    _, block = _block(0, delay)
    _, result = play(ROSTER, [block], (), FULL)
    assert not (result.rows(Kind.IMU).flags & int(Flag.CLOCK_ADJUSTED)).any()
    assert not [e for e in result.events if e.type == "clock_fault"]


def test_drift_is_told_in_parts_per_million() -> None:
    n = 100 * 300
    true = T0 + np.arange(n) * 10 * MS
    rng = np.random.default_rng(2)
    arrival = true + rng.integers(10 * MS, 30 * MS, n)
    clock = true - ((true - T0) * 80e-6).astype(np.int64)
    block = block_of(Kind.IMU, 0, np.arange(n), clock, None, arrival)
    block.values[0] = rng.normal(0, 1, n)
    _, result = play(ROSTER, [block.take(np.argsort(arrival, kind="stable"))], (), FULL)
    last = dict(zip(HEALTH_FEATURES, result.health[-1].values[:, 0], strict=True))
    assert abs(last["clock_ppm"] - 80.0) < 4.0
    assert 25e6 < last["clock_offset_ns"] < 45e6


def test_a_single_corrupt_timestamp_is_refused_and_the_next_row_is_good() -> None:
    true, block = _block(0, np.full(N, 20 * MS))
    block.t_event_ns[[700, 1900]] += [90 * SECOND, -90 * SECOND]
    kernel, result = play(ROSTER, [block], (), FULL)
    assert kernel.account().rejected == {"future": 1, "too_late": 1}
    rows = result.rows(Kind.IMU)
    assert (rows.t_event_ns == true[rows.seq]).all()
