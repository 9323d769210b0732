"""Who may see what: roles, data classes, purposes, and the one decision about them.

Deny by default: what is not granted here is denied; a column without a class is shown to nobody.
The matrix follows the five data categories of the players' unions (personal, performance, on the
ball, tracking, health) with three of our own: indices derived from health, coarse tracking, and the
health of devices. Betting can never be granted health: no consent or purpose leads there. Research
reads no live data, it exports from the pseudonymised cold tier. Pure: no I/O, no clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Who a caller is to us; the `role` claim of an access token."""

    COACH = "coach"
    MEDICAL = "medical"
    PERFORMANCE = "performance"
    BROADCASTER = "broadcaster"
    BETTING = "betting"
    OPS = "ops"
    RESEARCH = "research"
    LEAGUE = "league"
    DEVICE_GATEWAY = "device-gateway"
    SERVICE = "service"
    ATHLETE = "athlete"


class DataClass(StrEnum):
    """What a value is about."""

    PERSONAL = "personal"
    PERFORMANCE = "performance"
    ON_THE_BALL = "on_the_ball"
    TRACKING = "tracking"
    TRACKING_COARSE = "tracking_coarse"
    HEALTH_BIOMETRIC = "health_biometric"
    HEALTH_INDEX = "health_index"
    DEVICE_HEALTH = "device_health"


class Purpose(StrEnum):
    """What the data is for. No role may ask for contract or insurance purposes."""

    COACHING = "coaching"
    CARE = "care"
    BROADCAST = "broadcast"
    BETTING = "betting"
    OPERATIONS = "operations"
    RESEARCH = "research"
    GOVERNANCE = "governance"
    PROCESSING = "processing"
    OWN_DATA = "own_data"
    CONTRACT = "contract"
    INSURANCE = "insurance"


class Action(StrEnum):
    """What a caller wants to do; seeing data needs READ or LIVE and the data class."""

    READ = "read"
    LIVE = "live"
    INGEST = "ingest"
    OPERATE = "operate"
    EXPORT = "export"
    AUDIT = "audit"


class Why(StrEnum):
    """The reason of a decision."""

    GRANTED = "granted"
    OPTED_IN = "the athlete has opted in"
    CLASS_NOT_GRANTED = "the role has no access to this data class"
    ACTION_NOT_GRANTED = "the role may not do this"
    PURPOSE_FORBIDDEN = "no data is given for this purpose"
    PURPOSE_OF_OTHERS = "the purpose is not one of the role's"
    OTHER_TEAM = "the athlete is of another team"
    OTHER_ATHLETE = "the data is of another athlete"
    OTHER_VENUE = "the token does not cover this venue"
    NOT_A_NAME = "no such role, class, action or purpose"


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. `kind` is person, service or device; `team` "*" means every team.

    `venues` empty means every venue; `athlete_id` is whose own data an athlete may see.
    """

    subject: str
    role: Role
    kind: str = "person"
    team: str = ""
    venues: tuple[str, ...] = ()
    athlete_id: str = ""
    token_id: str = ""
    expires_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """Whose data it is. `consents` are what this athlete has agreed to."""

    venue_id: str = ""
    team: str = ""
    athlete_id: str = ""
    consents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its reason, ready for the audit log."""

    allow: bool
    reason: Why


BROADCAST_HEALTH_CONSENT: Final = "broadcast_health"

_C = DataClass
_FIELD: Final = frozenset({_C.PERFORMANCE, _C.ON_THE_BALL, _C.TRACKING})
_HEALTH: Final = frozenset({_C.HEALTH_BIOMETRIC, _C.HEALTH_INDEX})
GRANTS: Final[Mapping[Role, frozenset[DataClass]]] = {
    Role.COACH: _FIELD | {_C.HEALTH_INDEX},
    Role.MEDICAL: frozenset(_C),
    Role.PERFORMANCE: _FIELD | _HEALTH | {_C.DEVICE_HEALTH},
    Role.BROADCASTER: frozenset({_C.ON_THE_BALL, _C.TRACKING}),
    Role.BETTING: frozenset({_C.ON_THE_BALL, _C.TRACKING_COARSE}),
    Role.OPS: frozenset({_C.DEVICE_HEALTH}),
    Role.RESEARCH: _FIELD | {_C.HEALTH_INDEX},
    Role.LEAGUE: _FIELD,
    Role.DEVICE_GATEWAY: frozenset(),
    Role.SERVICE: frozenset(_C),
    Role.ATHLETE: _FIELD | _HEALTH | {_C.PERSONAL},
}
PURPOSES: Final[Mapping[Role, frozenset[Purpose]]] = {
    Role.COACH: frozenset({Purpose.COACHING}),
    Role.MEDICAL: frozenset({Purpose.CARE}),
    Role.PERFORMANCE: frozenset({Purpose.COACHING, Purpose.CARE}),
    Role.BROADCASTER: frozenset({Purpose.BROADCAST}),
    Role.BETTING: frozenset({Purpose.BETTING}),
    Role.OPS: frozenset({Purpose.OPERATIONS}),
    Role.RESEARCH: frozenset({Purpose.RESEARCH}),
    Role.LEAGUE: frozenset({Purpose.GOVERNANCE}),
    Role.DEVICE_GATEWAY: frozenset({Purpose.PROCESSING}),
    Role.SERVICE: frozenset({Purpose.PROCESSING}),
    Role.ATHLETE: frozenset({Purpose.OWN_DATA}),
}
_SEE: Final = frozenset({Action.READ, Action.LIVE})
ACTIONS: Final[Mapping[Role, frozenset[Action]]] = {
    Role.COACH: _SEE,
    Role.MEDICAL: _SEE | {Action.EXPORT},
    Role.PERFORMANCE: _SEE | {Action.EXPORT},
    Role.BROADCASTER: _SEE,
    Role.BETTING: _SEE,
    Role.OPS: _SEE | {Action.OPERATE, Action.AUDIT},
    Role.RESEARCH: frozenset({Action.EXPORT}),
    Role.LEAGUE: _SEE | {Action.EXPORT, Action.AUDIT},
    Role.DEVICE_GATEWAY: frozenset({Action.INGEST}),
    Role.SERVICE: _SEE | {Action.INGEST, Action.OPERATE},
    Role.ATHLETE: _SEE,
}
_TEAM_ROLES: Final = frozenset({Role.COACH, Role.MEDICAL, Role.PERFORMANCE})
# Both teams see each other on the pitch; what a body does and how it fares stays with its own team.
_OPEN_TO_OPPONENTS: Final = frozenset({_C.ON_THE_BALL, _C.TRACKING, _C.TRACKING_COARSE})


def decide(
    principal: Principal, data_class: str, purpose: str, target: Target | None = None
) -> Decision:
    """Whether `principal` may see `data_class` for `purpose`, of `target` if one is named."""
    if data_class not in set(DataClass) or purpose not in set(Purpose):
        return Decision(False, Why.NOT_A_NAME)
    role, wanted = principal.role, DataClass(data_class)
    if purpose in (Purpose.CONTRACT, Purpose.INSURANCE):
        return Decision(False, Why.PURPOSE_FORBIDDEN)
    if Purpose(purpose) not in PURPOSES[role]:
        return Decision(False, Why.PURPOSE_OF_OTHERS)
    consents = target.consents if target else frozenset()
    if wanted not in classes_of(role, consents):
        return Decision(False, Why.CLASS_NOT_GRANTED)
    refusal = _reach(principal, wanted, target) if target else None
    if refusal:
        return Decision(False, refusal)
    opted = wanted not in GRANTS[role]
    return Decision(True, Why.OPTED_IN if opted else Why.GRANTED)


def may(principal: Principal, action: str, venue_id: str = "") -> Decision:
    """Whether `principal` may do `action`, in a venue if one is named."""
    if action not in set(Action):
        return Decision(False, Why.NOT_A_NAME)
    if venue_id and principal.venues and venue_id not in principal.venues:
        return Decision(False, Why.OTHER_VENUE)
    allowed = Action(action) in ACTIONS[principal.role]
    return Decision(allowed, Why.GRANTED if allowed else Why.ACTION_NOT_GRANTED)


def classes_of(role: Role, consents: frozenset[str] = frozenset()) -> frozenset[DataClass]:
    """The data classes a role may see, given what the athlete in question has agreed to."""
    granted = GRANTS[role]
    if role is Role.BROADCASTER and BROADCAST_HEALTH_CONSENT in consents:
        granted = granted | {DataClass.HEALTH_BIOMETRIC}
    return granted


def own_purpose(role: Role) -> Purpose:
    """The purpose of a caller who names none: the first of its role's, by name."""
    return min(PURPOSES[role])


def allowed_columns(
    role: Role, columns: Iterable[str], consents: frozenset[str] = frozenset()
) -> list[str]:
    """Those of `columns` that a role may see, in order; unknown columns are for nobody.

    A role with coarse tracking only gets `COARSE_COLUMNS`, which are to be rounded for it.
    """
    granted = classes_of(role, consents)
    if not granted:
        return []
    open_to_it = set(PLAIN_COLUMNS)
    if DataClass.TRACKING_COARSE in granted:
        open_to_it |= COARSE_COLUMNS
    return [name for name in columns if name in open_to_it or column_class(name) in granted]


def column_class(name: str) -> DataClass | None:
    """The data class of a column of the state rows; None for one that has none."""
    return COLUMN_CLASSES.get(name)


def _reach(principal: Principal, wanted: DataClass, target: Target) -> Why | None:
    """Why this target is beyond the principal's reach, None if it is not."""
    if target.venue_id and principal.venues and target.venue_id not in principal.venues:
        return Why.OTHER_VENUE
    if principal.role is Role.ATHLETE:
        own = bool(principal.athlete_id) and principal.athlete_id == target.athlete_id
        return None if own else Why.OTHER_ATHLETE
    if principal.role in _TEAM_ROLES and wanted not in _OPEN_TO_OPPONENTS:
        own = principal.team == "*" or (bool(principal.team) and principal.team == target.team)
        return None if own else Why.OTHER_TEAM
    return None


def _classified(groups: Mapping[DataClass, str]) -> dict[str, DataClass]:
    return {name: cls for cls, text in groups.items() for name in text.split()}


PLAIN_COLUMNS: Final = frozenset({
    "subject_id", "role", "team", "number", "t_ns", "status", "algo_version", "final", "age_ms",
    "coverage", "imu_coverage", "imu_age_ms", "gated_n", "refused_n", "venue_id", "match_id",
})
COARSE_COLUMNS: Final = frozenset({"x_m", "y_m", "z_m", "speed_mps"})
COLUMN_CLASSES: Final[Mapping[str, DataClass]] = _classified({
    DataClass.TRACKING: (
        "x_m y_m z_m speed_mps accel_mps2 distance_m z1_m z2_m z3_m z4_m z5_m hsr_m sprint_n"
        " sprint_m max_speed_mps intensity trend_mpmin distance_mpmin hsr_mpmin"
        " distance_5min_mpmin hsr_5min_mpmin peak_60s_distance_mpmin peak_180s_distance_mpmin"
        " peak_300s_distance_mpmin peak_60s_hsr_mpmin peak_180s_hsr_mpmin peak_300s_hsr_mpmin"
    ),
    DataClass.PERFORMANCE: (
        "acc_n dec_n acc_short_n dec_short_n bout_n turn_n impact_n collision_n fall_n jump_n"
        " step_n cadence_spm player_load_au player_load_slow_au impact_load_au metabolic_power_wkg"
        " metabolic_work_jkg hmld_m stride_rate_hz step_asymmetry_pct stride_cv_pct contact_time_s"
        " acc_low_m acc_mid_m acc_high_m dec_low_m dec_mid_m dec_high_m"
        " power_z1_s power_z2_s power_z3_s power_z4_s power_z5_s power_z6_s high_power_m"
        " equivalent_m edi efforts_5min_pmin peak_60s_load_aupmin peak_180s_load_aupmin"
        " peak_300s_load_aupmin peak_60s_work_jkgpmin peak_180s_work_jkgpmin"
        " peak_300s_work_jkgpmin player_load_flat_au player_load_aupm player_load_aupmin"
        " player_load_5min_aupm impact_z1_n impact_z2_n impact_z3_n impact_z4_n impact_z5_n"
        " impact_z6_n"
    ),
    DataClass.ON_THE_BALL: (
        "kick_n touch_n pass_n intercepted_n shot_n out_n goal_candidate_n poss_team poss_subject"
        " poss_subject_id poss_home_s poss_away_s in_play nearest_m kick_off_n throw_in_n corner_n"
        " goal_kick_n free_kick_n penalty_n dead_s carry_n carry_m loss_n"
    ),
    DataClass.HEALTH_BIOMETRIC: (
        "hr_bpm hr_mean_bpm hr_pct hr_age_ms hr_coverage trimp trimp_edwards trimp_stagno"
        " trimp_lucia hr_z1_s hr_z2_s hr_z3_s hr_z4_s hr_z5_s hr_recovery_bpm"
        " hr_recovery_age_ms rmssd_ms rmssd_age_ms rr_artefact_pct hr_jump_n hr_flag"
    ),
    DataClass.HEALTH_INDEX: (
        "dbal_m dbal_pct wbal_jkg fatigue_index fatigue_low fatigue_high fatigue_level"
        " efficiency_wkgpbpm drift_pct dbal_low_s"
    ),
})
