"""A small match with everything that goes wrong in it, cut anywhere and told anything."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.orders import Order, OrderVerb
from models.telemetry.roster import Device, Roster
from tests.unit.edge_lab import MS, SECOND, T0, block_of, roster_of

SPAN_NS = 9 * SECOND
ROSTER = roster_of(
    Device("lps-1", Kind.LPS, "a1", 20.0), Device("gps-1", Kind.GNSS, "a1", 10.0, source_rank=1),
    Device("imu-1", Kind.IMU, "a1", 100.0, full_scale=157.0),
    Device("imu-2", Kind.IMU, "a2", 100.0, full_scale=157.0, counter_bits=16),
    Device("hr-1", Kind.HEART, "a1", 1.0), Device("lps-2", Kind.LPS, "a2", 60.0),
    Device("imu-2", Kind.HEALTH, "a2", 1.0), Device("chip", Kind.BALL_POS, "ball", 50.0),
    Device("chip", Kind.BALL_IMU, "ball", 500.0, full_scale=1961.0),
    Device("imu-1", Kind.IMU, "a2", 100.0, valid_from_ns=T0 + 6 * SECOND, full_scale=157.0),
)
ROSTER = Roster(
    "v", "m", subjects=ROSTER.subjects,
    devices=(
        *ROSTER.devices[:2],
        Device(
            "imu-1", Kind.IMU, "a1", 100.0, valid_to_ns=T0 + 6 * SECOND, full_scale=157.0
        ),
        *ROSTER.devices[3:],
    ),
)


def _stream(row: int, rng: np.random.Generator) -> SampleBlock:
    """One device's rows in arrival order, with everything that goes wrong in them."""
    device = ROSTER.devices[row]
    n = int(device.rate_hz * SPAN_NS / SECOND)
    seq = np.arange(n) + (65_000 if device.counter_bits == 16 else 0)
    boot = np.where(np.arange(n) < n * rng.choice([0.6, 2.0]), 1, 2)
    t_ns = T0 + (np.arange(n) * SECOND / device.rate_hz).astype(np.int64) + int(rng.integers(MS))
    t_ingest = t_ns + rng.integers(10 * MS, 180 * MS, n) + (rng.random(n) < 0.01) * 600 * MS
    if rng.random() < 0.3:
        t_ns = t_ns + np.where(np.arange(n) > n // 2, -700 * MS, 0)
    if rng.random() < 0.3:
        t_ns = t_ns + 300 * SECOND
    keep = rng.random(n) > 0.05
    if rng.random() < 0.5:
        keep &= (t_ns < T0 + 4 * SECOND) | (t_ns > T0 + 6 * SECOND)
    block = block_of(
        device.kind, row, seq & ((1 << device.counter_bits) - 1), t_ns, {}, t_ingest, boot
    )
    values = block.values
    for c, channel in enumerate(KINDS[device.kind].channels):
        size = min(channel.high, 40.0)
        values[c] = rng.normal(0.0, size / 4, n) if channel.low < 0 else rng.uniform(0, size, n)
        values[c] = np.clip(values[c], channel.low, channel.high)
        values[c, rng.random(n) < 0.01] = rng.choice([np.nan, np.inf, 1e9, channel.high])
    if rng.random() < 0.5:
        values[:, n // 3 : 2 * n // 3] = values[:, [n // 3]]
    if "pos_x_m" in KINDS[device.kind].names:
        values[:2] = np.cumsum(rng.normal(0, 0.2, (2, n)), axis=1)
        values[0, rng.random(n) < 0.01] += 20.0
    rows = np.flatnonzero(keep)
    rows = np.concatenate([rows, rng.choice(rows, len(rows) // 50)])
    return block.take(rows)


def blocks_of(seed: int) -> list[SampleBlock]:
    """All streams by kind, in arrival order."""
    rng = np.random.default_rng(seed)
    by_kind: dict[Kind, list[SampleBlock]] = {}
    for row in range(len(ROSTER.devices) - 1):
        one = _stream(row, rng)
        by_kind.setdefault(one.kind, []).append(one)
    blocks = []
    for parts in by_kind.values():
        joined = concat_blocks(parts)
        blocks.append(joined.take(np.argsort(joined.t_ingest_ns, kind="stable")))
    return blocks


TIMES = st.integers(T0 - SECOND, T0 + SPAN_NS + 3 * SECOND)


@st.composite
def orders_of(draw: st.DrawFn) -> list[tuple[int, Order]]:
    """Orders at any time, for targets that exist and that do not, until any time."""
    times = sorted(draw(st.lists(TIMES, max_size=8)))
    found = []
    for n, t_ns in enumerate(times):
        verb = draw(st.sampled_from(OrderVerb))
        match = draw(st.sampled_from(["m", "m", "m", "m", "other"]))
        given: dict[str, object] = {"until_ns": draw(st.one_of(st.just(0), TIMES))}
        if verb == OrderVerb.THIN:
            given["level"] = draw(st.integers(0, 3))
        elif verb == OrderVerb.WHOLE:
            given["subject_id"] = draw(st.sampled_from(["a1", "a2", "ball", "nobody"]))
        else:
            given["device_id"] = draw(st.sampled_from(["lps-1", "gps-1", "imu-1", "none"]))
        found.append((t_ns, Order(f"o{n}", match, verb, "test", t_ns, **given)))
    return found


CUTS = st.lists(st.integers(T0, T0 + SPAN_NS + SECOND), max_size=12)
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
