"""Release stage: what is done with the rows of a stretch of event time that is complete.

Owns the order of passes; each pass owns its own arithmetic. A stretch is a whole number of ticks,
of all kinds; every pass either goes row by row in order of work, or by whole ticks and seconds, so
that stretches may be cut at any tick without changing any result.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.edge.cells import SECOND, Cells, OpenSecond, new_cells, open_second
from models.edge.config import EdgeConfig
from models.edge.effects import DeviceHealthRows
from models.edge.inertial import load_sections, pass_inertial, rule_of
from models.edge.intensity import Heat, flow_rule, roll_intensity
from models.edge.movement import roll_movement
from models.edge.positions import Motion, layout_of, pass_positions
from models.edge.preroll import PreRoll
from models.edge.rows import Rows
from models.edge.scalars import note_health, pass_scalars, roll_batteries
from models.edge.standing import LEVEL, keep_whole, thinned_ever
from models.edge.state import FIRST_REASON, FORWARDED, PRE_ROLL, THINNED, EdgeState
from models.edge.tables import (
    FULL_POST_ROLL,
    INERTIAL,
    KIND_CODE,
    LEVELS,
    POSITIONS,
    SCALARS,
    Streams,
    Tables,
)
from models.edge.thinning import (
    WHOLE,
    plan_rows,
    thin_inertial,
    thin_positions,
    thin_sections,
)
from models.edge.timeline import Findings, new_findings, roll_timeline
from models.edge.truth import choose_truth, note_motion
from models.telemetry.kinds import KINDS, Kind

MAX_STRETCH_NS: Final = 64 * SECOND


@dataclass(slots=True)
class Outcome:
    """What stretches have brought: rows to send, copies from before a flow turned hot, refused
    rows, health per second, and notes (n, NOTE_WIDTH) int64 for events."""

    live: dict[Kind, list[Rows]] = field(default_factory=dict)
    pre_roll: dict[Kind, list[Rows]] = field(default_factory=dict)
    rejected: list[Rows] = field(default_factory=list)
    health: list[DeviceHealthRows] = field(default_factory=list)
    notes: list[NDArray[np.int64]] = field(default_factory=list)


class ReleaseStage:
    """Works on `state`; `second_ns` is the beginning of the second that is open."""

    def __init__(self, tables: Tables, config: EdgeConfig, state: EdgeState) -> None:
        self.tables, self.config, self.state = tables, config, state
        self.second_ns = 0
        self._load_sections = load_sections(tables)
        self._thin_sections = thin_sections(tables)
        self._flow_rule = flow_rule(tables.roster, tables, config)
        self._rules = {kind: rule_of(kind, config) for kind in INERTIAL}
        self._layouts = {kind: layout_of(kind, config) for kind in POSITIONS}
        self._always = _thinned_kinds(tables, 0)
        thinned = _thinned_kinds(tables, LEVELS - 1)
        self.memory = {kind: PreRoll(config.pre_roll_ns) for kind in KINDS if kind in thinned}
        streams = tables.streams
        health = streams.group[streams.kind == KIND_CODE[Kind.HEALTH]]
        self._mute = ~np.isin(streams.group, health)

    def begin(self, t_ns: int) -> None:
        """Nothing is known of the time before `t_ns`: its second is open and empty."""
        self.second_ns = t_ns - t_ns % SECOND
        self.state.open = open_second(*(len(part) for part in self.state.open))

    def run(self, sets: dict[Kind, Rows], begin_ns: int, end_ns: int, out: Outcome) -> None:
        """All rows of [begin_ns, end_ns), whole ticks, by kind and in order of work."""
        state, streams = self.state, self._streams()
        cells = new_cells(state.open, begin_ns, end_ns, self.config.tick_ns, self.second_ns)
        whole_seconds = (end_ns - self.second_ns) // SECOND
        self._hear(sets, cells)
        for kind in INERTIAL:
            if kind in sets:
                pass_inertial(
                    sets[kind], self._rules[kind], streams, self._load_sections, cells,
                    state.track, state.inertial,
                )
        roll_movement(cells, state.movement, True, whole_seconds)
        motions = self._positions(sets, cells)
        roll_movement(cells, state.movement, False, whole_seconds)
        for kind in SCALARS:
            if kind in sets:
                pass_scalars(
                    sets[kind], self.config, streams, cells, state.track, state.scalars
                )
        findings = self._findings(cells, whole_seconds, out)
        kept = FULL_POST_ROLL[state.orders.thin[LEVEL]]
        less_ns = 0 if kept else self.config.post_roll_ns
        heat = roll_intensity(cells, findings.suspect, self._flow_rule, state.flows, less_ns)
        keep_whole(state.orders, heat.whole, begin_ns, self.config.tick_ns)
        for kind, rows in sets.items():
            self._send(kind, rows, motions.get(kind), cells, heat, out)
        self._remember(cells, heat, end_ns, out)
        self._carry(cells, whole_seconds)

    def _hear(self, sets: dict[Kind, Rows], cells: Cells) -> None:
        """What devices say of themselves; anchors speak for devices without health rows."""
        streams = self.tables.streams
        if Kind.HEALTH in sets:
            note_health(sets[Kind.HEALTH], streams, cells)
        if Kind.ANCHOR in sets:
            rows = sets[Kind.ANCHOR]
            alone = np.flatnonzero(self._mute[rows.device])
            if len(alone):
                note_health(rows.take(alone), streams, cells)
        roll_batteries(cells, self.state.vitals.health)

    def _streams(self) -> Streams:
        """At the level of thinning that is ordered now."""
        return self.tables.levels[self.state.orders.thin[LEVEL]]

    def _positions(self, sets: dict[Kind, Rows], cells: Cells) -> dict[Kind, Motion]:
        state, streams = self.state, self._streams()
        present: dict[Kind, Rows] = {kind: sets[kind] for kind in POSITIONS if kind in sets}
        motions: dict[Kind, Motion] = {
            kind: pass_positions(
                rows, self._layouts[kind], streams, cells, state.track, state.positions
            )
            for kind, rows in present.items()
        }
        if self.tables.many_sources and present:
            choose_truth(
                present, motions, streams, state.truth, state.orders.demoted_until
            )
        for kind, rows in present.items():
            in_play = KINDS[kind].index("in_play") if kind == Kind.BALL_POS else -1
            note_motion(rows, motions[kind], in_play, streams, cells)
        return motions

    def _findings(self, cells: Cells, seconds: int, out: Outcome) -> Findings:
        tables, state = self.tables, self.state
        findings = new_findings(
            len(cells.newest), len(cells.device), tables.device_n, tables.subject_n
        )
        ended = roll_timeline(
            state.timeline, tables.streams, state.vitals, cells, self.config.feed_gap_ns,
            self.config.silent_ns, findings,
        )
        assert ended == seconds, (ended, seconds)
        noted = int(findings.note_n[0])
        if noted:
            out.notes.append(findings.notes[:noted].copy())
        for second in range(seconds):
            device = np.flatnonzero(findings.known[second]).astype(np.int32)
            if len(device):
                end_ns = cells.second_begin_ns + (second + 1) * SECOND
                out.health.append(DeviceHealthRows(
                    device, tables.streams.kind[device].astype(np.int32),
                    np.full(len(device), end_ns, np.int64), findings.health[second][:, device],
                ))
        return findings

    def _send(
        self, kind: Kind, rows: Rows, motion: Motion | None, cells: Cells, heat: Heat, out: Outcome
    ) -> None:
        state, streams = self.state, self._streams()
        tally = state.tallies[KIND_CODE[kind]]
        bad = np.flatnonzero(rows.reason)
        if kind in self._always or (kind in self.memory and thinned_ever(state.orders)):
            fate = plan_rows(rows, streams, cells, heat.whole, state.thin.waiting)
            if motion is None:
                sections = self._thin_sections[state.orders.thin[LEVEL]]
                kept = thin_inertial(rows, fate, streams, sections, state.thin)
            else:
                kept = thin_positions(rows, fate, motion.smooth, streams, state.thin.pending)
            self.memory[kind].keep(rows, (fate == WHOLE).astype(np.uint8))
        else:
            kept = rows.take(rows.reason == 0) if len(bad) else rows
        if len(bad):
            refused = rows.take(bad)
            out.rejected.append(refused)
            np.add.at(tally, FIRST_REASON + refused.reason.astype(np.intp), 1)
        tally[FORWARDED] += len(kept)
        tally[THINNED] += len(rows) - len(bad) - len(kept)
        if len(kept):
            out.live.setdefault(kind, []).append(kept)

    def _remember(self, cells: Cells, heat: Heat, end_ns: int, out: Outcome) -> None:
        turned = [
            (int(subject), cells.tick_begin_ns + int(tick) * cells.tick_ns)
            for tick, subject in np.argwhere(heat.turned)
        ]
        for kind, memory in self.memory.items():
            found = memory.before(self.tables.streams.subject, turned) if turned else []
            if found:
                out.pre_roll.setdefault(kind, []).extend(found)
                self.state.tallies[KIND_CODE[kind], PRE_ROLL] += sum(map(len, found))
            memory.trim(end_ns)

    def _carry(self, cells: Cells, seconds: int) -> None:
        self.second_ns += seconds * SECOND
        parts = (cells.device, cells.subject, cells.group)
        if seconds < len(cells.device):
            self.state.open = OpenSecond(*(part[seconds].copy() for part in parts))
        else:
            self.state.open = open_second(*(part.shape[1] for part in parts))


def _thinned_kinds(tables: Tables, level: int) -> set[Kind]:
    """Kinds of which some device is thinned at `level`."""
    kinds = tables.streams.kind[tables.merges[level] > 1]
    return {kind for kind in (*INERTIAL, *POSITIONS) if KIND_CODE[kind] in kinds}
