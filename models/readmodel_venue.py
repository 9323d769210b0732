"""The read model of one venue: roster, states, events, devices and predictions, kept together.

Owns which part a record goes to, and the form in which the venue is served (plain dictionaries of
JSON types). Everything in it is bounded. Who may see which column is not decided here.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import asdict
from typing import Any, Final

import pyarrow as pa

from models.readmodel_clock import attacking, match_clock
from models.readmodel_devices import DeviceBoard
from models.readmodel_events import EventRing
from models.readmodel_states import StateBoard
from models.telemetry.roster import Role, Roster

PLAYERS: Final = (Role.ATHLETE, Role.GOALKEEPER)
SHOWN: Final = (*PLAYERS, Role.OFFICIAL, Role.BALL)
MAX_NET_EVENTS: Final = 2_000


class VenueModel:
    """Everything that is known now about one venue; `version` is the caller's change counter."""

    def __init__(self, venue_id: str, event_bound: int) -> None:
        self.venue_id = venue_id
        self.match_id = ""
        self.roster: dict[str, Any] = {}
        self.subjects: dict[str, dict[str, Any]] = {}
        self.ball_id = ""
        self.states = StateBoard()
        self.events = EventRing(event_bound)
        self.devices = DeviceBoard()
        self.fatigue: dict[str, dict[str, Any]] = {}
        self.net_events: deque[dict[str, Any]] = deque(maxlen=MAX_NET_EVENTS)
        self.roster_version = 0
        self.devices_version = 0
        self.predictions_version = 0
        self.ended = False

    def take_roster(self, text: bytes, version: int) -> None:
        """Another roster; a new match starts with empty live values. Raises ConfigError."""
        roster = Roster.from_json(text)
        if self.match_id and roster.match_id != self.match_id:
            self.states.clear()
            self.devices = DeviceBoard()
            self.fatigue.clear()
            self.net_events.clear()
            self.ended = False
        raw = asdict(roster)
        self.match_id = roster.match_id
        self.subjects = {s["subject_id"]: s for s in raw.pop("subjects")}
        devices = raw.pop("devices")
        self.roster = raw
        balls = [s.subject_id for s in roster.subjects if s.role is Role.BALL]
        self.ball_id = balls[0] if balls else ""
        self.devices.enroll(devices)
        self.roster_version = self.devices_version = version

    def take_event(self, event: dict[str, Any], version: int) -> bool:
        """False for one that was there already."""
        self.match_id = self.match_id or event["match_id"]
        if not self.events.add(event):
            return False
        self.devices.take_event(event, version)
        if event["type"].startswith("device_"):
            self.devices_version = version
        return True

    def take_states(self, table: pa.Table, t_append_ns: int, version: int) -> int:
        """The number of subjects that changed. Raises KeyError, ValueError."""
        changed = self.states.take(table, self.ball_id, self.match_id, t_append_ns, version)
        flows = [self.states.entries[s] for s in self.subjects if s in self.states.entries]
        self.ended = bool(flows) and all(entry.status == "final" for entry in flows)
        return changed

    def take_health(self, table: pa.Table, t_append_ns: int, version: int) -> int:
        """The number of rows. Raises KeyError."""
        self.devices_version = version
        return self.devices.take_health(table, t_append_ns, version)

    def take_prediction(self, prediction: dict[str, Any], version: int) -> None:
        """A net's answer, of `models.readmodel_documents`."""
        kind = prediction["kind"]
        if kind == "failure":
            self.devices.take_prediction(prediction)
            self.devices_version = version
        elif kind == "fatigue":
            held = self.fatigue.get(prediction["subject_id"])
            if held is None or prediction["t_ns"] >= held["t_ns"]:
                self.fatigue[prediction["subject_id"]] = prediction
        else:
            self.net_events.append(prediction)
        self.predictions_version = version

    # -- what is served ---------------------------------------------------------------------------

    def summary(self, now_ns: int) -> dict[str, Any]:
        """The venue in a line: pitch, match, clock, how far event time is, how old the feed is."""
        states = self.states
        newest = max((e.t_append_ns for e in states.entries.values()), default=0)
        periods = self.roster.get("periods", ())
        return {
            "venue_id": self.venue_id, "match_id": self.match_id,
            "sport": self.roster.get("sport", ""),
            "pitch_length_m": self.roster.get("pitch_length_m", 105.0),
            "pitch_width_m": self.roster.get("pitch_width_m", 68.0),
            "head_ns": states.head_ns, **match_clock(periods, states.head_ns),
            "home_attacks": attacking(periods, states.head_ns),
            "status": self._status(newest), "athletes": self._count(PLAYERS),
            "subjects": len(self.subjects), "devices": self.devices.counts(),
            "events": self.events.seen, "cursor": self.events.cursor,
            "received_age_ms": round(max(0.0, (now_ns - newest) / 1e6), 1) if newest else None,
        }

    def athletes(self, now_ns: int, version: int = 0) -> list[dict[str, Any]]:
        """Who is on the pitch with the newest state; of those that changed after `version`."""
        rows = []
        for subject_id, subject in self.subjects.items():
            entry = self.states.entries.get(subject_id)
            if subject["role"] not in SHOWN or (entry is not None and entry.version <= version):
                continue
            if entry is None and version > 0:
                continue
            rows.append({**self.who(subject_id), **(self.states.served(subject_id, now_ns) or {})})
        return rows

    def athlete(self, subject_id: str, now_ns: int) -> dict[str, Any] | None:
        """One subject's newest state, None when the venue does not have it."""
        if subject_id not in self.subjects:
            return None
        state = self.states.served(subject_id, now_ns) or {"status": "no data", "stale": True}
        return {
            **self.who(subject_id), **state, "venue_id": self.venue_id, "match_id": self.match_id,
        }

    def who(self, subject_id: str) -> dict[str, Any]:
        """Pseudonymous identity: id, role, team, shirt number. Nothing of the body."""
        subject = self.subjects[subject_id]
        return {key: subject[key] for key in ("subject_id", "role", "team", "number")}

    def predictions(self, limit: int = 200) -> dict[str, Any]:
        """Newest prediction per athlete and device, and the last classified impacts."""
        return {
            "fatigue": [self.fatigue[key] for key in sorted(self.fatigue)],
            "failure": sorted(self.devices.predictions.values(), key=lambda p: p["device_id"]),
            "event": list(self.net_events)[-limit:],
            "next_failure": self.devices.next_failure(),
            "teams": {key: subject["team"] for key, subject in self.subjects.items()},
        }

    def stamped(self, events: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
        """Events with match clock, team and number of their subject, ready to show."""
        periods = self.roster.get("periods", ())
        out = []
        for event in events:
            subject = self.subjects.get(event["subject_id"], {})
            clock = match_clock(periods, event["t_event_ns"])
            out.append({
                **event, "clock": clock["clock"], "period": clock["period"],
                "team": event["team"] or subject.get("team", ""),
                "number": subject.get("number", 0), "role": subject.get("role", ""),
            })
        return out

    def _status(self, newest_ns: int) -> str:
        if self.ended:
            return "final"
        return "live" if newest_ns else "waiting"

    def _count(self, roles: Collection[str]) -> int:
        return sum(subject["role"] in roles for subject in self.subjects.values())
