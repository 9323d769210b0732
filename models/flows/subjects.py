"""The roster as the arrays that kernels read: one parameter row per subject, devices to
subjects."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.columns import frozen
from models.flows import layout as L  # noqa: N812
from models.flows.config import FlowConfig
from models.flows.inputs import channel_table
from models.flows.limits import Limits
from models.flows.tables import Places
from models.metrics.metabolic import FLAT_COST_JKGM, power_wkg
from models.metrics.zones import zone_edges_mps
from models.telemetry.kinds import BALL_KINDS, PERSON_KINDS, POSITION_KINDS, Kind
from models.telemetry.roster import Role, Roster, Subject, source_order

PERSONS: Final = (Role.ATHLETE, Role.GOALKEEPER, Role.OFFICIAL)
TEAMS: Final = {"home": 0.0, "away": 1.0}
SIDES: Final = {"left": 0, "right": 1}


def params_of(limits: Limits) -> NDArray[np.float64]:
    """(S, PARAMS) float64, read-only. Critical power is the cost of running at the critical speed,
    W' the cost of D' at the flat cost of running: one person, one capacity in two units."""
    table = np.zeros((len(limits.subjects), L.PARAMS))
    for row, (subject, own) in enumerate(zip(limits.subjects, limits.configs, strict=True)):
        table[row] = _params(subject, own)
    return frozen(table)


def _params(subject: Subject, own: FlowConfig) -> list[float]:
    person = subject.role in PERSONS
    plays = subject.role in (Role.ATHLETE, Role.GOALKEEPER)
    return [
        *zone_edges_mps(subject), subject.critical_speed_mps, subject.d_prime_m,
        float(power_wkg(subject.critical_speed_mps, 0.0, own.metabolic_model)),
        subject.d_prime_m * FLAT_COST_JKGM, subject.hr_rest_bpm, subject.hr_max_bpm,
        1.0 if subject.sex == "f" else 0.0,
        TEAMS.get(subject.team, -1.0) if plays else -1.0, 1.0 if person else 0.0,
    ]


class DeviceMap:
    """Which subject a device row belongs to, for the kinds that flows read.

    `places` for compiled code, ranks in the order of `source_order`. A boot that does not say on
    which foot it is worn is read by no flow.
    """

    def __init__(self, roster: Roster) -> None:
        rows = roster.subject_row()
        subject = np.full(max(len(roster.devices), 1), -1, np.int32)
        rank = np.zeros(max(len(roster.devices), 1), np.int64)
        side = np.zeros(max(len(roster.devices), 1), np.int64)
        sources: dict[int, list[tuple[int, int, int]]] = {}
        for row, device in enumerate(roster.devices):
            owner = rows.get(device.subject, -1)
            if owner < 0:
                continue
            ball = roster.subjects[owner].role == Role.BALL
            if device.kind in (BALL_KINDS if ball else PERSON_KINDS):
                person = roster.subjects[owner].role in PERSONS
                subject[row] = owner if ball or person else -1
            if device.kind == Kind.BOOT:
                subject[row] = subject[row] if device.side in SIDES else -1
                side[row] = SIDES.get(device.side, 0)
            if device.kind in POSITION_KINDS:
                sources.setdefault(owner, []).append(source_order(device, row))
        for found in sources.values():
            for place, (_, _, row) in enumerate(sorted(found)):
                rank[row] = place
        self.subject = frozen(subject)
        self.places = Places(self.subject, frozen(rank), frozen(side), channel_table())
