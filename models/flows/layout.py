"""Where a flow keeps what: columns of the state rows, of the parameter rows, of the outputs.

State is three arrays with one row per subject: float64 `f`, int64 `i` (times in ns, counters) and
the Kalman row; numbers here are their columns. Kernels use these names as compile-time constants.
"""

from typing import Final

from models.gait.foot import FOOT_F
from models.gait.foot import FOOT_I as FOOT_INTS
from models.gait.strides import STRIDE_F, STRIDE_I
from models.gait.trunk import TRUNK_F
from models.gait.trunk import TRUNK_I as TRUNK_INTS

NONE_NS: Final = -(2**62)
"""A time that never was."""
NEVER: Final = 2**62
"""A time, or grid slot, that will not come."""

RING: Final = 256
BINS: Final = 31
BIN_NS: Final = 10_000_000_000
HISTORY: Final = 16
TRACK: Final = 32
PENDING: Final = 4
ALIVE, BY_SOURCE, BY_PLACE, NOT_BEGUN = range(4)
"""`K_DEAD`: who says that the ball is dead (`models.flows.ball_restart`); not begun: the ball of a
match that was never seen, or that waits at the centre for the kick-off."""

# ---- float64 columns of a person's state -------------------------------------------------------
(
    SPEED, LAG1, LAG2, ACCEL, DIST, Z1, Z2, Z3, Z4, Z5, HMLD, MAX_SPEED, SPRINT_DIST, WORK, POWER,
    DBAL, WBAL, LOAD, LOAD_SLOW, IMPACT_LOAD, HR, HR_TIME, HR_SUM, TRIMP_B, TRIMP_E, TRIMP_S,
    TRIMP_L, INTENSITY, POS_COVER, IMU_COVER, HR_COVER, TILT_X, TILT_Y, TILT_Z, STEP_TOP, ASYMMETRY,
    STEP_MEAN, STEP_VAR, STEP_PERIOD, PEAK_G, PUSH_G, FI, FI_LOW, FI_HIGH,
    BALL_X, BALL_Y, HELD0, HELD1, HELD2, HELD3, HELD4, HELD5, FELL_G,
    TURN_DEG, TURN_OLD, TURN_NOW, LAND_G, NEAR_M,
) = range(58)
BOUT_WIDTH: Final = 10
SPRINT: Final = 58
BOUT: Final = SPRINT + BOUT_WIDTH
EFFORT_UP: Final = BOUT + BOUT_WIDTH
EFFORT_DOWN: Final = EFFORT_UP + BOUT_WIDTH
HIST_X: Final = EFFORT_DOWN + BOUT_WIDTH
"""Velocity history: `HISTORY` pairs (vx, vy), newest at `HIST_AT`."""
PEND_G: Final = HIST_X + 2 * HISTORY
TRUNK: Final = PEND_G + PENDING
"""Gait (`models.gait`): trunk, left and right foot, strides."""
FOOT: Final = TRUNK + TRUNK_F
STRIDES: Final = FOOT + 2 * FOOT_F
MORE_F: Final = STRIDES + STRIDE_F
(
    ACC_LOW, ACC_MID, ACC_HIGH, DEC_LOW, DEC_MID, DEC_HIGH, MP_Z1, MP_Z2, MP_Z3, MP_Z4, MP_Z5,
    MP_Z6, HIGH_POWER, LOAD_FLAT, HIT_G, HR_Z1, HR_Z2, HR_Z3, HR_Z4, HR_Z5, RECOVERY_HR, RECOVERY,
    RR_LAST, RR_SUM, RR_PAIRS, RR_CLEAN_S, RR_ALL, RR_BAD, RMSSD, RR_ARTEFACTS, DRIFT, DBAL_LOW,
    MEAN_VX, MEAN_VY, RR_RING,
) = range(MORE_F, MORE_F + 35)
RR_KEPT: Final = 5
QUANTITIES: Final = 5
"""What the ring of seconds holds: distance, high-speed distance, PlayerLoad, work, efforts."""
SECONDS: Final = 300
WINDOWS_S: Final = (60, 180, 300)
MARKS: Final = 42
"""Every 30 s: sums for the drift of 20 minutes, heart rate 30 s later than work."""
SEEN: Final = RR_RING + RR_KEPT
WINDOW_SUM: Final = SEEN + QUANTITIES
WINDOW_PEAK: Final = WINDOW_SUM + QUANTITIES * len(WINDOWS_S)
PERSON_F: Final = WINDOW_PEAK + QUANTITIES * len(WINDOWS_S)

# ---- int64 columns of a person's state -----------------------------------------------------------
(
    T_FIRST, T_POS, T_IMU, T_HR, NEXT_STATE, NEXT_DUE, NEXT_GRID, EVENT_SEQ, POS_RANK, SPRINT_N,
    BOUT_N, ACC_N, DEC_N, ACC_SHORT_N, DEC_SHORT_N, IMPACT_N, COLLISION_N, JUMP_N, STEP_N, TURN_N,
    FALL_N, GATED_N, T_HIST, HIST_AT, T_TURN, T_GYRO, T_STEP, IMPACT_DUE, T_PEAK, T_IMPACT,
    T_FREE, T_PUSH, T_LANDING, FREE_NS, T_DOWN_FROM, T_DOWN_ARMED, T_TILTED,
    FATIGUE_LEVEL, T_ABOVE, BIN_AT, T_BALL, T_WINDOW, T_STEP_TOP,
    T_RED_ABOVE, FELL, T_LAST, PEND_NEXT, T_SETTLED, ASK_NEAR, NEAR_WHO,
    T_UPRIGHT,
) = range(51)
BOUT_I: Final = 4
SPRINT_I: Final = 51
BOUT_BOUT_I: Final = SPRINT_I + BOUT_I
EFFORT_UP_I: Final = BOUT_BOUT_I + BOUT_I
EFFORT_DOWN_I: Final = EFFORT_UP_I + BOUT_I
HIST_T: Final = EFFORT_DOWN_I + BOUT_I
PEND_GRID: Final = HIST_T + HISTORY
PEND_SEQ: Final = PEND_GRID + PENDING
PEND_T: Final = PEND_SEQ + PENDING
T_FOOT: Final = PEND_T + PENDING
"""Newest row of the left and of the right foot's sensor."""
T_TRUNK, T_TRUNK_BEFORE, SIDE, STEADY_N = range(T_FOOT + 2, T_FOOT + 6)
TRUNK_I: Final = T_FOOT + 6
FOOT_I: Final = TRUNK_I + TRUNK_INTS
STRIDES_I: Final = FOOT_I + 2 * FOOT_INTS
MORE_I: Final = STRIDES_I + STRIDE_I
(
    HIT_Z1, HIT_Z2, HIT_Z3, HIT_Z4, HIT_Z5, HIT_Z6, HIT_AT, T_HIT, T_MOVED, T_FAST, T_RECOVER,
    RECOVER_WAIT, T_RECOVERED, T_RR, RR_N, T_REST, T_RMSSD, HR_JUMP_N, T_JUMP, T_LOCK, LOCK_SAID,
    SECOND, SECOND_N, MARK_N,
) = range(MORE_I, MORE_I + 24)
PERSON_I: Final = MORE_I + 24

# ---- ten-second bins of a person (the last row sums the whole match) -----------------------------
B_TIME, B_DIST, B_HSR, B_LOAD, B_EFFORTS, B_WORK, B_HR, B_HR_TIME, B_DBAL = range(9)
BIN_WIDTH: Final = 9

# ---- ball state: float64, int64 ------------------------------------------------------------------
(
    KX, KY, KZ, KVX, KVY, KVZ, KPP, KPV, KVV, K_DIST, K_MAX, K_COVER, K_HOME_S, K_AWAY_S, K_IN_PLAY,
    K_NEAR, K_TOUCH_X, K_TOUCH_Y, K_OLD_X, K_OLD_Y, K_OLD_Z, K_SPEED,
    K_CROSS_Y, K_CROSS_Z, K_SHOT_X, K_SHOT_Y, K_ALIVE_S,
) = range(27)
TRACK_X: Final = 27
BALL_F: Final = TRACK_X + 3 * TRACK
(
    KT_FIRST, KT_POS, KT_IMU, KT_NEXT_STATE, KT_NEXT_DUE, K_SEQ, K_KICK_N, K_TOUCH_N, K_PASS_N,
    K_STEAL_N, K_SHOT_N, K_OUT_N, K_GOAL_N, K_TEAM, K_OWNER, KT_KICK, KT_TOUCH, K_TOUCHER,
    K_NEAREST, KT_NEAR, KT_SHOT_DUE, KT_SHOT, K_SHOOTER, K_OUTSIDE, K_GOAL_SENT, TRACK_AT,
    TRACK_N, KT_BOUND, K_REFUSED_N, KT_PASS, KT_LAST, K_HOME_TOUCHER, K_AWAY_TOUCHER,
) = range(33)
TRACK_T: Final = 33

# ---- ball state of stops, restarts and carries: after the tracks, so that old columns stay -------
(
    K_DEAD_S, K_LEFT_X, K_LEFT_Y, K_REST_X, K_REST_Y, K_SPOT_X, K_SPOT_Y, K_LINE_X, K_LINE_Y,
    K_CARRY_X, K_CARRY_Y, K_CARRY_END_X, K_CARRY_END_Y, K_CARRY_PATH, K_CARRY_SO_FAR, K_CARRIED_M,
    K_SPIN,
) = range(BALL_F, BALL_F + 17)
BALL_F_ALL: Final = BALL_F + 17
BALL_I: Final = TRACK_T + TRACK
(
    K_DEAD, KT_DEAD, K_LEFT, K_LEFT_TEAM, KT_REST, KT_SPOT, K_SPOT_WHO, KT_LINE, K_LINE_WHO,
    KT_PENDING, K_PENDING, K_STRAY, K_STRAY_N, K_KICK_OFF_N, K_THROW_IN_N, K_CORNER_N,
    K_GOAL_KICK_N, K_FREE_KICK_N, K_PENALTY_N, K_CARRIER, KT_CARRY, KT_CARRY_NEAR, K_CARRY_N,
    K_LOSS_N, KT_SHOT_TOUCH,
) = range(BALL_I, BALL_I + 25)
BALL_I_ALL: Final = BALL_I + 25

FLOATS: Final = max(PERSON_F, BALL_F_ALL)
INTS: Final = max(PERSON_I, BALL_I_ALL)

# ---- parameter row of a subject ------------------------------------------------------------------
(
    P_E1, P_E2, P_E3, P_E4, P_CS, P_DPRIME, P_CP, P_WPRIME, P_REST, P_HRMAX, P_WOMAN, P_TEAM,
    P_PERSON,
) = range(13)
PARAMS: Final = 13

# ---- state columns as given out, in order --------------------------------------------------------
PERSON_COLUMNS: Final = (
    "x_m", "y_m", "speed_mps", "accel_mps2", "distance_m", "z1_m", "z2_m", "z3_m", "z4_m", "z5_m",
    "hsr_m", "sprint_n", "sprint_m", "max_speed_mps", "acc_n", "dec_n", "acc_short_n",
    "dec_short_n", "bout_n", "turn_n", "impact_n", "collision_n", "fall_n", "jump_n", "step_n",
    "cadence_spm", "player_load_au", "player_load_slow_au", "impact_load_au", "hr_bpm",
    "hr_mean_bpm", "hr_pct", "trimp", "trimp_edwards", "trimp_stagno", "trimp_lucia", "dbal_m",
    "dbal_pct", "wbal_jkg", "metabolic_power_wkg", "metabolic_work_jkg", "hmld_m",
    "fatigue_index", "fatigue_low", "fatigue_high", "fatigue_level", "coverage", "imu_coverage",
    "hr_coverage", "age_ms", "imu_age_ms", "hr_age_ms", "intensity", "gated_n", "stride_rate_hz",
    "step_asymmetry_pct", "stride_cv_pct", "contact_time_s",
    "acc_low_m", "acc_mid_m", "acc_high_m", "dec_low_m", "dec_mid_m", "dec_high_m",
    "power_z1_s", "power_z2_s", "power_z3_s", "power_z4_s", "power_z5_s", "power_z6_s",
    "high_power_m", "equivalent_m", "edi", "distance_mpmin", "hsr_mpmin", "distance_5min_mpmin",
    "hsr_5min_mpmin", "efforts_5min_pmin", "peak_60s_distance_mpmin", "peak_180s_distance_mpmin",
    "peak_300s_distance_mpmin", "peak_60s_hsr_mpmin", "peak_180s_hsr_mpmin", "peak_300s_hsr_mpmin",
    "peak_60s_load_aupmin", "peak_180s_load_aupmin", "peak_300s_load_aupmin",
    "peak_60s_work_jkgpmin", "peak_180s_work_jkgpmin", "peak_300s_work_jkgpmin",
    "player_load_flat_au", "player_load_aupm", "player_load_aupmin", "player_load_5min_aupm",
    "impact_z1_n", "impact_z2_n", "impact_z3_n", "impact_z4_n", "impact_z5_n", "impact_z6_n",
    "hr_z1_s", "hr_z2_s", "hr_z3_s", "hr_z4_s", "hr_z5_s", "hr_recovery_bpm", "hr_recovery_age_ms",
    "rmssd_ms", "rmssd_age_ms", "rr_artefact_pct", "hr_jump_n", "hr_flag", "efficiency_wkgpbpm",
    "drift_pct", "dbal_low_s",
)
BALL_COLUMNS: Final = (
    "x_m", "y_m", "z_m", "speed_mps", "max_speed_mps", "distance_m", "kick_n", "touch_n",
    "poss_team", "poss_subject", "poss_home_s", "poss_away_s", "pass_n", "intercepted_n",
    "shot_n", "out_n",
    "goal_candidate_n", "in_play", "nearest_m", "coverage", "age_ms", "imu_age_ms", "refused_n",
    "kick_off_n", "throw_in_n", "corner_n", "goal_kick_n", "free_kick_n", "penalty_n", "dead_s",
    "carry_n", "carry_m", "loss_n",
)
STATE_WIDTH: Final = max(len(PERSON_COLUMNS), len(BALL_COLUMNS))
EVENT_INTS: Final = 7
"""Columns of an event's integers: subject, code, sub code, t_event, t_detected, seq, other."""
EVENT_FLOATS: Final = 11
"""Columns of an event's floats: x, y, x_end, y_end, confidence, then six metrics."""
