"""The clock of one sensor, row by row: what is taken for a wrong clock, and what for delay."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.signal.clock import (
    CLOCK_WIDTH,
    OFFSET,
    SKEW_NS,
    clock_step,
    new_clocks,
    saved_clocks,
)

T0 = 1_767_376_800_000_000_000
MS, SECOND = 1_000_000, 1_000_000_000
PERIOD_NS = 50 * MS
FUTURE_NS, LATE_NS = SECOND, 30 * SECOND
KNOWN = 200
"""Rows, 10 s, that arrive at once and make a sensor known."""

Ns = NDArray[np.int64]


class Seen(NamedTuple):
    """Corrections in arrival order, ns; rows that look as if from the future, and too late."""

    adjust_ns: Ns
    future: int
    too_late: int
    clocks: Ns


def run(event_ns: Ns, arrival_ns: Ns, count: Ns | None = None, boot: Ns | None = None) -> Seen:
    """Rows of one sensor, in arrival order, through its clock."""
    n = len(event_ns)
    clocks, adjust = new_clocks(1), np.zeros(n, np.int64)
    count = np.arange(n) if count is None else count
    boot = np.ones(n, np.int64) if boot is None else boot
    rows = zip(event_ns.tolist(), arrival_ns.tolist(), count.tolist(), boot.tolist(), strict=True)
    for i, (event, arrival, number, life) in enumerate(rows):
        adjust[i] = clock_step(
            clocks, 0, event, arrival, number, life, PERIOD_NS, FUTURE_NS, LATE_NS
        )
    delay = arrival_ns - event_ns - adjust
    return Seen(adjust, int((delay < -FUTURE_NS).sum()), int((delay > LATE_NS).sum()), clocks)


def times(n: int, period_ns: float = PERIOD_NS) -> Ns:
    return T0 + (np.arange(n) * period_ns).astype(np.int64)


def level_queue(true_ns: Ns, delay_s: float = 20.0, level_s: float = 15.0) -> Ns:
    """Arrivals: at once, then `delay_s` late for `level_s`, then caught up with within a second
    or two."""
    begin_ns = true_ns[0] + 10 * SECOND
    end_ns = begin_ns + int(level_s * SECOND)
    arrival = true_ns + 20 * MS
    held = (true_ns >= begin_ns) & (true_ns < end_ns)
    arrival[held] += int(delay_s * SECOND)
    after = true_ns >= end_ns
    queued = arrival[held].max() + np.arange(1, after.sum() + 1) * 2 * MS
    arrival[after] = np.maximum(arrival[after], queued)
    return arrival


def packed(arrival_ns: Ns, rows: int) -> Ns:
    """Arrivals of packets of so many rows each: with their last row."""
    last = np.minimum(np.arange(len(arrival_ns)) // rows * rows + rows, len(arrival_ns)) - 1
    return arrival_ns[last]


@pytest.mark.parametrize("rows", [1, 5, 10, 20, 40])
@pytest.mark.parametrize("error_s", [5.0, -60.0, -5.0])
@pytest.mark.parametrize("since_s", [0, 20])
def test_a_wrong_clock_is_corrected_however_many_rows_a_packet_holds(
    rows: int, error_s: float, since_s: int
) -> None:
    """Up to 2 s of rows arrive at once, so that the offsets in a packet are as far apart;
    a step that is lost in them shows in the envelope, ten seconds later."""
    true = times(1200)
    error = np.where(true >= T0 + since_s * SECOND, int(error_s * SECOND), 0)
    seen = run(true + error, packed(true + 20 * MS, rows))
    assert np.abs(error + seen.adjust_ns)[800:].max() <= 20 * MS
    assert seen.future + seen.too_late <= max(3 * rows, 15)


@pytest.mark.parametrize("rows", [5, 20, 40])
@pytest.mark.parametrize("error_s", [20.0, -60.0, -9.0])
def test_a_single_corrupt_packet_moves_no_clock(rows: int, error_s: float) -> None:
    event = times(1200)
    arrival = packed(event + 20 * MS, rows)
    event[600 : 600 + rows] += int(error_s * SECOND)
    assert not run(event, arrival).adjust_ns.any()


@pytest.mark.parametrize("rows", [2, 20])
def test_a_level_queue_of_packets_is_delay(rows: int) -> None:
    true = times(1600)
    seen = run(true, packed(level_queue(true), rows))
    assert not seen.adjust_ns.any()
    assert seen.future == 0


@pytest.mark.parametrize("rate", [1.0, 0.8, 0.99, 1.01, 1.05])
def test_a_queue_that_stays_level_is_delay_at_whatever_rate_the_sensor_really_runs(
    rate: float,
) -> None:
    true = times(1500, PERIOD_NS / rate)
    seen = run(true, level_queue(true))
    assert not seen.adjust_ns.any()
    assert (seen.future, seen.too_late) == (0, 0)


@pytest.mark.parametrize("rate", [1.0, 0.98, 1.02])
def test_a_queue_beyond_the_late_bound_is_too_late_and_nothing_else(rate: float) -> None:
    true = times(2000, PERIOD_NS / rate)
    arrival = level_queue(true, delay_s=45.0)
    seen = run(true, arrival)
    assert not seen.adjust_ns.any()
    assert seen.future == 0
    assert seen.too_late == (arrival - true > LATE_NS).sum() > 290


def test_a_sender_that_pauses_while_it_catches_up_has_not_set_its_clock() -> None:
    """Its counter stands still, so that its time leaves the line while the offset falls."""
    true = times(1500)
    for at in (260, 330, 410):
        true[at:] += 300 * MS
    arrival = level_queue(true)
    # The queue is drained by rows, not by time: what a pause makes up for is delay.
    held = np.flatnonzero(arrival - true > 10 * SECOND)[:300]
    arrival[held] = arrival[held[0]] + np.arange(len(held)) * PERIOD_NS
    seen = run(true, arrival)
    assert not seen.adjust_ns.any()
    assert seen.future == 0


@pytest.mark.parametrize("error_s", [15.0, -9.0, 0.4])
def test_a_single_corrupt_timestamp_in_a_queue_moves_no_clock(error_s: float) -> None:
    true = times(1500)
    event = true.copy()
    event[[300, 420]] += int(error_s * SECOND)
    assert not run(event, level_queue(true)).adjust_ns.any()


@settings(max_examples=60, deadline=None, print_blob=True)
@given(st.integers(0, 2**32), st.lists(
    st.tuples(st.integers(1, 400), st.floats(-3.0, 3.0)), min_size=1, max_size=12
))
def test_no_course_of_delays_moves_the_clock_of_a_known_sensor_on_its_line(
    seed: int, turns: list[tuple[int, float]]
) -> None:
    """Delays that rise, fall and stay level at any pace; rows lost in between."""
    pace = np.concatenate([np.zeros(KNOWN), *(np.full(n, slope) for n, slope in turns)])
    course, delay_s = np.zeros(len(pace)), 0.0
    for i, slope in enumerate(pace):
        delay_s = min(max(delay_s + slope * 0.05, 0.0), 25.0)
        course[i] = delay_s
    rng = np.random.default_rng(seed)
    true = times(len(pace))
    arrival = true + (course * SECOND).astype(np.int64) + rng.integers(5 * MS, 90 * MS, len(pace))
    came = rng.random(len(pace)) > 0.2
    order = np.argsort(arrival, kind="stable")
    order = order[came[order]]
    seen = run(true[order], arrival[order], order)
    assert not seen.adjust_ns.any()


@pytest.mark.parametrize("ppm", [50.0, -50.0, 150.0])
def test_drift_of_a_known_sensor_is_followed_for_hours(ppm: float) -> None:
    n = 12 * 3600 // 5
    true = T0 + np.arange(n) * 5 * SECOND
    event = true + ((true - T0) * ppm * 1e-6).astype(np.int64)
    delay = np.random.default_rng(4).integers(10 * MS, 150 * MS, n)
    clocks = new_clocks(1)
    left = np.zeros(n, np.int64)
    for i in range(n):
        left[i] = event[i] - true[i] + clock_step(
            clocks, 0, int(event[i]), int(true[i] + delay[i]), i, 1, 5 * SECOND, FUTURE_NS, LATE_NS
        )
    assert abs(event[-1] - true[-1]) > 2 * SECOND
    assert np.abs(left).max() < SKEW_NS + 250 * MS


@pytest.mark.parametrize("step_s", [-5.0, 5.0, -0.6])
def test_a_step_of_a_known_sensor_is_corrected_and_no_queue_behind_it_undoes_that(
    step_s: float,
) -> None:
    true = times(2000)
    step = int(step_s * SECOND)
    event = true + np.where(true >= T0 + 5 * SECOND, step, 0)
    seen = run(event, level_queue(true))
    assert (seen.adjust_ns[KNOWN:] == -step).all()
    assert seen.future <= (14 if step > SECOND else 0)


def test_a_clock_that_was_set_in_a_silence_is_corrected_after_ten_seconds() -> None:
    """A minute without rows or counts, and 2 s less on the clock: no step tells how much."""
    silent = np.arange(1200) >= KNOWN
    true = times(1200) + np.where(silent, 60 * SECOND, 0)
    seen = run(true - np.where(silent, 2 * SECOND, 0), true + 20 * MS)
    assert not seen.adjust_ns[: KNOWN + 180].any()
    assert (seen.adjust_ns[KNOWN + 250 :] == 2 * SECOND + 20 * MS).all()


@pytest.mark.parametrize("boot", [1, 2])
def test_a_sensor_that_is_new_or_was_started_anew_is_judged_by_its_first_seconds(
    boot: int,
) -> None:
    """Nothing is known about it: a skewed clock is corrected at once, be it a queue after all."""
    true = times(1000)
    young = np.arange(1000) >= KNOWN
    event = true - np.where(young, 20 * SECOND, 0)
    count = np.where(young, np.arange(1000) - KNOWN, np.arange(1000))
    if boot == 1:
        event, true, count, young = event[KNOWN:], true[KNOWN:], count[KNOWN:], young[KNOWN:]
    seen = run(event, true + 20 * MS, count, np.where(young, boot, 1))
    assert (seen.adjust_ns[-740:] == 20 * SECOND + 20 * MS).all()


def test_a_counter_that_starts_anew_without_a_boot_gives_the_clock_no_licence() -> None:
    true = times(1500)
    count = np.arange(1500)
    count[320:] -= 320
    seen = run(true, level_queue(true), count)
    assert not seen.adjust_ns.any()
    assert seen.future == 0


def test_state_without_ceilings_is_taken_over() -> None:
    true = times(KNOWN)
    clocks = run(true - 7 * SECOND, true + 20 * MS).clocks
    saved = saved_clocks(clocks[:, :18])
    assert saved.shape == (1, CLOCK_WIDTH)
    assert saved[0, OFFSET] == clocks[0, OFFSET] == 7 * SECOND + 20 * MS
    assert (saved[:, :18] == clocks[:, :18]).all()
    assert not saved[:, 18:].any()
    assert saved_clocks(clocks) is clocks
    odd = np.zeros((1, 5), np.int64)
    assert saved_clocks(odd).shape == (1, 5), "refused by who takes it over"
