"""The loop of `touchline send`: rows that are due go to the spool, and from there to the venue.

Nothing leaves the spool before the venue has answered for it. A venue that was reached once may be
away for `hold_s`: the rows wait, and are sent again in order. Which body is sent is the pilot's
decision, taken before each one.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from jobs.send_spool import Slice, Spool
from jobs.send_stretch import Stretch
from jobs.send_ways import Answer, Blocks, NotTakenError, Way
from models.policies.link_meter import Carried
from models.policies.link_pilot import LinkPilot
from models.policies.link_policy import SWITCHES, Body, Choice

HOLD_S: Final = 120.0
FIRST_WAIT_S: Final = 0.5
MOST_WAIT_S: Final = 5.0


@dataclass(slots=True)
class Sent:
    """What was sent, and what the venue said to it.

    verdicts       packets by reason, "none" = taken; `accepted_rows` as far as it was answered
                   (never over UDP)
    sent_bytes     of bodies that arrived; plain_bytes: what they would have been uncompressed
    bodies         how many were sent of each form; `decisions`: changes of the form by reason
    held           times that the venue could not be reached and the rows waited in the spool
    """

    rows: int = 0
    slices: int = 0
    accepted_rows: int = 0
    retries: int = 0
    seconds: float = 0.0
    verdicts: dict[str, int] = field(default_factory=dict)
    sent_bytes: int = 0
    plain_bytes: int = 0
    bodies: dict[str, int] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)
    held: int = 0
    backlog_s_max: float = 0.0
    spool_bytes_max: int = 0

    def count(self, slices: int, blocks: Blocks, answer: Answer, body: Body) -> None:
        self.slices += slices
        self.rows += sum(len(block) for block in blocks.values())
        self.accepted_rows += sum(int(one["accepted_rows"]) for one in answer)
        reasons = Counter(self.verdicts)
        reasons.update(str(one["reason"]) for one in answer)
        self.verdicts = dict(sorted(reasons.items()))
        self.bodies[body] = self.bodies.get(body, 0) + 1


@dataclass(slots=True)
class Clocks:
    """now_ns: UTC; tick_ns: one that never jumps; wait: seconds."""

    now_ns: Callable[[], int] = time.time_ns
    tick_ns: Callable[[], int] = time.monotonic_ns
    wait: Callable[[float], None] = time.sleep


def send(
    way: Way, stretch: Stretch, clocks: Clocks | None = None, pilot: LinkPilot | None = None,
    hold_s: float = HOLD_S, say: Callable[[str], None] | None = None, spool: Spool | None = None,
) -> Sent:
    """Play the stretch over `way` to its end. Raises SendError, AccessError."""
    loop = SendLoop(
        way, stretch, clocks or Clocks(), pilot or LinkPilot(), hold_s, say or _silent,
        Spool() if spool is None else spool,
    )
    begun_ns = loop.clocks.tick_ns()
    try:
        loop.run()
    finally:
        way.close()
    sent = loop.sent
    sent.retries, sent.decisions = way.retries, dict(loop.pilot.decisions)
    sent.sent_bytes, sent.plain_bytes = way.sent_bytes, way.plain_bytes
    sent.seconds = round((loop.clocks.tick_ns() - begun_ns) / 1e9, 3)
    return sent


def _silent(_: str) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class SendLoop:
    """See the module docstring. `run` ends with the stretch, and nothing left in the spool."""

    way: Way
    stretch: Stretch
    clocks: Clocks
    pilot: LinkPilot
    hold_s: float
    say: Callable[[str], None]
    spool: Spool
    sent: Sent = field(default_factory=Sent)
    _reached: bool = False
    _away_since_ns: int | None = None
    _wait_s: float = FIRST_WAIT_S
    _due_ns: int | None = None

    def run(self) -> None:
        while self.stretch.cursor < self.stretch.end or len(self.spool):
            self._fill()
            if len(self.spool):
                self._offer()

    def _fill(self) -> None:
        """All that is due comes in; with nothing to send the next slice is waited for."""
        stretch, spool = self.stretch, self.spool
        while stretch.cursor < stretch.end and not spool.full:
            upto = stretch.slice_end()
            due_ns = stretch.due_ns(upto)
            ahead_s = (due_ns - self.clocks.now_ns()) / 1e9
            if len(spool) and (ahead_s > 0 or not stretch.speed):
                break
            if ahead_s > 0:
                self.clocks.wait(ahead_s)
            blocks = stretch.take(upto)
            piece = Slice(blocks, due_ns or self.clocks.now_ns())
            span_s = (due_ns - self._due_ns) / 1e9 if self._due_ns is not None else 0.0
            self._due_ns = due_ns
            self.pilot.came(piece.rows, span_s)
            if blocks:
                spool.add(piece)
                if ahead_s > 0:
                    break  # what has just come goes at once
        self.sent.spool_bytes_max = max(self.sent.spool_bytes_max, spool.size_bytes)

    def _offer(self) -> None:
        """One body; on success its slices leave the spool, else they wait there."""
        backlog_s = self.spool.backlog_s(self.clocks.now_ns())
        self.sent.backlog_s_max = max(self.sent.backlog_s_max, round(backlog_s, 3))
        choice = self._choose(backlog_s)
        slices, blocks = self.spool.pack()
        sent, plain, begin_ns = self.way.sent_bytes, self.way.plain_bytes, self.clocks.tick_ns()
        try:
            answer = self.way.send(blocks, choice.body)
        except NotTakenError as error:
            self._held(error, begin_ns)
            return
        end_ns = self.clocks.tick_ns()
        rows = sum(len(block) for block in blocks.values())
        self.pilot.carried(
            Carried(begin_ns, end_ns, self.way.sent_bytes - sent), rows,
            self.way.plain_bytes - plain,
        )
        self.spool.drop(slices)
        self._reached, self._away_since_ns, self._wait_s = True, None, FIRST_WAIT_S
        self.sent.count(slices, blocks, answer, choice.body)

    def _choose(self, backlog_s: float) -> Choice:
        choice = self.pilot.decide(self.clocks.tick_ns(), backlog_s)
        if choice.reason in SWITCHES:
            seen = self.pilot.signals(self.clocks.tick_ns(), backlog_s)
            low = "unknown" if seen.low_bytes_s is None else f"{seen.low_bytes_s / 1e3:.0f} kB/s"
            self.say(
                f"uplink: {choice.body} bodies from now on ({choice.reason}): forecast at least "
                f"{low}, plain needs {seen.plain_bytes_s / 1e3:.0f} kB/s, behind {backlog_s:.1f} s"
            )
        return choice

    def _held(self, error: NotTakenError, begin_ns: int) -> None:
        """Wait for a venue that is away; raises the error when it was never there, or too long."""
        now_ns = self.clocks.tick_ns()
        self.pilot.carried(Carried(begin_ns, now_ns, 0), 0, 0)
        if self._away_since_ns is None:
            self._away_since_ns = begin_ns
        if not self._reached or now_ns - self._away_since_ns > self.hold_s * 1e9:
            raise error
        self.sent.held += 1
        self.say(f"uplink: away ({error}); {len(self.spool)} slices wait")
        self.clocks.wait(self._wait_s)
        self._wait_s = min(2 * self._wait_s, MOST_WAIT_S)
