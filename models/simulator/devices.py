"""Lives of many devices as health rows, one per second: healthy, worn, and failing ones.

A fast stand-in for playing hundreds of matches through the edge: it makes the rows that the edge
would write (`models.nets.contract.HEALTH_COLUMNS`), with the faults of DOMAIN B13, their
precursors, and confounders that do not end in failure: passing fades, low but steady batteries,
worn radios, hits.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.nets.contract import FAULT_CLASSES, HEALTH_COLUMNS

Array = NDArray[np.float64]
_RATES_HZ: Final = np.array([1.0, 20.0, 50.0, 100.0, 100.0, 500.0])
_SILENT_AFTER: Final = ("dropout", "battery")
_TREND_S: Final = 60
_EWMA: Final = 0.1
FAULT_SHARE: Final = 0.45


@dataclass(frozen=True, slots=True)
class Lives:
    """values (F, T, D) float32 health rows each second; fault (D,) index of FAULT_CLASSES; onset_s
    and failed_s (D,) seconds, infinite for healthy devices."""

    values: NDArray[np.float32]
    fault: NDArray[np.int64]
    onset_s: Array
    failed_s: Array


def device_lives(devices: int, seconds: int, rng: np.random.Generator) -> Lives:
    """`devices` devices over `seconds`; about 45 % of them meet a fault within that time."""
    fault = np.where(
        rng.random(devices) < FAULT_SHARE, rng.integers(1, len(FAULT_CLASSES), devices), 0
    )
    ramp = np.exp(rng.uniform(np.log(120), np.log(700), devices))
    failed = rng.uniform(0.15, 1.15, devices) * seconds
    onset = np.where(fault > 0, failed - ramp, np.inf)
    failed = np.where(fault > 0, failed, np.inf)
    life = _Life(devices, seconds, fault, onset, ramp, rng)
    return Lives(life.rows(), fault.astype(np.int64), onset, failed)


class _Life:
    """Builds the columns; arrays are (T, D)."""

    def __init__(
        self, devices: int, seconds: int, fault: NDArray[np.int64], onset: Array, ramp: Array,
        rng: np.random.Generator,
    ) -> None:
        self.shape, self.rng, self.fault = (seconds, devices), rng, fault
        self.t = np.arange(seconds, dtype=np.float64)[:, None]
        with np.errstate(invalid="ignore"):
            grown = (self.t - onset) / ramp
        self.grown = np.clip(np.nan_to_num(grown, nan=0.0, neginf=0.0), 0.0, 1.0)
        self.hz = rng.choice(_RATES_HZ, devices)

    def of(self, name: str) -> Array:
        """Growth 0..1 of fault `name`, zero on devices that have another."""
        mine: Array = np.where(self.fault == FAULT_CLASSES.index(name), self.grown, 0.0)
        return mine

    def rows(self) -> NDArray[np.float32]:
        rng, shape = self.rng, self.shape
        fade = self._fades()
        loss = self._loss(fade)
        silent = (self.grown >= 1) & np.isin(
            self.fault, [FAULT_CLASSES.index(name) for name in _SILENT_AFTER]
        )
        half = np.where(self.of("battery") >= 0.6, 0.5, 1.0)
        expected = self.hz * half
        lost = np.minimum(rng.poisson(expected * loss), expected).astype(np.float64)
        # One sample a second falls now into this second, now into the next.
        jitter = np.where(self.hz == 1, rng.choice([-1, 0, 1], shape, p=[0.03, 0.94, 0.03]), 0)
        received = np.where(silent, 0.0, np.maximum(np.round(expected) - lost + jitter, 0.0))
        share = np.where(silent, 1.0, lost / np.maximum(lost + received, 1.0))
        volts, known = self._battery()
        rssi = self._rssi(fade)
        offset, ppm = self._clock()
        columns = {
            "rx_n": received, "lost_n": lost, "loss_ewma": _ewma(share),
            "rate_ratio": received / self.hz, "batt_v": volts,
            "batt_pct": np.clip((volts - 3.3) / 0.88 * 100, 0, 100).round(),
            "batt_slope_vph": _trend(volts) * 3600, "rssi_dbm": rssi,
            "rssi_slope": _trend(rssi) * 60, "spike_rate": self._spikes(),
            "stuck_n": self._stuck(received), "clip_n": self._clips(received),
            "noise_ratio": self._noise(), "clock_offset_ns": offset, "clock_ppm": ppm,
            "reboot_n": self._reboots(), "age_s": self._age(silent),
        }
        for name in ("batt_v", "batt_pct", "batt_slope_vph", "rssi_dbm", "rssi_slope"):
            columns[name] = np.where(known, columns[name], np.nan)
        stacked = np.stack([np.broadcast_to(columns[name], shape) for name in HEALTH_COLUMNS])
        return stacked.astype(np.float32)

    def _fades(self) -> Array:
        """0..1: passing trouble of the link (a far corner, a crowd) that ends by itself."""
        total = np.zeros(self.shape)
        for _ in range(2):
            start = self.rng.uniform(0, self.shape[0], self.shape[1])
            length = self.rng.uniform(40, 260, self.shape[1])
            happens = self.rng.random(self.shape[1]) < 0.35
            place = (self.t - start) / length
            inside = (place > 0) & (place < 1) & happens
            total += np.where(inside, np.sin(np.pi * np.clip(place, 0, 1)), 0.0)
        return np.minimum(total, 1.0)

    def _loss(self, fade: Array) -> Array:
        rng, devices = self.rng, self.shape[1]
        base = rng.lognormal(np.log(0.004), 0.7, devices)
        bursts = _ewma((rng.random(self.shape) < 0.02).astype(np.float64)) * 0.3
        grown = self.of("dropout")
        climbing = np.where(grown > 0, 0.02 + 0.38 * grown, 0.0)
        passing = fade * rng.uniform(0.02, 0.22, devices)
        total: Array = np.clip(base + bursts * base / 0.01 + climbing + passing, 0.0, 0.95)
        return total

    def _rssi(self, fade: Array) -> Array:
        rng, devices = self.rng, self.shape[1]
        base = rng.normal(-60, 4, devices)
        roam = 2.5 * _ewma(rng.standard_normal(self.shape)) / 0.23
        warns = rng.random(devices) < 0.75
        drop = 16 * np.minimum(self.of("dropout") * 1.15, 1.0) * warns
        noise = 1.2 * rng.standard_normal(self.shape)
        level: Array = np.round(base + roam + noise - drop - fade * rng.uniform(4, 14, devices))
        return level

    def _battery(self) -> tuple[Array, NDArray[np.bool_]]:
        """Volts, and which devices report any. Some are low and steady: they do not fail."""
        rng, devices = self.rng, self.shape[1]
        failing = self.fault == FAULT_CLASSES.index("battery")
        known = rng.random(devices) < np.where(failing, 0.9, 0.7)
        steady = rng.random(devices) < 0.15
        start = np.where(steady, rng.uniform(3.38, 3.55, devices), rng.uniform(3.75, 4.15, devices))
        slope = rng.uniform(0.02, 0.20, devices) / 3600
        slope = np.where(steady, slope * 0.2, slope)
        sag = 0.68 * self.of("battery") ** rng.uniform(1.2, 2.2, devices)
        noise = 0.004 * rng.standard_normal(self.shape)
        return np.round(start - slope * self.t - sag + noise, 3), known

    def _spikes(self) -> Array:
        base = self.rng.lognormal(np.log(5e-5), 0.8, self.shape[1])
        grown = self.of("spikes")
        level = base + np.where(grown > 0, 0.001 + 0.06 * grown, 0.0)
        counts = self.rng.poisson(level * np.minimum(self.hz, 100)) / np.minimum(self.hz, 100)
        return _ewma(counts)

    def _stuck(self, received: Array) -> Array:
        """Short sticking ever more often, then for good; four in ten stick without warning."""
        rng, devices = self.rng, self.shape[1]
        grown = self.of("stuck")
        warns = rng.random(devices) < 0.6
        episode = _runs(rng.random(self.shape) < 0.01 + 0.05 * grown, 6) & (grown > 0) & warns
        rare = _runs(rng.random(self.shape) < 1e-4, 5)
        return np.where(episode | rare | (grown >= 1), received, 0.0)

    def _clips(self, received: Array) -> Array:
        rng = self.rng
        hits = rng.poisson(0.01, self.shape) * rng.integers(1, 6, self.shape)
        grown = self.of("saturation")
        clipped = rng.poisson(0.35 * grown**1.3 * np.minimum(self.hz, 200))
        return np.minimum(hits + clipped, received)

    def _noise(self) -> Array:
        """Sample-to-sample change, 5 s over 2 min: activity alone moves it between 0.4 and 3
        (log deviation 0.5 each second, measured on simulated motion); noise comes on top."""
        rng, shape = self.rng, self.shape
        slow = _ewma(rng.standard_normal(shape)) / 0.23
        activity = np.exp(0.35 * slow + 0.35 * rng.standard_normal(shape))
        idle = np.where(self.hz >= 50, 1.0, rng.uniform(0.1, 0.6, shape[1]))
        change = activity**idle + 20.0 * self.of("noise") ** 1.2
        return _ewma(change, 0.2) / np.maximum(_ewma(change, 1 / 120), 1e-3)

    def _clock(self) -> tuple[Array, Array]:
        """Offset ns and drift ppm: a failing oscillator drifts ever faster and steps."""
        rng, devices = self.rng, self.shape[1]
        ppm = rng.normal(0, 8, devices) + 250 * self.of("clock") * rng.choice([-1, 1], devices)
        steps = (rng.random(self.shape) < 0.02 * (self.of("clock") > 0)) * rng.normal(
            0, 1.5e8, self.shape
        )
        once = (rng.random(self.shape) < 3e-5) * rng.normal(0, 6e8, self.shape)
        drift = np.cumsum(ppm * 1e3 + steps + once, axis=0)
        offset = rng.normal(0, 3e6, devices) + drift + 2e6 * rng.standard_normal(self.shape)
        lost = np.where(self.of("clock") >= 1, 2.5e9, 0.0)
        return offset + lost, ppm + 3 * rng.standard_normal(self.shape)

    def _reboots(self) -> Array:
        rng = self.rng
        odd = np.cumsum(rng.random(self.shape) < 2e-5, axis=0).astype(np.float64)
        count: Array = odd + (self.of("battery") >= 0.85).astype(np.float64)
        return count

    def _age(self, silent: NDArray[np.bool_]) -> Array:
        """Seconds since the last sample at the end of the second: grows while silent."""
        fresh = self.rng.random(self.shape) / self.hz
        run = np.zeros(self.shape[1])
        age = np.empty(self.shape)
        for second in range(self.shape[0]):
            run = np.where(silent[second], run + 1.0, 0.0)
            age[second] = run
        return np.where(silent, age, fresh)


def _ewma(values: Array, share: float = _EWMA) -> Array:
    """Exponential mean over seconds, from the first value."""
    out = np.empty_like(values)
    level = values[0].copy()
    for second in range(len(values)):
        level = level + share * (values[second] - level)
        out[second] = level
    return out


def _runs(begins: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Each True made `length` seconds long."""
    out = begins.copy()
    for shift in range(1, length):
        out[shift:] |= begins[:-shift]
    return out


def _trend(values: Array) -> Array:
    """Least-squares slope per second over the last minute (as much of it as there is, at least 10
    s; 0 before)."""
    t = np.arange(len(values), dtype=np.float64)[:, None]
    sums = [np.cumsum(np.pad(v, ((1, 0), (0, 0))), axis=0) for v in (values, values * t)]
    first = np.maximum(np.arange(len(values)) - _TREND_S + 1, 0)
    last = np.arange(1, len(values) + 1)
    n = (last - first)[:, None].astype(np.float64)
    mean_t = (first + last - 1)[:, None] / 2
    cross = (sums[1][last] - sums[1][first]) - mean_t * (sums[0][last] - sums[0][first])
    return np.where(n >= 10, cross / np.maximum(n * (n * n - 1) / 12, 1.0), 0.0)
