"""Thresholds that a roster may set for one athlete or one group: names, bounds, zone sets.

Owns which names exist and what range is plausible, as data. The values that hold where nobody says
otherwise are in `models.flows.config.FlowConfig` and in `Subject`. Units are in the names: m/s,
m/s^2, g (9.80665 m/s^2), W/kg, degrees, seconds, bpm; `*_share` is a part of the own maximum.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from models.errors import ConfigError

if TYPE_CHECKING:
    from models.telemetry.roster import Roster, Subject

KMH: Final = 1.0 / 3.6
ZONE_SETS: Final[dict[str, tuple[float, float, float, float]]] = {
    "fifa": (7 * KMH, 15 * KMH, 20 * KMH, 25 * KMH),
    "men": (2.0, 4.0, 5.5, 7.0),
    "women": (1.92, 3.46, 5.29, 6.26),
    "debs": (11 * KMH, 14 * KMH, 17 * KMH, 24 * KMH),
}
"""Edges of five speed zones, m/s; the third is the high-speed threshold, the fourth the sprint.
fifa: World Cup reports; men: 7.2, 14.4, 19.8, 25.2 km/h; women: Park 2019, lowest edge scaled;
debs: DEBS 2013 grand challenge, standing and trot as one zone."""

SUBJECT_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "sprint_mps": (2.0, 13.0), "high_speed_mps": (1.0, 12.0), "critical_speed_mps": (0.5, 8.0),
    "d_prime_m": (10.0, 1000.0), "hr_rest_bpm": (25.0, 120.0), "hr_max_bpm": (90.0, 240.0),
    "vmax_mps": (3.0, 13.0),
}
"""Thresholds that are fields of `Subject` too: a group's value holds where the field is untouched,
the athlete's own `thresholds` always."""
SHARE_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "high_speed_share": (0.30, 0.95), "sprint_share": (0.40, 1.0),
}
"""High speed and sprint as parts of the own `vmax_mps` (usual: 0.60-0.65 and 0.80-0.85)."""
HOT_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "hot_low_mps": (0.0, 12.0), "hot_high_mps": (0.1, 13.0), "hot_low_mps2": (0.0, 9.0),
    "hot_high_mps2": (0.1, 10.0), "hot_low_g": (1.0, 50.0), "hot_high_g": (1.1, 100.0),
}
"""Where the edge's intensity begins and where it is full: speed, acceleration, felt impact."""
HOT_DEFAULTS: Final = (4.0, 7.0, 2.0, 4.0, 4.0, 10.0)
FLOW_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "accel_tau_s": (0.01, 1.0), "max_speed_mps": (6.0, 13.0), "max_accel_mps2": (4.0, 20.0),
    "effort_enter_mps2": (0.5, 9.0), "effort_leave_mps2": (0.1, 9.0),
    "effort_leave_s": (0.0, 5.0), "effort_hold_s": (0.0, 5.0), "effort_short_s": (0.0, 5.0),
    "effort_gap_s": (0.0, 10.0), "sprint_hold_s": (0.0, 10.0), "sprint_leave_mps": (0.0, 3.0),
    "sprint_leave_s": (0.0, 5.0), "hmld_accel_mps2": (0.5, 9.0), "turn_min_mps": (0.5, 8.0),
    "turn_deg": (10.0, 180.0), "impact_g": (2.0, 50.0), "impact_sd": (0.0, 20.0),
    "impact_dv_mps": (0.1, 10.0), "impact_gyro_radps": (0.1, 60.0),
    "impact_refractory_s": (0.1, 10.0), "collision_m": (0.3, 10.0), "fall_tilt_deg": (41.0, 90.0),
    "man_down_s": (2.0, 60.0), "jump_free_g": (0.1, 0.9), "jump_push_g": (1.0, 5.0),
    "jump_land_g": (1.2, 10.0), "window_g": (2.0, 20.0), "fatigue_amber": (0.5, 0.95),
    "fatigue_red": (0.5, 0.99), "fatigue_clear": (0.01, 0.4), "fatigue_hold_s": (10.0, 600.0),
    "metabolic_model": (0.0, 1.0), "band_low_mps2": (0.3, 9.0), "band_mid_mps2": (0.4, 9.0),
    "band_high_mps2": (0.5, 9.0), "power_z1_wkg": (0.5, 99.0), "power_z2_wkg": (0.5, 99.0),
    "power_z3_wkg": (0.5, 99.0), "power_z4_wkg": (0.5, 99.0), "power_z5_wkg": (0.5, 99.0),
    "high_power_wkg": (5.0, 60.0), "impact_z1_g": (2.0, 50.0), "impact_z2_g": (2.0, 50.0),
    "impact_z3_g": (2.0, 50.0), "impact_z4_g": (2.0, 50.0), "impact_z5_g": (2.0, 50.0),
    "impact_z6_g": (2.0, 50.0), "hr_z1_share": (0.3, 1.0), "hr_z2_share": (0.3, 1.0),
    "hr_z3_share": (0.3, 1.0), "hr_z4_share": (0.3, 1.0), "hr_z5_share": (0.3, 1.0),
    "vt1_share": (0.4, 0.99), "vt2_share": (0.5, 1.0), "vt1_bpm": (0.0, 230.0),
    "vt2_bpm": (0.0, 235.0), "recovery_share": (0.5, 1.0), "recovery_mps": (0.3, 4.0),
    "recovery_s": (10.0, 300.0), "rest_mps": (0.1, 2.0), "rest_s": (30.0, 600.0),
    "hr_jump_bpmps": (2.0, 60.0), "hr_lock_bpm": (0.5, 10.0), "hr_lock_s": (10.0, 600.0),
}
"""Thresholds of the flow kernel that belong to a person; the ball's are the venue's."""
BOUNDS: Final = {**SUBJECT_BOUNDS, **SHARE_BOUNDS, **HOT_BOUNDS, **FLOW_BOUNDS}


def check_thresholds(where: str, given: Mapping[str, float | str]) -> None:
    """Raises ConfigError that names `where`, the threshold and what would be allowed."""
    for name, value in given.items():
        if name == "zones":
            if value not in ZONE_SETS:
                raise ConfigError(f"{where}: zone set {value!r}, not one of {sorted(ZONE_SETS)}")
            continue
        if name not in BOUNDS:
            raise ConfigError(f"{where}: no threshold is called {name!r}")
        low, high = BOUNDS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= float(value) <= high:
            raise ConfigError(f"{where}: {name} is {value!r}, not a number in {low}..{high}")


def thresholds_of(roster: "Roster", subject: "Subject") -> dict[str, float | str]:
    """What the group and then the subject itself set. Raises ConfigError for what is not known."""
    where = f"subject {subject.subject_id!r}"
    if subject.group and subject.group not in roster.groups:
        raise ConfigError(f"{where}: no group is called {subject.group!r}")
    group = roster.groups.get(subject.group, {})
    field = {"zones": subject.zones} if subject.zones else {}
    check_thresholds(f"group {subject.group!r}", group)
    check_thresholds(where, {**field, **subject.thresholds})
    return {**group, **field, **subject.thresholds}


def resolved(roster: "Roster", subject: "Subject") -> "Subject":
    """`subject` with the thresholds that hold for it in its fields; `zones` names its zone set.

    High speed and sprint come from a zone set, else from shares of the own top speed, else from
    their m/s. Raises ConfigError when a share lacks `vmax_mps`, when a zone set and a share are
    both given, or when sprint is not above high speed.
    """
    given = thresholds_of(roster, subject)
    fields: dict[str, float] = {}
    for name in SUBJECT_BOUNDS:
        untouched = getattr(subject, name) == _default(subject, name)
        if name in subject.thresholds or (name in given and untouched):
            fields[name] = float(given[name])
    found = replace(subject, **fields)  # type: ignore[arg-type]
    zones = str(given.get("zones", ""))
    shares = [name for name in SHARE_BOUNDS if name in given]
    where = f"subject {subject.subject_id!r}"
    if zones and shares:
        raise ConfigError(f"{where}: a zone set and {shares[0]} contradict each other")
    if shares and found.vmax_mps <= 0.0:
        raise ConfigError(f"{where}: {shares[0]} needs the own vmax_mps")
    if zones:
        edges = ZONE_SETS[zones]
        found = replace(found, high_speed_mps=edges[2], sprint_mps=edges[3], zones=zones)
    for name, field in zip(SHARE_BOUNDS, ("high_speed_mps", "sprint_mps"), strict=True):
        if name in given:
            own = float(given[name]) * found.vmax_mps
            found = replace(found, **{field: own})  # type: ignore[arg-type]
    if found.sprint_mps <= found.high_speed_mps or found.hr_max_bpm <= found.hr_rest_bpm:
        raise ConfigError(f"{where}: sprint must be above high speed, HRmax above HR at rest")
    return found


def hot_limits(roster: "Roster", subject: "Subject") -> tuple[float, ...]:
    """The six limits of the edge's intensity, in the order of `HOT_BOUNDS`. Raises ConfigError."""
    given = thresholds_of(roster, subject)
    found = tuple(
        float(given.get(name, value)) for name, value in zip(HOT_BOUNDS, HOT_DEFAULTS, strict=True)
    )
    if not (found[0] < found[1] and found[2] < found[3] and found[4] < found[5]):
        raise ConfigError(f"subject {subject.subject_id!r}: hot_low_* must lie below hot_high_*")
    return found


def check_roster(roster: "Roster") -> None:
    """Raises ConfigError for the first threshold in `roster` that cannot be used."""
    for name, given in roster.groups.items():
        check_thresholds(f"group {name!r}", given)
    for subject in roster.subjects:
        resolved(roster, subject)
        hot_limits(roster, subject)


def _default(subject: "Subject", name: str) -> float:
    value: Any = type(subject).__dataclass_fields__[name].default
    return float(value)
