"""FlowKernel: the one door of the twins of a venue. Records in, events and states and windows out.

Owns the state of the flows that it is asked to process, nothing about which those are. A flow reads
the rows of its own subject, and for context (nearest player, ball distance) the positions in the
same records, never another flow's state: results do not depend on who owns what. Compiled kernels
take one pass over the rows of a flow in order of time, so that cuts of the stream cannot show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.columns import frozen
from models.flows import layout as L  # noqa: N812
from models.flows.ball_walk import EVENTS_A_FIX, EVENTS_A_KNOCK
from models.flows.config import STATE_STEP_NS, FlowConfig
from models.flows.effects import EffectBuilder, FlowEffects
from models.flows.inputs import Gatherer
from models.flows.limits import Limits
from models.flows.rest import RestReader
from models.flows.snapshot import dump, load, new_twins, reset_rows
from models.flows.subjects import DeviceMap, params_of
from models.flows.tables import GIVEN_WIDTH, Outputs, Positions
from models.flows.walk import Chosen, Field, walk
from models.nets.contract import EVENT_WINDOW, FATIGUE_FEATURES
from models.telemetry.kinds import BALL_KINDS
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Role, Roster

BEFORE_ALL_NS = -(2**63)
LEAST_EVENTS = 8192
MOST_GROWTH = 24
KEPT_ROWS = 32_768
KEPT_WINDOWS = 512
MOST_CHOICES = 256
"""Output buffers of at most so many events and states, and windows, serve the next call again."""

EVENTS_A_ROW: Final = dict(zip(BALL_KINDS, (EVENTS_A_FIX, EVENTS_A_KNOCK), strict=True))
_NO_COURSE = Positions(
    np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32),
    np.empty(0, np.float32), np.empty(0, np.float32), np.empty(0, np.int64), np.empty(0, np.int64),
    np.empty((GIVEN_WIDTH, 0), np.float32),
)


@dataclass(slots=True)
class KeptOutputs:
    """Output buffers for the next call of any kernel that has these: kernels that are called one
    after the other share them, since new memory, and memory that was not touched lately, costs
    more than what is written to it."""

    last: Outputs | None = None


class FlowKernel:
    """Twins of the subjects of one roster. State: about 23 kB per subject plus 24 B per pair."""

    def __init__(
        self, roster: Roster, config: FlowConfig | None = None, kept: KeptOutputs | None = None
    ) -> None:
        """Raises ConfigError when the roster sets a threshold that cannot be used."""
        self.roster = roster
        self.config = config or FlowConfig()
        self._limits = Limits(roster, self.config)
        assert EVENT_WINDOW == (9, L.RING), EVENT_WINDOW
        self._devices = DeviceMap(roster)
        self._params = params_of(self._limits)
        self._count = len(roster.subjects)
        self._is_ball = np.array([s.role == Role.BALL for s in roster.subjects], np.bool_)
        balls = np.flatnonzero(self._is_ball)
        periods = [(p.start_ns, p.end_ns, p.home_attacks) for p in roster.periods]
        self._field = Field(
            (roster.pitch_length_m / 2.0, roster.pitch_width_m / 2.0),
            frozen(np.array(periods, np.int64).reshape(-1, 3)), int(balls[0]) if balls.size else 0,
            np.zeros(self._count, np.int64),
        )
        self._twins = new_twins(self._count)
        self._gatherer, self._rest = Gatherer(), RestReader(self._count)
        self._choices: dict[bytes, Chosen] = {}
        self._from_all = frozen(np.full(self._count, BEFORE_ALL_NS, np.int64))
        self._builder = EffectBuilder(roster, self.config, self._limits)
        self._kept = kept or KeptOutputs()
        self.forget(np.arange(self._count, dtype=np.int32))

    def handle(
        self, records: Sequence[TelemetryRecord], subjects: NDArray[np.int32],
        course: Positions | None = None, since_ns: NDArray[np.int64] | None = None,
    ) -> FlowEffects:
        """Process consecutive `records` for `subjects` (rows of the roster), each exactly once.

        course: stands in for the records' positions of persons, with what is given of them.
        since_ns (len(subjects),): where the first record begins that each subject has not done yet,
        for subjects that are not equally far.
        """
        if not records or not len(subjects) or not self._count:
            return FlowEffects([], [], [])
        chosen, since = self._choose(subjects), self._since(subjects, since_ns)
        rows, places = self._gatherer.gather(records), self._devices.places
        positions = _NO_COURSE if course is None else course
        rest = self._rest.read(records)
        end_ns, final = records[-1].t_to_ns, records[-1].final
        flows = len(chosen.persons) + len(chosen.balls)
        out, done, grown = self._fresh(records, flows), (0, 0), 1
        while True:
            reached = walk(
                rows, places, positions, chosen, since, done, self._twins, self._params,
                self._limits.table, self._field, rest, end_ns, final, out,
            )
            if sum(reached) >= flows:
                break
            grown = grown if reached > done else grown + 1
            out, done = self._larger(out, records, flows, grown), reached
        self._builder.drain(out)
        return self._builder.build()

    def _since(
        self, subjects: NDArray[np.int32], since_ns: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """From when on each subject of the roster is walked, if it is."""
        if since_ns is None:
            return self._from_all
        wanted = self._from_all.copy()
        wanted[subjects] = since_ns
        return frozen(wanted)

    def _choose(self, subjects: NDArray[np.int32]) -> Chosen:
        """Of the subjects those that are walked."""
        key = np.asarray(subjects, np.int32).tobytes()
        found = self._choices.get(key)
        if found is None:
            rows = np.unique(np.asarray(subjects, np.int64))
            mine = np.zeros(self._count, np.uint8)
            mine[rows] = 1
            persons = rows[self._params[rows, L.P_PERSON] > 0.0]
            found = Chosen(frozen(persons), frozen(rows[self._is_ball[rows]]), frozen(mine))
            if len(self._choices) >= MOST_CHOICES:
                self._choices.clear()
            self._choices[key] = found
        return found

    def snapshot(self, subjects: NDArray[np.int32]) -> bytes:
        """The flows `subjects` as bytes: everything that `handle` remembers of them."""
        return dump(self._twins, self.roster, [int(row) for row in subjects])

    def restore(self, payload: bytes) -> NDArray[np.int32]:
        """Take over the flows in `payload`; returns their rows. Raises SchemaError."""
        return np.array(load(self._twins, self.roster, payload), np.int32)

    def forget(self, subjects: NDArray[np.int32]) -> None:
        """Make `subjects` flows that have seen nothing."""
        reset_rows(self._twins, np.asarray(subjects, np.int32), self._is_ball, self._params)

    def _fresh(self, records: Sequence[TelemetryRecord], flows: int) -> Outputs:
        """Empty buffers for a call: those of an earlier one where they are large enough. Nothing
        that `handle` returns lies in them."""
        events, states, windows, tired = self._room(records, flows, 1)
        kept = self._kept.last
        if kept is not None:
            kept.n[:] = 0
            large = (
                len(kept.event_i) >= events and len(kept.state_i) >= states
                and len(kept.final_i) > flows and len(kept.window_i) >= windows
                and len(kept.fatigue_i) >= tired
            )
            if large:
                return kept
        out = self._outputs(events, states, windows, tired, flows)
        small = events + states <= KEPT_ROWS and windows <= KEPT_WINDOWS
        self._kept.last = out if small else None
        return out

    def _larger(
        self, out: Outputs, records: Sequence[TelemetryRecord], flows: int, grown: int
    ) -> Outputs:
        """Drained buffers, twice as large for each step in `grown`. A flow that does not fit has
        not been touched, so it is simply tried again."""
        assert grown <= MOST_GROWTH, grown
        self._builder.drain(out)
        return self._outputs(*self._room(records, flows, grown), flows)

    def _room(
        self, records: Sequence[TelemetryRecord], flows: int, grown: int
    ) -> tuple[int, int, int, int]:
        """Rows of events, states, windows and fatigue features to make room for."""
        scale = 2 ** (grown - 1)
        span_ns = max(records[-1].t_to_ns - records[0].t_from_ns, 0)
        steps = min(span_ns // STATE_STEP_NS, 40_000) + 4
        # Balls ask for room for all that their rows could mean, before they are walked.
        wanted = 2 * steps
        for record in records:
            for kind, most in EVENTS_A_ROW.items():
                if kind in record.blocks:
                    wanted += most * len(record.blocks[kind])
        events, states = (LEAST_EVENTS + wanted) * scale, (flows * steps + 64) * scale
        windows, tired = (steps + 32) * scale, (flows * (steps // 40 + 2) + 16) * scale
        return events, states, windows, tired

    @staticmethod
    def _outputs(events: int, states: int, windows: int, tired: int, flows: int) -> Outputs:
        return Outputs(
            np.zeros(5, np.int64),
            np.empty((events, L.EVENT_INTS), np.int64), np.empty((events, L.EVENT_FLOATS)),
            np.empty((states, 2), np.int64), np.empty((states, L.STATE_WIDTH)),
            np.empty((flows + 1, 2), np.int64), np.empty((flows + 1, L.STATE_WIDTH)),
            np.empty((windows, 3), np.int64), np.empty((windows, 9, L.RING), np.float32),
            np.empty((tired, 2), np.int64), np.empty((tired, len(FATIGUE_FEATURES)), np.float32),
        )
