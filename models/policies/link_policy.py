"""LinkPolicy: in which body a gateway sends over its uplink, and why. Nothing is lost by either.

Plain bodies cost no work; dense ones (zstd) are a fifth of the size. Dense is chosen before the
link gets narrow (the low quantile of its forecast is near what plain bodies need) or when bodies
pile up all the same; plain again when there has been room for long. The way back is a trial, since
a link that is used little is not known: one that fails soon doubles the time until the next.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Body(StrEnum):
    """The form of what is sent."""

    PLAIN = "plain"
    DENSE = "dense"


class BodyReason(StrEnum):
    """Why the body is what it is."""

    FIXED = "fixed"
    UNKNOWN = "link_unknown"
    FORECAST = "forecast"
    BACKLOG = "backlog"
    ROOM = "room"
    COOLDOWN = "cooldown"
    STEADY = "steady"


SWITCHES: Final = frozenset({BodyReason.FORECAST, BodyReason.BACKLOG, BodyReason.ROOM})
"""Reasons that change the body."""


@dataclass(frozen=True, slots=True)
class LinkPolicyConfig:
    """headroom, room: how many times what plain bodies need the forecast must be, to stay plain and
    to go back to it; backlog_s: age of the oldest row that is too much; room_s: how long there must
    be room before the way back, doubled by each trial that fails within `trial_s`, up to
    `room_most_s`; cooldown_s: between two changes. `fixed` pins the body."""

    fixed: Body | None = None
    headroom: float = 1.2
    room: float = 2.0
    backlog_s: float = 0.5
    room_s: float = 10.0
    room_most_s: float = 320.0
    trial_s: float = 60.0
    cooldown_s: float = 1.0

    def __post_init__(self) -> None:
        assert 1 <= self.headroom <= self.room, self
        assert 0 < self.room_s <= self.room_most_s, self
        assert min(self.backlog_s, self.trial_s) > 0, self
        assert self.cooldown_s >= 0, self


@dataclass(frozen=True, slots=True)
class LinkSignals:
    """now_ns by a clock that never jumps; backlog_s: age of the oldest row that was not taken;
    low_bytes_s: what the link will carry at least, most likely, None while that is not known;
    plain_bytes_s: what the rows that come would need in plain bodies."""

    now_ns: int
    backlog_s: float = 0.0
    low_bytes_s: float | None = None
    plain_bytes_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The body to send now."""

    body: Body
    reason: BodyReason


class LinkPolicy:
    """Call `decide` before each body. A link begins narrow: the first bodies are dense."""

    def __init__(self, config: LinkPolicyConfig | None = None) -> None:
        self.config = config or LinkPolicyConfig()
        self._body = Body.DENSE
        self._changed_ns: int | None = None
        self._room_since_ns: int | None = None
        self._room_s = self.config.room_s

    def decide(self, signals: LinkSignals) -> Choice:
        """The body, with the reason."""
        if self.config.fixed is not None:
            return Choice(self.config.fixed, BodyReason.FIXED)
        if self._body == Body.PLAIN:
            return self._plain(signals)
        return self._dense(signals)

    def _plain(self, signals: LinkSignals) -> Choice:
        config, low = self.config, signals.low_bytes_s
        if signals.backlog_s > config.backlog_s:
            need = BodyReason.BACKLOG
        elif low is not None and low < config.headroom * signals.plain_bytes_s:
            need = BodyReason.FORECAST
        else:
            if self._since_change_s(signals.now_ns) > config.trial_s:
                self._room_s = config.room_s
            return Choice(Body.PLAIN, BodyReason.STEADY)
        since_s = self._since_change_s(signals.now_ns)
        if since_s < config.cooldown_s:
            return Choice(Body.PLAIN, BodyReason.COOLDOWN)
        if since_s <= config.trial_s:
            self._room_s = min(2 * self._room_s, config.room_most_s)
        return self._change(Body.DENSE, need, signals.now_ns)

    def _dense(self, signals: LinkSignals) -> Choice:
        config, low, now_ns = self.config, signals.low_bytes_s, signals.now_ns
        if low is None:
            return Choice(Body.DENSE, BodyReason.UNKNOWN)
        room = low >= config.room * signals.plain_bytes_s
        if not room or signals.backlog_s > config.backlog_s:
            self._room_since_ns = None
            return Choice(Body.DENSE, BodyReason.STEADY)
        if self._room_since_ns is None:
            self._room_since_ns = now_ns
        if now_ns - self._room_since_ns < self._room_s * 1e9:
            return Choice(Body.DENSE, BodyReason.STEADY)
        return self._change(Body.PLAIN, BodyReason.ROOM, now_ns)

    def _change(self, body: Body, reason: BodyReason, now_ns: int) -> Choice:
        self._body, self._changed_ns, self._room_since_ns = body, now_ns, None
        return Choice(body, reason)

    def _since_change_s(self, now_ns: int) -> float:
        assert self._changed_ns is not None  # it begins dense
        return (now_ns - self._changed_ns) / 1e9
