"""The stadium: one venue's edge. Pulls its sources, makes raw durable, runs the edge kernel, logs.

A plain class; `ray.remote` is applied where it is launched. Owns the loop and nothing else: what to
pull is `stadium_feeds`, what is durable `stadium_journal`, how to resume `stadium_recovery`, and
all arithmetic is the edge kernel's. One thread runs the loop; `ingest` and `stats` come from any
other.
"""

import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Any, Final

from actors.sources.live import Answer, ended_answer, retry_answer
from actors.sources.port import NEVER_NS, Source, Verdicts
from actors.sources.push import wait_for
from actors.stadium_build import StadiumParts, StadiumPorts, build_parts
from actors.stadium_feeds import Pulled
from actors.stadium_journal import oldest_arrival_ns
from actors.stadium_outage import POLICY, Outage
from actors.stadium_recovery import Recovery, recover
from actors.stadium_report import describe
from cluster.storage import StorageError
from models.errors import FencedError, LogError, TouchlineError
from models.policies.linger import LingerPolicy
from models.telemetry.raw import RawBatch

TICK_NS: Final = 250_000_000
IDLE_TICK_NS: Final = 1_000_000_000
PUBLISH_NS: Final = 1_000_000_000
"""What `stats` says while a round holds it up is made so often: to make it costs half a ms."""
LONGEST_SLEEP_S: Final = 0.25
STAGED_WHILE_REPLAYING: Final = 64
TICK_SOURCE: Final = "tick"
END_SOURCE: Final = "end"


class Stadium:
    """States: new, recovering, running, log_down, finished, stopped, fenced, failed.

    autostart: begin at once, as an actor must that Ray restarts by calling its constructor.
    """

    def __init__(
        self, settings: dict[str, Any], venue: dict[str, Any], autostart: bool = False,
        ports: StadiumPorts | None = None,
    ) -> None:
        self._settings, self._venue = settings, venue
        self.venue_id, self.match_id = str(venue["id"]), str(venue.get("match_id", "match-1"))
        self._ports = ports or StadiumPorts.of(settings)
        self._wall_ns = self._ports.steady_ns or self._ports.wall_ns
        self._started_ns = self._wall_ns()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._opened: StadiumParts | None = None
        self._pulled: Pulled | None = None
        self._unsettled: deque[tuple[Source, RawBatch, Verdicts]] = deque()
        self.outage = Outage()
        self._linger = LingerPolicy(core_time=self._ports.core_time)
        self.recovery: Recovery | None = None
        self.state, self.error = "new", ""
        self._finishing = False
        self._tick_ns = self._snapshot_ns = self._published_ns = 0
        self._published: dict[str, Any] = {}
        if autostart:
            self.start()

    def start(self) -> None:
        """Begin the loop in its own thread; a second call does nothing."""
        if self._thread is None:
            name = f"stadium-{self.venue_id}"
            self._thread = threading.Thread(target=self.run, name=name, daemon=True)
            self._thread.start()

    def open(self) -> None:
        """Take over the venue and recover. Raises ConfigError, LogError, FencedError."""
        self.state = "recovering"
        parts = self._build()
        journal = parts.journal
        now_ns = self._wall_ns()
        journal.fence()
        journal.publish_roster(now_ns)
        self._opened = parts
        self.recovery = recover(journal, parts.kernel, parts.snapshots, self._reapply)
        journal.flush(self._wall_ns)
        if self.recovery.replayed or not self.recovery.fresh:
            detail = {"replayed": self.recovery.replayed, "from": self.recovery.from_offset}
            journal.append_action("recovered", "the stadium was started again", detail, now_ns)
        parts.open_sources()
        parts.save_snapshot()
        self._snapshot_ns = self._wall_ns()
        self.state = "finished" if journal.counters.ended else "running"

    def run(self) -> None:
        """The loop: until the match has ended, `stop`, fencing, or a fault of ours."""
        try:
            while self._opened is None and not self._stop.is_set():
                self._open_or_wait()
            while not self._stop.is_set() and self.state in ("running", "log_down"):
                begin_ns = self._wall_ns()
                if self.run_step():
                    self._collect(begin_ns)
                else:
                    self._sleep()
        except FencedError as error:
            self.state, self.error = "fenced", str(error)
        except Exception as error:  # visible in stats; the supervisor decides what is done about it
            self.state, self.error = "failed", f"{type(error).__name__}: {error}"
            if not isinstance(error, TouchlineError):
                raise
        finally:
            self._wind_down()

    def run_step(self) -> bool:
        """One bounded round; False when there was nothing to do. Raises FencedError."""
        now_ns = self._wall_ns()
        if self.outage.active and now_ns < self.outage.retry_ns:
            return False
        with self._lock:
            try:
                moved = self._advance(now_ns)
                if self.outage.active:
                    self._resume()
            except FencedError as error:
                self.state, self.error = "fenced", str(error)
                raise
            except LogError as error:
                self.outage.failed(error, now_ns)
                self.state, moved = "log_down", False
            if now_ns - self._published_ns >= PUBLISH_NS or self.state == "finished":
                self._publish()
        return moved

    def ingest(self, payload: bytes, content_type: str, identity: str = "") -> Answer:
        """A verdict per packet, once its rows are durable; from any thread.

        content_type: Arrow IPC stream, JSON or binary packets, or any of them `+zstd`. A payload
        that finds the queue full, or the log down, gets the one verdict "retry"; sending it again
        is harmless.
        """
        ticket = self.offer(payload, content_type, identity)
        if self._thread is None:
            self._run_until(ticket)
        return wait_for(ticket)

    def offer(self, payload: bytes, content_type: str, identity: str = "") -> "Future[Answer]":
        """As `ingest`, without waiting: the answer comes in the future."""
        push = self._opened.push if self._opened is not None else None
        if self.state in ("finished", "stopped", "fenced", "failed"):
            return _answered(ended_answer(self.state))
        if push is None or self.outage.active:
            return _answered(retry_answer())
        return push.offer(payload, content_type, identity)

    def stats(self) -> dict[str, Any]:
        """How it stands (`stadium_report` names the keys): as of now, or as of a second before a
        round that takes more than half a second."""
        if self._lock.acquire(timeout=0.5):
            try:
                self._publish()
            finally:
                self._lock.release()
        return self._published

    def done(self) -> bool:
        """All sources are done, and the final record is durable."""
        return self.state == "finished"

    def finish(self) -> None:
        """End the match: take what live queues hold, then make the final record."""
        self._finishing = True
        self._wake.set()

    def stop(self) -> None:
        """Stop without ending the match; a later stadium goes on from here."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(30.0)
        elif self._thread is None:
            self._wind_down()

    def lingers_ns(self) -> int:
        """The least time between two rounds now; 0 where each brings as much as the last."""
        merges = self._opened is not None and self._opened.feeds.merges
        return self._linger.span_ns if merges and not self._finishing else 0

    def addresses(self) -> dict[str, str]:
        """Where sources listen: source_id -> host:port."""
        found = self._opened.feeds.progress() if self._opened is not None else []
        return {one["source_id"]: one["address"] for one in found if "address" in one}

    @property
    def _parts(self) -> StadiumParts:
        assert self._opened is not None, "the venue is taken over first"
        return self._opened

    # -- one round --------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> bool:
        journal, feeds = self._parts.journal, self._parts.feeds
        journal.flush(self._wall_ns, patient=True)
        if journal.counters.ended:
            self._complete()
            return True
        if self._pulled is None:
            self._pulled = feeds.pull(now_ns) or self._closing(now_ns) or self._tick(now_ns)
        if self._pulled is None:
            return self._snapshot_if_due(now_ns)
        # Kept until durable: a log that refuses is asked again with the very same batches.
        self._pulled = self._keep_heads(self._pulled)
        journal.append_raw([batch for _, batch in self._pulled.batches])
        pulled, self._pulled = self._pulled, None
        for source, batch in pulled.batches:
            self._handle(source, batch, now_ns)
        self._settle()
        journal.flush(self._wall_ns, patient=True)
        if journal.counters.ended:
            self._complete()
        self._snapshot_if_due(now_ns)
        return True

    def _keep_heads(self, pulled: Pulled) -> Pulled:
        self._parts.journal.append_refusals(pulled.refusals, pulled.arrived_ns)
        return Pulled(pulled.batches, (), pulled.arrived_ns)

    def _handle(self, source: Source | None, batch: RawBatch, now_ns: int) -> None:
        parts, feeds = self._parts, self._parts.feeds
        effects = parts.kernel.handle(batch)
        parts.journal.handled(batch)
        marks = [feeds.wall_ns(oldest_arrival_ns(record)) or now_ns for record in effects.records]
        parts.journal.stage(effects, batch.now_ns, marks, self._wall_ns())
        if source is not None:
            self._unsettled.append((source, batch, effects.verdicts))

    def _reapply(self, batch: RawBatch, offset: int, t_append_ns: int) -> None:
        """Handle a raw record again; its append is the only wall-clock time that is still known."""
        effects = self._parts.kernel.handle(batch)
        journal = self._parts.journal
        journal.handled(batch, offset)
        journal.stage(effects, batch.now_ns, [t_append_ns] * len(effects.records), t_append_ns)
        if journal.staged >= STAGED_WHILE_REPLAYING:
            journal.flush(self._wall_ns)

    def _settle(self) -> None:
        while self._unsettled:
            source, batch, verdicts = self._unsettled.popleft()
            source.settled(batch, verdicts)

    def _closing(self, now_ns: int) -> Pulled | None:
        """The batch that ends the match, once no source has anything more."""
        if not self._parts.feeds.exhausted(self._finishing):
            return None
        batch = RawBatch(END_SOURCE, 0, self._parts.clock.now_ns(), {}, {}, end=True)
        return Pulled(((None, batch),), (), now_ns)

    def _tick(self, now_ns: int) -> Pulled | None:
        """An empty batch that lets event time pass on a live venue that has gone quiet: often while
        rows wait for it, and now and then while none do, so that an outage of all is noticed."""
        clock, waited_ns = self._parts.clock, now_ns - self._tick_ns
        if clock.virtual or waited_ns < TICK_NS:
            return None
        # Asked last: counting what waits costs more than a round that finds nothing.
        if waited_ns < IDLE_TICK_NS and not self._parts.buffered():
            return None
        self._tick_ns = now_ns
        clock.advance(clock.now_ns())
        return Pulled(((None, RawBatch(TICK_SOURCE, 0, clock.floor_ns, {}, {})),), (), now_ns)

    def _complete(self) -> None:
        self.state = "finished"
        self._snapshot_ns = 0

    def _snapshot_if_due(self, now_ns: int) -> bool:
        """False always: a snapshot is no progress. One that fails is tried again in its time."""
        parts = self._parts
        due = now_ns - self._snapshot_ns >= parts.snapshot_every_ns
        if due and parts.journal.counters.raw_offset != parts.snapshot_offset:
            self._snapshot_ns = now_ns
            try:
                parts.journal.flush(self._wall_ns)
                parts.save_snapshot()
            except FencedError:
                raise
            except (OSError, LogError, StorageError) as error:
                parts.snapshot_errors += 1
                self.error = f"snapshot: {error}"
        return False

    def _resume(self) -> None:
        now_ns = self._wall_ns()
        error, since_ns = self.outage.error, self.outage.since_ns
        lasted_s = self.outage.over(now_ns) / 1e9
        if self.state == "log_down":
            self.state = "running"
        journal = self._parts.journal
        journal.append_action(POLICY, error, {"venue": journal.venue_id}, since_ns)
        journal.append_action(
            "resume_reading", "the log takes records again", {"down_s": lasted_s}, now_ns
        )

    # -- around the loop --------------------------------------------------------------------------

    def _build(self) -> StadiumParts:
        return build_parts(self._settings, self._venue, self._ports, self._wake.set)

    def _open_or_wait(self) -> None:
        try:
            self.open()
        except FencedError:
            raise
        except (LogError, StorageError) as error:
            if self._opened is not None:
                self._opened.feeds.close()
            self._opened = None
            self.outage.failed(error, self._wall_ns())
            self._stop.wait(self.outage.wait_ns / 1e9)
        else:
            self.outage.since_ns = self.outage.wait_ns = 0

    def _run_until(self, ticket: "Future[Answer]") -> None:
        """Without a loop of its own the caller's thread runs it, a bounded number of rounds."""
        for _ in range(16):
            if ticket.done() or not self.run_step():
                return

    def _sleep(self) -> None:
        now_ns, feeds = self._wall_ns(), self._parts.feeds
        due_ns = self.outage.retry_ns if self.outage.active else feeds.next_awake_ns()
        wait_s = LONGEST_SLEEP_S if due_ns == NEVER_NS else (due_ns - now_ns) / 1e9
        self._wake.wait(min(max(wait_s, 0.0005), LONGEST_SLEEP_S))
        self._wake.clear()

    def _collect(self, begin_ns: int) -> None:
        """After a round that began then: let rows gather while this stadium is busy."""
        wait_ns = self._linger.note(begin_ns, self._wall_ns())
        if wait_ns and self.lingers_ns():
            # Not for `_wake`, which every packet sets.
            self._stop.wait(wait_ns / 1e9)

    def _wind_down(self) -> None:
        if self._opened is None:
            return
        with self._lock:
            if self.state in ("running", "log_down", "finished") and not self._parts.closed:
                self._last_snapshot()
            self.state = "stopped" if self.state in ("running", "log_down") else self.state
            self._publish()
            self._parts.close()

    def _last_snapshot(self) -> None:
        try:
            self._parts.journal.flush(self._wall_ns)
            self._parts.save_snapshot()
        except (OSError, TouchlineError) as error:  # the next stadium replays a little more
            self.error = f"last snapshot: {error}"

    def _publish(self) -> None:
        self._published_ns = self._wall_ns()
        self._published = describe(self, self._opened, self._published_ns)
        self._published |= {
            "pid": os.getpid(), "cpu_s": round(time.process_time(), 3),
            "uptime_s": round((self._published_ns - self._started_ns) / 1e9, 3),
        }


def _answered(answer: Answer) -> "Future[Answer]":
    ticket: Future[Answer] = Future()
    ticket.set_result(answer)
    return ticket
