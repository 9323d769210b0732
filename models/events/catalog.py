"""Which events the flow kernel makes: code, name, names of the metrics, data class, priority.

The code is what compiled kernels write; everything else is added when an `Event` is built. Policy
classes: "tracking" (on the pitch, may be sold), "physical" (load of a person), "health". The class
"device" is of events that the edge and the supervisor make; they are not listed here.
"""

from dataclasses import dataclass
from typing import Final

(
    SPRINT, ACCELERATION, DECELERATION, BOUT, IMPACT, COLLISION, JUMP, FALL, TURN, FATIGUE_AMBER,
    FATIGUE_RED, FATIGUE_CLEAR, MAN_DOWN, KICK, GAIN, PASS, SHOT, GOAL_CANDIDATE, BALL_OUT,
    KICK_OFF, THROW_IN, CORNER, GOAL_KICK, FREE_KICK, PENALTY, CARRY, LOSS, HEART_RECOVERY,
    HEART_SUSPECT,
) = range(29)


@dataclass(frozen=True, slots=True)
class EventSpec:
    """`metrics` name the values in the order in which the kernel writes them, units at the end;
    `subs` name the sub types by number."""

    type: str
    metrics: tuple[str, ...]
    policy_class: str = "tracking"
    priority: str = "normal"
    subs: tuple[str, ...] = ("",)


_EFFORT = ("duration_s", "peak_mps2", "speed_before_mps", "speed_after_mps", "distance_m", "held_s")
_RUN = ("duration_s", "peak_mps", "mean_mps", "distance_m", "held_s", "threshold_mps")
_HIT = ("peak_g", "speed_mps", "dv_mps", "gyro", "other_m")
_FATIGUE = ("index", "low", "high", "minutes", "coverage", "dbal_share")
_RESTART = ("dead_s", "left_x_m", "left_y_m", "off_m")
_STOPPED = ("source", "geometry")
"""Who said that the ball was dead: the source's flag, or where it went and lay."""

CATALOG: Final[tuple[EventSpec, ...]] = (
    EventSpec("sprint", _RUN),
    EventSpec("acceleration", _EFFORT),
    EventSpec("deceleration", _EFFORT),
    EventSpec("high_intensity_bout", _RUN, "physical"),
    EventSpec("impact", _HIT, "physical"),
    EventSpec("collision", _HIT, "physical", "high"),
    EventSpec("jump", ("flight_s", "height_m", "push_g", "landing_g")),
    EventSpec("fall", ("peak_g", "tilt_deg"), "physical", "high"),
    EventSpec("change_of_direction", ("angle_deg", "speed_before_mps", "speed_after_mps")),
    EventSpec("fatigue_amber", _FATIGUE, "health", "high", ("rising", "falling")),
    EventSpec("fatigue_red", _FATIGUE, "health", "high", ("rising",)),
    EventSpec("fatigue_clear", _FATIGUE, "health", "normal", ("falling",)),
    EventSpec("man_down", ("down_s", "tilt_deg", "speed_mps"), "health", "medical"),
    EventSpec("kick", ("speed_mps", "peak_mps2", "distance_m"), subs=("position", "sensor")),
    EventSpec("possession_gain", ("held_s",), subs=("", "home", "away")),
    EventSpec(
        "pass", ("length_m", "duration_s", "speed_mps"), subs=("complete", "intercepted", "out"),
    ),
    EventSpec(
        "shot", (
            "speed_mps", "goal_distance_m", "arrives_s", "target_y_m", "target_z_m", "bend_m",
        ),
        priority="high", subs=("off_target", "on_target"),
    ),
    EventSpec(
        "goal_candidate", ("probability", "cross_y_m", "cross_z_m", "beyond_m", "speed_mps"),
        priority="high",
    ),
    EventSpec("ball_out", ("speed_mps",), subs=("touchline", "goal_line")),
    EventSpec("kick_off", _RESTART, subs=_STOPPED),
    EventSpec("throw_in", _RESTART, subs=_STOPPED),
    EventSpec("corner", _RESTART, subs=_STOPPED),
    EventSpec("goal_kick", _RESTART, subs=_STOPPED),
    EventSpec("free_kick", _RESTART, subs=_STOPPED),
    EventSpec("penalty", _RESTART, priority="high", subs=_STOPPED),
    EventSpec(
        "carry", ("length_m", "path_m", "duration_s", "speed_mps"),
        subs=("released", "taken", "stopped"),
    ),
    EventSpec("possession_loss", ("held_s",), subs=("", "home", "away")),
    EventSpec(
        "heart_rate_recovery", ("hr_end_bpm", "hr_after_bpm", "recovery_bpm", "after_s"), "health",
    ),
    EventSpec(
        "heart_rate_suspect", ("hr_bpm", "cadence_spm", "held_s"), "health",
        subs=("cadence_lock",),
    ),
)
