"""However the stream is cut, grouped, split over kernels or moved between them: the same
effects."""

import random
from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.flows.kernel import FlowKernel, KeptOutputs
from models.flows.layout import PERSON_COLUMNS
from models.simulator.match import MatchConfig, MatchSimulator
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Device
from tests.unit.flow_world import rows
from tests.unit.gait_world import foot_motion

TICK_NS = 100_000_000
SECONDS = 24


@cache
def match():
    """(roster, blocks without duplicates in (device, seq) order, tick edges) of a rough match: a
    high contact rate, spikes, a hiccup, a clock that jumps."""
    config = MatchConfig(seed=11, duration_s=float(SECONDS), contact_rate=6.0)
    simulator = MatchSimulator(config)
    parts = defaultdict(list)
    for k in range(simulator.chunks):
        for kind, block in simulator.chunk(k).items():
            parts[kind].append(block)
    blocks = {kind: tidy(concat_blocks(found)) for kind, found in parts.items()}
    roster, blocks = harder(simulator.roster, blocks, config.start_ns)
    first = config.start_ns // TICK_NS * TICK_NS - 5 * TICK_NS
    edges = [first + n * TICK_NS for n in range(SECONDS * 10 + 20)]
    return roster, blocks, edges


def harder(roster, blocks, start_ns):
    """A second position source for the first ten devices, whose own is away for 2.5 s; clocks of
    some tags wobble, so that their rows are not in the order of time."""
    lps = blocks[Kind.LPS]
    away = (lps.t_event_ns > start_ns + 9 * 10**9) & (lps.t_event_ns < start_ns + 11_500_000_000)
    tags = sorted(set(lps.device.tolist()))
    spare = np.isin(lps.device, tags[:10]) & (lps.seq % 2 == 0)
    other = lps.take(spare)
    values = np.full((len(KINDS[Kind.GNSS].channels), len(other)), np.nan, np.float32)
    values[:2] = other.values[:2] + np.float32(0.4)
    number = len(roster.devices)
    owners = [roster.devices[tag].subject for tag in tags[:10]]
    devices = tuple(Device(f"gnss{n}", Kind.GNSS, owner, 10.0) for n, owner in enumerate(owners))
    rows = np.searchsorted(tags, other.device).astype(np.int32) + number
    gnss = SampleBlock(
        Kind.GNSS, rows, other.boot, other.seq, other.t_event_ns + 7_000_000, other.t_ingest_ns,
        other.flags, values,
    )
    lps = lps.take(~(away & np.isin(lps.device, tags[:10])))
    wobble = (lps.seq.astype(np.int64) * 7919 % 120 - 60) * 1_000_000 * (lps.device % 3 == 0)
    lps = SampleBlock(
        Kind.LPS, lps.device, lps.boot, lps.seq, lps.t_event_ns + wobble, lps.t_ingest_ns,
        lps.flags, lps.values,
    )
    boots, soles = feet_of(owners[:3], number + len(devices), start_ns)
    wider = replace(roster, devices=roster.devices + devices + boots)
    return wider, {**blocks, Kind.LPS: lps, Kind.GNSS: gnss, Kind.BOOT: soles}


def feet_of(owners, number, start_ns):
    """Sensors on both feet of `owners`, one of whose goes silent: (devices, rows)."""
    devices, parts = [], []
    for n, owner in enumerate(owners):
        for side, name in enumerate(("left", "right")):
            seconds = np.arange(0, (SECONDS if n or side else 12) * 100) / 100 + 0.001 * n
            acc, gyr = foot_motion(seconds, 0.8 + 0.1 * n, 2.0 + side * (0.4 + 0.05 * n))
            names = KINDS[Kind.BOOT].names[:6]
            parts.append(rows(
                Kind.BOOT, number + len(devices), start_ns + np.round(seconds * 1e9).astype(int),
                **dict(zip(names, np.concatenate([acc, gyr]), strict=True)),
            ))
            devices.append(Device(f"boot{n}-{name}", Kind.BOOT, owner, 100.0, side=name))
    return tuple(devices), concat_blocks(parts)


def tidy(block):
    key = (block.device.astype(np.int64) << 40) | block.seq.astype(np.int64)
    block = block.take(np.unique(key, return_index=True)[1])
    if block.kind != Kind.IMU:
        return block
    values = block.values.copy()
    at = KINDS[Kind.IMU].index("load_au")
    values[at] = np.abs(values[0]) * np.float32(1e-3)
    return SampleBlock(
        block.kind, block.device, block.boot, block.seq, block.t_event_ns, block.t_ingest_ns,
        block.flags, values,
    )


@cache
def tick_records():
    _, blocks, edges = match()
    return tuple(record(blocks, a, b, n) for n, (a, b) in enumerate(pairwise(edges)))


def record(blocks, t_from, t_to, seq, final=False):
    part = {}
    for kind, block in blocks.items():
        mask = (block.t_event_ns >= t_from) & (block.t_event_ns < t_to)
        if mask.any():
            part[kind] = block.take(mask)
    return TelemetryRecord("v", "m", seq, t_from, t_to, part, final=final)


def joined(records, seq, final):
    """One record of several consecutive ones."""
    kinds = {kind for r in records for kind in r.blocks}
    blocks = {}
    for kind in kinds:
        block = concat_blocks([r.blocks[kind] for r in records if kind in r.blocks])
        blocks[kind] = block.take(np.lexsort((block.seq, block.boot, block.device)))
    first, last = records[0], records[-1]
    return TelemetryRecord("v", "m", seq, first.t_from_ns, last.t_to_ns, blocks, final=final)


class Gathered:
    """Effects of many calls in one comparable form."""

    def __init__(self):
        self.events, self.rows, self.windows = [], {}, []

    def add(self, effects):
        self.events += effects.events
        for states in effects.states:
            table = np.array([np.asarray(c, np.float64) for c in states.columns.values()])
            keys = zip(states.subject.tolist(), states.t_ns.tolist(), strict=True)
            for (subject, t_ns), row in zip(keys, table.T, strict=True):
                key = (subject, t_ns, states.final)
                assert key not in self.rows, key
                self.rows[key] = row.tobytes()
        self.windows += [
            (w.subject, w.t_ns, w.kind, w.event_id, w.data.tobytes()) for w in effects.windows
        ]

    def canonical(self):
        events = sorted((e.stream, e.seq, repr(e)) for e in self.events)
        return events, sorted(self.rows.items()), sorted(self.windows)


def everybody(roster):
    return np.arange(len(roster.subjects), dtype=np.int32)


@cache
def reference():
    """Everything in one record, one call, one kernel."""
    roster, _, _ = match()
    found = Gathered()
    kernel = FlowKernel(roster)
    found.add(kernel.handle([joined(tick_records(), 0, True)], everybody(roster)))
    return found.canonical()


def run(dice, kernels, move):
    """Random cuts, groups, owners; with `move`, owners change and state moves as bytes. The kernels
    share their buffers, and what they give is looked at in the end."""
    roster, _, _ = match()
    ticks, subjects = tick_records(), everybody(roster)
    owner = dice_owners(dice, len(subjects), kernels)
    kept = KeptOutputs()
    pool = [FlowKernel(roster, kept=kept) for _ in range(kernels)]
    made, at, seq = [], 0, 0
    while at < len(ticks):
        group = []
        for _ in range(dice.randint(1, 4)):
            size = dice.choice((1, 1, 2, 7, 40))
            piece = ticks[at : at + size]
            if piece:
                at += len(piece)
                group.append(joined(piece, seq, at >= len(ticks)))
                seq += 1
        for number, kernel in enumerate(pool):
            made.append(kernel.handle(group, subjects[owner == number]))
        if move and dice.random() < 0.5:
            owner = moved(dice, pool, owner, subjects, roster)
    found = Gathered()
    for effects in made:
        found.add(effects)
    return found.canonical()


def dice_owners(dice, count, kernels):
    return np.array([dice.randrange(kernels) for _ in range(count)])


def moved(dice, pool, owner, subjects, roster):
    new = dice_owners(dice, len(subjects), len(pool))
    for number, kernel in enumerate(pool):
        leaving = subjects[(owner == number) & (new != number)]
        payload = kernel.snapshot(leaving)
        kernel.forget(leaving)
        taken = FlowKernel(roster)
        taken.restore(payload)
        for other, target in enumerate(pool):
            mine = leaving[new[leaving] == other]
            if len(mine):
                target.restore(taken.snapshot(mine))
    return new


def run_uneven(dice):
    """Each call takes some subjects, each from where it is, up to a record that none has done."""
    roster, _, _ = match()
    ticks, subjects = tick_records(), everybody(roster)
    records = [
        joined(ticks[at : at + 3], n, at + 3 >= len(ticks))
        for n, at in enumerate(range(0, len(ticks), 3))
    ]
    kernel, found, done = FlowKernel(roster), Gathered(), np.zeros(len(subjects), np.int64)
    while (done < len(records)).any():
        chosen = subjects[[dice.random() < 0.5 for _ in subjects]]
        low = int(done.min())
        end = min(low + dice.choice((1, 3, 20)), len(records))
        chosen = chosen[done[chosen] < end]
        if not len(chosen):
            continue
        low = int(done[chosen].min())
        since_ns = np.array([records[at].t_from_ns for at in done[chosen]], np.int64)
        found.add(kernel.handle(records[low:end], chosen, since_ns=since_ns))
        done[chosen] = end
    return found.canonical()


def test_the_reference_run_is_full_of_events():
    events, rows, windows = reference()
    types = {text.split("type='")[1].split("'")[0] for _, _, text in events}
    assert {"sprint", "kick", "collision", "acceleration", "possession_gain", "pass"} <= types
    assert len(rows) > 26 * SECONDS * 3
    assert windows


def test_the_reference_run_has_steps_of_both_feet_and_of_the_trunk():
    roster, _, _ = match()
    shod = {roster.subject_row()[d.subject] for d in roster.devices if d.kind == Kind.BOOT}
    columns = PERSON_COLUMNS.index("contact_time_s"), PERSON_COLUMNS.index("step_n")
    final = {
        key[0]: np.frombuffer(row)[list(columns)] for key, row in reference()[1]
        if key[2] and roster.subjects[key[0]].role != "ball"
    }
    assert all(final[s][0] > 0 and final[s][1] > 20 for s in shod)
    assert sum(row[1] > 10 for s, row in final.items() if s not in shod) > 10


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_cuts_and_grouping_of_records_change_nothing(seed):
    assert run(random.Random(seed), 1, False) == reference()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_splitting_subjects_over_kernels_changes_nothing(seed):
    assert run(random.Random(seed), 3, False) == reference()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_doing_flows_together_that_are_not_equally_far_changes_nothing(seed):
    assert run_uneven(random.Random(seed)) == reference()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_moving_flows_between_kernels_changes_nothing(seed):
    assert run(random.Random(seed), 3, True) == reference()


def test_tick_by_tick_is_the_same_as_all_at_once():
    roster, _, _ = match()
    kernel, found = FlowKernel(roster), Gathered()
    ticks = tick_records()
    for n, tick in enumerate(ticks):
        found.add(kernel.handle([joined([tick], n, n == len(ticks) - 1)], everybody(roster)))
    assert found.canonical() == reference()


def test_a_snapshot_of_another_roster_or_a_torn_one_is_refused():
    roster, _, _ = match()
    kernel = FlowKernel(roster)
    payload = kernel.snapshot(everybody(roster)[:2])
    other = replace(roster, subjects=roster.subjects[:5], devices=())
    for bad in (payload[:-1], b"nonsense", payload[:4] + b"\xff\xff\xff\x00" + payload[8:], b""):
        with pytest.raises(SchemaError):
            kernel.restore(bad)
    with pytest.raises(SchemaError):
        FlowKernel(other).restore(payload)
    assert kernel.restore(payload).tolist() == [0, 1]
