"""Kinds of sample stream: one kind is one channel layout (DOMAIN: device types and channels).

Owns channel names, units and hard bounds. A value outside a hard bound is physically impossible
for the channel and rejects the row; NaN is allowed only where `nullable` (it means "applies but
unknown"). Positions are pitch-centred metres (x goal to goal, y touchline, z up), accelerations
m/s^2 with gravity in the body frame. GNSS latitude and longitude are turned into pitch metres
while decoding (`models.telemetry.geo`), because float32 degrees are only good to about a metre.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Stream kinds. The value is the name used in files, topics and partitions."""

    GNSS = "gnss"
    LPS = "lps"
    IMU = "imu"
    HEART = "heart"
    BOOT = "boot"
    BALL_POS = "ball_pos"
    BALL_IMU = "ball_imu"
    GOAL_LINE = "goal_line"
    REFEREE = "referee"
    ANCHOR = "anchor"
    WEATHER = "weather"
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Channel:
    """One float32 column: its name (units at the end), its hard bounds, whether NaN may stand."""

    name: str
    low: float
    high: float
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class KindSpec:
    """The channel layout of a kind, in the row order of `SampleBlock.values`."""

    kind: Kind
    channels: tuple[Channel, ...]
    max_rate_hz: float
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(channel.name for channel in self.channels)
        object.__setattr__(self, "names", names)

    def index(self, name: str) -> int:
        """Row of channel `name` in `SampleBlock.values`; ValueError if the kind has none."""
        return self.names.index(name)


_ACC = tuple(Channel(f"acc_{axis}_mps2", -2000.0, 2000.0) for axis in "xyz")
_GYR = tuple(Channel(f"gyr_{axis}_radps", -70.0, 70.0, nullable=True) for axis in "xyz")
_MAG = tuple(Channel(f"mag_{axis}_ut", -5000.0, 5000.0, nullable=True) for axis in "xyz")
_TEMP = Channel("temp_c", -60.0, 125.0, nullable=True)
# Written by the edge, so that sums and peaks survive thinning: PlayerLoad of the interval that the
# row stands for, the largest |acc| in it, how many raw samples it merges (1 = full rate), and the
# part of PlayerLoad without the vertical axis.
_MERGED = (
    Channel("load_au", 0.0, 1e6, nullable=True),
    Channel("peak_mps2", 0.0, 4000.0, nullable=True),
    Channel("merged_n", 1.0, 1e4, nullable=True),
    Channel("load_flat_au", 0.0, 1e6, nullable=True),
)
_XY = (Channel("pos_x_m", -500.0, 500.0), Channel("pos_y_m", -500.0, 500.0))
_Z = Channel("pos_z_m", -50.0, 200.0, nullable=True)


def _spec(kind: Kind, max_rate_hz: float, *channels: Channel) -> KindSpec:
    return KindSpec(kind, tuple(channels), max_rate_hz)


KINDS: Final[dict[Kind, KindSpec]] = {
    spec.kind: spec
    for spec in (
        _spec(
            Kind.GNSS, 20.0, *_XY,
            Channel("speed_dop_mps", 0.0, 60.0, nullable=True),
            Channel("heading_rad", -7.0, 7.0, nullable=True),
            Channel("hdop", 0.0, 100.0, nullable=True),
            Channel("n_sats", 0.0, 64.0, nullable=True),
            Channel("pos_quality_pct", 0.0, 100.0, nullable=True),
        ),
        _spec(
            Kind.LPS, 120.0, *_XY, _Z,
            Channel("residual_m", 0.0, 1000.0, nullable=True),
            Channel("n_anchors", 0.0, 256.0, nullable=True),
            Channel("nlos_p", 0.0, 1.0, nullable=True),
        ),
        _spec(Kind.IMU, 2000.0, *_ACC, *_GYR, *_MAG, _TEMP, *_MERGED),
        _spec(
            Kind.HEART, 250.0,
            Channel("hr_bpm", 0.0, 260.0),
            Channel("rr_ms", 0.0, 5000.0, nullable=True),
            Channel("contact", 0.0, 1.0, nullable=True),
        ),
        _spec(
            Kind.BOOT, 1000.0, *_ACC, *_GYR,
            Channel("pressure_n", 0.0, 20000.0, nullable=True),
        ),
        _spec(
            Kind.BALL_POS, 200.0, *_XY, _Z,
            Channel("spin_radps", 0.0, 400.0, nullable=True),
            Channel("in_play", 0.0, 1.0, nullable=True),
        ),
        _spec(
            Kind.BALL_IMU, 2000.0,
            *(Channel(f"acc_{axis}_mps2", -20000.0, 20000.0) for axis in "xyz"),
            *_GYR,
            Channel("clip", 0.0, 1.0, nullable=True),
            Channel("pressure_kpa", 0.0, 400.0, nullable=True),
            *_MERGED,
        ),
        _spec(
            Kind.GOAL_LINE, 500.0,
            Channel("crossing", 0.0, 1.0),
            Channel("penetration_m", -10.0, 10.0, nullable=True),
            Channel("confidence", 0.0, 1.0, nullable=True),
            Channel("goal_id", 0.0, 1.0, nullable=True),
        ),
        _spec(
            Kind.REFEREE, 10.0,
            Channel("signal", 0.0, 255.0),
            Channel("ack", 0.0, 1.0, nullable=True),
        ),
        _spec(
            Kind.ANCHOR, 10.0,
            Channel("clock_offset_ns", -1e12, 1e12, nullable=True),
            Channel("rssi_dbm", -150.0, 20.0, nullable=True),
            Channel("blink_rate_hz", 0.0, 1000.0, nullable=True),
            _TEMP,
            Channel("link_quality", 0.0, 1.0, nullable=True),
            Channel("residual_m", 0.0, 1000.0, nullable=True),
        ),
        _spec(
            Kind.WEATHER, 1.0,
            Channel("air_temp_c", -60.0, 70.0),
            Channel("rel_humidity_pct", 0.0, 100.0, nullable=True),
            Channel("wbgt_c", -60.0, 70.0, nullable=True),
            Channel("wind_mps", 0.0, 100.0, nullable=True),
        ),
        _spec(
            Kind.HEALTH, 10.0,
            Channel("batt_v", 0.0, 60.0, nullable=True),
            Channel("batt_pct", 0.0, 100.0, nullable=True),
            Channel("rssi_dbm", -150.0, 20.0, nullable=True),
            Channel("loss_ratio", 0.0, 1.0, nullable=True),
            Channel("reboot_n", 0.0, 1e9, nullable=True),
            Channel("mem_pct", 0.0, 100.0, nullable=True),
            _TEMP,
        ),
    )
}

POSITION_KINDS: Final = (Kind.LPS, Kind.GNSS)
"""Kinds that say where an athlete is, best first (truth-source order when both are healthy)."""
PERSON_KINDS: Final = (*POSITION_KINDS, Kind.IMU, Kind.HEART, Kind.BOOT)
BALL_KINDS: Final = (Kind.BALL_POS, Kind.BALL_IMU)
FLOW_KINDS: Final = frozenset((*PERSON_KINDS, *BALL_KINDS))
"""What flows read: of a person, of a ball, of both."""
