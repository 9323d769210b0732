"""The catalogue of served metrics: unit, formula, window and data class of every column; where the
formula comes from, the filter, the thresholds and the version are the kernel's registry.

The page's tooltips, the metrics endpoint and the access filter read this one table. A column that
is not in it is not served to anybody: a new metric is invisible until someone says what it is.
Data classes are those of the access policy. Formulas are for people; the code that computes them is
`models.metrics`.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

from models.flows.config import FlowConfig
from models.metrics.registry import BALL_METRICS, PERSON_METRICS, about, event_rules

ALWAYS: Final = "always"
TRACKING: Final = "tracking"
PERFORMANCE: Final = "performance"
ON_BALL: Final = "on_the_ball"
HEALTH: Final = "health_biometric"
INDEX: Final = "health_index"
DEVICE: Final = "device_health"


@dataclass(frozen=True, slots=True)
class Metric:
    """One column. `period_s` is how often it is renewed in event time."""

    name: str
    label: str
    unit: str
    data_class: str
    formula: str
    window: str = "match so far"
    period_s: float = 0.25


_S, _N = "since kick-off", "now"
_ZONES: Final = (
    ("z1_m", "Zone 1"), ("z2_m", "Zone 2"), ("z3_m", "Zone 3"), ("z4_m", "Zone 4"),
    ("z5_m", "Zone 5"),
)

_LABELLED: Final = {
    m.name: m for m in (
        Metric("x_m", "x", "m", TRACKING, "Kalman position, pitch centre, goal to goal", _N),
        Metric("y_m", "y", "m", TRACKING, "Kalman position, pitch centre, touchline", _N),
        Metric("z_m", "z", "m", TRACKING, "Kalman position above the ground", _N),
        Metric(
            "speed_mps", "Speed", "m/s", TRACKING, "|v| of the constant-acceleration Kalman", _N,
        ),
        Metric(
            "accel_mps2", "Accel", "m/s²", TRACKING, "d|v|/dt along the track, causal filter", _N,
        ),
        Metric("distance_m", "Distance", "m", TRACKING, "Σ |v|·Δt where |v| ≥ 0.3 m/s"),
        *(
            Metric(name, label, "m", TRACKING, "distance in the speed zone (own thresholds)")
            for name, label in _ZONES
        ),
        Metric("hsr_m", "HSR", "m", TRACKING, "distance at ≥ own high speed (default 5.5 m/s)"),
        Metric("sprint_n", "Sprints", "", TRACKING, "≥ own sprint speed for ≥ 1.0 s, gaps < 0.5 s"),
        Metric("sprint_m", "Sprint dist", "m", TRACKING, "distance inside sprints"),
        Metric("max_speed_mps", "Top speed", "m/s", TRACKING, "largest filtered speed"),
        Metric("acc_n", "Acc", "", PERFORMANCE, "efforts a ≥ 3 m/s² held ≥ 0.5 s"),
        Metric("dec_n", "Dec", "", PERFORMANCE, "efforts a ≤ −3 m/s² held ≥ 0.5 s"),
        Metric("acc_short_n", "Acc 0.3 s", "", PERFORMANCE, "as Acc, held ≥ 0.3 s"),
        Metric("dec_short_n", "Dec 0.3 s", "", PERFORMANCE, "as Dec, held ≥ 0.3 s"),
        Metric("bout_n", "Bouts", "", PERFORMANCE, "high-intensity bouts"),
        Metric("turn_n", "Turns", "", PERFORMANCE, "changes of direction"),
        Metric("impact_n", "Impacts", "", PERFORMANCE, "|a| peaks ≥ 5 g, refractory 1 s"),
        Metric("collision_n", "Collisions", "", PERFORMANCE, "impacts with another player ≤ 2 m"),
        Metric("jump_n", "Jumps", "", PERFORMANCE, "free fall 0.2–0.8 s between push and landing"),
        Metric("step_n", "Steps", "", PERFORMANCE,
               "heel strikes of both foot sensors, else peaks of the trunk's |a| in 0.8–6 Hz"),
        Metric("cadence_spm", "Cadence", "1/min", PERFORMANCE, "60 / mean step period", "5 steps"),
        Metric("stride_rate_hz", "Stride rate", "Hz", PERFORMANCE, "cadence / 120", "5 steps"),
        Metric("step_asymmetry_pct", "Asymmetry", "%", PERFORMANCE,
               "(L − R) / mean step impulse; from the trunk its size only", "8 steps a side"),
        Metric("stride_cv_pct", "Stride CV", "%", PERFORMANCE, "SD / mean stride time",
               "16 strides"),
        Metric("contact_time_s", "Contact", "s", PERFORMANCE,
               "heel strike to toe-off; foot sensors only", "8 strides"),
        Metric("player_load_au", "PlayerLoad", "au", PERFORMANCE, "Σ |Δa| (g) / 100 at 100 Hz"),
        Metric("player_load_slow_au", "PL slow", "au", PERFORMANCE, "PlayerLoad where v < 2 m/s"),
        Metric("impact_load_au", "Impact load", "au", PERFORMANCE, "Σ (|a|−1)^1.5 where |a| ≥ 2 g"),
        Metric("metabolic_power_wkg", "Met. power", "W/kg", PERFORMANCE,
               "di Prampero & Osgnach 2018, relative load, cap 100", _N),
        Metric("metabolic_work_jkg", "Met. work", "J/kg", PERFORMANCE, "∫ metabolic power dt"),
        Metric("hmld_m", "HMLD", "m", PERFORMANCE, "distance with v > 5.5 m/s or |a| ≥ 2 m/s²"),
        Metric("intensity", "Intensity", "", TRACKING,
               "max of clipped speed, |a|, |a_imu| and ball scores", _N),
        Metric("hr_bpm", "HR", "bpm", HEALTH, "cleaned heart rate", _N, 1.0),
        Metric("hr_mean_bpm", "HR mean", "bpm", HEALTH, "time-weighted mean", _S, 1.0),
        Metric("hr_pct", "HR %", "%", HEALTH, "HR / own HRmax", _N, 1.0),
        Metric("trimp", "TRIMP", "au", HEALTH, "Banister: Σ min·r·0.64·e^(1.92 r) (men)", _S, 1.0),
        Metric(
            "trimp_edwards", "TRIMP Edwards", "au", HEALTH, "zones 50–100 % HRmax × 1…5", _S, 1.0,
        ),
        Metric("trimp_stagno", "TRIMP Stagno", "au", HEALTH, "Σ min·0.1225·e^(3.9434 r)", _S, 1.0),
        Metric(
            "trimp_lucia", "TRIMP Lucia", "au", HEALTH, "below VT1/mid/above × 1, 2, 3", _S, 1.0,
        ),
        Metric(
            "dbal_m", "D′ left", "m", INDEX, "D′bal: −(v−CS)·dt above CS, exact recovery below", _N,
        ),
        Metric(
            "dbal_pct", "D′ %", "%", INDEX, "D′bal / D′; a band: typical error 88 m", _N,
        ),
        Metric(
            "wbal_jkg", "W′ left", "J/kg", INDEX, "W′bal on metabolic power, exact recovery", _N,
        ),
        Metric("fatigue_index", "Fatigue", "", INDEX,
               "sigmoid(Σ wᵢ zᵢ): HI decline .25, PL/m .20, D′ .20, HR drift .20, acc decline .15;"
               " an indicator, not a medical device", "5 min", 10.0),
        Metric("fatigue_low", "Fatigue low", "", INDEX, "lower end of the interval", "5 min", 10.0),
        Metric(
            "fatigue_high", "Fatigue high", "", INDEX, "upper end of the interval", "5 min", 10.0,
        ),
        Metric("fatigue_level", "Fatigue level", "", INDEX,
               "0 clear, 1 amber ≥ 0.6 for 60 s, 2 red ≥ 0.8 for 60 s", "60 s", 10.0),
        Metric("coverage", "Coverage", "", ALWAYS, "share of the time with a valid position"),
        Metric("imu_coverage", "IMU coverage", "", ALWAYS, "share of the time with inertial data"),
        Metric("hr_coverage", "HR coverage", "", HEALTH, "share of the time with a heart rate"),
        Metric("imu_age_ms", "IMU age", "ms", ALWAYS, "since the last inertial sample", _N),
        Metric("refused_n", "Refused", "", ALWAYS, "ball positions refused by the filter"),
        Metric("minutes", "Minutes", "min", ALWAYS, "since the first row of the subject"),
        Metric("fall_n", "Falls", "", PERFORMANCE, "impact, then trunk tilt > 60°"),
        Metric("gated_n", "Gated", "", ALWAYS, "positions refused by the Kalman gate"),
        Metric(
            "trend_mpmin", "Trend", "m/min", TRACKING, "metres per minute per 10 s", "5 min", 10.0,
        ),
        Metric("kick_n", "Kicks", "", ON_BALL, "ball |a| ≥ 300 m/s² or clipped, refractory 80 ms"),
        Metric("touch_n", "Touches", "", ON_BALL, "hits with a nearest player ≤ 1.5 m"),
        Metric("pass_n", "Passes", "", ON_BALL, "hit by A, then control by B of the same team"),
        Metric("intercepted_n", "Intercepted", "", ON_BALL, "hit by A, control by the other team"),
        Metric("shot_n", "Shots", "", ON_BALL, "exit ≥ 12 m/s on a drag path towards the goal"),
        Metric("out_n", "Out", "", ON_BALL, "ball wholly over a line"),
        Metric("goal_candidate_n", "Goal cand.", "", ON_BALL, "p(ball wholly over the line) ≥ 0.5"),
        Metric("poss_team", "Possession", "", ON_BALL, "−1 nobody, 0 home, 1 away", _N),
        Metric("poss_subject", "In possession", "", ON_BALL, "subject row of the owner", _N),
        Metric("poss_subject_id", "In possession", "", ON_BALL, "subject of the owner", _N),
        Metric("poss_home_s", "Home poss.", "s", ON_BALL, "time in control"),
        Metric("poss_away_s", "Away poss.", "s", ON_BALL, "time in control"),
        Metric("in_play", "In play", "", ON_BALL, "ball inside the lines and alive", _N),
        Metric("nearest_m", "Nearest", "m", ON_BALL, "distance to the nearest player", _N),
        Metric("kick_off_n", "Kick-offs", "", ON_BALL, "restarts from the centre"),
        Metric("throw_in_n", "Throw-ins", "", ON_BALL, "restarts after the ball left by a side"),
        Metric("corner_n", "Corners", "", ON_BALL, "restarts from a corner arc"),
        Metric("goal_kick_n", "Goal kicks", "", ON_BALL, "restarts from a goal area"),
        Metric("free_kick_n", "Free kicks", "", ON_BALL, "restarts where the ball lay dead"),
        Metric("penalty_n", "Penalties", "", ON_BALL, "restarts from a penalty mark"),
        Metric("dead_s", "Out of play", "s", ON_BALL, "time that the ball was dead"),
        Metric("carry_n", "Carries", "", ON_BALL, "one player with the ball over ≥ 3 m"),
        Metric("carry_m", "Carried", "m", ON_BALL, "sum of the carries' lengths"),
        Metric("loss_n", "Losses", "", ON_BALL, "touches by the other team"),
    )
}

METRICS: Final[dict[str, Metric]] = _LABELLED | {
    name: Metric(name, name.rsplit("_", 1)[0].replace("_", " "), spec.unit,
                 spec.data_class, spec.about)
    for name, spec in PERSON_METRICS.items()
    if name not in _LABELLED and spec.data_class != "plain"
}
"""Columns without a label of their own are called by their name."""

PLAIN_KEYS: Final = frozenset({
    "subject_id", "role", "team", "number", "t_ns", "status", "algo_version", "age_ms",
    "received_age_ms", "stale", "low_coverage", "venue_id", "match_id", "final",
})
HEALTH_KEYS: Final = frozenset({"hr_age_ms", "hr_stale"})
TRACKING_KEYS: Final = frozenset({"hot"})
"""Keys of a served state that belong to no metric, and who may see them."""


def class_of(name: str) -> str:
    """The data class of a key of a state row; empty for one that nobody may see."""
    if name in METRICS:
        return METRICS[name].data_class
    if name in HEALTH_KEYS:
        return HEALTH
    if name in TRACKING_KEYS:
        return TRACKING
    return ALWAYS if name in PLAIN_KEYS else ""


def catalogue(classes: frozenset[str]) -> list[dict[str, Any]]:
    """The metrics that a caller with these data classes may see, each with what the registry says
    of it under `made`: source, filter, thresholds with their defaults, algorithm version."""
    seen, defaults = classes | {ALWAYS}, FlowConfig().describe()
    return [
        asdict(metric) | {"made": _made(metric.name, defaults)}
        for metric in METRICS.values() if metric.data_class in seen
    ]


def _made(name: str, defaults: dict[str, float | str]) -> dict[str, Any]:
    """The registry's entry of a column of persons, else of balls; empty for what is made later."""
    if name not in PERSON_METRICS and name not in BALL_METRICS:
        return {}
    said = about(name, defaults, ball=name not in PERSON_METRICS)
    return {
        key: said[key] for key in ("basis", "source", "filter", "thresholds", "algo_version")
    }


def events() -> list[dict[str, Any]]:
    """How every type of event is made: filter, thresholds with their defaults, version."""
    return event_rules(FlowConfig().describe())
