"""Known bugs, planted one at a time: each is something that the product once did or might do.

A mutation replaces attributes of product classes (or of the simulated log) for the time of a run.
`finds` says after how many seeds the simulation has seen that something is wrong.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from actors import (
    coordinator,
    coordinator_matches,
    stadium_journal,
    supervisor,
    twin_dump,
    webhook_lane,
    webhook_ports,
    worker,
    worker_outbox,
    worker_venue,
)
from actors.coordinator_view import PoolView
from actors.snapshot_writer import Writing
from actors.worker_snapshots import FlowSnapshot, flow_key
from cluster.eventlog.port import EventLog
from cluster.eventlog.sqlite_plan import Plan as LogPlan
from models.errors import LogError, TouchlineError
from models.policies.delivery import Outcome, Verdict
from models.policies.ownership import Ownership
from models.policies.supervision import Health
from tests.sim import edge_processes, mishaps, pool_processes, sim_log
from tests.sim.faults import Plan
from tests.sim.run import Result, play
from tests.sim.world import World

Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Mutation:
    """`what` in words; `patches` are (object, attribute, replacement).

    `kinds` empty: the plans are those of any seed; else these faults alone, at the highest level,
    for bugs that need one rare thing to happen.
    """

    what: str
    patches: tuple[Patch, ...]
    kinds: tuple[str, ...] = ()

    def plan(self, seed: int) -> Plan:
        drawn = Plan.draw(seed)
        return replace(drawn, level="brutal", kinds=self.kinds) if self.kinds else drawn


@contextlib.contextmanager
def planted(mutation: Mutation) -> Iterator[None]:
    before = [(where, name, getattr(where, name)) for where, name, _ in mutation.patches]
    for where, name, new in mutation.patches:
        setattr(where, name, new)
    try:
        yield
    finally:
        for where, name, old in before:
            setattr(where, name, old)


def finds(mutation: Mutation, seeds: Sequence[int]) -> Result | None:
    """The first run that fails, None if all hold."""
    with planted(mutation):
        for seed in seeds:
            result = play(mutation.plan(seed))
            if result.rule:
                return result
    return None


# -- the log ---------------------------------------------------------------------------------------

_plan_append, _plan_fence = sim_log.plan_append, sim_log.plan_fence


def _append_unfenced(
    state: Mapping[str, int], records: Any, epoch: int, now_ns: int
) -> LogPlan:
    return _plan_append(state, records, 1 << 62, now_ns)


def _append_twice(state: Mapping[str, int], records: Any, epoch: int, now_ns: int) -> LogPlan:
    forgetful = {key: n for key, n in state.items() if not key.startswith("seq/")}
    return _plan_append(forgetful, records, epoch, now_ns)


def _no_sync(self: sim_log.LogStore, name: str) -> None:
    """Acknowledged, and not on the disk."""


# -- the pool --------------------------------------------------------------------------------------


def _grant_without_fence(self: coordinator.Coordinator) -> bool:
    due = self._table.due()
    if due:
        self._table.epoch += 1
        self._store()
    for one in due:
        self._table.granted(one, self._table.epoch)
    return bool(due)


def _restore_from_zero(self: coordinator.Coordinator, now_ns: int) -> Ownership:
    found = self._ports.snapshots.get(coordinator.TABLE_KEY)
    table = Ownership.from_json(found[0], now_ns) if found is not None else Ownership()
    table.epoch = 0
    return table


def _store_one_too_far(self: worker_venue.VenueFlows, row: int) -> Writing:
    offset = self.backlog.offsets()[row]
    state = self._kernel.snapshot(worker_venue.np.array([row], worker_venue.np.int32))
    ahead = min(offset + 1, self.tools.log.describe(self._telemetry).end)
    key = flow_key(self.venue_id, self.match_id, self.subject_ids[row])
    body = FlowSnapshot(ahead, row in self.final, state).encode()
    return Writing((self.venue_id, row), key, body, self.epochs[row], offset)


def _append_and_forget(self: worker_outbox.Outbox, topics: Sequence[str]) -> list[str]:
    for topic in topics:
        batch = self._topics.pop(topic)
        for epoch in sorted(batch.by_epoch):
            self._log.append(topic, batch.by_epoch[epoch], epoch)
    return []


def _flush_as_if(self: worker_outbox.Outbox) -> bool:
    """Says that all is durable when the log has refused."""
    _flush(self)
    return True


_flush = worker_outbox.Outbox.flush


def _keep_fenced(self: worker.Worker) -> None:
    self._outbox.take_fenced()


def _stalled_by_two_clocks(self: PoolView, now_ns: int, after_ns: int) -> set[int]:
    return {w for w, report in self.reports.items() if now_ns - report.now_ns > after_ns}


def _lose_leaving(self: Ownership, worker_id: int) -> int:
    """Whoever is lost is forgotten, its flows are not."""
    self.members.pop(worker_id, None)
    return 0


def _life_by_wall_clock(self: World, proc: Any, log: EventLog) -> int:
    return int(proc.wall_ns())


def _stays(self: pool_processes.WorkerProcess) -> str:
    return "was retired, and keeps its name"


# -- the edge and the readers ----------------------------------------------------------------------


def _append_raw_lossy(self: stadium_journal.Journal, batches: Any) -> None:
    with contextlib.suppress(LogError):
        _append_raw(self, batches)


_append_raw = stadium_journal.Journal.append_raw


def _flush_staged_once(self: stadium_journal.Journal, wall_ns: Any) -> None:
    with contextlib.suppress(LogError):
        _journal_flush(self, wall_ns)
    self._staged.clear()


_journal_flush = stadium_journal.Journal.flush


def _judge_failed_only(stats: Mapping[str, Any]) -> Health:
    return Health.DEAD if stats.get("state") == "failed" else Health.OK


def _commit_first(self: supervisor.Supervisor) -> bool:
    for watch in self._watches.values():
        if not self._ports.nets.busy(watch.venue_id):
            tasks = watch.read()
            watch.commit()
            self._ports.nets.submit(tasks)
    for watch in self._watches.values():
        mine = [p for p in self._ports.nets.poll() if p.task.venue_id == watch.venue_id]
        if mine:
            self._write(watch, mine)
    return False


def _foresee_forgetful(self: supervisor.Supervisor) -> bool:
    try:
        return _foresee(self)
    except TouchlineError:
        self._answers.clear()
        raise


_foresee = supervisor.Supervisor._foresee


def _commit_what_is_sent(self: webhook_lane.Lane, now_ns: int) -> Any:
    """The cursor passes a message that is on its way."""
    shipment = _ship(self, now_ns)
    with contextlib.suppress(TouchlineError):
        self._ports.log.commit(self._topic, self._group, self._next)
    return shipment


_ship = webhook_lane.Lane.ship


def _forget_after_one_try(self: webhook_lane.Trial, outcome: Outcome, now_ns: int) -> Verdict:
    return Verdict.STOP if outcome is Outcome.GONE else Verdict.NEXT


def _bury_at_once(self: webhook_lane.Trial, outcome: Outcome, now_ns: int) -> Verdict:
    return Verdict.NEXT if outcome is Outcome.TAKEN else Verdict.DEAD


def _ask_for_ever(self: webhook_lane.Trial, outcome: Outcome, now_ns: int) -> Verdict:
    return Verdict.NEXT if outcome is Outcome.TAKEN else Verdict.AGAIN


def _bury_unwritten(self: webhook_lane.Lane, now_ns: int, end: int) -> bool:
    """The cursor goes on whether the dead letter is in the log or not."""
    if self._dead is not None:
        with contextlib.suppress(TouchlineError):
            self._ports.log.append(f"dead-letters/{self.key[0]}", [self._dead], 0)
        self._finish()
    return _advance(self, now_ns, end)


_advance = webhook_lane.Lane.advance


def _trim_all(self: mishaps.Mishaps) -> str:
    client = sim_log.LogClient(self._world.store, lambda: 0, "retention")
    for shape in self._world.shapes.values():
        topic = f"telemetry/{shape.venue}"
        client.trim(topic, client.describe(topic).end)
    return "retention takes all that it can"


def _raw_wall_clock(self: World, proc: Any) -> Any:
    return proc.wall_ns


MUTATIONS: Final = (
    Mutation("the log does not check epochs", ((sim_log, "plan_append", _append_unfenced),)),
    Mutation("the log appends what it has", ((sim_log, "plan_append", _append_twice),)),
    Mutation("the log acknowledges before fsync", ((sim_log.LogStore, "sync", _no_sync),)),
    Mutation("flows are granted without fencing", (
        (coordinator.Coordinator, "_grant_due", _grant_without_fence),)),
    Mutation("a restarted coordinator begins its epochs anew", (
        (coordinator.Coordinator, "_restore", _restore_from_zero),)),
    Mutation("a flow's snapshot is one record ahead of its state", (
        (worker_venue.VenueFlows, "snapshot_of", _store_one_too_far),)),
    Mutation("the outbox forgets what was refused", (
        (worker_outbox.Outbox, "_append_all", _append_and_forget),)),
    Mutation("the worker goes on while its outbox is stuck", (
        (worker_outbox.Outbox, "flush", _flush_as_if),), ("log_error", "log_down", "crash")),
    Mutation("the worker keeps flows that were fenced", (
        (worker.Worker, "_handle_fenced", _keep_fenced),)),
    Mutation("a dead worker keeps its flows", ((Ownership, "lose", _lose_leaving),)),
    Mutation("standing still is judged by two clocks", (
        (PoolView, "stalled", _stalled_by_two_clocks),), ("clock", "crash")),
    # Alone, either is healed by the other.
    Mutation("lives are numbered by the wall clock, and who is retired stays", (
        (World, "incarnation", _life_by_wall_clock),
        (pool_processes.WorkerProcess, "_leave", _stays)), ("clock", "crash")),
    # A crash would heal it: whoever starts anew measures from then on.
    Mutation("spans are measured by the wall clock", (
        (World, "clock_of", _raw_wall_clock),), ("clock",)),
    Mutation("the edge acknowledges what was refused", (
        (stadium_journal.Journal, "append_raw", _append_raw_lossy),)),
    Mutation("the edge forgets what was not flushed", (
        (stadium_journal.Journal, "flush", _flush_staged_once),)),
    Mutation("a fenced stadium counts as well", (
        (edge_processes, "judge_stats", _judge_failed_only),
        (pool_processes, "judge_stats", _judge_failed_only),
    ), ("orphan", "log_down", "disk_full")),
    Mutation("the cursor is committed before the effects", (
        (supervisor.Supervisor, "_foresee", _commit_first),)),
    Mutation("answers are lost with a failed read", (
        (supervisor.Supervisor, "_foresee", _foresee_forgetful),), ("log_error", "crash")),
    Mutation("the next match begins at once", (
        (coordinator_matches.Matches, "_may_begin", lambda self, venue_id, match_id: True),)),
    Mutation("final rows count as the newest match's", (
        (twin_dump, "match_of_states", lambda table: ""),)),
    Mutation("a webhook's cursor is committed when a message is sent", (
        (webhook_lane.Lane, "ship", _commit_what_is_sent),)),
    Mutation("a webhook tries once", ((webhook_lane.Trial, "judge", _forget_after_one_try),)),
    Mutation("a webhook gives up on who is away", ((webhook_lane.Trial, "judge", _bury_at_once),)),
    Mutation("a refused message is offered for ever", (
        (webhook_lane.Trial, "judge", _ask_for_ever),)),
    Mutation("a dead letter is lost with an append", (
        (webhook_lane.Lane, "advance", _bury_unwritten),), ("log_error", "log_down")),
    Mutation("a webhook sends all that it reads", (
        (webhook_ports, "event_view", lambda event, sight: event),)),
    Mutation("retention takes what recovery needs", ((mishaps.Mishaps, "_trim", _trim_all),)),
)
