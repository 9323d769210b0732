"""Standing orders: what the edge has been told, from which tick on, and until when.

An order that is taken at arrival clock `c` holds from the first tick that begins at `c` less the
lateness or later: no row of it has been released, so the effect does not depend on how the stream
is cut, and what has come but waits for late rows is sent as ordered already. Expiry is a
tick, too. Owns the queue of orders that wait for their tick and the state that the release stage
reads; every order gets one answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.edge.tables import Tables
from models.telemetry.orders import Order, OrderVerb, order_from

MAX_WAITING: Final = 256
LONGEST_NS: Final = 3_600_000_000_000
"""Nobody is believed less, or kept at full rate, for longer on one order."""
LONGEST_THIN_NS: Final = 600_000_000_000
"""Calm flows are not thinned for longer on one order: who wants them thinned says it again, and
whoever is gone does not."""
NEVER_NS: Final = 2**62
LEVEL, LEVEL_UNTIL, TOUCHED = range(3)
_THINNED: Final = 1
_WHOLE: Final = 2


class OrderState(NamedTuple):
    """thin (3,) int64: level, when it lapses (`NEVER_NS`: not by itself), and which verbs there
    have been; whole_until (S, 2), for the subject's own sake and for that of a device it wears,
    demoted_until (D,): int64 event time ns."""

    thin: NDArray[np.int64]
    whole_until: NDArray[np.int64]
    demoted_until: NDArray[np.int64]


class Outcome(StrEnum):
    """What became of an order."""

    APPLIED = "applied"
    LAPSED = "lapsed"
    NO_OTHER_SOURCE = "no_other_source"
    UNKNOWN_SUBJECT = "unknown_subject"
    UNKNOWN_DEVICE = "unknown_device"
    OTHER_MATCH = "other_match"
    TOO_MANY = "too_many"
    TOO_LATE = "too_late"


@dataclass(frozen=True, slots=True)
class OrderAnswer:
    """`order` was applied, lapsed or refused at the tick that begins at `t_ns`."""

    order: Order
    outcome: Outcome
    t_ns: int


def new_orders(device_n: int, subject_n: int) -> OrderState:
    """Nothing has been ordered."""
    return OrderState(
        np.array([0, NEVER_NS, 0], np.int64), np.zeros((subject_n, 2), np.int64),
        np.zeros(device_n, np.int64),
    )


def thinned_ever(state: OrderState) -> bool:
    """Whether any order has changed the level so far."""
    return bool(state.thin[TOUCHED] & _THINNED)


def keep_whole(
    state: OrderState, whole: NDArray[np.uint8], tick_begin_ns: int, tick_ns: int
) -> None:
    """Mark in `whole` (K, S) the ticks in which a subject was ordered to keep its full rate."""
    if state.thin[TOUCHED] & _WHOLE:
        begins = tick_begin_ns + tick_ns * np.arange(len(whole))
        whole[kept_whole(state, begins[:, None])] = 1


def kept_whole(state: OrderState, t_ns: NDArray[np.int64] | int) -> NDArray[np.bool_]:
    """(S,), or (K, S) for t_ns (K, 1): whether a subject is ordered to keep its full rate then."""
    found: NDArray[np.bool_] = state.whole_until.max(axis=1) > t_ns
    return found


class StandingOrders:
    """Of one kernel; works on `state`. `live` (D, C) are the anti-alias filters of thinning: those
    of a new level settle anew."""

    def __init__(
        self, tables: Tables, match_id: str, tick_ns: int, lateness_ns: int, state: OrderState,
        live: NDArray[np.uint8],
    ) -> None:
        self._tables, self._match_id = tables, match_id
        self._tick_ns, self._lateness_ns = tick_ns, lateness_ns
        self._state, self._live = state, live
        self._subjects = tables.roster.subject_row()
        self._groups = {device_id: n for n, device_id in enumerate(tables.groups)}
        self._waiting: list[tuple[int, Order]] = []
        self._thin: Order | None = None
        self.counts: dict[str, int] = {}
        self.answers: list[OrderAnswer] = []

    @property
    def level(self) -> int:
        return int(self._state.thin[LEVEL])

    def take(self, orders: Sequence[Order], refused: Mapping[str, int], clock_ns: int) -> None:
        """Orders that came at `clock_ns`, and how many could not be read, by reason."""
        at_ns = clock_ns - self._lateness_ns
        at_ns += -at_ns % self._tick_ns
        for label, count in refused.items():
            self.counts[label] = self.counts.get(label, 0) + count
        for order in orders:
            if len(self._waiting) >= MAX_WAITING:
                self._answer(order, Outcome.TOO_MANY, at_ns)
            else:
                self._waiting.append((at_ns, order))

    def next_ns(self) -> int:
        """When something changes next."""
        waiting_ns = self._waiting[0][0] if self._waiting else NEVER_NS
        return min(waiting_ns, int(self._state.thin[LEVEL_UNTIL]))

    def apply(self, begin_ns: int, first: bool = False) -> None:
        """Everything that holds from the tick that begins at `begin_ns` on, in order of time. What
        came before the `first` tick of all counts from there."""
        first_ns = begin_ns if first else 0
        while (at_ns := self.next_ns()) <= begin_ns:
            if at_ns == self._state.thin[LEVEL_UNTIL]:
                assert self._thin is not None
                self._answer(self._thin, Outcome.LAPSED, at_ns)
                self._set_level(0, NEVER_NS)
                self._thin = None
            else:
                _, order = self._waiting.pop(0)
                self._answer(order, self._carry_out(order, at_ns, first_ns), at_ns)

    def close(self) -> None:
        """The match has ended: what still waits will never hold."""
        for at_ns, order in self._waiting:
            self._answer(order, Outcome.TOO_LATE, at_ns)
        self._waiting = []

    def take_answers(self) -> list[OrderAnswer]:
        """The answers since the last call."""
        answers, self.answers = self.answers, []
        return answers

    def to_dict(self) -> dict[str, Any]:
        """For a snapshot; the arrays are in `EdgeState`."""
        return {
            "waiting": [[at_ns, order.to_dict()] for at_ns, order in self._waiting],
            "thin": self._thin.to_dict() if self._thin else None, "counts": self.counts,
        }

    def load(self, said: Mapping[str, Any]) -> None:
        """Take over `to_dict`. Raises SchemaError, KeyError, TypeError, ValueError."""
        self._waiting = [(int(at_ns), order_from(body)) for at_ns, body in said["waiting"]]
        self._thin = order_from(said["thin"]) if said["thin"] is not None else None
        self.counts = {str(label): int(n) for label, n in said["counts"].items()}

    # -- inside -----------------------------------------------------------------------------------

    def _carry_out(self, order: Order, at_ns: int, first_ns: int) -> Outcome:
        if order.match_id != self._match_id:
            return Outcome.OTHER_MATCH
        if order.verb == OrderVerb.THIN:
            until_ns = min(order.until_ns or NEVER_NS, max(at_ns, first_ns) + LONGEST_THIN_NS)
            until_ns += -until_ns % self._tick_ns
            self._set_level(order.level, until_ns if order.level > 0 else NEVER_NS)
            self._thin = order if order.level > 0 else None
            return Outcome.APPLIED
        until_ns = min(order.until_ns, at_ns + LONGEST_NS)
        if order.verb == OrderVerb.WHOLE:
            subject = self._subjects.get(order.subject_id, -1)
            if subject < 0:
                return Outcome.UNKNOWN_SUBJECT
            self._state.thin[TOUCHED] |= _WHOLE
            # Who takes back what was for a device's sake leaves what another gave the subject.
            self._state.whole_until[subject, int(bool(order.device_id))] = until_ns
            return Outcome.APPLIED
        group = self._groups.get(order.device_id, -1)
        if group < 0:
            return Outcome.UNKNOWN_DEVICE
        rows = self._tables.streams.group == group
        self._state.demoted_until[rows] = until_ns
        shared = bool((self._tables.streams.shared[rows] == 1).any())
        return Outcome.APPLIED if shared else Outcome.NO_OTHER_SOURCE

    def _set_level(self, level: int, until_ns: int) -> None:
        thin, merges = self._state.thin, self._tables.merges
        changed = merges[level] != merges[thin[LEVEL]]
        self._live[changed] = 0
        thin[LEVEL], thin[LEVEL_UNTIL] = level, until_ns
        thin[TOUCHED] |= _THINNED

    def _answer(self, order: Order, outcome: Outcome, t_ns: int) -> None:
        label = f"{outcome}/{order.verb}" if outcome == Outcome.APPLIED else str(outcome)
        self.counts[label] = self.counts.get(label, 0) + 1
        self.answers.append(OrderAnswer(order, outcome, t_ns))
