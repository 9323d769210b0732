"""The walk of a whole match through the flow kernel, again: final rows, events and peak windows.

The metrics are the flow kernel's own, from the same code as live; here is only what is given to it
(zero-phase speed and acceleration, every row of the warm tier at full rate, late ones in their
place) and what is kept of what it says.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.events.envelope import Event
from models.flows.config import FlowConfig
from models.flows.kernel import FlowKernel
from models.flows.states import StateRows
from models.flows.subjects import PERSONS
from models.metrics.load import peak_rolling_mean
from models.recompute.config import PEAK_WINDOWS_S
from models.recompute.course import Course
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import Kind
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Roster

PEAKS = {
    "distance_m": "peak_{}s_distance_m", "hsr_m": "peak_{}s_hsr_m",
    "player_load_au": "peak_{}s_player_load_au",
    "metabolic_work_jkg": "peak_{}s_metabolic_work_jkg",
}
PEAK_COLUMNS = tuple(name.format(s) for name in PEAKS.values() for s in PEAK_WINDOWS_S)
"""The most of a running total in any so many seconds: windows end at multiples of 250 ms."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk came to. finals: subject_id -> its final row: PERSON_COLUMNS, and PEAK_COLUMNS
    (NaN for a match shorter than the window); events by detection time; t_ns the end."""

    finals: dict[str, dict[str, float]]
    events: list[Event]
    t_ns: int


class MatchWalk:
    """Handed the rows of a match in slices of time, each row once, `canonical`. With a course that
    is not smoothed it is the causal filter of the live path that walks."""

    def __init__(
        self, roster: Roster, course: Course, config: FlowConfig, peaks: bool = True
    ) -> None:
        """`course` of the whole match; `peaks`: whether peak windows are wanted."""
        self._roster = roster
        self._kernel = FlowKernel(roster, config)
        self._course, self._with_peaks = course, peaks
        persons = [row for row, s in enumerate(roster.subjects) if s.role in PERSONS]
        self._persons = np.array(persons, np.int32)
        self._events: list[Event] = []
        self._series: list[StateRows] = []
        self._finals: list[StateRows] = []
        self._reached_ns: int | None = None

    def handle(self, blocks: dict[Kind, SampleBlock], until_ns: int, final: bool = False) -> None:
        """All rows of motion and heart before `until_ns` that were not given yet."""
        since_ns = self._since_ns(blocks, until_ns)
        course = self._course.between(since_ns, until_ns)
        roster = self._roster
        record = TelemetryRecord(
            roster.venue_id, roster.match_id, 0, since_ns, until_ns, blocks, final=final
        )
        effects = self._kernel.handle([record], self._persons, course)
        self._reached_ns = until_ns
        self._events += effects.events
        for rows in effects.states:
            if rows.final:
                self._finals.append(rows)
            elif self._with_peaks:
                self._series.append(_only(rows, PEAKS))

    def outcome(self) -> Walked:
        """What there is after the final slice."""
        ids = [subject.subject_id for subject in self._roster.subjects]
        finals: dict[str, dict[str, float]] = {}
        peaks = self._peaks()
        for rows in self._finals:
            for n, s in enumerate(rows.subject.tolist()):
                row = {name: float(column[n]) for name, column in rows.columns.items()}
                finals[ids[s]] = row | peaks.get(s, dict.fromkeys(PEAK_COLUMNS, float("nan")))
        return Walked(finals, self._events, self._reached_ns or 0)

    def _since_ns(self, blocks: dict[Kind, SampleBlock], until_ns: int) -> int:
        """Where this slice begins: where the last one ended, or with the first row of all."""
        if self._reached_ns is not None:
            return self._reached_ns
        times = [int(b.t_event_ns.min()) for b in blocks.values() if len(b)]
        of_positions = self._course.positions.t_ns
        times += [int(of_positions.min())] if len(of_positions) else []
        return min([*times, until_ns])

    def _peaks(self) -> dict[int, dict[str, float]]:
        if not self._series:
            return {}
        t_ns = np.concatenate([rows.t_ns for rows in self._series])
        subject = np.concatenate([rows.subject for rows in self._series])
        total = {n: np.concatenate([r.columns[n] for r in self._series]) for n in PEAKS}
        found: dict[int, dict[str, float]] = {}
        for s in np.unique(subject).tolist():
            mine = subject == s
            found[s] = {
                PEAKS[name].format(window_s): _most(t_ns[mine], column[mine], window_s)
                for name, column in total.items() for window_s in PEAK_WINDOWS_S
            }
        return found


def canonical(whole: SampleBlock) -> SampleBlock:
    """All rows in (device, boot, seq) order, each sample once."""
    ordered = whole.take(np.lexsort((whole.flags, whole.seq, whole.boot, whole.device)))
    names = (ordered.device, ordered.boot, ordered.seq)
    first = np.ones(len(ordered), np.bool_)
    first[1:] = np.any([column[1:] != column[:-1] for column in names], axis=0)
    return ordered if first.all() else ordered.take(first)


def _only(rows: StateRows, names: Any) -> StateRows:
    columns = {name: rows.columns[name] for name in names if name in rows.columns}
    return StateRows(rows.t_ns, rows.subject, columns, rows.final)


def _most(t_ns: NDArray[np.int64], total: NDArray[np.float64], window_s: int) -> float:
    known = ~np.isnan(total)
    if not known.any():
        return float("nan")
    t_s = (t_ns[known] - t_ns[known][0]) * 1e-9
    return peak_rolling_mean(t_s, total[known], float(window_s)) * window_s
