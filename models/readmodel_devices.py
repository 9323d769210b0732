"""Devices of a venue: their newest health row, what is wrong with them, what is predicted.

Owns the merge of three sources: health rows (once per second), device events (`device_degraded`,
`device_failed`, `device_recovered`) and predictions of the failure net.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from models.readmodel_rows import Readable, TableRow

STATUS_OF: Final = {
    "device_degraded": "degraded", "device_failed": "failed", "device_recovered": "ok",
}
SILENT_AFTER_S: Final = 5.0
SILENT_PERIODS: Final = 3.0
MAX_DEVICES: Final = 20_000
_KEYS: Final = ("device_id", "kind", "t_ns")


@dataclass(slots=True)
class DeviceEntry:
    """A device of one kind (a tag has several). `health` has the edge's names and units."""

    device_id: str
    kind: str
    subject_id: str
    silent_after_s: float = SILENT_AFTER_S
    t_ns: int = 0
    t_append_ns: int = 0
    version: int = 0
    status: str = "waiting"
    faults: list[str] = field(default_factory=list)
    row: TableRow | dict[str, Any] = field(default_factory=dict)
    age_s: float = 0.0

    @property
    def health(self) -> dict[str, float]:
        """The finite numbers of the newest health row."""
        if isinstance(self.row, TableRow):
            self.row = _numbers(self.row.values())
        return self.row


class DeviceBoard:
    """All devices of a venue, and the newest failure prediction of each."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], DeviceEntry] = {}
        self.predictions: dict[str, dict[str, Any]] = {}
        self.head_ns = 0
        self.overflow = 0
        self._readable = Readable(_KEYS)

    def enroll(self, devices: list[dict[str, Any]]) -> None:
        """Know the devices of the roster, so that one never heard of is shown as waiting."""
        for device in devices:
            entry = self._entry(device["device_id"], str(device["kind"]), device["subject"])
            if entry is not None:
                entry.subject_id = device["subject"]
                # A weather station speaks once a minute: five seconds are no silence there.
                period_s = 1.0 / max(float(device.get("rate_hz") or 0.0), 1e-3)
                entry.silent_after_s = max(SILENT_AFTER_S, SILENT_PERIODS * period_s)

    def take_health(self, table: pa.Table, t_append_ns: int, version: int) -> int:
        """Take health rows (device_id, kind, t_ns, features). Raises KeyError."""
        names, kinds, times = (table.column(key).to_pylist() for key in _KEYS)
        whole = [] if self._readable.later(table) else table.to_pylist()
        known = "age_s" in table.column_names
        ages = table.column("age_s").to_pylist() if known else [0.0] * table.num_rows
        for index, (name, kind, time) in enumerate(zip(names, kinds, times, strict=True)):
            entry = self._entry(str(name), str(kind), "")
            t_ns = int(time)
            if entry is None or t_ns < entry.t_ns:
                continue
            entry.t_ns, entry.t_append_ns, entry.version = t_ns, t_append_ns, version
            entry.row = _numbers(whole[index]) if whole else TableRow(table, index)
            entry.age_s = _numbers({"age_s": ages[index]}).get("age_s", 0.0)
            if entry.status == "waiting":
                entry.status = "ok"
            self.head_ns = max(self.head_ns, t_ns)
        return table.num_rows

    def take_event(self, event: dict[str, Any], version: int) -> None:
        """Let a device event change the status of the device that it names."""
        status = STATUS_OF.get(event["type"])
        if status is None:
            return
        for entry in self._named(event):
            entry.version = version
            entry.status = status
            fault = event["sub_type"] or event["type"]
            if status == "ok":
                entry.faults = []
            elif fault not in entry.faults:
                entry.faults = [*entry.faults, fault][-8:]

    def take_prediction(self, prediction: dict[str, Any]) -> None:
        """Keep the newest failure prediction of a device."""
        device_id = prediction["device_id"]
        held = self.predictions.get(device_id)
        if len(self.predictions) < MAX_DEVICES or device_id in self.predictions:
            if held is None or prediction["t_ns"] >= held["t_ns"]:
                self.predictions[device_id] = prediction
        else:
            self.overflow += 1

    def served(self, now_ns: int) -> list[dict[str, Any]]:
        """Every device with age, status, faults and predicted failure, worst first."""
        rows = [self._served(entry, now_ns) for entry in self.entries.values()]
        return sorted(rows, key=lambda r: (-r["severity"], -r["failure_p"], r["id"], r["kind"]))

    def next_failure(self) -> dict[str, Any] | None:
        """The device most likely to fail within the horizon, if any is likely at all."""
        likely = [p for p in self.predictions.values() if failure_p(p) >= 0.5]
        failed = {e.device_id for e in self.entries.values() if e.status == "failed"}
        alive = [p for p in likely if p["device_id"] not in failed]
        return max(alive, key=failure_p, default=None)

    def counts(self) -> dict[str, int]:
        """Number of devices by status."""
        counts: dict[str, int] = {}
        for entry in self.entries.values():
            status = self._status(entry)
            counts[status] = counts.get(status, 0) + 1
        return counts

    def _served(self, entry: DeviceEntry, now_ns: int) -> dict[str, Any]:
        prediction = self.predictions.get(entry.device_id)
        status = self._status(entry)
        return {
            "id": entry.device_id, "kind": entry.kind, "subject_id": entry.subject_id,
            "status": status, "severity": _SEVERITY.get(status, 0), "faults": entry.faults,
            "failure_p": round(failure_p(prediction), 4) if prediction else 0.0,
            "failure_class": _likeliest(prediction) if prediction else "",
            "failure_source": prediction.get("source", "") if prediction else "",
            "t_ns": entry.t_ns,
            "age_ms": round((self.head_ns - entry.t_ns) / 1e6, 1) if entry.t_ns else None,
            "received_age_ms": (
                round(max(0.0, (now_ns - entry.t_append_ns) / 1e6), 1) if entry.t_ns else None
            ),
            "health": entry.health,
        }

    def _status(self, entry: DeviceEntry) -> str:
        if entry.status == "ok" and entry.t_ns and entry.age_s > entry.silent_after_s:
            return "silent"
        return entry.status

    def _entry(self, device_id: str, kind: str, subject_id: str) -> DeviceEntry | None:
        key = (device_id, kind)
        entry = self.entries.get(key)
        if entry is None:
            if len(self.entries) >= MAX_DEVICES:
                self.overflow += 1
                return None
            entry = self.entries[key] = DeviceEntry(device_id, kind, subject_id)
        return entry

    def _named(self, event: dict[str, Any]) -> list[DeviceEntry]:
        """Entries of the device that the subject or context of an event names, narrowed to the
        kinds that the context names, if it names any. Words may be tagged: `device:tag-7`."""
        words = {str(event["subject_id"]), *map(str, event.get("context", ()))}
        words |= {word.partition(":")[2] for word in words}
        ours = [entry for entry in self.entries.values() if entry.device_id in words]
        return [entry for entry in ours if entry.kind in words] or ours


_SEVERITY: Final = {"failed": 4, "silent": 3, "degraded": 2, "waiting": 1}


def failure_p(prediction: dict[str, Any]) -> float:
    """The probability of a failure within the horizon; 0 where the prediction gives none."""
    value = prediction.get("scores", {}).get("p_fail", 0.0)
    return float(value) if value is not None and value == value else 0.0


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {
        name: round(value, 4) for name, value in row.items()
        if isinstance(value, float) and value == value and abs(value) != float("inf")
    }


def _likeliest(prediction: dict[str, Any]) -> str:
    scores = {
        k: v for k, v in prediction.get("scores", {}).items()
        if k not in ("p_fail", "none") and v is not None and v == v
    }
    return max(scores, key=lambda name: float(scores[name]), default="")
