"""The contract of the nets: names, shapes, feature order, units. Imports no torch.

Owns what a caller must know to feed a net and read its answer, nothing of how a net works. Whoever
makes inputs (flow kernel, failure tracker) and whoever serves nets imports only this.

    name      input row                          output row
    event     EVENT_WINDOW float32               len(EVENT_CLASSES) class probabilities, sum 1
    fatigue   (len(FATIGUE_FEATURES),) float32   (low, mid, high) fatigue index in [0, 1], ascending
    failure   (len(FAILURE_FEATURES),) float32   p_fail, then len(FAULT_CLASSES) probabilities

NaN in an input means "unknown" for fatigue and failure features, and is allowed. In event windows
missing samples are held or zero, never NaN.
"""

from typing import Final

NET_NAMES: Final = ("event", "fatigue", "failure")

EVENT_CLASSES: Final = ("none", "impact", "collision", "fall", "jump")
EVENT_CHANNELS: Final = (
    "acc_x_g", "acc_y_g", "acc_z_g", "gyr_x_radps", "gyr_y_radps", "gyr_z_radps",
    "speed_mps", "accel_mps2", "ball_distance_m",
)
"""Body frame with gravity (g); speed along the track and its derivative; distance athlete to ball,
capped at `BALL_DISTANCE_CAP_M`, which also stands for "ball unknown"."""
EVENT_RATE_HZ: Final = 100.0
EVENT_WINDOW: Final = (9, 256)
"""Channels by samples of the 100 Hz grid: 2.56 s, the peak of |acc| at index `EVENT_PEAK_INDEX`."""
EVENT_PEAK_INDEX: Final = 128
BALL_DISTANCE_CAP_M: Final = 60.0

FATIGUE_FEATURES: Final = (
    "hi_decline_z", "pl_per_m_z", "dbal_frac", "hr_drift_z", "acc_decline_z", "minutes", "coverage",
    "rule_index",
)
"""z scores grow with fatigue (0 = own baseline); `dbal_frac` is the D' balance left in [0, 1];
`minutes` since the first row of the athlete; `coverage` and `rule_index` (DOMAIN B9) in [0, 1]."""
FATIGUE_OUTPUTS: Final = ("low", "mid", "high")

HEALTH_COLUMNS: Final = (
    "rx_n", "lost_n", "loss_ewma", "rate_ratio", "batt_v", "batt_pct", "batt_slope_vph", "rssi_dbm",
    "rssi_slope", "spike_rate", "stuck_n", "clip_n", "noise_ratio", "clock_offset_ns", "clock_ppm",
    "reboot_n", "age_s",
)
"""The edge's health row of a device, once per second (same names and order as the edge writes)."""
FAILURE_TREND_COLUMNS: Final = (
    "minutes", "loss_mean", "loss_slope_pmin", "rate_mean", "rate_min", "batt_v_mean",
    "batt_v_slope_pmin", "rssi_mean", "rssi_slope_pmin", "spike_mean", "spike_slope_pmin",
    "stuck_mean", "clip_mean", "noise_mean", "noise_slope_pmin", "offset_step_ms", "reboots_recent",
    "age_max_s",
)
"""What `models.nets.tracker.FailureTracker` adds: the time, and levels and slopes over minutes."""
FAILURE_FEATURES: Final = HEALTH_COLUMNS + FAILURE_TREND_COLUMNS
FAULT_CLASSES: Final = (
    "none", "dropout", "stuck", "spikes", "noise", "battery", "clock", "saturation",
)
FAILURE_OUTPUTS: Final = ("p_fail", *FAULT_CLASSES)
FAILURE_HORIZON_S: Final = 600.0
"""p_fail: the device becomes unusable for >= 30 s, beginning within this horizon from now."""
FAILURE_ALARM: Final = 0.8
"""p_fail from which an alarm is raised, live and for the failure card; one alarm holds for
`FAILURE_HORIZON_S`."""

INPUT_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "event": EVENT_WINDOW,
    "fatigue": (len(FATIGUE_FEATURES),),
    "failure": (len(FAILURE_FEATURES),),
}
OUTPUT_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "event": EVENT_CLASSES,
    "fatigue": FATIGUE_OUTPUTS,
    "failure": FAILURE_OUTPUTS,
}
