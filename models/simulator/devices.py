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
from models.signal.trend import TREND_WIDTH, trend_step

Array = NDArray[np.float64]
_RATES_HZ: Final = np.array([1.0, 1.0, 1.0, 20.0, 20.0, 50.0, 100.0, 100.0, 500.0])
_RARE_HZ: Final = 1 / 60
_RARE_SHARE: Final = 0.03
_SILENT_AFTER: Final = ("dropout", "battery")
_TREND_KEEP: Final = 1.0 - 1.0 / 120.0
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
        rare = (fault == 0) & (rng.random(devices) < _RARE_SHARE)
        self.hz = np.where(rare, _RARE_HZ, rng.choice(_RATES_HZ, devices))

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
        received = np.where(self.hz < 1, rng.random(shape) < self.hz, received)
        gone = np.where(self.hz >= 2, 1.0, 0.0)
        share = np.where(silent, gone, lost / np.maximum(lost + received, 1.0))
        volts, known = self._battery()
        rssi = self._rssi(fade)
        offset, ppm = self._clock(received)
        columns = {
            "rx_n": received, "lost_n": lost, "loss_ewma": _ewma(share),
            "rate_ratio": np.where(self.hz < 1, 1.0, received / self.hz), "batt_v": volts,
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
        """Roughness over that of the first minute: 0.8-1.25 when healthy (measured on simulated
        matches through the edge), up to 5-50 when noise has come."""
        rng, shape = self.rng, self.shape
        slow = _ewma(rng.standard_normal(shape)) / 0.23
        healthy = np.exp(rng.uniform(0.02, 0.10, shape[1]) * slow)
        return healthy * (1.0 + rng.uniform(4, 50, shape[1]) * self.of("noise") ** 1.2)

    def _clock(self, received: Array) -> tuple[Array, Array]:
        """Lowest t_ingest - t_event of a second, ns, and its trend, ppm: a failing oscillator
        drifts ever faster and steps. The fewer packets a second, the more the network shows."""
        rng, devices = self.rng, self.shape[1]
        drift_ppm = rng.normal(0, 8, devices) + 250 * self.of("clock") * rng.choice(
            [-1, 1], devices
        )
        steps = (rng.random(self.shape) < 0.02 * (self.of("clock") > 0)) * rng.normal(
            0, 1.5e8, self.shape
        )
        once = (rng.random(self.shape) < 3e-5) * rng.normal(0, 6e8, self.shape)
        error = rng.normal(0, 3e6, devices) + np.cumsum(drift_ppm * 1e3 + steps + once, axis=0)
        packets = np.clip(self.hz, 1, 20)
        wait = 9e6 + rng.exponential(1.0, self.shape) * rng.uniform(8e6, 2e7, devices) / packets
        late = rng.random(self.shape) < 0.02 / packets**2
        wait += late * rng.uniform(0, 1.4e8, self.shape)
        offset = wait + error + np.where(self.of("clock") >= 1, 2.5e9, 0.0)
        offset = np.where(received > 0, offset, np.nan)
        return offset, 1e-3 * _trend(offset)

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
    """Slope per second as the edge finds it: a line fitted with weights that fade over two minutes,
    NaN while it is not known."""
    trend = np.zeros((values.shape[1], TREND_WIDTH))
    out = np.empty_like(values)
    for second, row in enumerate(values.tolist()):
        for device, value in enumerate(row):
            out[second, device] = trend_step(trend, device, value, _TREND_KEEP)
    return out
