"""The edge kernel's configuration from the settings: they count in ms, the kernel in ns."""

from typing import Final

from cluster.settings import EdgeSettings
from models.edge.config import EdgeConfig
from models.errors import ConfigError

_MS_NS: Final = 1_000_000


def edge_config(settings: EdgeSettings) -> EdgeConfig:
    """The kernel's frozen configuration. Raises ConfigError."""
    if 1_000 % settings.tick_ms:
        raise ConfigError(f"edge.tick_ms: {settings.tick_ms} does not divide a second")
    return EdgeConfig(
        tick_ns=settings.tick_ms * _MS_NS, lateness_ns=settings.lateness_ms * _MS_NS,
        late_bound_ns=settings.late_bound_ms * _MS_NS,
        future_bound_ns=settings.future_bound_ms * _MS_NS, thin=settings.thin,
        imu_hz=settings.imu_hz, ball_imu_hz=settings.ball_imu_hz,
        position_hz=settings.position_hz, pre_roll_ns=settings.pre_roll_ms * _MS_NS,
        post_roll_ns=settings.post_roll_ms * _MS_NS, hot_enter=settings.hot_enter,
        hot_leave=settings.hot_leave, hot_hold_ns=settings.hot_hold_ms * _MS_NS,
    )
