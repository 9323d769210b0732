"""Delivery policy of webhooks: what an answer means, when to try again, when to give up.

Pure. A receiver that takes a message answers 2xx. One that is away (no answer, 5xx, or "later") is
tried again, ever more seldom, and meanwhile with one message at a time. One that is there and
refuses a message is asked again a few times and then loses that message to the dead letters; so
does one that fails over a message for `give_up_s`, or nothing behind it would ever come through.
410 ends the subscription, as the standard has it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TOO_EARLY: Final = frozenset({408, 425, 429})
MOST_RETRY_AFTER_S: Final = 3_600.0
_MOST_DOUBLINGS: Final = 32


class Outcome(StrEnum):
    """What came of one attempt."""

    TAKEN = "taken"
    REFUSED = "refused"
    AWAY = "away"
    GONE = "gone"


class Verdict(StrEnum):
    """What happens to the message."""

    NEXT = "next"
    AGAIN = "again"
    DEAD = "dead"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class DeliveryConfig:
    """first_s, most_s: the pause after a failure, doubled each time up to the most; refusals: so
    often is a message offered to one who refuses it; give_up_s: so long to one who is away;
    warn_after: failures in a row after which an operator is told; abreast: messages of different
    venues that are on their way to one receiver at once."""

    first_s: float = 1.0
    most_s: float = 60.0
    refusals: int = 5
    give_up_s: float = 900.0
    warn_after: int = 3
    abreast: int = 4

    def __post_init__(self) -> None:
        assert 0 < self.first_s <= self.most_s <= self.give_up_s, self
        assert self.refusals >= 1 <= self.warn_after, self
        assert self.abreast >= 1, self


def outcome_of(status: int) -> Outcome:
    """What an HTTP status says. A redirect is no answer: it is not followed, since whoever sends it
    would choose where athletes' data goes."""
    if 200 <= status < 300:
        return Outcome.TAKEN
    if status == 410:
        return Outcome.GONE
    if 400 <= status < 500 and status not in TOO_EARLY:
        return Outcome.REFUSED
    return Outcome.AWAY


class Backoff:
    """`failures` in a row, and from when on to try again."""

    def __init__(self, config: DeliveryConfig) -> None:
        self._config = config
        self.failures = 0
        self.due_ns = 0

    def failed(self, now_ns: int, at_least_s: float = 0.0) -> None:
        """at_least_s: what the receiver has asked for; an hour at most is believed."""
        pause_s = self._config.first_s * 2.0 ** min(self.failures, _MOST_DOUBLINGS)
        asked_s = min(max(at_least_s, 0.0), MOST_RETRY_AFTER_S)
        self.failures += 1
        self.due_ns = now_ns + int(max(min(pause_s, self._config.most_s), asked_s) * 1e9)

    def over(self) -> None:
        """It has worked."""
        self.failures = self.due_ns = 0


class Trial:
    """The attempts at one message."""

    def __init__(self, config: DeliveryConfig) -> None:
        self._config = config
        self.tries = self.refusals = 0
        self.since_ns = 0

    def begin(self, now_ns: int) -> None:
        """Another attempt is made."""
        self.since_ns = self.since_ns if self.tries else now_ns
        self.tries += 1

    def judge(self, outcome: Outcome, now_ns: int) -> Verdict:
        """What is done now that the attempt has ended so."""
        if outcome is Outcome.TAKEN:
            return Verdict.NEXT
        if outcome is Outcome.GONE:
            return Verdict.STOP
        self.refusals += outcome is Outcome.REFUSED
        tired = now_ns - self.since_ns >= self._config.give_up_s * 1e9
        return Verdict.DEAD if tired or self.refusals >= self._config.refusals else Verdict.AGAIN
