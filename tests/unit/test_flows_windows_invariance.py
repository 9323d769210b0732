"""Stages with memory of minutes (windows, recovery, rest, drift): however the stream is cut, the
same rows and events. The shorter stages are cut in `test_flows_invariance`."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.flows.kernel import FlowKernel
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import Kind
from models.telemetry.record import TelemetryRecord
from tests.unit.flow_world import START_NS, at_ns, imu, lps, roster_of, rows

TICK_NS = 100_000_000
MINUTES = 26
TICKS = MINUTES * 600 + 1
ROSTER = roster_of(1)
EVERYBODY = np.arange(len(ROSTER.subjects), dtype=np.int32)


@cache
def world():
    """Blocks of one athlete: two efforts, each followed by rest, a hole in the track, jolts."""
    rng = np.random.default_rng(8)
    t = np.arange(MINUTES * 60 * 5) / 5
    speed = np.where((t % 300) < 110, 3.0 + 2.5 * np.sin(t / 7) ** 2, 0.0)
    x = np.cumsum(speed) / 5
    here = (t < 500) | (t > 640)
    place = lps(0, t[here], (x % 90 - 45)[here], 0.0)
    rr = np.where(np.arange(2600) % 97 == 5, 300.0, 600.0 + rng.normal(0, 15, 2600))
    beat_s = np.cumsum(rr) * 1e-3
    busy = (beat_s % 300) < 115
    bpm = np.where(busy, 182.0, 150.0 + 20 * np.exp(-(beat_s % 300 - 110) / 40))
    strap = rows(Kind.HEART, 2, at_ns(beat_s), hr_bpm=bpm, rr_ms=rr, contact=1.0)
    fast = np.arange(MINUTES * 60 * 10) / 10
    felt = 1.0 + np.where(rng.random(len(fast)) < 0.02, rng.uniform(4.0, 12.0, len(fast)), 0.0)
    return place, imu(0, fast, felt, load_au=np.abs(rng.normal(0.02, 0.01, len(fast)))), strap


def part(block, t_from, t_to):
    a, b = np.searchsorted(block.t_event_ns, (t_from, t_to))
    return SampleBlock(
        block.kind, *(getattr(block, name)[a:b] for name in (
            "device", "boot", "seq", "t_event_ns", "t_ingest_ns", "flags",
        )), block.values[:, a:b],
    )


def record(seq, first, last):
    t_from, t_to = START_NS + first * TICK_NS, START_NS + last * TICK_NS
    parts = {b.kind: part(b, t_from, t_to) for b in world()}
    return TelemetryRecord(
        "venue", "match", seq, t_from, t_to, {k: b for k, b in parts.items() if len(b)},
        final=last == TICKS,
    )


def run(cuts, handover=()):
    """Final row and events of the stream cut before the ticks `cuts`; the state goes through bytes
    into another kernel before the records `handover`."""
    kernel, rows_, events = FlowKernel(ROSTER), {}, []
    edges = [0, *sorted(set(cuts)), TICKS]
    for seq, (first, last) in enumerate(pairwise(edges)):
        if seq in handover:
            fresh = FlowKernel(ROSTER)
            fresh.restore(kernel.snapshot(EVERYBODY))
            kernel = fresh
        effects = kernel.handle([record(seq, first, last)], EVERYBODY)
        events += [repr(event) for event in effects.events]
        for states in effects.states:
            table = np.array([np.asarray(c, np.float64) for c in states.columns.values()])
            for n, t_ns in enumerate(states.t_ns.tolist()):
                rows_[int(states.subject[n]), t_ns, states.final] = table[:, n].tobytes()
    return rows_, events


@cache
def reference():
    return run(())


def test_the_reference_has_been_through_every_stage():
    effects = FlowKernel(ROSTER).handle([record(0, 0, TICKS)], EVERYBODY)
    types = {event.type for event in effects.events}
    assert "heart_rate_recovery" in types
    final = next(s for s in effects.states if s.final)
    last = {name: column[0] for name, column in final.columns.items()}
    for name in ("rmssd_ms", "drift_pct", "peak_300s_distance_mpmin", "hr_recovery_bpm"):
        assert np.isfinite(last[name]), name
    assert sum(last[f"impact_z{n}_n"] for n in range(1, 7)) > 50


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(1, TICKS - 1), max_size=40),
    st.lists(st.integers(0, 40), max_size=3),
)
def test_cuts_and_handovers_change_nothing(cuts, handover):
    assert run(cuts, set(handover)) == reference()


def test_minute_by_minute_is_the_same_as_all_at_once():
    assert run(range(600, TICKS, 600)) == reference()


@pytest.mark.parametrize("phase", [1, 299])
def test_cuts_beside_the_seconds_change_nothing(phase):
    assert run(range(phase, TICKS, 1500)) == reference()
