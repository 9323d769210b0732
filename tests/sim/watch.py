"""The invariants: what must hold after every step, whatever happens.

Nothing here trusts the log's own bookkeeping: what becomes durable is followed record by record and
compared with what an undisturbed run makes of the same input. Grants are followed through the
workers that hold them.
"""

import json
import struct
from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from actors.stadium_journal import RAW_GROUP
from actors.worker_snapshots import FlowSnapshot
from cluster.eventlog.port import StoredRecord
from models.events.envelope import Event, from_cloudevent
from models.telemetry.record import decode_header
from tests.sim.match import Effect, Expected, Shape
from tests.sim.sim_log import LogStore
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.webhook_processes import Receiver
    from tests.sim.world import World

_SNAP_HEAD = 24


class Watch:
    """Observer of the log and of the blobs; `after_step` looks at the processes."""

    def __init__(self, store: LogStore, shapes: list[Shape]) -> None:
        self.store = store
        self.expected = {(shape.venue, shape.match): shape.expected() for shape in shapes}
        self.records: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.seqs: dict[tuple[str, str], int] = {}
        self.epochs: dict[tuple[str, str], int] = {}
        self.ledger: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.acked_end: dict[str, int] = defaultdict(int)
        self.owners: dict[tuple[str, str, int], str] = {}
        self.edge_snapshots: dict[str, int] = defaultdict(int)
        self.written: dict[tuple[str, str], int] = {}
        self.receivers: dict[str, Receiver] = {}
        store.observer = self

    # -- what is compared --------------------------------------------------------------------------

    def effect(self, event: Event) -> Effect:
        return event.event_id, event.metrics["sum"]

    def digest(self, payload: bytes) -> int:
        """Of a telemetry record, its wall-clock marks left out."""
        header, _ = decode_header(payload)
        return int(header["marks"]["digest"])

    def of(self, venue: str, stream: str) -> Expected:
        """What is expected of the match that a stream belongs to."""
        return self.expected[venue, stream.split("/")[1]]

    def final(self, row: dict[str, Any]) -> Any:
        return row["x_m"]

    # -- the log -----------------------------------------------------------------------------------

    def stored(self, who: str, topic: str, fresh: list[StoredRecord], epoch: int) -> None:
        kind, _, venue = topic.partition("/")
        for one in fresh:
            stream, seq = one.record.stream, one.record.seq
            ledger = self.ledger[topic]
            if one.offset != len(ledger):
                raise Violation("offsets", f"{topic}: {one.offset} follows {len(ledger) - 1}")
            ledger.append((stream, seq))
            if seq <= self.seqs.get((topic, stream), -1):
                raise Violation("no effect twice", f"{topic}: {stream} {seq} is there already")
            if epoch < self.epochs.get((topic, stream), 0):
                raise Violation(
                    "fencing", f"{who} appends to {topic} {stream} with epoch {epoch}, fenced by"
                    f" {self.epochs[topic, stream]}",
                )
            if kind == "events":
                self._event(who, venue, one, epoch)
            elif kind == "telemetry":
                self._telemetry(venue, one)
            elif kind == "dead-letters":
                self._dead_letter(venue, one)
            self.seqs[topic, stream] = seq

    def _event(self, who: str, venue: str, one: StoredRecord, epoch: int) -> None:
        stream, seq = one.record.stream, one.record.seq
        event = from_cloudevent(one.record.payload)
        if stream.startswith("supervisor/"):
            device = stream.rpartition("/")[2]
            wanted_s = self.of(venue, stream).alarms.get(device)
            if seq != wanted_s and stream.split("/")[1] == "m1":
                raise Violation("alarms", f"{device} raises an alarm at {seq}")
            return
        previous = self.seqs.get((f"events/{venue}", stream), -1)
        if seq != previous + 1:
            raise Violation("order per flow", f"{stream}: event {seq} follows {previous}")
        wanted = self.of(venue, stream).events[stream]
        found = self.effect(event)
        if seq >= len(wanted) or wanted[seq] != found:
            raise Violation("conservation", f"{stream}: event {seq} is not what its records make")
        if stream.startswith("flow/"):
            newest = self.written.get((venue, stream), 0)
            if epoch < newest:
                raise Violation(
                    "fencing", f"{who} writes {stream} at epoch {epoch}, after {newest} has written"
                )
            self.written[venue, stream] = epoch
            owner = self.owners.setdefault((venue, stream, epoch), who)
            if owner != who:
                raise Violation(
                    "one owner per epoch",
                    f"{who} writes {stream} at epoch {epoch}, granted to {owner}",
                )

    def _telemetry(self, venue: str, one: StoredRecord) -> None:
        seq, stream = one.record.seq, one.record.stream
        digests, places = self.of(venue, stream).digests, self.records[venue, stream]
        if seq != len(places):
            raise Violation("order per venue", f"record {seq} of {stream} follows {len(places)}")
        places.append(one.offset)
        if seq >= len(digests) or self.digest(one.record.payload) != digests[seq]:
            raise Violation("conservation", f"telemetry record {seq} is not what raw records make")

    def _dead_letter(self, hook_id: str, one: StoredRecord) -> None:
        event_id = json.loads(one.record.payload)["event_id"]
        if not self.receivers[hook_id].refuses(event_id):
            raise Violation("webhooks", f"{hook_id} was not offered {event_id} for long enough")

    def fenced(self, who: str, topic: str, stream: str, epoch: int) -> None:
        before = self.epochs.get((topic, stream), 0)
        if epoch < before:
            raise Violation("epochs only rise", f"{who}: {topic} {stream} {before} -> {epoch}")
        self.epochs[topic, stream] = epoch

    def acked(self, topic: str, end: int) -> None:
        self.acked_end[topic] = max(self.acked_end[topic], end)

    def committed(self, topic: str, group: str, offset: int) -> None:
        end = self.store.look(topic).end
        if offset > end:
            raise Violation("cursors", f"{group} of {topic} at {offset}, the topic ends at {end}")
        if group.startswith("webhook/"):
            receiver = self.receivers[group.removeprefix("webhook/")]
            if wanting := receiver.settled(topic.partition("/")[2], offset):
                raise Violation("webhooks", f"{group} stands at {offset}: {wanting}")
        if group == RAW_GROUP:
            venue = topic.partition("/")[2]
            if offset > self.edge_snapshots[venue]:
                raise Violation(
                    "cursors", f"{topic} is released to {offset}, the snapshot stands at"
                    f" {self.edge_snapshots[venue]}",
                )

    def after_power_loss(self) -> None:
        """What was acknowledged is still there, record by record; the rest may be."""
        for topic in sorted(self.ledger.keys() | self.store.found.keys()):
            ledger, found = self.ledger[topic], self.store.look(topic)
            if found.end < self.acked_end[topic]:
                raise Violation(
                    "no acknowledged append lost",
                    f"{topic} was acknowledged to {self.acked_end[topic]} and ends at {found.end}",
                )
            kept = [(s.record.stream, s.record.seq) for s in found.records]
            acked = self.acked_end[topic] - found.begin
            if kept[: max(acked, 0)] != ledger[found.begin : self.acked_end[topic]]:
                raise Violation(
                    "no acknowledged append lost", f"{topic}: records were changed after the answer"
                )
            # What was written but never synced may have come through all the same.
            ledger[found.begin :] = kept
            for stored in found.records:
                stream, seq = stored.record.stream, stored.record.seq
                self.seqs[topic, stream] = max(self.seqs.get((topic, stream), -1), seq)
            kind, _, venue = topic.partition("/")
            if kind == "telemetry":
                self._find_records(venue)
        for topic, stream in self.epochs:
            key = f"epoch/{stream}"
            self.epochs[topic, stream] = max(
                self.epochs[topic, stream], self.store.look(topic).state.get(key, 0)
            )

    def _find_records(self, venue: str) -> None:
        """Telemetry that was never acknowledged, and has come through a loss of power."""
        for stored in self.store.look(f"telemetry/{venue}").records:
            places = self.records[venue, stored.record.stream]
            if stored.record.seq == len(places):
                places.append(stored.offset)

    # -- snapshots ---------------------------------------------------------------------------------

    def blob(self, name: str, data: bytes) -> None:
        key, _, rest = name.removeprefix("snapshots/").rpartition("/")
        epoch, payload = int(rest.removesuffix(".snap")), data[_SNAP_HEAD:]
        if key.startswith("flow/"):
            self._flow_snapshot(key, payload)
        elif key.startswith("edge/"):
            self._edge_snapshot(key.removeprefix("edge/"), payload)
        elif key.startswith("coordinator/"):
            self._table(epoch, json.loads(payload))

    def _flow_snapshot(self, key: str, payload: bytes) -> None:
        """A snapshot stands for effects that are durable, never for some on their way."""
        _, venue, match, subject = key.split("/")
        offset, stream = FlowSnapshot.decode(payload).offset, f"flow/{match}/{subject}"
        end = self.store.look(f"telemetry/{venue}").end
        if offset > end:
            raise Violation("cursors", f"{key} stands at {offset}, telemetry ends at {end}")
        durable = self.seqs.get((f"events/{venue}", stream), -1) + 1
        records = bisect_left(self.records[venue, f"edge/{match}"], offset)
        made = self.expected[venue, match].made[stream][records]
        if durable < made:
            raise Violation(
                "cursors", f"{key} stands at {offset}, after {made} events; {durable} are durable"
            )

    def _edge_snapshot(self, venue: str, payload: bytes) -> None:
        (length,) = struct.unpack_from("<I", payload, 4)
        head = json.loads(payload[8 : 8 + length])
        counters, stream = head["counters"], f"edge/{head['match_id']}"
        raw_end = self.store.look(f"raw/{venue}").end
        durable = len(self.records[venue, stream])
        if counters["raw_offset"] > raw_end or counters["records"] > durable:
            raise Violation(
                "cursors", f"edge/{venue} stands at raw {counters['raw_offset']} of {raw_end},"
                f" telemetry {counters['records']} of {durable}",
            )
        self.edge_snapshots[venue] = max(self.edge_snapshots[venue], counters["raw_offset"])

    def _table(self, epoch: int, body: dict[str, Any]) -> None:
        if body["epoch"] != epoch:
            raise Violation("epochs only rise", f"table of epoch {body['epoch']} under {epoch}")
        for venue, place in body["venues"].items():
            for row, _, granted, leaving, *_ in place["flows"]:
                if max(granted, leaving) > epoch:
                    raise Violation(
                        "epochs only rise", f"{venue} {row}: {granted}/{leaving} above {epoch}"
                    )

    # -- processes ---------------------------------------------------------------------------------

    def after_step(self, world: "World") -> None:
        for proc in world.workers():
            worker = proc.worker
            for venue, flows in worker._venues.items():
                for row, epoch in flows.epochs.items():
                    key = (venue, flows.streams[row], epoch)
                    owner = self.owners.setdefault(key, proc.who)
                    if owner != proc.who:
                        raise Violation(
                            "one owner per epoch", f"{key}: {owner} and {proc.who} hold it"
                        )
                    if self.epochs.get((f"events/{venue}", flows.streams[row]), 0) < epoch:
                        raise Violation("fencing", f"{key} was granted before it was fenced")
                self._bounded(proc.who, flows.backlog, worker._outbox, len(flows.streams))
        for stadium in world.stadiums():
            parts = stadium.stadium._opened
            if parts is not None and parts.journal.staged > 40:
                raise Violation("bounded memory", f"{stadium.name} stages {parts.journal.staged}")
        for hooks in world.webhooks():
            if much := hooks.bounded():
                raise Violation("bounded memory", much)
        coordinator = world.coordinator()
        if coordinator is not None:
            waiting = len(coordinator.decisions._waiting)
            if waiting > 1024 or len(coordinator._started) > 16:
                raise Violation("bounded memory", f"coordinator: {waiting} decisions wait")

    def _bounded(self, who: str, backlog: Any, outbox: Any, flows: int) -> None:
        config = backlog.config
        if backlog.lanes > config.max_lanes or any(
            len(lane.held) > config.max_records for lane in backlog._lanes
        ):
            raise Violation("bounded memory", f"{who} holds {backlog.held_records} records")
        bound = 4 * config.max_lanes * config.max_records * flows + 64
        if len(outbox) > bound:
            raise Violation("bounded memory", f"{who} has {len(outbox)} records on their way")
