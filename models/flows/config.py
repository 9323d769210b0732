"""Thresholds of the flow kernel, as one frozen value, and what they say about a metric.

Owns the defaults (DOMAIN B) and the algorithm version. Thresholds that belong to a person (zones,
sprint, heart rates, critical speed) are in the roster's `Subject`.
"""

from typing import Final, NamedTuple

ALGO_VERSION: Final = "flow-1.1"
STATE_STEP_NS: Final = 250_000_000
"""States are given at every multiple of this in event time."""
GRID_NS: Final = 10_000_000
"""Step of the 100 Hz grid on which event windows are sampled."""
FILTER: Final = "causal constant-acceleration Kalman, then two poles of 0.1 s for acceleration"


class FlowConfig(NamedTuple):
    """Metres, seconds, g (9.80665 m/s^2), degrees. `*_hold_s` is a minimum duration. A named tuple
    of floats, because compiled kernels read it as it is.

    effort_*     accelerations and decelerations: enter at |a|, leave below, hold, gap between two
    sprint_*     the speed is the subject's own; leave so much below it for so long
    impact_*     peak in g, standard deviations above own steps, and change of velocity or rotation
    touch_*      ball contact from positions alone: distance to a player and change of velocity
    kick_*       ball contact from the ball's own sensor
    carry_*      least straight length of a carry, and how far off the ball ends it
    """

    accel_tau_s: float = 0.10
    max_speed_mps: float = 13.0
    max_accel_mps2: float = 10.0
    effort_enter_mps2: float = 3.0
    effort_leave_mps2: float = 1.5
    effort_leave_s: float = 0.3
    effort_hold_s: float = 0.5
    effort_short_s: float = 0.3
    effort_gap_s: float = 0.5
    sprint_hold_s: float = 1.0
    sprint_leave_mps: float = 0.5
    sprint_leave_s: float = 0.5
    hmld_accel_mps2: float = 2.0
    turn_min_mps: float = 2.0
    turn_deg: float = 60.0
    impact_g: float = 5.0
    impact_sd: float = 4.0
    impact_dv_mps: float = 1.5
    impact_gyro_radps: float = 3.49
    impact_refractory_s: float = 1.0
    collision_m: float = 2.0
    fall_tilt_deg: float = 60.0
    man_down_s: float = 8.0
    jump_free_g: float = 0.4
    jump_push_g: float = 1.5
    jump_land_g: float = 2.5
    window_g: float = 4.0
    fatigue_amber: float = 0.6
    fatigue_red: float = 0.8
    fatigue_clear: float = 0.1
    fatigue_hold_s: float = 60.0
    ball_r_m: float = 0.10
    touch_m: float = 1.5
    touch_dv_mps: float = 4.0
    control_s: float = 0.3
    control_mps: float = 4.0
    ball_reach_z_m: float = 2.5
    kick_mps2: float = 300.0
    kick_refractory_s: float = 0.08
    pass_min_m: float = 3.0
    pass_max_s: float = 8.0
    shot_mps: float = 12.0
    shot_within_s: float = 1.5
    shot_margin_m: float = 0.5
    goal_sigma_m: float = 0.15
    carry_min_m: float = 3.0
    carry_lost_m: float = 3.0

    def check(self) -> None:
        """Asserts that the thresholds make sense together."""
        assert all(isinstance(value, float) for value in self), self
        assert 0 < self.effort_leave_mps2 <= self.effort_enter_mps2
        assert 0 < self.accel_tau_s < 1
        assert 0 < self.fatigue_amber <= self.fatigue_red < 1

    def describe(self) -> dict[str, float | str]:
        """Algorithm version, filter and thresholds: the metadata of every metric and event."""
        return {"algo_version": ALGO_VERSION, "filter": FILTER, **self._asdict()}
