"""HealthWatch: one venue's device health, turned into questions to the failure net and into alarms.

Tails device-health/<venue>, keeps the trends, hands the rows to `DeviceAnomalies`, and every
`every_ns` of event time asks the net about each device. An alarm is an event
`device_failure_predicted` of the device's own stream, numbered by its second of event time, so that
a supervisor that is started again cannot raise it twice.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors.net_client import NetTask, Prediction
from actors.supervisor_anomaly import DeviceAnomalies
from cluster.eventlog.port import EventLog, Record
from cluster.names import events_topic, health_topic
from models.errors import OffsetError, SchemaError
from models.events.envelope import EVENT_TYPE, Event, to_cloudevent
from models.nets.contract import (
    FAILURE_ALARM,
    FAILURE_HORIZON_S,
    FAULT_CLASSES,
    HEALTH_COLUMNS,
)
from models.telemetry.devices import index_of
from models.telemetry.roster import Device, Roster

GROUP: Final = "supervisor"
READ_RECORDS: Final = 64
_SECOND_NS: Final = 1_000_000_000


class Tracker(Protocol):
    """What is needed of `models.nets.tracker.FailureTracker`."""

    def push(
        self, device: NDArray[np.int32], t_ns: NDArray[np.int64], values: NDArray[np.float32]
    ) -> None: ...

    def features(self, device: NDArray[np.int32]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class AlarmConfig:
    """An alarm is raised from `enter` on and holds for `holds_ns`, in which there is no other: the
    rule by which `models.nets.judging` counts alarms."""

    every_ns: int = 5_000_000_000
    enter: float = FAILURE_ALARM
    holds_ns: int = int(FAILURE_HORIZON_S * _SECOND_NS)


class HealthWatch:
    """`next_offset` is what is read next; what was asked for lies before it."""

    def __init__(
        self, log: EventLog, roster: Roster, tracker: Tracker, decode: Any, config: AlarmConfig
    ) -> None:
        self.venue_id, self.match_id = roster.venue_id, roster.match_id
        self._log, self._roster, self._tracker, self._decode = log, roster, tracker, decode
        self._config = config
        self._topic = health_topic(self.venue_id)
        rows_of = index_of(roster).rows_of
        self._row_of = {(name, str(kind)): row for (name, kind), row in rows_of.items()}
        self._seen = np.zeros(len(roster.devices), np.bool_)
        self._next_ask_ns = 0
        self._asked_before = log.cursor(self._topic, GROUP)
        self._quiet_until_ns: dict[str, int] = {}
        self.next_offset = log.describe(self._topic).begin
        self.unreadable = 0
        self.anomalies = DeviceAnomalies(log, roster)

    def read(self) -> list[NetTask]:
        """Read on; the questions that are due. Raises LogError."""
        try:
            stored = self._log.read(self._topic, self.next_offset, READ_RECORDS)
        except OffsetError as error:
            if self.next_offset >= error.begin:
                raise
            self.next_offset = error.begin
            return []
        tasks: list[NetTask] = []
        for one in stored:
            self.next_offset = one.offset + 1
            try:
                tell = one.offset >= self._asked_before
                newest_ns = self._push(self._decode(one.record.payload), tell)
            except (SchemaError, KeyError, pa.ArrowInvalid):
                self.unreadable += 1
                continue
            # Trends are built up again after a restart; questions are not asked again.
            if newest_ns >= self._next_ask_ns and tell:
                every_ns = self._config.every_ns
                self._next_ask_ns = (newest_ns // every_ns + 1) * every_ns
                tasks += self._ask(newest_ns)
        return tasks

    def device(self, row: int) -> Device:
        """What the roster says of a row."""
        return self._roster.devices[row]

    def commit(self) -> None:
        """Remember how far questions were asked and answered. Raises LogError."""
        if self.next_offset > self._asked_before:
            self._log.commit(self._topic, GROUP, self.next_offset)
            self._asked_before = self.next_offset

    def judge(self, predictions: list[Prediction]) -> list[Record]:
        """Event records for the alarms that answers of `worst_of` raise. Raises LogError."""
        # All that may fail comes before the first decision, so that none is lost with it.
        for prediction in predictions:
            self._recall(prediction.task.key[1])
        records = []
        for prediction in predictions:
            device_id = prediction.task.key[1]
            if self._advance(device_id, prediction.task.t_ns, _p(prediction)):
                records.append(self._event(device_id, prediction))
        return records

    # -- inside ------------------------------------------------------------------------------------

    def _push(self, table: pa.Table, tell: bool) -> int:
        """Take in health rows; the newest event time of known devices, 0 if there is none.

        Raises KeyError.
        """
        if not table.num_rows:
            return 0
        rows = self._rows(table)
        t_ns = table.column("t_ns").to_numpy().astype(np.int64)
        values = np.stack([table.column(c).to_numpy() for c in HEALTH_COLUMNS]).astype(np.float32)
        known = (rows >= 0) & (rows < len(self._seen))
        order = np.argsort(t_ns[known], kind="stable")
        device = rows[known][order]
        times, ordered = t_ns[known][order], values[:, known][:, order]
        self._tracker.push(device, times, ordered)
        self.anomalies.handle(device, times, ordered, tell)
        self._seen[device] = True
        # Rows of another match's devices say nothing of the time of this one.
        return int(t_ns[known].max()) if known.any() else 0

    def _rows(self, table: pa.Table) -> NDArray[np.int32]:
        """Roster rows: a device has one per kind of sensor; -1 where the roster has none."""
        names = table.column("device_id").cast(pa.string()).to_pylist()
        kinds = table.column("kind").cast(pa.string()).to_pylist()
        found = [self._row_of.get(key, -1) for key in zip(names, kinds, strict=True)]
        return np.array(found, np.int32)

    def _ask(self, t_ns: int) -> list[NetTask]:
        devices = np.flatnonzero(self._seen).astype(np.int32)
        features = self._tracker.features(devices)
        return [
            NetTask(
                "failure", self.venue_id, ("device_id", self._roster.devices[row].device_id), t_ns,
                features[k], "", self.venue_id, {"device_kind":
                self._roster.devices[row].kind.value},
            )
            for k, row in enumerate(devices.tolist())
        ]

    def _recall(self, device_id: str) -> None:
        """When the device's newest alarm was, if this is not known yet. Raises LogError."""
        if device_id not in self._quiet_until_ns:
            last = self._log.last_seq(events_topic(self.venue_id), self._stream(device_id))
            self._hold(device_id, last)

    def _advance(self, device_id: str, t_ns: int, p_fail: float) -> bool:
        """Whether the alarm of the device is raised by this answer."""
        if p_fail < self._config.enter or t_ns < self._quiet_until_ns[device_id]:
            return False
        self._hold(device_id, t_ns // _SECOND_NS)
        return True

    def _hold(self, device_id: str, second: int) -> None:
        """Note the second of the device's newest alarm, -1 for none."""
        quiet_ns = second * _SECOND_NS + self._config.holds_ns if second >= 0 else 0
        self._quiet_until_ns[device_id] = quiet_ns

    def _event(self, device_id: str, prediction: Prediction) -> Record:
        t_ns = prediction.task.t_ns
        scores = prediction.scores
        fault = max(FAULT_CLASSES[1:], key=lambda name: scores.get(name, 0.0))
        event = Event(
            "device_failure_predicted", self.venue_id, self.match_id, f"supervisor/{device_id}",
            t_ns // _SECOND_NS, t_ns, t_ns, device_id, sub_type=fault,
            confidence=round(_p(prediction), 4), priority="high",
            context=(prediction.task.extra["device_kind"], f"source:{prediction.source}"),
            policy_class="device", metrics={"p_fail": round(_p(prediction), 4)},
        )
        return Record(
            self._stream(device_id), event.seq, event.t_event_ns, to_cloudevent(event), EVENT_TYPE
        )

    def _stream(self, device_id: str) -> str:
        return f"supervisor/{self.match_id}/{device_id}"


def worst_of(predictions: list[Prediction]) -> list[Prediction]:
    """The worst answer per time and device, in order: a device may have several sensors."""
    worst: dict[tuple[int, str], Prediction] = {}
    for prediction in predictions:
        key = (prediction.task.t_ns, prediction.task.key[1])
        if key not in worst or _p(prediction) > _p(worst[key]):
            worst[key] = prediction
    return [worst[key] for key in sorted(worst)]


def _p(prediction: Prediction) -> float:
    return prediction.scores["p_fail"]
