"""Roster: who and what is in a venue for a match, as data. Devices, subjects, pitch, directions.

A *subject* is what a flow is about: an athlete, an official, the ball, or an infrastructure
group. `SampleBlock.device` indexes `Roster.devices`; `Device.subject` names a subject. Assignments
are time-valued: a device entry holds for `[valid_from_ns, valid_to_ns)`; a re-assigned device is a
second entry with the same `device_id` (rows resolve by event time, see `models.edge`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from models.errors import ConfigError
from models.plain_fields import check_plain, read_json
from models.telemetry.kinds import POSITION_KINDS, Kind
from models.telemetry.thresholds import check_roster

FOREVER_NS = 2**63 - 1


class Role(StrEnum):
    """What a subject is."""

    ATHLETE = "athlete"
    GOALKEEPER = "goalkeeper"
    OFFICIAL = "official"
    BALL = "ball"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True, slots=True)
class Subject:
    """One flow's subject. `team` is "home", "away" or "" ; heart rates in bpm, mass in kg.

    `group` names an entry of `Roster.groups`; `thresholds` are the subject's own and win over it
    (names and bounds: `models.telemetry.thresholds`). `vmax_mps` 0 = unknown. `zones` names a
    zone set, as the threshold of that name does.
    """

    subject_id: str
    role: Role
    team: str = ""
    number: int = 0
    sex: str = "m"
    hr_rest_bpm: float = 55.0
    hr_max_bpm: float = 195.0
    mass_kg: float = 75.0
    critical_speed_mps: float = 4.0
    d_prime_m: float = 180.0
    sprint_mps: float = 7.0
    high_speed_mps: float = 5.5
    vmax_mps: float = 0.0
    group: str = ""
    thresholds: Mapping[str, float | str] = field(default_factory=dict, hash=False)
    zones: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One sensor stream: a device id with one kind. `full_scale` is the saturation limit of its
    acceleration channels in m/s^2 (0 = none); `counter_bits` the width of its sample counter.
    `side` is "left" or "right" for a sensor on a foot."""

    device_id: str
    kind: Kind
    subject: str
    rate_hz: float
    valid_from_ns: int = 0
    valid_to_ns: int = FOREVER_NS
    source_rank: int = 0
    full_scale: float = 0.0
    counter_bits: int = 32
    model: str = ""
    side: str = ""


def source_order(device: Device, row: int) -> tuple[int, int, int]:
    """Sort key of the position sources of a subject, best first: `source_rank`, then the kind's
    order, then the row in the roster."""
    known = device.kind in POSITION_KINDS
    kind = POSITION_KINDS.index(device.kind) if known else len(POSITION_KINDS)
    return device.source_rank, kind, row


@dataclass(frozen=True, slots=True)
class Period:
    """A match period; `home_attacks` is +1 when the home team attacks towards +x in it."""

    name: str
    start_ns: int
    end_ns: int
    home_attacks: int = 1


@dataclass(frozen=True, slots=True)
class Roster:
    """A venue's match: metres for the pitch, ns UTC for the periods; `groups` name -> thresholds of
    the subjects that name it."""

    venue_id: str
    match_id: str
    sport: str = "football"
    pitch_length_m: float = 105.0
    pitch_width_m: float = 68.0
    subjects: tuple[Subject, ...] = ()
    devices: tuple[Device, ...] = ()
    periods: tuple[Period, ...] = field(default=())
    groups: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict, hash=False)

    def subject_row(self) -> dict[str, int]:
        """subject_id -> row in `subjects`."""
        return {subject.subject_id: row for row, subject in enumerate(self.subjects)}

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str | bytes) -> "Roster":
        """Raises ConfigError when the text is not a roster, or sets a threshold that cannot be."""
        try:
            raw = read_json(text)
            raw["subjects"] = tuple(
                Subject(**{**s, "role": Role(s["role"])}) for s in raw["subjects"]
            )
            raw["devices"] = tuple(Device(**{**d, "kind": Kind(d["kind"])}) for d in raw["devices"])
            raw["periods"] = tuple(Period(**p) for p in raw["periods"])
            roster = Roster(**raw)
            for one in (roster, *roster.subjects, *roster.devices, *roster.periods):
                check_plain(one)
            check_roster(roster)
            return roster
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a roster: {error}") from error
