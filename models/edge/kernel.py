"""EdgeKernel: the stadium's pre-processing as one deterministic state machine over raw batches.

`handle()` is the only door. Rows are judged in arrival order (`models.edge.ingest`), wait in a
reorder buffer until the watermark has passed their tick, and are then worked through by whole ticks
(`models.edge.stretch`). The watermark is the arrival clock less `lateness_ns`, floored to a tick;
the clock is the newest `t_ingest` or `now_ns` of all batches so far. The same rows give the same
results bit for bit, however they are cut into batches, as long as arrival times do not go back.
"""

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.edge.account import EdgeAccount, KindAccount
from models.edge.config import EdgeConfig
from models.edge.device_events import build_events
from models.edge.effects import EdgeEffects, RejectedRows
from models.edge.ingest import arrived_rows, judge
from models.edge.intensity import HOT, SCORE, SEEN
from models.edge.normalise import Normaliser
from models.edge.rows import Rows, in_order, join_rows, named_rows, rows_named
from models.edge.sequence import lost_of
from models.edge.standing import StandingOrders, kept_whole
from models.edge.state import FIRST_REASON, FORWARDED, IN, PRE_ROLL, THINNED, EdgeState
from models.edge.stretch import MAX_STRETCH_NS, Outcome, ReleaseStage
from models.edge.tables import KIND_CODE, KIND_LIST, RECORD_TICKS, STATES_AT_REST, Tables
from models.edge.waiting import NOTHING_NS, Waiting, late_rows
from models.errors import SchemaError
from models.state_bytes import pack_state, unpack_state
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import Kind
from models.telemetry.raw import RawBatch
from models.telemetry.reasons import Reason
from models.telemetry.record import FlowStates, TelemetryRecord
from models.telemetry.roster import Roster

_NOT_YET = -1


class EdgeKernel:
    """One per venue and match. Times ns UTC; see `EdgeConfig` for every tunable."""

    def __init__(self, roster: Roster, config: EdgeConfig | None = None) -> None:
        self.roster, self.config = roster, config or EdgeConfig()
        self.tables = Tables(roster, self.config)
        self.next_seq = 0
        self._state = EdgeState(self.tables)
        self._stage = ReleaseStage(self.tables, self.config, self._state)
        self._normaliser = Normaliser(roster, self.config)
        self.orders = StandingOrders(
            self.tables, roster.match_id, self.config.tick_ns, self.config.lateness_ns,
            self._state.orders, self._state.thin.live,
        )
        self._pending: dict[Kind, Waiting] = {}
        self._late: dict[Kind, list[Rows]] = {}
        self._refused: dict[str, int] = {}
        self._event_seq = 0
        self._clock_ns = 0
        self._edge_ns = self._sealed_ns = self._newest_ns = _NOT_YET

    # -- the door ---------------------------------------------------------------------------------

    def handle(self, batch: RawBatch) -> EdgeEffects:
        """Take one raw batch; everything that follows from it. Bad data never raises."""
        effects = EdgeEffects()
        clock_ns = max(self._clock_ns, batch.now_ns)
        if batch.orders or batch.unread:
            self.orders.take(batch.orders, batch.unread, clock_ns)
        for kind in KIND_LIST:
            block = batch.blocks.get(kind)
            if block is not None:
                effects.verdicts[kind] = self._take(block, effects)
                if len(block):
                    clock_ns = max(clock_ns, int(block.t_ingest_ns.max()))
        for label, rows in batch.refused.items():
            self._refused[label] = self._refused.get(label, 0) + rows
        self._clock_ns = clock_ns
        upto_ns = self._watermark(batch.end)
        outcome = Outcome()
        begin_ns = self._edge_ns
        self._release(upto_ns, outcome)
        self._bound(effects)
        if batch.end:
            self.orders.close()
        effects.orders.extend(self.orders.take_answers())
        moved = self._edge_ns > begin_ns
        self._seal(outcome, effects, moved, batch.end)
        return effects

    def finish(self, now_ns: int) -> EdgeEffects:
        """`handle()` of an empty batch that ends the stream: everything held back is released."""
        return self.handle(RawBatch("", 0, now_ns, {}, {}, end=True))

    def account(self) -> EdgeAccount:
        """Where every row has gone so far."""
        lost = lost_of(self._state.counters)
        of_kind = np.bincount(self.tables.streams.kind, lost, len(KIND_LIST))
        kinds = {}
        for kind, tally, lost_n in zip(
            KIND_LIST, self._state.tallies.tolist(), of_kind.tolist(), strict=True
        ):
            reasons = {
                Reason(k).label: rows for k, rows in enumerate(tally[FIRST_REASON:]) if rows
            }
            buffered = len(self._pending.get(kind, ())) + sum(map(len, self._late.get(kind, ())))
            kinds[kind] = KindAccount(
                tally[IN], tally[FORWARDED], tally[THINNED], buffered, int(lost_n),
                tally[PRE_ROLL], reasons,
            )
        return EdgeAccount(kinds, dict(self._refused))

    def state_bytes_per_device(self) -> int:
        """Bytes of state per roster device, subjects included; the buffers' rows are not."""
        return self._state.device_bytes()

    # -- ingest -----------------------------------------------------------------------------------

    def _take(self, block: SampleBlock, effects: EdgeEffects) -> NDArray[np.uint8]:
        """Judge a block; accepted rows go to the buffer, late ones aside. The verdicts."""
        kind, state = block.kind, self._state
        tally = state.tallies[KIND_CODE[kind]]
        tally[IN] += len(block)
        arrived = arrived_rows(block, self._normaliser.canonical(block))
        judged = judge(
            kind, arrived, self.tables.streams, state.counters, state.clocks, self._clock_ns,
            self.config,
        )
        bad = np.flatnonzero(judged.reason)
        if len(bad):
            reasons = judged.reason[bad]
            effects.rejected.append(RejectedRows(kind, block.take(bad), reasons))
            np.add.at(tally, FIRST_REASON + reasons.astype(np.intp), 1)
        if len(bad) < len(block):
            if kind not in self._pending:
                self._pending[kind] = Waiting(kind)
            # What is good and does not wait is late.
            late_n = len(block) - len(bad) - self._pending[kind].add(arrived, judged)
            if late_n:
                self._late.setdefault(kind, []).append(late_rows(kind, arrived, judged, late_n))
        return judged.reason

    def _bound(self, effects: EdgeEffects) -> None:
        """Refuse the newest rows where more are waiting than the buffer may hold."""
        for kind, waiting in self._pending.items():
            extra = waiting.refuse_beyond(self.config.max_pending_rows)
            if extra is not None:
                reasons = np.full(len(extra), int(Reason.RATE), np.uint8)
                effects.rejected.append(RejectedRows(kind, extra.block(), reasons))
                tally = self._state.tallies[KIND_CODE[kind]]
                tally[FIRST_REASON + int(Reason.RATE)] += len(extra)

    # -- release ----------------------------------------------------------------------------------

    def _watermark(self, end: bool) -> int:
        tick_ns = self.config.tick_ns
        upto_ns = self._clock_ns - self.config.lateness_ns
        upto_ns -= upto_ns % (tick_ns * RECORD_TICKS[self.orders.level])
        if end:
            for waiting in self._pending.values():
                if len(waiting):
                    newest_ns = waiting.newest_ns()
                    upto_ns = max(upto_ns, newest_ns - newest_ns % tick_ns + tick_ns)
        return upto_ns

    def _oldest_pending_ns(self) -> int:
        """The oldest event time that waits; NOTHING_NS when nothing does."""
        times = [waiting.oldest_ns for waiting in self._pending.values() if len(waiting)]
        return min(times, default=NOTHING_NS)

    def _release(self, upto_ns: int, out: Outcome) -> None:
        tick_ns = self.config.tick_ns
        oldest_ns = self._oldest_pending_ns()
        first = self._edge_ns == _NOT_YET
        if first:
            if oldest_ns < 0 or oldest_ns >= upto_ns:
                return
            self._edge_ns = self._sealed_ns = oldest_ns - oldest_ns % tick_ns
            self._stage.begin(self._edge_ns)
        longest_ns = max(MAX_STRETCH_NS // tick_ns, 1) * tick_ns
        while self._edge_ns < upto_ns:
            begin_ns = self._edge_ns
            self.orders.apply(begin_ns, first)
            first = False
            end_ns = min(upto_ns, begin_ns + longest_ns, self.orders.next_ns())
            if oldest_ns < 0 or oldest_ns >= end_ns:
                quiet_ns = self._newest_ns + self.config.quiet_bound_ns
                quiet_ns += -quiet_ns % tick_ns
                if begin_ns >= quiet_ns:
                    # Nothing for very long: no second of it is worth a health row.
                    resume_ns = upto_ns if oldest_ns < 0 else oldest_ns - oldest_ns % tick_ns
                    self._edge_ns = min(upto_ns, max(begin_ns, resume_ns))
                    self._stage.begin(self._edge_ns)
                    continue
                end_ns = min(end_ns, quiet_ns)
            self._stretch(begin_ns, end_ns, out)
            self._edge_ns = end_ns
            oldest_ns = self._oldest_pending_ns()

    def _stretch(self, begin_ns: int, end_ns: int, out: Outcome) -> None:
        sets = {}
        for kind in KIND_LIST:
            waiting = self._pending.get(kind)
            if waiting is None:
                continue
            ready = waiting.before(self.tables.streams.first, end_ns, self.config.tick_ns)
            if ready is not None:
                sets[kind] = ready
                self._newest_ns = max(self._newest_ns, int(ready.t_ns.max()))
        self._stage.run(sets, begin_ns, end_ns, out)

    def _seal(self, out: Outcome, effects: EdgeEffects, moved: bool, end: bool) -> None:
        """Turn the outcome into effects, with a record if there is something to put in it."""
        effects.health.extend(out.health)
        effects.rejected.extend(
            RejectedRows(rows.kind, rows.block(), rows.reason.astype(np.uint8))
            for rows in out.rejected
        )
        for notes in out.notes:
            effects.events.extend(build_events(notes, self.roster, self._event_seq))
            self._event_seq += len(notes)
        if not end and not (moved and (out.live or out.pre_roll or self._late)):
            return
        blocks = {kind: in_order(parts) for kind, parts in out.live.items()}
        supplements = {}
        for kind in KIND_LIST:
            late = self._late.get(kind, [])
            self._state.tallies[KIND_CODE[kind], FORWARDED] += sum(map(len, late))
            parts = [*out.pre_roll.get(kind, ()), *late]
            if parts:
                supplements[kind] = join_rows(parts).block()
        self._late = {}
        to_ns = max(self._edge_ns, 0)
        effects.records.append(TelemetryRecord(
            self.roster.venue_id, self.roster.match_id, self.next_seq, max(self._sealed_ns, 0),
            to_ns, blocks, supplements, self._flow_states(), {}, end,
        ))
        self._sealed_ns = self._edge_ns
        self.next_seq += 1

    def _flow_states(self) -> FlowStates:
        flows = self._state.flows
        seen = np.flatnonzero(flows.flows[:, SEEN]).astype(np.int32)
        hot = flows.flows[seen, HOT] == 1
        score = flows.last[seen, SCORE].astype(np.float32)
        if not STATES_AT_REST[self.orders.level]:
            return FlowStates(seen, score, hot)
        awake = self.tables.is_ball | kept_whole(self._state.orders, self._edge_ns)
        return FlowStates(seen, score, hot, seen[~hot & ~awake[seen]])

    # -- snapshot ---------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """All state as bytes: `restore` and going on equals never having stopped, bit for bit."""
        arrays = self._state.arrays()
        for kind in KIND_LIST:
            if kind in self._pending:
                arrays |= named_rows(f"pending/{kind}", self._pending[kind].rows())
            if self._late.get(kind):
                arrays |= named_rows(f"late/{kind}", join_rows(self._late[kind]))
        for kind, memory in self._stage.memory.items():
            compact = memory.compact(self._edge_ns)
            if compact is not None:
                arrays |= named_rows(f"memory/{kind}", compact[0])
                arrays[f"memory/{kind}/whole"] = compact[1]
        return pack_state(self._scalars(), arrays)

    def restore(self, payload: bytes) -> None:
        """Take over a snapshot made by a kernel of the same roster and settings.

        Raises SchemaError when it is none; the kernel is then as it was.
        """
        scalars, arrays = unpack_state(payload)
        fresh = EdgeKernel(self.roster, self.config)
        try:
            if scalars["fingerprint"] != self._fingerprint:
                raise SchemaError("wrong_format", "the snapshot is of another roster or settings")
            fresh._state.load(arrays)
            fresh._load(scalars, arrays)
        except (KeyError, ValueError, TypeError) as error:
            raise SchemaError("wrong_format", str(error)[:200]) from error
        self.__dict__.update(fresh.__dict__)

    def _scalars(self) -> dict[str, Any]:
        return {
            "fingerprint": self._fingerprint, "next_seq": self.next_seq,
            "event_seq": self._event_seq, "clock_ns": self._clock_ns, "edge_ns": self._edge_ns,
            "sealed_ns": self._sealed_ns, "newest_ns": self._newest_ns,
            "second_ns": self._stage.second_ns, "refused": self._refused,
            "orders": self.orders.to_dict(),
        }

    def _load(self, scalars: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.next_seq, self._event_seq = int(scalars["next_seq"]), int(scalars["event_seq"])
        self._clock_ns, self._edge_ns = int(scalars["clock_ns"]), int(scalars["edge_ns"])
        self._sealed_ns, self._newest_ns = int(scalars["sealed_ns"]), int(scalars["newest_ns"])
        self._stage.second_ns = int(scalars["second_ns"])
        self._refused = {str(label): int(n) for label, n in scalars["refused"].items()}
        if "orders" in scalars:
            self.orders.load(scalars["orders"])
        for kind in KIND_LIST:
            if f"pending/{kind}/device" in arrays:
                self._pending[kind] = Waiting(kind, rows_named(f"pending/{kind}", kind, arrays))
            if f"late/{kind}/device" in arrays:
                self._late[kind] = [rows_named(f"late/{kind}", kind, arrays)]
            if f"memory/{kind}/device" in arrays:
                rows = rows_named(f"memory/{kind}", kind, arrays)
                self._stage.memory[kind].keep(rows, arrays[f"memory/{kind}/whole"])

    @cached_property
    def _fingerprint(self) -> str:
        """What a snapshot must be of; a roster takes some 10 ms to write down."""
        text = f"{self.roster.to_json()}\0{self.config!r}"
        return hashlib.sha256(text.encode()).hexdigest()
