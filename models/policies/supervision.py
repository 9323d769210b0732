"""SupervisionPolicy: what to restart, when, and when to leave it and say so. Pure.

A target is restarted when it is dead or has stood still too long, after a wait that doubles with
each restart, and at most `max_restarts` times within `window_s`; past that it is given up and only
reported, until the window has moved on. Times are ns of the supervisor's clock.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Health(StrEnum):
    """What a probe found."""

    OK = "ok"
    DEAD = "dead"
    STALLED = "stalled"


class Verb(StrEnum):
    """What is done."""

    RESTART = "restart"
    GIVE_UP = "give_up"
    RECOVERED = "recovered"


class Because(StrEnum):
    """Why it is done."""

    NO_ANSWER = "no_answer"
    NO_PROGRESS = "no_progress"
    RESTARTS_EXHAUSTED = "restarts_exhausted"
    ANSWERS_AGAIN = "answers_again"


@dataclass(frozen=True, slots=True)
class SupervisionConfig:
    """How long a state must last, how far restarts are apart, how many are allowed."""

    dead_after_s: float = 3.0
    stalled_after_s: float = 30.0
    cooldown_s: float = 5.0
    cooldown_max_s: float = 120.0
    max_restarts: int = 5
    window_s: float = 600.0

    def __post_init__(self) -> None:
        assert self.max_restarts >= 1, self
        assert 0 < self.cooldown_s <= self.cooldown_max_s, self


@dataclass(frozen=True, slots=True)
class Finding:
    """A probe's outcome for one target."""

    target: str
    health: Health
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """What to do with a target, and why."""

    target: str
    verb: Verb
    reason: Because
    detail: str = ""


@dataclass(slots=True)
class _Record:
    health: Health = Health.OK
    since_ns: int = 0
    restarts_ns: deque[int] = field(default_factory=deque)
    given_up: bool = False


class SupervisionPolicy:
    """Give every round of findings to `decide`."""

    def __init__(self, config: SupervisionConfig | None = None) -> None:
        self.config = config or SupervisionConfig()
        self._records: dict[str, _Record] = {}

    def decide(self, findings: Iterable[Finding], now_ns: int) -> list[Action]:
        """The actions of this round, one per target at most."""
        actions = []
        for finding in findings:
            record = self._records.setdefault(finding.target, _Record(since_ns=now_ns))
            action = self._one(record, finding, now_ns)
            if action is not None:
                actions.append(action)
        return actions

    def restarts(self, target: str) -> int:
        """Restarts of the target within the window that the last round saw."""
        record = self._records.get(target)
        return len(record.restarts_ns) if record else 0

    def _one(self, record: _Record, finding: Finding, now_ns: int) -> Action | None:
        config = self.config
        was = record.health
        if finding.health != was:
            record.health, record.since_ns = finding.health, now_ns
        while record.restarts_ns and now_ns - record.restarts_ns[0] > config.window_s * 1e9:
            record.restarts_ns.popleft()
        if finding.health == Health.OK:
            troubled = record.given_up or (was != Health.OK and bool(record.restarts_ns))
            record.given_up = False
            if troubled:
                return Action(finding.target, Verb.RECOVERED, Because.ANSWERS_AGAIN, finding.detail)
            return None
        dead = finding.health == Health.DEAD
        patience_s = config.dead_after_s if dead else config.stalled_after_s
        if now_ns - record.since_ns < patience_s * 1e9 or not self._cooled(record, now_ns):
            return None
        if len(record.restarts_ns) >= config.max_restarts:
            return self._give_up(record, finding)
        record.restarts_ns.append(now_ns)
        record.given_up = False
        reason = Because.NO_ANSWER if dead else Because.NO_PROGRESS
        # It gets its full patience again before the next restart.
        record.since_ns = now_ns
        return Action(finding.target, Verb.RESTART, reason, finding.detail)

    def _give_up(self, record: _Record, finding: Finding) -> Action | None:
        if record.given_up:
            return None
        record.given_up = True
        return Action(
            finding.target, Verb.GIVE_UP, Because.RESTARTS_EXHAUSTED, finding.detail
        )

    def _cooled(self, record: _Record, now_ns: int) -> bool:
        if not record.restarts_ns:
            return True
        config = self.config
        wait_s = config.cooldown_s * 2.0 ** (len(record.restarts_ns) - 1)
        return now_ns - record.restarts_ns[-1] >= min(wait_s, config.cooldown_max_s) * 1e9
