"""Small deterministic kernels with the doors of `EdgeKernel` and `FlowKernel`.

Their state is a hash that depends on order, their effects are numbered by stream and counter. The
edge puts the rows of all devices in order of their counters, so what it makes does not depend on
how they arrived; a flow that sees a record twice, late or not at all fails the run on the spot.
"""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.edge.effects import DeviceHealthRows, EdgeEffects, RejectedRows
from models.edge.tables import KIND_LIST
from models.edge.vitals import HEALTH_FEATURES
from models.events.envelope import Event
from models.flows.states import StateRows
from models.nets.contract import FATIGUE_FEATURES
from models.telemetry.raw import RawBatch
from models.telemetry.reasons import Reason
from models.telemetry.record import FlowStates, TelemetryRecord
from models.telemetry.roster import Roster

T0_NS: Final = 1_767_376_800_000_000_000
TICK_NS: Final = 2_000_000_000
ROWS: Final = 2
"""Rows of each device in a telemetry record, and samples in a packet."""
HEALTH_EVERY: Final = 4
STATES_EVERY: Final = 4
_BATTERY: Final = HEALTH_FEATURES.index("batt_pct")


class OrderError(AssertionError):
    """A flow was shown a record that is not the one it wants next."""


class SimEdgeKernel:
    """Records of `ROWS` rows per device; the last record comes with the end of the match."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.held: list[dict[int, float]] = [{} for _ in roster.devices]
        self.next = [0] * len(roster.devices)
        self.tick = self.events = self.rows_in = self.duplicates = self.digest = 0

    def handle(self, batch: RawBatch) -> EdgeEffects:
        effects = EdgeEffects()
        for kind, block in batch.blocks.items():
            verdicts = np.zeros(len(block), np.uint8)
            rows = zip(block.device.tolist(), block.seq.tolist(), block.values[0].tolist(),
                       strict=True)
            for place, (device, seq, value) in enumerate(rows):
                if seq < self.next[device] or seq in self.held[device]:
                    verdicts[place] = Reason.DUPLICATE
                else:
                    self.held[device][seq] = value
            self.rows_in += len(block)
            effects.verdicts[kind] = verdicts
            doubled = np.flatnonzero(verdicts)
            if len(doubled):
                self.duplicates += len(doubled)
                effects.rejected.append(
                    RejectedRows(kind, block.take(doubled), verdicts[doubled])
                )
        self._seal(effects, batch.end)
        return effects

    def _seal(self, effects: EdgeEffects, end: bool) -> None:
        wanted = range(ROWS)
        while all(
            self.next[d] + k in held for d, held in enumerate(self.held) for k in wanted
        ):
            for device, held in enumerate(self.held):
                for _ in wanted:
                    value = held.pop(self.next[device])
                    text = f"{self.digest}/{device}/{self.next[device]}/{value}"
                    self.digest = crc32(text.encode())
                    self.next[device] += 1
            self._record(effects, False)
        if end:
            self._record(effects, True)

    def _record(self, effects: EdgeEffects, final: bool) -> None:
        tick, count = self.tick, len(self.roster.subjects)
        self.tick += 1
        subject = np.arange(count, dtype=np.int32)
        hot = (subject + tick // 4) % 5 == 0
        start_ns = _start_ns(self.roster) + tick * TICK_NS
        effects.records.append(TelemetryRecord(
            self.roster.venue_id, self.roster.match_id, tick, start_ns, start_ns + TICK_NS, {}, {},
            FlowStates(subject, np.zeros(count, np.float32), hot), {"digest": self.digest}, final,
        ))
        if tick % 5 == 4:
            effects.events.append(_event(
                self.roster, "device_gap", f"edge/{self.roster.match_id}", self.events, tick,
                self.digest,
            ))
            self.events += 1
        if tick % HEALTH_EVERY == HEALTH_EVERY - 1:
            effects.health.append(self._health(start_ns + TICK_NS))

    def _health(self, t_ns: int) -> DeviceHealthRows:
        devices = self.roster.devices
        n = len(devices)
        values = np.zeros((len(HEALTH_FEATURES), n), np.float32)
        values[_BATTERY] = 90.0
        values[_BATTERY, 0] = 5.0
        kinds = np.array([KIND_LIST.index(device.kind) for device in devices], np.int32)
        return DeviceHealthRows(np.arange(n, dtype=np.int32), kinds, np.full(n, t_ns), values)

    def snapshot(self) -> bytes:
        return json.dumps([
            [sorted(held.items()) for held in self.held], self.next, self.tick, self.events,
            self.rows_in, self.duplicates, self.digest,
        ]).encode()

    def restore(self, payload: bytes) -> None:
        held, *rest = json.loads(payload)
        self.held = [dict(rows) for rows in held]
        (self.next, self.tick, self.events, self.rows_in, self.duplicates, self.digest) = rest

    def account(self) -> Any:
        buffered = sum(len(held) for held in self.held)
        body = {"in": self.rows_in, "buffered": buffered, "rejected": self.duplicates,
                "forwarded": sum(self.next)}
        return SimpleNamespace(buffered=buffered, to_dict=lambda: body)


class SimFlowKernel:
    """Per flow: the record wanted next, a hash over all before, the number of events made."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self._state: dict[int, list[int]] = {}

    def handle(
        self, records: Sequence[TelemetryRecord], subjects: NDArray[np.int32], *,
        since_ns: NDArray[np.int64] | None = None,
    ) -> SimpleNamespace:
        events: list[Event] = []
        windows: list[SimpleNamespace] = []
        rows: list[tuple[int, int, float]] = []
        since = [0] * len(subjects) if since_ns is None else since_ns.tolist()
        for subject, from_ns in zip(subjects.tolist(), since, strict=True):
            state = self._state.setdefault(subject, [0, 0, 0])
            for record in [one for one in records if one.t_from_ns >= from_ns]:
                self._one(state, subject, record, events, windows)
                if record.seq % STATES_EVERY == STATES_EVERY - 1 or record.final:
                    rows.append((record.t_to_ns, subject, float(state[1])))
        states = [_states(rows, records[-1].final)] if rows else []
        return SimpleNamespace(events=events, states=states, windows=windows)

    def _one(
        self, state: list[int], subject: int, record: TelemetryRecord, events: list[Event],
        windows: list[SimpleNamespace],
    ) -> None:
        name = self.roster.subjects[subject].subject_id
        if record.seq != state[0]:
            raise OrderError(f"flow {name} wants record {state[0]} and is shown {record.seq}")
        state[0] += 1
        state[1] = crc32(f"{state[1]}/{subject}/{record.seq}/{record.marks['digest']}".encode())
        if (record.seq + subject) % 3 == 0:
            kind = "man_down" if record.seq % 12 == 11 else "sprint"
            stream = f"flow/{name}"
            events.append(_event(self.roster, kind, stream, state[2], record.seq, state[1], name))
            state[2] += 1
        if record.seq % 8 == 7:
            data = np.zeros(len(FATIGUE_FEATURES), np.float32)
            windows.append(SimpleNamespace(
                kind="fatigue", subject=subject, t_ns=record.t_to_ns, event_id="", data=data,
            ))

    def snapshot(self, subjects: NDArray[np.int32]) -> bytes:
        return json.dumps({str(s): self._state.get(s) for s in subjects.tolist()}).encode()

    def restore(self, payload: bytes) -> None:
        held = json.loads(payload)
        self._state |= {int(s): state for s, state in held.items() if state is not None}

    def forget(self, subjects: NDArray[np.int32]) -> None:
        for subject in subjects.tolist():
            self._state.pop(subject, None)


def _event(
    roster: Roster, kind: str, stream: str, seq: int, tick: int, digest: int, subject: str = ""
) -> Event:
    t_ns = _start_ns(roster) + (tick + 1) * TICK_NS
    return Event(
        kind, roster.venue_id, roster.match_id, stream, seq, t_ns, t_ns, subject,
        metrics={"sum": float(digest)},
    )


def _start_ns(roster: Roster) -> int:
    """A venue's second match is an hour later."""
    return T0_NS + (0 if roster.match_id == "m1" else 3_600_000_000_000)


def _states(rows: list[tuple[int, int, float]], final: bool) -> StateRows:
    return StateRows(
        np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows], np.int32),
        {"x_m": np.array([r[2] for r in rows])}, final,
    )
