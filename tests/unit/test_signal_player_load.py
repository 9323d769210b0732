"""PlayerLoad: the golden value, and independence of the sample rate."""

import numpy as np
import pytest

from models.edge.config import EdgeConfig
from models.signal.biquads import PASS_ALL, butterworth
from models.signal.player_load import (
    GRAVITY_MPS2,
    LOAD_CUTOFF_HZ,
    RESAMPLE,
    load_merge,
    load_step,
    new_load,
)
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Device
from tests.unit.edge_lab import SECOND, T0, block_of, play, roster_of


def _stride(hz: int, seconds: float = 60.0, noise_g: float = 0.0) -> np.ndarray:
    """(3, n) m/s^2: the movement of the golden vector."""
    t = np.arange(int(hz * seconds)) / hz
    step = 2 * np.pi * 2.8 * t
    acc = np.array([
        0.5 * np.sin(step + 1), 0.4 * np.sin(step / 2),
        1 + 1.2 * np.sin(step) + 0.4 * np.sin(2 * step),
    ])
    return (acc + np.random.default_rng(0).normal(0, noise_g, acc.shape)) * GRAVITY_MPS2


def _load(hz: int, noise_g: float = 0.0) -> float:
    merge = round(hz / 100)
    sections = butterworth(LOAD_CUTOFF_HZ, hz) if merge > 1 else np.array(PASS_ALL)
    load, z = new_load(1)
    step_ns = SECOND // hz
    return sum(
        load_step(load, z, sections[None], 0, merge, step_ns, float(x), float(y), float(w))
        for x, y, w in _stride(hz, noise_g=noise_g).T
    )


def test_the_golden_movement_gives_ten_point_four() -> None:
    assert np.isclose(_load(100), 10.41, atol=0.01)


@pytest.mark.parametrize("hz", [200, 500, 1000])
def test_the_same_movement_gives_the_same_load_at_every_rate(hz: int) -> None:
    assert np.isclose(_load(hz, 0.02), _load(100, 0.02), rtol=0.03)


def test_a_gap_adds_nothing() -> None:
    load, z = new_load(1)
    sections = np.array(PASS_ALL)[None]
    load_step(load, z, sections, 0, 1, 10_000_000, 0.0, 0.0, 9.8)
    assert load_step(load, z, sections, 0, 1, 10_000_000, 0.0, 0.0, 19.6) > 0
    assert load_step(load, z, sections, 0, 1, 500_000_000, 80.0, 0.0, 9.8) == 0.0


@pytest.mark.parametrize("hz", [100, 1000])
def test_the_edge_writes_the_same_load(hz: int) -> None:
    acc = _stride(hz, noise_g=0.02)
    n = acc.shape[1]
    t_ns = T0 + (np.arange(n) * SECOND / hz).astype(np.int64)
    channels = {f"acc_{axis}_mps2": acc[row] for row, axis in enumerate("xyz")}
    block = block_of(Kind.IMU, 0, np.arange(n), t_ns, channels)
    roster = roster_of(Device("d", Kind.IMU, "a0", hz))
    _, result = play(roster, [block], (), EdgeConfig(hot_enter=1.0, hot_leave=1.0))
    rows = result.rows(Kind.IMU)
    written = float(rows.values[KINDS[Kind.IMU].index("load_au")].sum(dtype=np.float64))
    assert np.isclose(written, _load(hz, 0.02), rtol=1e-3)
    assert len(rows) == 60 * 50


def _rich(hz: float, noise_g: float = 0.02) -> np.ndarray:
    """(3, n) m/s^2: a minute of movement with parts up to 12 Hz, and noise."""
    t = np.arange(int(hz * 60)) / hz
    parts = (
        (0, 0.50, 1.4, 0.3), (0, 0.25, 4.2, 1.1), (0, 0.08, 11.0, 2.0), (1, 0.40, 1.4, 0.0),
        (1, 0.20, 5.6, 0.7), (1, 0.06, 12.0, 0.2), (2, 1.20, 2.8, 0.0), (2, 0.40, 5.6, 0.5),
        (2, 0.15, 8.4, 1.9), (2, 0.08, 12.0, 2.4),
    )
    acc = np.zeros((3, len(t)))
    acc[2] = 1.0
    for axis, size_g, at_hz, phase in parts:
        acc[axis] += size_g * np.sin(2 * np.pi * at_hz * t + phase)
    return (acc + np.random.default_rng(1).normal(0, noise_g, acc.shape)) * GRAVITY_MPS2


def _through_the_edge(hz: float, noise_g: float = 0.02) -> tuple[float, float]:
    """(PlayerLoad, its horizontal part) of `_rich` as the edge kernel writes them, thinning on."""
    acc = _rich(hz, noise_g)
    n = acc.shape[1]
    t_ns = T0 + (np.arange(n) * SECOND / hz).astype(np.int64)
    channels = {f"acc_{axis}_mps2": acc[row] for row, axis in enumerate("xyz")}
    roster = roster_of(Device("d", Kind.IMU, "a0", hz))
    _, result = play(roster, [block_of(Kind.IMU, 0, np.arange(n), t_ns, channels)], ())
    values, index = result.rows(Kind.IMU).values, KINDS[Kind.IMU].index
    whole, flat = values[index("load_au")], values[index("load_flat_au")]
    return float(whole.sum(dtype=np.float64)), float(flat.sum(dtype=np.float64))


@pytest.mark.parametrize("hz", [104, 120, 128, 150, 200, 250, 256, 400, 416, 500, 1000, 1125])
def test_the_edge_gives_the_same_load_at_every_rate(hz: int) -> None:
    assert _through_the_edge(hz)[0] == pytest.approx(_through_the_edge(100)[0], rel=0.03)
    assert _through_the_edge(hz, 0.0) == pytest.approx(_through_the_edge(100, 0.0), rel=0.03)


def test_load_without_the_vertical_is_the_horizontal_part() -> None:
    acc = _rich(100) / GRAVITY_MPS2
    flat = np.sqrt((np.diff(acc[:2], axis=1) ** 2).sum(0)).sum() / 100
    assert _through_the_edge(100)[1] == pytest.approx(flat, rel=1e-4)


def test_the_grid_passes_through_samples_that_lie_on_it() -> None:
    assert [load_merge(hz) for hz in (50, 100, 200, 250, 1000, 104)] == [1, 1, 2, 0, 10, 0]
    load, z = new_load(1)
    sections = np.array(PASS_ALL)[None]
    got = [
        load_step(load, z, sections, 0, RESAMPLE, 4_000_000, 0.0, 0.0, 0.004 * n, 250.0)
        for n in range(1000)
    ]
    assert sum(got[10:510]) == pytest.approx(200 * 0.01 / (100 * GRAVITY_MPS2), rel=1e-9)
