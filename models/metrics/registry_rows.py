"""The rows of the metric registry, as text: see `models.metrics.registry` for the columns.

names | unit | data class | filter | thresholds | basis (P, A, R, C) | source | what it is
"""

from typing import Final

PERSON_ROWS: Final = """
x_m y_m | m | tracking | speed | | R | | filtered place at its last update
speed_mps | m/s | tracking | speed | max_speed_mps | R | | speed over the ground
accel_mps2 | m/s² | tracking | accel | accel_tau_s max_accel_mps2 | R | | along the track
distance_m | m | tracking | speed | max_speed_mps | R | | speed over time where speed >= 0.3 m/s
z1_m z2_m z3_m z4_m z5_m | m | tracking | speed | zones high_speed_mps sprint_mps | A | Park \
  2019, FIFA | distance by speed zone
hsr_m | m | tracking | speed | zones high_speed_mps | A | Bradley & Vescovi 2015 | distance at \
  or above the own high speed
sprint_n sprint_m | 1, m | tracking | speed | zones sprint_mps sprint_hold_s sprint_leave_mps \
  sprint_leave_s | C | Sweeting 2017 | sprints and the distance inside them
max_speed_mps | m/s | tracking | speed | max_speed_mps | R | | largest speed
acc_n dec_n | 1 | performance | accel | effort_enter_mps2 effort_leave_mps2 effort_leave_s \
  effort_hold_s effort_gap_s | A | Delves 2021 | efforts held for effort_hold_s
acc_short_n dec_short_n | 1 | performance | accel | effort_enter_mps2 effort_leave_mps2 \
  effort_leave_s effort_short_s effort_gap_s | A | Silva 2023 | efforts held for effort_short_s
bout_n | 1 | performance | speed | high_speed_mps sprint_hold_s sprint_leave_mps sprint_leave_s \
  | C | | high-intensity bouts
turn_n | 1 | performance | speed | turn_deg turn_min_mps | C | | changes of direction
impact_n | 1 | performance | motion | impact_g impact_sd impact_dv_mps impact_gyro_radps \
  impact_refractory_s | C | | impacts with nobody near
collision_n | 1 | performance | motion | impact_g impact_sd impact_dv_mps impact_gyro_radps \
  impact_refractory_s collision_m | C | | impacts with somebody near
fall_n | 1 | performance | motion | fall_tilt_deg window_g | C | | falls
jump_n | 1 | performance | motion | jump_free_g jump_push_g jump_land_g | C | | jumps
step_n cadence_spm | 1, 1/min | performance | steps | | A | band-pass and peak rule, \
  models.gait | steps; steps per minute
stride_rate_hz | Hz | performance | steps | | R | | half of the step rate
step_asymmetry_pct | % | performance | motion | | A | KINEXON step balance | (L - R) / mean of \
  the step impulses; without feet the size only
stride_cv_pct | % | performance | steps | | R | | SD over mean of the last 16 stride times
contact_time_s | s | performance | feet | | R | | heel strike to toe-off, last 8 or so
player_load_au | au | performance | load | | P | Boyd 2011 | sum of |da| / (100 g) at 100 Hz
player_load_slow_au | au | performance | load | | P | Boyd 2011 | PlayerLoad below 2 m/s
impact_load_au | au | performance | motion | | R | | sum of (peak/g - 2)^1.5 over steps
hr_bpm | bpm | health_biometric | heart | | R | | newest heart rate
hr_mean_bpm | bpm | health_biometric | heart | | R | | time-weighted mean
hr_pct | % | health_biometric | heart | hr_max_bpm | R | | of the own HRmax
trimp | au | health_biometric | heart | hr_rest_bpm hr_max_bpm | P | Banister 1991 | minutes \
  times r 0.64 e^(1.92 r), women r 0.86 e^(1.67 r)
trimp_edwards | au | health_biometric | heart | hr_max_bpm | P | Edwards 1993 | zones of 50..100 \
  % HRmax times 1..5
trimp_stagno | au | health_biometric | heart | hr_rest_bpm hr_max_bpm | P | Stagno 2007 | \
  minutes times 0.1225 e^(3.9434 r)
trimp_lucia | au | health_biometric | heart | vt1_bpm vt2_bpm vt1_share vt2_share hr_max_bpm | P \
  | Lucia 2003 | below VT1, between, above VT2 times 1, 2, 3
dbal_m dbal_pct | m, % | health_index | speed | critical_speed_mps d_prime_m | P | Skiba 2012, \
  differential form | distance left above critical speed
wbal_jkg | J/kg | health_index | accel | critical_speed_mps d_prime_m metabolic_model | P | \
  Skiba 2012, differential form | work left above critical power
metabolic_power_wkg | W/kg | performance | accel | metabolic_model | P | di Prampero & Osgnach \
  2018; Osgnach 2010 | metabolic power, 0..100
metabolic_work_jkg | J/kg | performance | accel | metabolic_model | P | di Prampero & Osgnach \
  2018; Osgnach 2010 | its integral
hmld_m | m | performance | accel | high_speed_mps hmld_accel_mps2 | A | STATSports | distance at \
  high speed or high acceleration
fatigue_index fatigue_low fatigue_high | 1 | health_index | accel | | R | DOMAIN B9 | deviation \
  from the own match so far, and its band
fatigue_level | 1 | health_index | accel | fatigue_amber fatigue_red fatigue_clear \
  fatigue_hold_s | R | | 0 clear, 1 amber, 2 red
coverage | 1 | plain | none | | R | | share of time with positions
imu_coverage | 1 | plain | none | | R | | share of time with motion
hr_coverage | 1 | health_biometric | none | | R | | share of time with a heart rate
age_ms imu_age_ms | ms | plain | none | | R | | age of the newest position; motion row
hr_age_ms | ms | health_biometric | none | | R | | age of the newest heart rate
intensity | 1 | tracking | accel | sprint_mps | R | | max(v/s, P/60, |a|/5), 1 s memory
gated_n | 1 | plain | speed | | C | | positions that the filter refused
acc_low_m acc_mid_m acc_high_m | m | performance | accel | band_low_mps2 band_mid_mps2 \
  band_high_mps2 | P | Akenhead 2013 | distance while accelerating, by band
dec_low_m dec_mid_m dec_high_m | m | performance | accel | band_low_mps2 band_mid_mps2 \
  band_high_mps2 | P | Akenhead 2013 | distance while decelerating, by band
power_z1_s power_z2_s power_z3_s power_z4_s power_z5_s power_z6_s | s | performance | accel | \
  metabolic_model power_z1_wkg power_z2_wkg power_z3_wkg power_z4_wkg power_z5_wkg | P | Osgnach \
  2010 | time by zone of metabolic power
high_power_m | m | performance | accel | metabolic_model high_power_wkg | P | Osgnach 2010 | \
  distance at high metabolic power
equivalent_m edi | m, 1 | performance | accel | metabolic_model | P | Osgnach 2010 | work / (3.6 \
  KT), KT 1.29; over the distance
distance_mpmin hsr_mpmin | m/min | tracking | speed | high_speed_mps | R | | per minute with \
  positions
distance_5min_mpmin hsr_5min_mpmin | m/min | tracking | speed | high_speed_mps | A | Mohr 2003 | \
  of the last 5 minutes, rolling by seconds
efforts_5min_pmin | 1/min | performance | accel | effort_enter_mps2 effort_hold_s | A | Akenhead \
  2013 | accelerations and decelerations of the last 5 minutes
peak_60s_distance_mpmin peak_180s_distance_mpmin peak_300s_distance_mpmin | m/min | tracking | \
  speed | | R | | most demanding window, rolling by seconds
peak_60s_hsr_mpmin peak_180s_hsr_mpmin peak_300s_hsr_mpmin | m/min | tracking | speed | \
  high_speed_mps | R | | most demanding window, rolling by seconds
peak_60s_load_aupmin peak_180s_load_aupmin peak_300s_load_aupmin | au/min | performance | load | \
  | R | | most demanding window, rolling by seconds
peak_60s_work_jkgpmin peak_180s_work_jkgpmin peak_300s_work_jkgpmin | J/kg/min | performance | \
  accel | metabolic_model | R | | most demanding window, rolling by seconds
player_load_flat_au | au | performance | load | | P | Boyd 2011 | PlayerLoad without the \
  vertical axis
player_load_aupm | au/m | performance | load | | P | Barrett 2015 | PlayerLoad per metre, from \
  50 m on
player_load_aupmin | au/min | performance | load | | P | Boyd 2011 | PlayerLoad per minute with \
  motion
player_load_5min_aupm | au/m | performance | load | | A | Barrett 2015 | PlayerLoad per metre of \
  the last 5 minutes
impact_z1_n impact_z2_n impact_z3_n impact_z4_n impact_z5_n impact_z6_n | 1 | performance | \
  motion | impact_z1_g impact_z2_g impact_z3_g impact_z4_g impact_z5_g impact_z6_g | P | \
  Cunniffe 2009 | felt peaks by size, 0.1 s apart
hr_z1_s hr_z2_s hr_z3_s hr_z4_s hr_z5_s | s | health_biometric | heart | hr_max_bpm hr_z1_share \
  hr_z2_share hr_z3_share hr_z4_share hr_z5_share | P | Edwards 1993 | time by zone of HRmax
hr_recovery_bpm hr_recovery_age_ms | bpm, ms | health_biometric | heart | hr_max_bpm \
  recovery_share recovery_mps recovery_s | A | KINEXON heart_rate_recovery | fall of heart rate \
  a minute after the last effort
rmssd_ms rmssd_age_ms | ms | health_biometric | rr | rest_mps rest_s | P | Task Force 1996 | \
  RMSSD of the last clean stretch of rest
rr_artefact_pct | % | health_biometric | rr | rest_mps rest_s | R | | intervals rejected in the \
  last stretch of rest
hr_jump_n hr_flag | 1 | health_biometric | heart | hr_jump_bpmps hr_lock_bpm hr_lock_s | R | | \
  jumps of the rate; 1 jump within 5 s, 2 follows the cadence
efficiency_wkgpbpm | W/kg/bpm | health_index | heart | metabolic_model | P | Coggan | mean \
  metabolic power over mean heart rate
drift_pct | % | health_index | heart | metabolic_model | P | Coggan | (EF1 - EF2) / EF1 of the \
  last 20 minutes, heart rate 30 s later
dbal_low_s | s | health_index | speed | critical_speed_mps d_prime_m | A | Skiba 2012 | time with \
  less than a quarter of D' left
"""
BALL_ROWS: Final = """
x_m y_m z_m | m | tracking | ball | | R | | filtered place
speed_mps max_speed_mps distance_m | m/s, m/s, m | tracking | ball | | R | \
  | speed, largest speed, way
kick_n touch_n | 1 | on_the_ball | ball | touch_m touch_dv_mps kick_mps2 kick_refractory_s | C | \
  | kicks; touches
poss_team poss_subject | 1 | on_the_ball | ball | touch_m control_s control_mps | R | | who \
  touched last
poss_home_s poss_away_s | s | on_the_ball | ball | touch_m control_s control_mps | R | | for how \
  long in play
pass_n intercepted_n | 1 | on_the_ball | ball | pass_min_m pass_max_s touch_m | C | | passes, \
  complete; intercepted
shot_n | 1 | on_the_ball | ball | shot_mps shot_within_s shot_margin_m | C | | shots
out_n | 1 | on_the_ball | ball | | C | | ball wholly over a line
goal_candidate_n | 1 | on_the_ball | ball | goal_sigma_m ball_r_m | C | | never a confirmed goal
in_play nearest_m | 1, m | on_the_ball | none | | R | | as the source says; nearest player
coverage | 1 | plain | none | | R | | share of time with positions
age_ms imu_age_ms | ms | plain | none | | R | | age of the newest position; motion row
refused_n | 1 | plain | ball | | C | | positions that the filter refused
kick_off_n throw_in_n corner_n goal_kick_n free_kick_n penalty_n | 1 | on_the_ball | ball | | C \
  | laws of the game | set pieces
dead_s | s | on_the_ball | ball | | R | laws of the game | time out of play
carry_n carry_m | 1, m | on_the_ball | ball | carry_min_m carry_lost_m touch_m | C | | carries; \
  the sum of their lengths
loss_n | 1 | on_the_ball | ball | touch_m | C | | possession losses
"""
