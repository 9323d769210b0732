"""EdgeConfig: all tunables of the edge kernel, and how single device models are mounted.

Times ns, rates Hz, distances m, accelerations m/s^2. Defaults follow DOMAIN B11, B13, D2, D3.
"""

from dataclasses import dataclass, field

from models.errors import ConfigError

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Mount:
    """How devices of one roster `model` differ from the canonical frame and units.

    axes    signed permutation of the body axes: canonical (x, y, z) are the device's axes so named,
            e.g. (2, -1, 3) means x = device y, y = -device x
    scale   canonical acceleration = scale * reported (9.80665 for a device that reports g)
    origin  "centre" or "corner": corner positions are moved by half of the roster's pitch
    """

    model: str
    axes: tuple[int, int, int] = (1, 2, 3)
    scale: float = 1.0
    origin: str = "centre"

    def __post_init__(self) -> None:
        if sorted(abs(axis) for axis in self.axes) != [1, 2, 3]:
            raise ConfigError(f"mount {self.model}: axes {self.axes} are no signed permutation")
        if not self.scale > 0 or self.origin not in ("centre", "corner"):
            raise ConfigError(f"mount {self.model}: scale {self.scale}, origin {self.origin}")


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """See `cluster.settings.EdgeSettings` for the settings of the same names.

    A row is late when it is more than `lateness_ns` behind the watermark's clock, rejected beyond
    `late_bound_ns`; `future_bound_ns` holds after clock correction. Spikes are single samples that
    jump by more than the floor of their channel and leave the Hampel band (`hampel_k` scaled MAD of
    7). `max_pending_rows` bounds the reorder buffer of a kind; more rows are refused (RATE).
    """

    tick_ns: int = 100_000_000
    lateness_ns: int = 250_000_000
    late_bound_ns: int = 30 * SECOND_NS
    future_bound_ns: int = SECOND_NS
    thin: bool = True
    imu_hz: float = 50.0
    ball_imu_hz: float = 100.0
    position_hz: float = 25.0
    pre_roll_ns: int = 2 * SECOND_NS
    post_roll_ns: int = 5 * SECOND_NS
    hot_enter: float = 0.70
    hot_leave: float = 0.55
    hot_hold_ns: int = 2 * SECOND_NS
    hampel_k: float = 3.0
    spike_acc_mps2: float = 60.0
    spike_heart_bpm: float = 25.0
    spike_position_m: float = 1.0
    stuck_motion_ns: int = 200_000_000
    stuck_position_ns: int = 5 * SECOND_NS
    stuck_heart_ns: int = 20 * SECOND_NS
    silent_ns: int = 2 * SECOND_NS
    feed_gap_ns: int = SECOND_NS
    quiet_bound_ns: int = 600 * SECOND_NS
    max_pending_rows: int = 1 << 20
    mounts: tuple[Mount, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.tick_ns <= 0 or self.lateness_ns < 0 or self.late_bound_ns < self.lateness_ns:
            raise ConfigError("tick must be positive, and the late bound at least the lateness")
        if not 0 <= self.hot_leave <= self.hot_enter <= 1 or self.max_pending_rows < 1:
            raise ConfigError("hot_leave must not exceed hot_enter, and some rows must be pending")
        if min(self.imu_hz, self.ball_imu_hz, self.position_hz) <= 0:
            raise ConfigError("thinning rates must be positive")
