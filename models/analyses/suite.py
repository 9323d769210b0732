"""The named analyses for a roster: which arrays each one needs, and their tables with names."""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.analyses.heatmap import HeatMap
from models.analyses.hits import REACH_M
from models.analyses.possession import PossessionAnalysis
from models.analyses.running import RunningAnalysis
from models.analyses.samples import SampleMerger
from models.analyses.shots import ShotAnalysis
from models.flows.subjects import TEAMS
from models.telemetry.kinds import POSITION_KINDS
from models.telemetry.roster import Role, Roster

NAMES: Final = ("running", "possession", "heatmap", "shots")
PLAYERS: Final = (Role.ATHLETE, Role.GOALKEEPER)


class Suite:
    """What analyses need to know of a roster; makes them. `merger` turns blocks into samples."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.merger = SampleMerger(roster)
        self.subjects = len(roster.subjects)
        self.teams = tuple(subject.team for subject in roster.subjects)
        self.plays = np.array(
            [int(s.role in PLAYERS and s.team in TEAMS) for s in roster.subjects], np.int64
        )
        sees = [device.kind in POSITION_KINDS for device in roster.devices]
        self.owner = np.where(sees, self.merger.subject[: len(sees)], -1).astype(np.int64)
        self.main = self.merger.main[: len(sees)] * np.array(sees, np.int64)

    def running(self) -> RunningAnalysis:
        """Running analysis of everybody."""
        return RunningAnalysis(self.subjects, self.owner, self.main)

    def possession(self, reach_m: float = REACH_M) -> PossessionAnalysis:
        """Ball possession."""
        half = (self.roster.pitch_length_m / 2.0, self.roster.pitch_width_m / 2.0)
        return PossessionAnalysis(self.teams, self.plays, self.owner, half, reach_m)

    def heatmap(self) -> HeatMap:
        """Heat map of everybody."""
        size = self.roster.pitch_length_m, self.roster.pitch_width_m
        return HeatMap(self.subjects, *size)

    def shots(self, reach_m: float = REACH_M) -> ShotAnalysis:
        """Shots on goal."""
        team = np.array([TEAMS.get(name, -1.0) for name in self.teams], np.int64)
        periods = [(p.start_ns, p.end_ns, p.home_attacks) for p in self.roster.periods]
        return ShotAnalysis(
            team, self.plays, self.owner, self.roster.pitch_length_m / 2.0,
            np.array(periods, np.int64).reshape(-1, 3), reach_m,
        )

    def named(self, table: pa.Table) -> pa.Table:
        """`table` with the roster row in `subject` replaced by `subject_id` and `team`."""
        rows: NDArray[np.int64] = table.column("subject").to_numpy()
        ids = [self.roster.subjects[row].subject_id for row in rows.tolist()]
        teams = [self.teams[row] for row in rows.tolist()]
        at = table.schema.get_field_index("subject")
        table = table.set_column(at, "subject_id", pa.array(ids, pa.string()))
        return table.add_column(at + 1, "team", pa.array(teams, pa.string()))
