"""Which anomalies of device health are worth saying: decides purely, from the edge's health rows.

Each watched column of each device is a series of means over `BUCKET_S`; `signal.anomaly` scores
them. A high score is said if the mean also leaves what 98 % of the series lay in by an amount that
matters (`COLUMNS`), and if it is one device's matter: what hits 6 % of the devices, and at least
four, at once is the feed's. One anomaly per device and bucket, none of the same device and column
for `quiet_s`, a bounded number per minute. The edge's rules know fixed limits; this knows the
device.

Buckets end when a row of a later one comes, for all devices: rows that come after are left out.
Depends on the rows and their order, not on how they were cut into calls.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import SchemaError
from models.nets.contract import HEALTH_COLUMNS
from models.signal.anomaly import AnomalyConfig, AnomalyDetector
from models.state_bytes import pack_state, unpack_state

BUCKET_S: Final = 5
BUCKET_NS: Final = BUCKET_S * 1_000_000_000
COLUMNS: Final[dict[str, float]] = {
    "loss_ewma": 0.08, "rate_ratio": 0.25, "batt_v": 0.03, "rssi_dbm": 2.5, "spike_rate": 0.005,
    "noise_ratio": 0.5, "clock_offset_ns": 4e7, "clock_ppm": 60.0,
}
"""Watched columns of the health row, and by how much, in their unit, a mean must leave the expected
range to matter."""
NAMES: Final = tuple(COLUMNS)
_PICK: Final = np.array([HEALTH_COLUMNS.index(name) for name in NAMES])
_LEAST: Final = np.array(list(COLUMNS.values()))
_SHARE: Final = 0.98
_RATE: Final = NAMES.index("rate_ratio")
WIDTH: Final = len(NAMES)
RATED_HZ: Final = 5.0
"""As at the edge: of slower devices one sample falls now into this second, now into the next."""


class Side(StrEnum):
    """Which end of the expected range was left."""

    HIGH = "high"
    LOW = "low"


def health_detector() -> AnomalyConfig:
    """In buckets of five seconds: two minutes of warm-up and of rest, shapes of 21 minutes."""
    return AnomalyConfig(
        half_life=2000.0, slow=400.0, long=200.0, short=8.0, warm_up=24, rest=24, past=256,
        seasonal=False,
    )


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """`enter`: score from which it is said; `shared`: share of devices, of at least
    `shared_least`, from which on it is the feed's matter; `most` in `most_s`: bound of the rate."""

    enter: float = 3.0
    quiet_s: float = 120.0
    shared: float = 0.06
    shared_least: int = 4
    most: int = 6
    most_s: float = 60.0
    detector: AnomalyConfig = field(default_factory=health_detector)


@dataclass(frozen=True, slots=True)
class DeviceAnomaly:
    """`row` of the roster at `t_ns`, the end of the bucket; `value` left `low`..`high` on `side`;
    `also` names other columns of the device that did so in the same bucket."""

    row: int
    t_ns: int
    column: str
    side: Side
    value: float
    low: float
    high: float
    score: float
    also: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Such as "rssi_dbm_low"."""
        return f"{self.column}_{self.side}"


class AnomalyWatch:
    """unit (D,) int: which roster rows are sensors of one device; rate_hz (D,) their nominal rates:
    the rate of slower ones than `RATED_HZ` is not watched. `counts`: anomalies that were not said,
    by why, and health rows that came too late."""

    def __init__(
        self, unit: NDArray[np.int32], rate_hz: NDArray[np.float64],
        config: WatchConfig | None = None,
    ) -> None:
        self.config = config or WatchConfig()
        devices = len(unit)
        self._unit = unit.astype(np.int32)
        self._slow = rate_hz < RATED_HZ
        self._units = int(unit.max()) + 1 if devices else 0
        self._detector = AnomalyDetector(devices * WIDTH, self.config.detector)
        self._rows = np.arange(devices * WIDTH, dtype=np.int32)
        self._sum, self._count = np.zeros((devices, WIDTH)), np.zeros((devices, WIDTH))
        self._bucket = -1
        self._quiet_until_ns = np.zeros((self._units, WIDTH), np.int64)
        self._said_ns = np.full(self.config.most, -(1 << 62), np.int64)
        self.counts = {"feed": 0, "quiet": 0, "rate": 0, "late": 0}

    def handle(
        self, device: NDArray[np.int32], t_ns: NDArray[np.int64], values: NDArray[np.float32]
    ) -> list[DeviceAnomaly]:
        """Take health rows: device (n,) roster row, t_ns (n,) end of the second, not falling,
        values (len(HEALTH_COLUMNS), n). The anomalies of buckets that they end."""
        assert values.shape == (len(HEALTH_COLUMNS), len(device)), values.shape
        found: list[DeviceAnomaly] = []
        bucket = (t_ns - 1) // BUCKET_NS
        late = bucket < np.maximum(np.maximum.accumulate(bucket), self._bucket)
        self.counts["late"] += int(late.sum())
        for now in np.unique(bucket[~late]).tolist():
            if now > self._bucket:
                found += self._close()
                self._bucket = now
            mine = ~late & (bucket == now)
            self._take(device[mine], values[:, mine])
        return found

    def snapshot(self) -> bytes:
        """All state, exact."""
        arrays: dict[str, NDArray[Any]] = {
            "sum": self._sum, "count": self._count, "quiet": self._quiet_until_ns,
            "said": self._said_ns, "detector": np.frombuffer(self._detector.snapshot(), np.uint8),
        }
        scalars: dict[str, Any] = {"bucket": self._bucket, "counts": self.counts}
        return pack_state(scalars | {"what": "anomaly watch"}, arrays)

    def restore(self, payload: bytes) -> None:
        """Take the state of `snapshot`. Raises SchemaError when it is not of this roster."""
        scalars, arrays = unpack_state(payload)
        if scalars.get("what") != "anomaly watch" or arrays["sum"].shape != self._sum.shape:
            raise SchemaError("wrong_format", "not the state of this anomaly watch")
        self._detector.restore(arrays["detector"].tobytes())
        self._sum, self._count = arrays["sum"], arrays["count"]
        self._quiet_until_ns, self._said_ns = arrays["quiet"], arrays["said"]
        self._bucket, self.counts = scalars["bucket"], dict(scalars["counts"])

    # -- inside ------------------------------------------------------------------------------------

    def _take(self, device: NDArray[np.int32], values: NDArray[np.float32]) -> None:
        row = values[_PICK].T.astype(np.float64)
        row[self._slow[device], _RATE] = np.nan
        known = np.isfinite(row)
        np.add.at(self._sum, device, np.where(known, row, 0.0))
        np.add.at(self._count, device, known)

    def _close(self) -> list[DeviceAnomaly]:
        """End the bucket: score its means, and say what is worth it."""
        if self._bucket < 0:
            return []
        t_ns = (self._bucket + 1) * BUCKET_NS
        with np.errstate(invalid="ignore"):
            mean = np.where(self._count > 0, self._sum / np.maximum(self._count, 1.0), np.nan)
        heard = np.flatnonzero(self._count.sum(axis=1))
        self._sum[:], self._count[:] = 0.0, 0.0
        low, high = self._detector.expected(self._rows, _SHARE)
        when = np.full(len(self._rows), t_ns)
        # The score and not the onset: a bucket in which it begins may not yet be far enough out.
        score = self._detector.handle(self._rows, when, mean.ravel())[0].reshape(mean.shape)
        low, high = low.reshape(mean.shape), high.reshape(mean.shape)
        with np.errstate(invalid="ignore"):
            beyond = np.fmax(mean - high, low - mean) / _LEAST
            found = (score >= self.config.enter) & (beyond >= 1.0)
        devices, columns = np.nonzero(found)
        if not len(devices) or self._is_of_the_feed(devices, heard):
            return []
        candidates = [
            DeviceAnomaly(
                d, t_ns, NAMES[c], Side.HIGH if mean[d, c] > high[d, c] else Side.LOW,
                float(mean[d, c]), float(low[d, c]), float(high[d, c]), float(score[d, c]),
            )
            for d, c in zip(devices.tolist(), columns.tolist(), strict=True)
        ]
        return self._say(candidates, t_ns)

    def _is_of_the_feed(self, devices: NDArray[np.intp], heard: NDArray[np.intp]) -> bool:
        hit = len(np.unique(self._unit[devices]))
        there = len(np.unique(self._unit[heard]))
        if hit < max(self.config.shared_least, self.config.shared * there):
            return False
        self.counts["feed"] += hit
        return True

    def _say(self, candidates: list[DeviceAnomaly], t_ns: int) -> list[DeviceAnomaly]:
        """The strongest of each device, if none of its kind was said lately, within the rate."""
        config, said = self.config, []
        by_unit: dict[int, list[DeviceAnomaly]] = {}
        for one in candidates:
            by_unit.setdefault(int(self._unit[one.row]), []).append(one)
        for unit, mine in by_unit.items():
            mine.sort(key=lambda one: (-one.score, one.row, one.column))
            columns = [NAMES.index(one.column) for one in mine]
            fresh = t_ns >= self._quiet_until_ns[unit, columns]
            self._quiet_until_ns[unit, columns] = t_ns + int(config.quiet_s * 1e9)
            if not fresh.all():
                self.counts["quiet"] += 1
            elif t_ns - self._said_ns[0] < config.most_s * 1e9:
                self.counts["rate"] += 1
            else:
                self._said_ns = np.append(self._said_ns[1:], t_ns)
                # By column once each, the strongest first.
                also = tuple(dict.fromkeys(one.column for one in mine))[1:]
                said.append(replace(mine[0], also=also))
        return said
