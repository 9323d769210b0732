"""Sums by band: acceleration distance, metabolic power, felt peaks, heart rate.

Bands are half open: a value on an edge belongs to the upper one. Metres, seconds, W/kg, g.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows.config import FlowConfig
from models.metrics.zones import STANDING_MPS, zone_of

REST_TAU_S = 2.0
HIT_APART_NS = 100_000_000
"""Peaks closer together are one hit, counted where the largest of them belongs."""


@njit(cache=True)
def count_bands(f: NDArray[np.float64], cfg: FlowConfig, speed: float, dt_s: float) -> None:
    """Add the last `dt_s` to its bands, before `f[SPEED]` becomes `speed`."""
    power = f[L.POWER]
    at = L.MP_Z1 + zone_of(
        power, cfg.power_z1_wkg, cfg.power_z2_wkg, cfg.power_z3_wkg, cfg.power_z4_wkg
    )
    if power >= cfg.power_z5_wkg:
        at = L.MP_Z6
    f[at] += dt_s
    if speed < STANDING_MPS:
        return
    step_m = 0.5 * (f[L.SPEED] + speed) * dt_s
    if power >= cfg.high_power_wkg:
        f[L.HIGH_POWER] += step_m
    accel = f[L.ACCEL]
    size = abs(accel)
    if size >= cfg.band_low_mps2:
        at = L.ACC_LOW if accel > 0.0 else L.DEC_LOW
        at += int(size >= cfg.band_mid_mps2) + int(size >= cfg.band_high_mps2)
        f[at] += step_m


@njit(cache=True)
def note_rest(
    f: NDArray[np.float64], i: NDArray[np.int64], cfg: FlowConfig, t_ns: int, speed: float,
    vx: float, vy: float, dt_s: float,
) -> None:
    """Remember when the person last was fast, and when not at rest. A position sensor's noise looks
    like 0.3 m/s and more, to and fro: rest is told by the mean velocity of about two seconds."""
    share = dt_s / (REST_TAU_S + dt_s)
    f[L.MEAN_VX] += share * (vx - f[L.MEAN_VX])
    f[L.MEAN_VY] += share * (vy - f[L.MEAN_VY])
    mean = f[L.MEAN_VX] * f[L.MEAN_VX] + f[L.MEAN_VY] * f[L.MEAN_VY]
    if mean >= cfg.rest_mps * cfg.rest_mps:
        i[L.T_MOVED] = t_ns
    if speed >= cfg.recovery_mps:
        i[L.T_FAST] = t_ns


@njit(cache=True)
def count_hit(
    f: NDArray[np.float64], i: NDArray[np.int64], cfg: FlowConfig, t_ns: int, peak: float
) -> None:
    """Count a felt peak of at least `impact_z1_g` by its size (Cunniffe 2009)."""
    running = t_ns - i[L.T_HIT] <= HIT_APART_NS
    i[L.T_HIT] = t_ns
    if running and peak <= f[L.HIT_G]:
        return
    zone = zone_of(peak, cfg.impact_z2_g, cfg.impact_z3_g, cfg.impact_z4_g, cfg.impact_z5_g)
    if peak >= cfg.impact_z6_g:
        zone = 5
    if running:
        i[L.HIT_Z1 + i[L.HIT_AT]] -= 1
    f[L.HIT_G] = peak
    i[L.HIT_AT] = zone
    i[L.HIT_Z1 + zone] += 1


@njit(cache=True)
def count_heart_zone(
    f: NDArray[np.float64], cfg: FlowConfig, share: float, dt_s: float
) -> None:
    """Add `dt_s` at `share` of HRmax to its zone; below the first zone it counts nowhere."""
    # As in Edwards' zones: a rate on an edge is not lost to the last bit of the division.
    share += 1e-9
    if share < cfg.hr_z1_share:
        return
    zone = zone_of(
        share, cfg.hr_z2_share, cfg.hr_z3_share, cfg.hr_z4_share, cfg.hr_z5_share
    )
    f[L.HR_Z1 + zone] += dt_s
