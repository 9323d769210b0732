"""The recomputation of one match: rows in, final rows and corrections out. Pure; time in event ns.

Two walks over the same rows, one with the zero-phase estimate and one with the live filter, so that
each change of a number has its reason. Rows come in slices of time; how they are cut, and in which
order they lie within a slice, does not matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.events.envelope import Event
from models.flows.config import FlowConfig
from models.flows.limits import Limits
from models.flows.subjects import DeviceMap
from models.recompute.config import RecomputeConfig
from models.recompute.course import Course
from models.recompute.events import EventCorrection, correct_events, standing
from models.recompute.metrics import MetricCorrection, correct_metrics
from models.recompute.motion import LoadAgain
from models.recompute.walk import MatchWalk, canonical
from models.telemetry.block import SampleBlock
from models.telemetry.flags import Flag
from models.telemetry.kinds import Kind
from models.telemetry.roster import Roster

OF_BODY: Final[tuple[Kind, ...]] = (Kind.IMU, Kind.HEART, Kind.BOOT)
"""Kinds whose rows a recomputation reads in slices; positions it needs whole."""


@dataclass(frozen=True, slots=True)
class Told:
    """What has been said so far: every event of persons with its corrections, and the newest row of
    each subject, final or not (subject_id -> column -> value)."""

    events: Sequence[Event]
    rows: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Findings:
    """finals: subject_id -> row of PERSON_COLUMNS and PEAK_COLUMNS as of t_ns; late: subject_id ->
    rows that came late; told: what the corrections are corrections of."""

    finals: Mapping[str, Mapping[str, float]]
    t_ns: int
    metrics: Sequence[MetricCorrection]
    events: Sequence[EventCorrection]
    late: Mapping[str, int]
    told: Told


class Recomputation:
    """One match. `positions` are all its rows of the kinds that say where a person is; the rows of
    motion and heart follow by `handle`."""

    def __init__(
        self, roster: Roster, positions: dict[Kind, SampleBlock], flow: FlowConfig | None = None,
        config: RecomputeConfig | None = None,
    ) -> None:
        self._roster, self._flow = roster, flow or FlowConfig()
        self._config = config or RecomputeConfig()
        self._subject_of = DeviceMap(roster).subject
        self._late: dict[int, list[NDArray[np.int64]]] = {}
        self._load = LoadAgain(roster)
        ordered = {kind: canonical(block) for kind, block in positions.items()}
        course = Course.of(roster, ordered)
        smooth = course.smoothed(Limits(roster, self._flow))
        self._final = MatchWalk(roster, smooth, self._flow)
        self._causal = MatchWalk(roster, course, self._flow, peaks=False)
        self._note_late(ordered)

    def handle(self, blocks: dict[Kind, SampleBlock], until_ns: int, final: bool = False) -> None:
        """All rows of motion and heart before `until_ns` that were not given yet, in any order."""
        ordered = {kind: canonical(blocks[kind]) for kind in OF_BODY if kind in blocks}
        if Kind.IMU in ordered:
            ordered[Kind.IMU] = self._load.handle(ordered[Kind.IMU])
        self._note_late(ordered)
        for walk in (self._final, self._causal):
            walk.handle(ordered, until_ns, final)

    def findings(self, told: Told, generation: int) -> Findings:
        """After the final slice. `generation` counts the recomputations of the match from 0."""
        final, causal = self._final.outcome(), self._causal.outcome()
        ids = [subject.subject_id for subject in self._roster.subjects]
        late_ns = {
            ids[row]: np.sort(np.concatenate(parts)) for row, parts in sorted(self._late.items())
        }
        late = {name: len(times) for name, times in late_ns.items()}
        before = Told(standing(told.events), told.rows)
        return Findings(
            final.finals, final.t_ns,
            correct_metrics(before.rows, causal.finals, final.finals, late),
            correct_events(before.events, final.events, late_ns, generation, self._config),
            late, before,
        )

    def _note_late(self, blocks: dict[Kind, SampleBlock]) -> None:
        for block in blocks.values():
            rows = block.take(np.flatnonzero(block.flags & np.uint32(Flag.LATE)))
            subject = self._subject_of[rows.device]
            for row in set(subject.tolist()) - {-1}:
                self._late.setdefault(row, []).append(rows.t_event_ns[subject == row])
