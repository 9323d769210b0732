"""In-memory stand-ins for the pool's ports: event log, snapshots, launcher, kernel, and a clock.

They behave as the ports say, fencing and refusal included, and can be told to fail.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from actors.nodes import NodesAwayError
from cluster.eventlog.port import Record, StoredRecord, TopicInfo
from models.errors import FencedError, LogError, OffsetError, SchemaError
from models.events.envelope import Event
from models.flows.states import StateRows
from models.nets.contract import FATIGUE_FEATURES
from models.telemetry.record import FlowStates, TelemetryRecord, encode_record
from models.telemetry.roster import Role, Roster, Subject

T0_NS = 1_700_000_000_000_000_000
TICK_NS = 100_000_000


@dataclass
class Clock:
    """Wall clock that moves only when told."""

    now_ns: int = T0_NS

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


class FakeLog:
    """`EventLog` in memory. `down`: appends fail; `lossy`: they work, and fail all the same."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._records: dict[str, list[StoredRecord]] = defaultdict(list)
        self._begin: dict[str, int] = defaultdict(int)
        self._epochs: dict[tuple[str, str], int] = defaultdict(int)
        self._seqs: dict[tuple[str, str], int] = {}
        self._cursors: dict[tuple[str, str], int] = {}
        self.down = self.lossy = False
        self.reads = 0

    def fence(self, topic: str, stream: str, epoch: int = 0) -> int:
        current = self._epochs[topic, stream]
        if epoch and epoch < current:
            raise FencedError(stream, epoch, current)
        self._epochs[topic, stream] = epoch or current + 1
        return self._epochs[topic, stream]

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        if self.down:
            raise LogError("the log is down")
        for record in records:
            if self._epochs[topic, record.stream] > epoch:
                raise FencedError(record.stream, epoch, self._epochs[topic, record.stream])
        answer = []
        for record in records:
            if record.seq <= self._seqs.get((topic, record.stream), -1):
                answer.append(-1)
                continue
            self._seqs[topic, record.stream] = record.seq
            offset = self._begin[topic] + len(self._records[topic])
            self._records[topic].append(StoredRecord(offset, self._clock(), record))
            answer.append(offset)
        if self.lossy:
            raise LogError("the answer was lost")
        return answer

    def read(
        self, topic: str, offset: int, max_records: int = 256, max_bytes: int = 8 << 20
    ) -> list[StoredRecord]:
        self.reads += 1
        begin, held = self._begin[topic], self._records[topic]
        if not begin <= offset <= begin + len(held):
            raise OffsetError(topic, offset, begin, begin + len(held))
        return held[offset - begin : offset - begin + max_records]

    def last_seq(self, topic: str, stream: str) -> int:
        return self._seqs.get((topic, stream), -1)

    def commit(self, topic: str, group: str, offset: int) -> None:
        self._cursors[topic, group] = offset

    def cursor(self, topic: str, group: str) -> int:
        return self._cursors.get((topic, group), self._begin[topic])

    def trim(self, topic: str, before: int) -> int:
        count = max(before - self._begin[topic], 0)
        del self._records[topic][:count]
        self._begin[topic] += count
        return self._begin[topic]

    def describe(self, topic: str) -> TopicInfo:
        begin = self._begin[topic]
        return TopicInfo(topic, begin, begin + len(self._records[topic]), 0, 1)

    def topics(self) -> list[str]:
        return sorted(topic for topic, held in self._records.items() if held)

    def close(self) -> None:
        """Nothing to close."""

    def all(self, topic: str) -> list[Record]:
        return [stored.record for stored in self._records[topic]]


@dataclass
class FakeSnapshots:
    """`SnapshotStore` in memory, fenced by epoch; `broken` makes it fail."""

    held: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    broken: bool = False

    def put(self, key: str, payload: bytes, epoch: int) -> None:
        if self.broken:
            raise OSError("no space left")
        if key in self.held and self.held[key][1] > epoch:
            raise FencedError(key, epoch, self.held[key][1])
        self.held[key] = (payload, epoch)

    def get(self, key: str) -> tuple[bytes, int] | None:
        if self.broken:
            raise OSError("input/output error")
        return self.held.get(key)


class FakeKernel:
    """A flow kernel that fails the test if a flow sees a record twice, late, or not at all."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self._state: dict[int, list[int]] = {}

    def handle(
        self, records: Sequence[TelemetryRecord], subjects: NDArray[np.int32], *,
        since_ns: NDArray[np.int64] | None = None,
    ) -> SimpleNamespace:
        events, rows, windows = [], [], []
        since = [0] * len(subjects) if since_ns is None else since_ns.tolist()
        for subject, from_ns in zip(subjects.tolist(), since, strict=True):
            name = self.roster.subjects[subject].subject_id
            state = self._state.setdefault(subject, [0, 0, 0])
            for record in records:
                if record.t_from_ns < from_ns:
                    continue
                assert record.seq == state[0], (name, record.seq, state[0])
                state[0] += 1
                state[1] = (state[1] * 31 + record.seq * (subject + 1)) % 1_000_003
                rows.append((record.t_to_ns, subject, float(state[1])))
                if (record.seq + subject) % 3 == 0:
                    events.append(Event(
                        "man_down" if record.seq % 50 == 49 else "sprint", self.roster.venue_id,
                        self.roster.match_id, f"flow/{name}", state[2], record.t_to_ns,
                        record.t_to_ns, name, metrics={"sum": float(state[1])},
                    ))
                    state[2] += 1
                if record.seq % 10 == 9:
                    data = np.zeros(len(FATIGUE_FEATURES), np.float32)
                    windows.append(SimpleNamespace(
                        kind="fatigue", subject=subject, t_ns=record.t_to_ns, event_id="",
                        data=data,
                    ))
        return SimpleNamespace(
            events=events, states=[_states(rows, records[-1].final)], windows=windows
        )

    def snapshot(self, subjects: NDArray[np.int32]) -> bytes:
        return json.dumps({str(s): self._state.get(s) for s in subjects.tolist()}).encode()

    def restore(self, payload: bytes) -> None:
        try:
            held = json.loads(payload)
        except ValueError as error:
            raise SchemaError("wrong_format", "snapshot") from error
        self._state |= {int(s): state for s, state in held.items() if state is not None}

    def forget(self, subjects: NDArray[np.int32]) -> None:
        for subject in subjects.tolist():
            self._state.pop(subject, None)


def _states(rows: list[tuple[int, int, float]], final: bool) -> StateRows:
    return StateRows(
        np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows], np.int32),
        {"x_m": np.array([r[2] for r in rows])}, final,
    )


def roster_of(venue: str, flows: int, match: str = "m1") -> Roster:
    """A venue with so many athletes and no devices."""
    subjects = tuple(Subject(f"{venue}-{k}", Role.ATHLETE, "home") for k in range(flows))
    return Roster(venue, match, subjects=subjects)


def publish_roster(log: FakeLog, roster: Roster, seq: int = 0) -> None:
    record = Record("roster", seq, T0_NS, roster.to_json().encode())
    log.append(f"roster/{roster.venue_id}", [record], 1 << 40)


def telemetry(
    roster: Roster, seq: int, hot: Sequence[int] = (), final: bool = False
) -> TelemetryRecord:
    """An empty record of the venue in which the subjects `hot` are hot."""
    subject = np.arange(len(roster.subjects), dtype=np.int32)
    states = FlowStates(subject, np.zeros(len(subject), np.float32), np.isin(subject, list(hot)))
    start_ns = T0_NS + seq * TICK_NS
    return TelemetryRecord(
        roster.venue_id, roster.match_id, seq, start_ns, start_ns + TICK_NS, {}, {}, states,
        {"source": start_ns}, final,
    )


def publish(
    log: FakeLog, roster: Roster, seq: int, hot: Sequence[int] = (), final: bool = False
) -> None:
    record = telemetry(roster, seq, hot, final)
    payload = encode_record(record, [])
    stored = Record(f"edge/{roster.match_id}", seq, record.t_to_ns, payload)
    log.append(f"telemetry/{roster.venue_id}", [stored], 1 << 40)


class FakeNodes:
    """Keeps what it was asked for; `away` refuses."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.away = False

    def want(self, workers: int) -> None:
        if self.away:
            raise NodesAwayError("away")
        self.asked.append(workers)

    def alone(self) -> bool:
        return False
