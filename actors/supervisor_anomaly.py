"""DeviceAnomalies: what `models.policies.anomaly_watch` finds in one venue, as events.

An event `device_anomaly` is of a stream of its own per sensor, numbered by its second of event
time: a supervisor that is started again reads health again and cannot say it twice.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cluster.eventlog.port import EventLog, Record
from cluster.names import events_topic
from models.events.envelope import EVENT_TYPE, Event, to_cloudevent
from models.policies.anomaly_watch import AnomalyWatch, DeviceAnomaly
from models.telemetry.roster import Roster

_SECOND_NS: Final = 1_000_000_000


class DeviceAnomalies:
    """Learns from rows as they come; events wait until they are taken."""

    def __init__(self, log: EventLog, roster: Roster) -> None:
        self._log, self._roster = log, roster
        ids = [device.device_id for device in roster.devices]
        unit = {name: k for k, name in enumerate(dict.fromkeys(ids))}
        self.watch = AnomalyWatch(
            np.array([unit[name] for name in ids], np.int32),
            np.array([device.rate_hz for device in roster.devices], np.float64),
        )
        self._said: dict[str, int] = {}
        self._waiting: list[tuple[DeviceAnomaly, Record]] = []

    def handle(
        self, device: NDArray[np.int32], t_ns: NDArray[np.int64], values: NDArray[np.float32],
        tell: bool,
    ) -> None:
        """Take health rows; not `tell`: only to learn from them."""
        found = self.watch.handle(device, t_ns, values)
        if tell:
            self._waiting += [(anomaly, self._record(anomaly)) for anomaly in found]

    def take(self) -> list[tuple[DeviceAnomaly, Record]]:
        """The anomalies since the last call that were not said before, with their events. Raises
        LogError, upon which they wait for the next call."""
        fresh = [one for one in self._waiting if one[1].seq > self._newest(one[1].stream)]
        self._said |= {record.stream: record.seq for _, record in fresh}
        self._waiting = []
        return fresh

    # -- inside ------------------------------------------------------------------------------------

    def _newest(self, stream: str) -> int:
        if stream not in self._said:
            topic = events_topic(self._roster.venue_id)
            self._said[stream] = self._log.last_seq(topic, stream)
        return self._said[stream]

    def _record(self, anomaly: DeviceAnomaly) -> Record:
        roster = self._roster
        device = roster.devices[anomaly.row]
        place = f"{device.device_id}/{device.kind.value}"
        event = Event(
            "device_anomaly", roster.venue_id, roster.match_id, f"anomaly/{place}",
            anomaly.t_ns // _SECOND_NS, anomaly.t_ns, anomaly.t_ns, device.device_id,
            sub_type=anomaly.reason, policy_class="device",
            context=(device.kind.value, *(f"also:{name}" for name in anomaly.also)),
            metrics={
                "score": round(anomaly.score, 3), "value": _round(anomaly.value),
                "expected_low": _round(anomaly.low), "expected_high": _round(anomaly.high),
            },
        )
        stream = f"anomaly/{roster.match_id}/{place}"
        return Record(stream, event.seq, event.t_event_ns, to_cloudevent(event), EVENT_TYPE)


def _round(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")
