"""Who is at rest at the highest level of thinning, as records say it, and what flows make of it."""

from collections import Counter

import numpy as np
import pytest

from models.flows.kernel import FlowKernel
from models.telemetry.kinds import Kind
from models.telemetry.orders import Order
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Device
from tests.unit.edge_lab import SECOND, T0, play, roster_of
from tests.unit.test_edge_orders import (
    CALM,
    at,
    calm_blocks,
    motion,
    run,
    stroll,
    thin,
    whole,
)

ATHLETE = CALM.subject_row()["a0"]
SPAN_S = 20.0
CUTS = [at(n / 10) for n in range(-5, 320)]


def records(orders: list[tuple[int, Order]]) -> list[TelemetryRecord]:
    found = play(CALM, calm_blocks(SPAN_S), CUTS, orders=orders)[1].records
    assert len(found) > 3 * SPAN_S
    return found


def resting(record: TelemetryRecord) -> list[int]:
    rest: list[int] = record.flows.rest.tolist()
    return rest


@pytest.mark.parametrize("level", [0, 1, 2])
def test_nobody_rests_below_the_highest_level(level: int) -> None:
    orders = [(T0 - SECOND, thin(level))] if level else []
    assert not any(map(resting, records(orders)))


def test_calm_athletes_rest_at_the_highest_level_and_the_ball_does_not() -> None:
    found = records([(T0 - SECOND, thin(3))])
    assert {subject for record in found for subject in resting(record)} == {ATHLETE}
    assert sum(bool(resting(record)) for record in found) > 0.9 * len(found)


def test_who_is_kept_whole_does_not_rest_meanwhile() -> None:
    found = records([(T0 - SECOND, thin(3)), (at(5), whole("a0", at(12)))])
    during = [resting(r) for r in found if at(5) < r.t_to_ns < at(12)]
    after = [resting(r) for r in found if at(13) < r.t_to_ns < at(19)]
    assert len(during) > 20
    assert not any(during)
    assert len(after) > 15
    assert all(rest == [ATHLETE] for rest in after)


def test_who_is_hot_does_not_rest() -> None:
    roster = roster_of(Device("imu", Kind.IMU, "a0", 100.0), Device("lps", Kind.LPS, "a0", 20.0))
    blocks = [motion(Kind.IMU, 0, 100.0, 30.0), run(1, 30.0, 10, 14)]
    result = play(roster, blocks, CUTS, orders=[(T0 - SECOND, thin(3))])[1]
    hot = [record for record in result.records if record.flows.hot.any()]
    assert hot
    assert not any(map(resting, hot))
    assert any(map(resting, result.records))


def test_rows_of_an_athlete_at_rest_are_a_second_apart_and_say_the_same() -> None:
    everyone = np.arange(len(CALM.subjects), dtype=np.int32)
    blocks = [motion(Kind.IMU, 0, 100.0, SPAN_S), stroll(1, SPAN_S)]
    found = play(CALM, blocks, CUTS, orders=[(T0 - SECOND, thin(3)), (at(10), thin(0))])[1].records
    kernel, times = FlowKernel(CALM), Counter[int]()
    for record in found:
        for states in kernel.handle([record], everyone).states:
            if not states.final:
                times.update(t // SECOND for t in states.t_ns[states.subject == ATHLETE].tolist())
    first = T0 // SECOND
    assert {times[first + n] for n in range(2, 9)} == {1}
    assert {times[first + n] for n in range(12, 19)} == {4}
