"""Vitals: the health row of a device, once per second of event time, and when it means a fault.

Owns the columns of `HEALTH_FEATURES` and how they are smoothed. Averages forget with a time
constant of about 10 s, slopes of about 120 s. NaN means "not known".
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.edge import cells as grid
from models.edge.cells import Cells
from models.edge.scalars import LOW_CHARGE_PCT
from models.edge.tables import Streams, Whole
from models.signal.trend import TREND_WIDTH, forget_trend, trend_step

HEALTH_FEATURES: Final = (
    "rx_n", "lost_n", "loss_ewma", "rate_ratio", "batt_v", "batt_pct", "batt_slope_vph", "rssi_dbm",
    "rssi_slope", "spike_rate", "stuck_n", "clip_n", "noise_ratio", "clock_offset_ns", "clock_ppm",
    "reboot_n", "age_s",
)
"""rx_n rows received, lost_n samples lost, stuck_n, clip_n in this second; loss_ewma, spike_rate
shares; rate_ratio received over nominal rate; slopes in V/h and dBm/min; noise_ratio over the
device's own first minute; clock_offset_ns lowest t_ingest - t_event; age_s since the newest row."""
VITALS: Final = 17
(
    RX, LOST, LOSS, RATE, BATT_V, BATT_PCT, BATT_SLOPE, RSSI, RSSI_SLOPE, SPIKE_RATE, STUCK_N,
    CLIP_N, NOISE, OFFSET, PPM, REBOOTS, AGE,
) = range(VITALS)
_SHARE: Final = 0.1
_KEEP: Final = 1.0 - 1.0 / 120.0
_BASE_SECONDS: Final = 60.0
_BASE_SHARE: Final = 0.001

LOSSY: Final = 0.10
SLOW: Final = 0.70
SPIKY: Final = 0.02
NOISY: Final = 4.0
CLIPPING: Final = 2.0

MEMORY_WIDTH: Final = 7
_LOSS, _RATE, _SPIKES, _NOISE, _BASE, _BASE_N, _BOOTS = range(MEMORY_WIDTH)


class Vitals(NamedTuple):
    """State. memory (D, MEMORY_WIDTH); clock (D, TREND_WIDTH) trend of the offset; volts and rssi
    (G, TREND_WIDTH) trends, slopes (G, 2) what they say; health (G, GROUP_CELLS) newest of each
    device id; group_ns (G,) second that it is as of."""

    memory: NDArray[np.float64]
    clock: NDArray[np.float64]
    volts: NDArray[np.float64]
    rssi: NDArray[np.float64]
    slopes: NDArray[np.float64]
    health: NDArray[np.float64]
    group_ns: NDArray[np.int64]


def new_vitals(device_n: int, group_n: int) -> Vitals:
    """State of devices that have sent nothing."""
    memory = np.zeros((device_n, MEMORY_WIDTH))
    memory[:, (_RATE, _NOISE)] = 1.0, np.nan
    return Vitals(
        memory, np.zeros((device_n, TREND_WIDTH)), np.zeros((group_n, TREND_WIDTH)),
        np.zeros((group_n, TREND_WIDTH)), np.full((group_n, 2), np.nan),
        np.full((group_n, grid.GROUP_CELLS), np.nan), np.zeros(group_n, np.int64),
    )


@njit(cache=True)
def _close_group(vitals: Vitals, cells: Cells, second: Whole, group: Whole) -> None:
    """Once per second and device id: newest health, and the slopes of voltage and signal."""
    now_ns = cells.second_begin_ns + second * grid.SECOND
    if vitals.group_ns[group] == now_ns:
        return
    vitals.group_ns[group] = now_ns
    cell = cells.group[second, group]
    for k in range(grid.GROUP_CELLS):
        if cell[k] == cell[k]:
            vitals.health[group, k] = cell[k]
    vitals.slopes[group, 0] = 3600.0 * trend_step(vitals.volts, group, cell[grid.VOLTS], _KEEP)
    vitals.slopes[group, 1] = 60.0 * trend_step(vitals.rssi, group, cell[grid.RSSI_DBM], _KEEP)


@njit(cache=True)
def _noise_ratio(memory: NDArray[np.float64], lowest: float) -> float:
    """Roughness now over that of the device's first minute; the base creeps along slowly."""
    if lowest < np.inf:
        if memory[_NOISE] != memory[_NOISE]:
            memory[_NOISE] = lowest
            memory[_BASE] = lowest
        memory[_NOISE] += _SHARE * (lowest - memory[_NOISE])
        memory[_BASE_N] += 1.0
        share = 1.0 / memory[_BASE_N] if memory[_BASE_N] < _BASE_SECONDS else _BASE_SHARE
        memory[_BASE] += share * (lowest - memory[_BASE])
    if memory[_BASE_N] < 10.0 or memory[_BASE] <= 0.0:
        return 1.0
    return memory[_NOISE] / memory[_BASE]


@njit(cache=True)
def _clock(vitals: Vitals, cell: NDArray[np.float64], d: Whole) -> float:
    """Drift in parts per million: the slope of the lower envelope of offsets, ns per s."""
    if cell[grid.STEP_NS] != 0.0:
        forget_trend(vitals.clock, d)
    lowest = cell[grid.OFFSET_NS]
    return 1e-3 * trend_step(vitals.clock, d, lowest if lowest < np.inf else np.nan, _KEEP)


@njit(cache=True)
def restart_vitals(vitals: Vitals, d: Whole) -> None:
    """The device has (again) begun to send: what was lost before is no fault of now."""
    vitals.memory[d, _LOSS] = 0.0
    vitals.memory[d, _RATE] = 1.0


@njit(cache=True)
def close_vitals(
    vitals: Vitals, streams: Streams, cells: Cells, second: Whole, d: Whole, excused: bool,
    age_ns: Whole, out: NDArray[np.float32],
) -> None:
    """Write the health of device `d` over a second that has ended into out (VITALS, D).

    excused: rate and loss of this second say nothing about the device (it has just begun to send,
    or the whole feed has a gap).
    """
    cell, m, group = cells.device[second, d], vitals.memory[d], streams.group[d]
    _close_group(vitals, cells, second, group)
    rx, lost = cell[grid.RX], cell[grid.LOST]
    rate = streams.rate[d]
    ratio = rx / rate if rate >= 1.0 else 1.0
    if not excused:
        if rx + lost > 0.0:
            m[_LOSS] += _SHARE * (lost / (rx + lost) - m[_LOSS])
        m[_RATE] += _SHARE * (ratio - m[_RATE])
    if rx > 0.0:
        m[_SPIKES] += _SHARE * (cell[grid.SPIKES] / rx - m[_SPIKES])
    out[RX, d] = rx
    out[LOST, d] = lost
    out[LOSS, d] = m[_LOSS]
    out[RATE, d] = ratio
    out[BATT_V, d] = vitals.health[group, grid.VOLTS]
    out[BATT_PCT, d] = vitals.health[group, grid.CHARGE_PCT]
    out[BATT_SLOPE, d] = vitals.slopes[group, 0]
    out[RSSI, d] = vitals.health[group, grid.RSSI_DBM]
    out[RSSI_SLOPE, d] = vitals.slopes[group, 1]
    out[SPIKE_RATE, d] = m[_SPIKES]
    out[STUCK_N, d] = cell[grid.STUCK_N]
    out[CLIP_N, d] = cell[grid.CLIPS]
    out[NOISE, d] = _noise_ratio(m, cell[grid.NOISE])
    out[PPM, d] = _clock(vitals, cell, d)
    out[OFFSET, d] = cell[grid.OFFSET_NS] if cell[grid.OFFSET_NS] < np.inf else np.nan
    m[_BOOTS] += cell[grid.BOOT_N]
    told = vitals.health[group, grid.REBOOTS]
    out[REBOOTS, d] = max(m[_BOOTS], told) if told == told else m[_BOOTS]
    out[AGE, d] = max(age_ns, 0) * 1e-9


@njit(cache=True)
def condition(
    vitals: Vitals, streams: Streams, cell: NDArray[np.float64], d: Whole, fault: Whole
) -> bool:
    """Whether fault number `fault` (see `models.edge.timeline.FAULTS`) shows in this second."""
    m = vitals.memory[d]
    if fault == 1:
        return m[_LOSS] > LOSSY or (streams.rate[d] >= 5.0 and m[_RATE] < SLOW)
    if fault == 2:
        return cell[grid.STUCK_N] > 0.0
    if fault == 3:
        return m[_SPIKES] > SPIKY
    if fault == 4:
        return m[_NOISE] > NOISY * m[_BASE] and m[_BASE_N] >= 10.0 and m[_BASE] > 0.0
    if fault == 5:
        return vitals.health[streams.group[d], grid.CHARGE_PCT] < LOW_CHARGE_PCT
    return fault == 7 and cell[grid.CLIPS] >= CLIPPING
