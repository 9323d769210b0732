"""A synthetic match for tests of the read side: a log in memory, filled with records in the forms
that the stadium and the workers write. Seeded; positions follow smooth orbits, so that pictures of
it look like football and numbers are easy to foresee."""

import json
import math
from collections.abc import Sequence

import numpy as np

from cluster.eventlog.port import Record, StoredRecord, TopicInfo
from models.edge.effects import HEALTH_FEATURES, DeviceHealthRows, encode_health
from models.edge.tables import KIND_LIST
from models.errors import OffsetError
from models.events.envelope import Event, to_cloudevent
from models.flows.layout import BALL_COLUMNS, PERSON_COLUMNS
from models.flows.state_columns import is_whole
from models.flows.states import StateRows, encode_states
from models.readmodel_input import PREDICTION_TYPE, STATES_TYPE
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device, Period, Role, Roster, Subject

VENUE, MATCH = "wembley", "cup-final"
START_NS = 1_780_000_000_000_000_000
S = 1_000_000_000
SHAPE = ((-46, 0), (-32, -20), (-34, -7), (-34, 7), (-32, 20), (-16, -12), (-18, 2), (-14, 14),
         (-2, -20), (2, 0), (-4, 19))


class MemoryLog:
    """The event log port, in memory. `now_ns` stamps appends."""

    def __init__(self, now_ns=lambda: 0):
        self.now_ns, self.held, self.begins = now_ns, {}, {}

    def append(self, topic: str, records: Sequence[Record], epoch: int = 0) -> list[int]:
        held = self.held.setdefault(topic, [])
        start = self.begins.get(topic, 0) + len(held)
        for place, record in enumerate(records):
            held.append(StoredRecord(start + place, self.now_ns(), record))
        return list(range(start, start + len(records)))

    def read(self, topic, offset, max_records=256, max_bytes=8 << 20):
        begin, held = self.begins.get(topic, 0), self.held.get(topic, [])
        if not begin <= offset <= begin + len(held):
            raise OffsetError(topic, offset, begin, begin + len(held))
        return held[offset - begin : offset - begin + max_records]

    def describe(self, topic):
        begin, held = self.begins.get(topic, 0), self.held.get(topic, [])
        return TopicInfo(topic, begin, begin + len(held), 0, 1)

    def trim(self, topic, before):
        begin = self.begins.get(topic, 0)
        self.held[topic] = self.held[topic][before - begin :]
        self.begins[topic] = before

    def topics(self):
        return sorted(self.held)

    def close(self):
        pass


def make_roster(match_id: str = MATCH, venue_id: str = VENUE) -> Roster:
    subjects = [
        Subject(f"ath_{venue_id}_{side[0]}{n:02d}", Role.GOALKEEPER if n == 1 else Role.ATHLETE,
                side, n)
        for side in ("home", "away") for n in range(1, 12)
    ]
    subjects += [Subject(f"off_{venue_id}_{n}", Role.OFFICIAL, "", n) for n in (1, 2, 3)]
    subjects.append(Subject(f"ball_{venue_id}", Role.BALL))
    devices = [
        Device(f"tag-{s.subject_id}", kind, s.subject_id, rate)
        for kind, rate in ((Kind.LPS, 20), (Kind.IMU, 100)) for s in subjects[:25]
    ]
    ball = subjects[-1].subject_id
    devices.append(Device(f"chip-{ball}", Kind.BALL_POS, ball, 50))
    periods = (
        Period("first_half", START_NS, START_NS + 2700 * S, 1),
        Period("second_half", START_NS + 3600 * S, START_NS + 6300 * S, -1),
    )
    return Roster(
        venue_id, match_id, subjects=tuple(subjects), devices=tuple(devices), periods=periods
    )


class SyntheticMatch:
    """Writes a match into `log`, a tick of 250 ms at a time; `elapsed_s` of the match clock."""

    def __init__(self, log, elapsed_s: float = 0.0, seed: int = 3):
        self.log, self.roster = log, make_roster()
        self.ids = [s.subject_id for s in self.roster.subjects]
        self.rng = np.random.default_rng(seed)
        self.t_s, self.seq, self.lost = elapsed_s, 0, set()
        self.pace = self.rng.uniform(1.4, 2.3, 25)
        self.phase = self.rng.uniform(0, 6.3, (25, 4))
        roster = self.roster.to_json().encode()
        log.append(f"roster/{VENUE}", [Record("roster", 0, START_NS, roster)])

    @property
    def t_ns(self) -> int:
        gap = 900.0 if self.t_s > 2700 else 0.0
        return START_NS + int((self.t_s + gap) * S)

    def position(self, place: int, t: float) -> tuple[float, float]:
        a, b, c, d = self.phase[place]
        drift = 13 * math.sin(t / 9.0)
        if place >= 22:
            x, y = ((0 + drift, 6), (26, 33.5), (-26, -33.5))[place - 22]
            return x + 5 * math.sin(t / 6 + a), max(-35.0, min(35.0, y + 1.0 * math.sin(t / 3 + b)))
        x, y = SHAPE[place % 11]
        side = 1 if place < 11 else -1
        free = 0.25 if place % 11 == 0 else 1.0
        x = side * x + free * (drift + 6 * math.sin(t / 5.1 + a) + 2 * math.sin(t / 1.9 + c))
        y = side * y + free * (5 * math.sin(t / 6.3 + b) + 2 * math.sin(t / 2.3 + d))
        return max(-51.0, min(51.0, x)), max(-33.0, min(33.0, y))

    def ball(self, t: float) -> tuple[float, float, float]:
        leg, f = divmod(t / 2.4, 1.0)
        owner = [9, 6, 3, 7, 10, 20, 17, 14, 19, 5][int(leg) % 10]
        taker = [9, 6, 3, 7, 10, 20, 17, 14, 19, 5][(int(leg) + 1) % 10]
        x0, y0 = self.position(owner, t)
        x1, y1 = self.position(taker, t)
        g = max(0.0, (f - 0.45) / 0.55)
        return x0 + (x1 - x0) * g + 0.6, y0 + (y1 - y0) * g, max(0.1, 5 * g * (1 - g))

    def person_row(self, place: int) -> dict[str, float]:
        t = self.t_s
        (x, y), (x0, y0) = self.position(place, t), self.position(place, t - 0.25)
        speed = math.hypot(x - x0, y - y0) / 0.25
        pace, minutes = self.pace[place], t / 60
        dist = pace * t + 3 * math.sin(t / 7)
        wave = 0.5 + 0.5 * math.sin(t / 40 + self.phase[place][0])
        fatigue = min(0.93, 0.25 + 0.25 * wave + minutes / 260 + (0.22 if place in (6, 17) else 0))
        level = 2 if place == 6 else 1 if place in (17, 10) else 0
        hr = 120 + 55 * wave
        row = dict.fromkeys(PERSON_COLUMNS, 0.0)
        row |= {
            "x_m": x, "y_m": y, "speed_mps": speed, "accel_mps2": 0.4, "distance_m": dist,
            "hsr_m": dist * 0.07 * wave + 4 * minutes, "sprint_n": int(minutes / 5 + 3 * wave),
            "max_speed_mps": 6.5 + self.pace[place], "acc_n": int(minutes * 0.9),
            "dec_n": int(minutes),
            "player_load_au": dist * 0.008, "hr_bpm": hr, "hr_mean_bpm": 148.0, "hr_pct": hr / 1.95,
            "trimp": minutes * 1.6, "dbal_m": 180 * (1 - wave), "dbal_pct": 100 * (1 - 0.85 * wave),
            "metabolic_power_wkg": 5 + 14 * wave, "hmld_m": dist * 0.13,
            "impact_n": int(minutes / 4),
            "fatigue_index": fatigue, "fatigue_low": fatigue - 0.09, "fatigue_high": fatigue + 0.07,
            "fatigue_level": level, "coverage": 0.71 if place == 13 else 0.99, "imu_coverage": 0.98,
            "hr_coverage": 0.95, "age_ms": 40.0, "imu_age_ms": 10.0, "hr_age_ms": 600.0,
            "intensity": 0.9 if place in (9, 20) else 0.2, "z4_m": 100.0, "z5_m": 50.0,
        }
        if place in self.lost:
            row |= {"age_ms": 12_300.0, "hr_age_ms": 12_300.0, "x_m": -20.0, "y_m": 26.0}
        return row

    def ball_row(self) -> dict[str, float]:
        x, y, z = self.ball(self.t_s)
        row = dict.fromkeys(BALL_COLUMNS, 0.0)
        return row | {
            "x_m": x, "y_m": y, "z_m": z, "speed_mps": 9.0, "kick_n": int(self.t_s / 2.4),
            "pass_n": int(self.t_s / 3), "shot_n": int(self.t_s / 240), "poss_team": 0,
            "poss_subject": 9, "poss_home_s": self.t_s * 0.54, "poss_away_s": self.t_s * 0.41,
            "in_play": 1, "nearest_m": 0.6, "coverage": 1.0, "age_ms": 20.0,
        }

    def step(self, final: bool = False, seconds: float = 0.25) -> None:
        """One tick of states: people, then the ball."""
        self.t_s += seconds
        people = [self.person_row(place) for place in range(25)]
        self._states(np.arange(25, dtype=np.int32), people, final)
        self._states(np.array([25], np.int32), [self.ball_row()], final)

    def _states(self, subject, rows, final) -> None:
        columns = {
            name: np.array([row[name] for row in rows], np.int32 if is_whole(name) else np.float64)
            for name in rows[0]
        }
        t_ns = np.full(len(rows), self.t_ns, np.int64)
        payload = encode_states(StateRows(t_ns, subject, columns, final), self.ids)
        self.write("insights", payload, STATES_TYPE)

    def health(self, **special: float) -> None:
        """One health row per device; `special` sets a feature of the first device."""
        n = len(self.roster.devices)
        ids = [d.device_id for d in self.roster.devices]
        kinds = np.array([KIND_LIST.index(d.kind) for d in self.roster.devices], np.int32)
        values = np.zeros((len(HEALTH_FEATURES), n), np.float32)
        values[HEALTH_FEATURES.index("rx_n")] = 20
        values[HEALTH_FEATURES.index("batt_v")] = 3.9
        for name, value in special.items():
            values[HEALTH_FEATURES.index(name), 0] = value
        t_ns = np.full(n, self.t_ns, np.int64)
        rows = DeviceHealthRows(np.arange(n, dtype=np.int32), kinds, t_ns, values)
        payload = encode_health(rows, ids)
        self.write("device-health", payload, "application/vnd.touchline.device-health")

    def event(self, type_: str, place: int = -1, source_ns: int = 0, **given) -> Event:
        subject = self.roster.subjects[place] if place >= 0 else None
        event = Event(
            type_, VENUE, MATCH, given.pop("stream", "flow/test"), self.seq, self.t_ns,
            self.t_ns + 150_000_000, given.pop("subject_id", subject.subject_id if subject else ""),
            subject.team if subject else "", algo_version="flows-1", **given,
        )
        self.write("events", to_cloudevent(event, source_ns), "application/cloudevents+json")
        return event

    def predict(self, **body) -> None:
        payload = json.dumps({"t_ns": self.t_ns, "model": "net", "source": "net", **body}).encode()
        self.write("insights", payload, PREDICTION_TYPE)

    def write(self, kind: str, payload: bytes, content_type: str) -> None:
        record = Record("test", self.seq, self.t_ns, payload, content_type)
        self.log.append(f"{kind}/{VENUE}", [record])
        self.seq += 1
