"""What a call of the flow kernel gives: events, state rows, windows for the nets."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.events import catalog as C  # noqa: N812
from models.events.envelope import Event
from models.flows.config import ALGO_VERSION, FlowConfig
from models.flows.limits import Limits
from models.flows.state_columns import lay_out
from models.flows.states import StateRows, describe
from models.flows.tables import Outputs
from models.telemetry.roster import Roster

DECIMALS: Final = 6
Rows = NDArray[Any]
Pair = tuple[Rows, Rows]
"""Whole numbers and floats of the same rows."""
_EFFORT = ("effort_enter_mps2", "effort_leave_mps2", "effort_hold_s")
_RUN = ("sprint_hold_s", "sprint_leave_mps")
_HIT = ("impact_g", "impact_sd", "collision_m")
_LEVEL = ("fatigue_amber", "fatigue_red", "fatigue_hold_s")
THRESHOLDS: Final[dict[int, tuple[str, ...]]] = {
    C.SPRINT: _RUN, C.BOUT: _RUN, C.ACCELERATION: _EFFORT, C.DECELERATION: _EFFORT,
    C.IMPACT: _HIT, C.COLLISION: _HIT, C.JUMP: ("jump_free_g", "jump_land_g"),
    C.FALL: ("fall_tilt_deg",), C.TURN: ("turn_deg", "turn_min_mps"), C.FATIGUE_AMBER: _LEVEL,
    C.FATIGUE_RED: _LEVEL, C.FATIGUE_CLEAR: _LEVEL, C.MAN_DOWN: ("man_down_s", "fall_tilt_deg"),
    C.KICK: ("touch_m", "touch_dv_mps", "kick_mps2"), C.GAIN: ("touch_m",),
    C.PASS: ("pass_min_m", "touch_m"), C.SHOT: ("shot_mps", "shot_within_s"),
    C.GOAL_CANDIDATE: ("goal_sigma_m",), C.BALL_OUT: (),
    C.KICK_OFF: (), C.THROW_IN: (), C.CORNER: (), C.GOAL_KICK: (), C.FREE_KICK: (), C.PENALTY: (),
    C.CARRY: ("carry_min_m", "carry_lost_m", "touch_m"), C.LOSS: ("touch_m",),
    C.HEART_RECOVERY: ("recovery_share", "recovery_mps", "recovery_s"),
    C.HEART_SUSPECT: ("hr_lock_bpm", "hr_lock_s"),
}
"""Thresholds that an event carries among its metrics, as `limit_*`."""


@dataclass(frozen=True, slots=True)
class NetWindow:
    """Input of a net. kind "event": data (9, 256) float32 around `t_ns`, `event_id` of the rule
    event there or ""; kind "fatigue": data (8,) float32. Layouts: `models.nets.contract`."""

    kind: str
    subject: int
    t_ns: int
    event_id: str
    data: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FlowEffects:
    """Events by detection time; state rows of persons and of balls, provisional and final."""

    events: list[Event]
    states: list[StateRows]
    windows: list[NetWindow]


class EffectBuilder:
    """Collects drained buffers of one call and turns them into effects."""

    def __init__(self, roster: Roster, config: FlowConfig, limits: Limits) -> None:
        self.roster = roster
        self.limits = [_limits_of(own) for own in limits.configs]
        self.metadata = describe(config, limits)
        self.ball = np.array([s.role == "ball" for s in roster.subjects] or [False])
        self._parts: tuple[list[Pair], ...] = ([], [], [], [], [])

    def drain(self, out: Outputs) -> None:
        """Take over what is in `out`: nothing else may be written to its buffers after this."""
        buffers: tuple[Pair, ...] = (
            (out.event_i, out.event_f), (out.state_i, out.state_f), (out.final_i, out.final_f),
            (out.window_i, out.window_f), (out.fatigue_i, out.fatigue_f),
        )
        for part, (head, body), count in zip(self._parts, buffers, out.n.tolist(), strict=True):
            if count:
                part.append((head[:count], body[:count]))

    def build(self) -> FlowEffects:
        """The effects, in an order that does not depend on how the work was split."""
        events, states, finals, windows, tired = self._parts
        self._parts = ([], [], [], [], [])
        effects = FlowEffects(
            self._events(*_joined(events)) if events else [],
            self._states(*_joined(states), False) if states else [],
            self._windows(*_joined(windows)) if windows else [],
        )
        if finals:
            effects.states.extend(self._states(*_joined(finals), True))
        if tired:
            effects.windows.extend(_fatigue_windows(*_joined(tired)))
        if len(effects.windows) > 1:
            effects.windows.sort(key=lambda w: (w.t_ns, w.subject, w.kind))
        return effects

    def _events(self, head: Rows, body: Rows) -> list[Event]:
        order = np.lexsort((head[:, 5], head[:, 0], head[:, 4]))
        plain = zip(head[order].tolist(), body[order].tolist(), strict=True)
        return [self._event(ints, floats) for ints, floats in plain]

    def _event(self, ints: list[int], floats: list[float]) -> Event:
        s, code, sub, t_event, t_detected, seq, other = ints
        spec = C.CATALOG[code]
        who, context = self._people(code, s, other)
        metrics = {
            name: round(value, DECIMALS)
            for name, value in zip(spec.metrics, floats[5:], strict=False)
            if value == value
        }
        x, y, x_end, y_end = (None if v != v else round(v, DECIMALS) for v in floats[:4])
        return Event(
            spec.type, self.roster.venue_id, self.roster.match_id,
            f"flow/{self.roster.subjects[s].subject_id}", seq, t_event, t_detected,
            self.roster.subjects[who].subject_id, self.roster.subjects[who].team,
            spec.subs[sub], x, y, x_end, y_end, round(floats[4], DECIMALS), priority=spec.priority,
            context=context, algo_version=ALGO_VERSION, policy_class=spec.policy_class,
            metrics={**metrics, **self.limits[s][code]},
        )

    def _people(self, code: int, s: int, other: int) -> tuple[int, tuple[str, ...]]:
        """Whom an event is about, and who else has part in it."""
        subjects = self.roster.subjects
        if code == C.PASS:
            giver, taker = divmod(other, len(subjects))
            if giver == taker:
                return giver, ()
            return giver, (f"receiver:{subjects[taker].subject_id}",)
        if code == C.COLLISION and other >= 0:
            return s, (f"other:{subjects[other].subject_id}",)
        if self.ball[s] and other >= 0:
            return other, (f"ball:{subjects[s].subject_id}",)
        return s, ()

    def _states(self, head: Rows, body: Rows, final: bool) -> list[StateRows]:
        return [
            StateRows(t_ns, subject, table, final, self.metadata)
            for t_ns, subject, table in lay_out(head, body, self.ball)
        ]

    def _windows(self, head: Rows, body: Rows) -> list[NetWindow]:
        return [
            NetWindow("event", s, t_ns, self._event_id(s, seq) if seq >= 0 else "", data)
            for (s, t_ns, seq), data in zip(head.tolist(), body.copy(), strict=True)
        ]

    def _event_id(self, s: int, seq: int) -> str:
        stream = f"flow/{self.roster.subjects[s].subject_id}"
        return Event("", self.roster.venue_id, self.roster.match_id, stream, seq, 0, 0).event_id


def _limits_of(config: FlowConfig) -> dict[int, dict[str, float]]:
    """For each event code the limits that it was made with."""
    return {
        code: {f"limit_{name}": getattr(config, name) for name in names}
        for code, names in THRESHOLDS.items()
    }


def _fatigue_windows(head: Rows, body: Rows) -> list[NetWindow]:
    return [
        NetWindow("fatigue", s, t_ns, "", data)
        for (s, t_ns), data in zip(head.tolist(), body.copy(), strict=True)
    ]


def _joined(part: list[Pair]) -> Pair:
    """The rows of all buffers in one; views where one buffer held them all."""
    if len(part) == 1:
        return part[0]
    return np.concatenate([head for head, _ in part]), np.concatenate([body for _, body in part])
