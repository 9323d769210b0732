"""Subjects at rest: a state row a second instead of four, and nothing else differs."""

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.flows.kernel import FlowKernel
from models.flows.rest import NO_REST, RestReader
from models.telemetry.record import FlowStates
from tests.unit.test_flows_invariance import Gathered, everybody, joined, match, tick_records

SECOND_NS = 1_000_000_000
TICKS = 3


@cache
def plain_records():
    """Records of three ticks, as the highest level of thinning has them."""
    ticks = tick_records()
    return tuple(
        joined(ticks[at : at + TICKS], n, at + TICKS >= len(ticks))
        for n, at in enumerate(range(0, len(ticks), TICKS))
    )


@cache
def reference():
    """What the records give while nobody rests."""
    roster, _, _ = match()
    found = Gathered()
    found.add(FlowKernel(roster).handle(list(plain_records()), everybody(roster)))
    return found


def resting(record, subjects):
    none = np.empty(0, np.int32)
    flows = FlowStates(none, none.astype(np.float32), none.astype(np.bool_), subjects)
    return replace(record, flows=flows)


def wanted(records):
    """The rows of `reference` that are left when these records rest."""
    roster, _, _ = match()
    kept = {}
    for key, row in reference().rows.items():
        subject, t_ns, final = key
        holds = next((r for r in records if t_ns <= r.t_to_ns), None)
        rests = holds is not None and subject in holds.flows.rest.tolist()
        person = roster.subjects[subject].role != "ball"
        if final or t_ns % SECOND_NS == 0 or not (rests and person):
            kept[key] = row
    return kept


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_rows_of_who_rests_are_a_second_apart_whatever_is_done_in_one_call(seed):
    dice, (roster, _, _) = random.Random(seed), match()
    subjects = everybody(roster)
    records = [
        resting(record, subjects[[dice.random() < 0.6 for _ in subjects]])
        if dice.random() < 0.8 else record
        for record in plain_records()
    ]
    kernels, found, at = [FlowKernel(roster) for _ in range(2)], Gathered(), 0
    owner = np.array([dice.randrange(2) for _ in subjects])
    while at < len(records):
        size = dice.choice((1, 2, 5, 30))
        for n, kernel in enumerate(kernels):
            found.add(kernel.handle(records[at : at + size], subjects[owner == n]))
        at += size
    expected = wanted(records)
    assert found.rows == expected
    assert len(expected) < len(reference().rows)
    assert found.canonical()[0] == reference().canonical()[0], "events"
    assert found.canonical()[2] == reference().canonical()[2], "windows"


def test_nobody_rests_in_records_that_do_not_say_so():
    assert RestReader(3).read(plain_records()) is NO_REST


@pytest.mark.parametrize("rows", [[-1, 7], [2**31 - 1]])
def test_rows_that_the_roster_does_not_have_are_passed_over(rows):
    record = resting(plain_records()[0], np.array([1, *rows], np.int32))
    found = RestReader(3).read([record])
    assert found.mine.tolist() == [[0, 1, 0]]
    assert found.to_ns.tolist() == [record.t_to_ns]
