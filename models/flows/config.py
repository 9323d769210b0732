"""Thresholds of the flow kernel, as one frozen value, and what they say about a metric.

Owns the defaults (DOMAIN B) and the algorithm version. Zones, sprint, heart rates and critical
speed of a person are in the roster's `Subject`; a roster may set every other threshold of a person
for one athlete or a group (`models.flows.limits`).
"""

from typing import Final, NamedTuple

ALGO_VERSION: Final = "flow-1.1"
STATE_STEP_NS: Final = 250_000_000
"""States are given at every multiple of this in event time."""
GRID_NS: Final = 10_000_000
"""Step of the 100 Hz grid on which event windows are sampled."""
FILTER: Final = "causal constant-acceleration Kalman, then two poles of 0.1 s for acceleration"

METABOLIC_MODELS: Final = ("di Prampero & Osgnach 2018", "Osgnach 2010")


class FlowConfig(NamedTuple):
    """Metres, seconds, g (9.80665 m/s^2), degrees. `*_hold_s` is a minimum duration. A named tuple
    of floats, because compiled kernels read it as it is.

    effort_*     accelerations and decelerations: enter at |a|, leave below, hold, gap between two
    sprint_*     the speed is the subject's own; leave so much below it for so long
    impact_*     peak in g, standard deviations above own steps, and change of velocity or rotation
    touch_*      ball contact from positions alone: distance to a player and change of velocity
    kick_*       ball contact from the ball's own sensor
    carry_*      least straight length of a carry, and how far off the ball ends it
    metabolic_model  0 di Prampero & Osgnach 2018, 1 Osgnach 2010
    band_*       lower edges of the bands of acceleration and deceleration distance
    power_z*     edges of the zones of metabolic power; high_power_wkg from where distance counts
    impact_z*    lower edges of the zones of felt peaks
    hr_z*, vt*   zones of heart rate and Lucia's thresholds, of HRmax; vt*_bpm 0 = by share
    recovery_*   heart rate recovery: from this share of HRmax, slower than this, over so long
    rest_*       rest for RMSSD: slower than this for so long
    hr_jump_*, hr_lock_*  implausible heart rates: change, and equality with the cadence
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
    metabolic_model: float = 0.0
    band_low_mps2: float = 1.0
    band_mid_mps2: float = 2.0
    band_high_mps2: float = 3.0
    power_z1_wkg: float = 5.0
    power_z2_wkg: float = 10.0
    power_z3_wkg: float = 20.0
    power_z4_wkg: float = 35.0
    power_z5_wkg: float = 55.0
    high_power_wkg: float = 20.0
    impact_z1_g: float = 5.0
    impact_z2_g: float = 6.0
    impact_z3_g: float = 6.5
    impact_z4_g: float = 7.0
    impact_z5_g: float = 8.0
    impact_z6_g: float = 10.0
    hr_z1_share: float = 0.5
    hr_z2_share: float = 0.6
    hr_z3_share: float = 0.7
    hr_z4_share: float = 0.8
    hr_z5_share: float = 0.9
    vt1_share: float = 0.75
    vt2_share: float = 0.90
    vt1_bpm: float = 0.0
    vt2_bpm: float = 0.0
    recovery_share: float = 0.80
    recovery_mps: float = 2.0
    recovery_s: float = 60.0
    rest_mps: float = 0.5
    rest_s: float = 60.0
    hr_jump_bpmps: float = 8.0
    hr_lock_bpm: float = 3.0
    hr_lock_s: float = 30.0

    def problem(self) -> str:
        """Which thresholds do not make sense together; empty when all do."""
        rising = (
            ("effort_leave_mps2", "effort_enter_mps2"), ("fatigue_amber", "fatigue_red"),
            ("band_low_mps2", "band_mid_mps2", "band_high_mps2"),
            tuple(f"power_z{n}_wkg" for n in range(1, 6)),
            tuple(f"impact_z{n}_g" for n in range(1, 7)),
            tuple(f"hr_z{n}_share" for n in range(1, 6)), ("vt1_share", "vt2_share"),
        )
        for names in rising:
            values = [getattr(self, name) for name in names]
            if values != sorted(values) or values[0] <= 0.0:
                return f"{' <= '.join(names)} does not hold, or is not above 0: {values}"
        if not 0.0 < self.accel_tau_s <= 1.0 or not self.fatigue_red < 1.0:
            return "accel_tau_s must lie in 0..1, fatigue_red below 1"
        if self.metabolic_model not in (0.0, 1.0):
            return "metabolic_model is 0 (di Prampero & Osgnach 2018) or 1 (Osgnach 2010)"
        if (self.vt1_bpm > 0.0) != (self.vt2_bpm > 0.0) or self.vt1_bpm > self.vt2_bpm:
            return "vt1_bpm and vt2_bpm belong together, in this order"
        return ""

    def check(self) -> None:
        """Asserts that the thresholds make sense together."""
        assert all(isinstance(value, float) for value in self), self
        assert not self.problem(), self.problem()

    def describe(self) -> dict[str, float | str]:
        """Algorithm version, filter and thresholds: the metadata of every metric and event."""
        model = METABOLIC_MODELS[int(self.metabolic_model)]
        said = {"algo_version": ALGO_VERSION, "filter": FILTER, "metabolic": model}
        return {**said, **self._asdict()}
