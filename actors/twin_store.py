"""The twin store: tails every venue's topics into the read model, and answers from it.

A plain class; `ray.remote` is applied where it is launched (with `max_concurrency`, so that
questions do not wait for each other). One thread reads the log, a lock keeps answers whole. It
holds nothing that the log does not: a restarted store reads its way back. Events older than the
ring are read from the log itself.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from actors.twin_dump import dump_venue, events_from_log
from cluster.eventlog.open import open_log
from cluster.eventlog.port import EventLog
from cluster.heap import settle_heap
from cluster.lean_arrow import spare_pandas
from cluster.names import ACTIONS_TOPIC
from cluster.settings import Settings
from models.errors import LogError, OffsetError
from models.latency import LatencyHistogram
from models.readmodel import ReadModel
from models.readmodel_input import (
    ACTIONS,
    EVENTS,
    FOLLOWED,
    HEALTH,
    INSIGHTS,
    ROSTER,
    split_topic,
)
from models.readmodel_venue import VenueModel

POLL_S: Final = 0.01
IDLE_POLL_S: Final = 0.05
PACES_S: Final = {EVENTS: 0.0, INSIGHTS: 0.025, ROSTER: 0.1, HEALTH: 0.25, ACTIONS: 0.25}
"""Least time between looks at topics of a kind; events are looked for in every round. With many
venues most looks find nothing, and they are a good part of what the store costs."""
DISCOVER_S: Final = 1.0
BATCH: Final = 512
RETRY_S: Final = 0.5
MAX_EVENTS: Final = 1000

_log = logging.getLogger("touchline.twin")


class TwinStore:
    """autostart: begin to read at once, as an actor must that Ray restarts by its constructor."""

    def __init__(
        self, settings: Mapping[str, Any], autostart: bool = True, log: EventLog | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        spare_pandas()
        self._log = log or open_log(Settings.from_dict(settings).log.url)
        self._owns_log = log is None
        self._now_ns, self._monotonic_s = now_ns, monotonic_s
        self._started_ns = now_ns()
        self._model = ReadModel(incarnation=self._started_ns)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._offsets: dict[str, int] = {}
        self._looked_s: dict[str, float] = {}
        self._discovered_s = float("-inf")
        self._latency = {"delivery": LatencyHistogram(), "total": LatencyHistogram()}
        self._thread: threading.Thread | None = None
        self._error = ""
        if autostart:
            self.start()

    # -- reading ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tail in a thread of its own; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="twin-store", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and let go of the log."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(10.0)
        if self._owns_log:
            self._log.close()

    def step(self, paced: bool = False) -> int:
        """One bounded round over all topics, or over those whose turn it is; the number of records
        taken. Raises LogError."""
        now_s = self._monotonic_s()
        if now_s - self._discovered_s >= DISCOVER_S:
            self._discover()
            self._discovered_s = now_s
        kinds = self._due(now_s) if paced else PACES_S.keys()
        return sum(self._tail(t) for t in list(self._offsets) if split_topic(t)[0] in kinds)

    def _due(self, now_s: float) -> set[str]:
        """The kinds of topics whose turn it is."""
        never = float("-inf")
        due = {k for k, pace in PACES_S.items() if now_s - self._looked_s.get(k, never) >= pace}
        self._looked_s.update(dict.fromkeys(due, now_s))
        return due

    def _run(self) -> None:
        settle_heap()
        idle = 0
        while not self._stop.is_set():
            try:
                idle = 0 if self.step(paced=True) else idle + 1
                self._error = ""
            except (LogError, OSError) as error:
                # The log may be back in a moment; until then the answers grow old and say so.
                self._error = f"{type(error).__name__}: {error}"[:300]
                self._stop.wait(RETRY_S)
            if idle:
                self._stop.wait(POLL_S if idle < 100 else IDLE_POLL_S)

    def _discover(self) -> None:
        """Follow topics that are new: of a venue its roster first, so that rows have names."""
        order = {kind: place for place, kind in enumerate(FOLLOWED)}
        for topic in sorted(self._topics(), key=lambda t: order.get(split_topic(t)[0], len(order))):
            if topic not in self._offsets:
                self._offsets[topic] = self._log.describe(topic).begin
                self._looked_s.clear()  # its turn comes at once, and in the order above

    def _topics(self) -> list[str]:
        topics = self._log.topics()
        return [t for t in topics if split_topic(t)[0] in FOLLOWED or t == ACTIONS_TOPIC]

    def _lag(self) -> dict[str, int]:
        """Records of each topic that are durable and not yet in the read model."""
        try:
            return {t: self._log.describe(t).end - self._offsets.get(t, 0) for t in self._topics()}
        except (LogError, OSError):
            return {"log": 1}  # unknown is not zero: nobody may take it for caught up

    def _tail(self, topic: str) -> int:
        offset = self._offsets[topic]
        try:
            records = self._log.read(topic, offset, max_records=BATCH)
        except OffsetError as error:
            # Trimmed away under us: go on with the oldest that is left.
            self._offsets[topic] = error.begin
            return 0
        if not records:
            return 0
        with self._lock:
            for stored in records:
                applied = self._model.apply(topic, stored)
                self._measure(applied.what, applied.changed, applied.source_ns, stored.t_append_ns)
        self._offsets[topic] = records[-1].offset + 1
        return len(records)

    def _measure(self, what: str, changed: int, source_ns: int, append_ns: int) -> None:
        """Only what was appended while this store runs: catching up is no latency of delivery."""
        if what != "event" or not changed or append_ns < self._started_ns:
            return
        now_ns = self._now_ns()
        self._latency["delivery"].record(now_ns - append_ns)
        if source_ns:
            self._latency["total"].record(now_ns - source_ns)

    # -- questions (each raises KeyError for what is not known) -----------------------------------

    def venues(self) -> list[dict[str, Any]]:
        with self._lock:
            return self._model.list_venues(self._now_ns())

    def venue(self, venue_id: str) -> dict[str, Any]:
        """The summary, the roster's frame, and who is on it."""
        with self._lock:
            venue = self._venue(venue_id)
            subjects = [venue.who(subject_id) for subject_id in venue.subjects]
            return {
                **venue.summary(self._now_ns()), "periods": venue.roster.get("periods", ()),
                "roster": subjects,
            }

    def matches(self, venue_id: str = "") -> list[dict[str, Any]]:
        """Summaries of the matches now played; of one venue, or of all."""
        with self._lock:
            if venue_id:
                return [self._venue(venue_id).summary(self._now_ns())]
            return [v for v in self._model.list_venues(self._now_ns()) if v["match_id"]]

    def match(self, match_id: str) -> dict[str, Any]:
        with self._lock:
            venue = self._model.venue_of_match(match_id)
            if venue is None:
                raise KeyError(f"match {match_id}")
            return venue.summary(self._now_ns())

    def athletes(self, venue_id: str) -> list[dict[str, Any]]:
        with self._lock:
            return self._venue(venue_id).athletes(self._now_ns())

    def athlete(self, venue_id: str, subject_id: str) -> dict[str, Any]:
        """One subject; an empty `venue_id` looks in all venues."""
        with self._lock:
            venue = self._venue(venue_id) if venue_id else self._venue_of(subject_id)
            found = venue.athlete(subject_id, self._now_ns())
            if found is None:
                raise KeyError(f"athlete {subject_id}")
            return found

    def history(self, subject_id: str) -> list[dict[str, Any]]:
        with self._lock:
            return self._venue_of(subject_id).states.history(subject_id)

    def events(
        self, venue_id: str, cursor: int = 0, limit: int = 200, types: Sequence[str] = (),
        match_id: str = "",
    ) -> dict[str, Any]:
        """Events after `cursor`; from the log where they have left the ring."""
        limit = min(max(limit, 1), MAX_EVENTS)
        with self._lock:
            venue = self._venue(venue_id)
            if venue.events.holds_all_after(cursor):
                return self._model.events(venue_id, cursor, limit, frozenset(types), match_id)
        page = events_from_log(self._log, venue_id, cursor, limit, frozenset(types), match_id)
        with self._lock:
            return {**page, "events": venue.stamped(page["events"])}

    def devices(self, venue_id: str) -> list[dict[str, Any]]:
        with self._lock:
            return self._venue(venue_id).devices.served(self._now_ns())

    def predictions(self, venue_id: str) -> dict[str, Any]:
        with self._lock:
            return self._venue(venue_id).predictions()

    def actions(self, limit: int = 100) -> list[dict[str, Any]]:
        """What the system did by itself, newest last."""
        with self._lock:
            return list(self._model.actions)[-limit:]

    def snapshot_since(self, venue_id: str, cursor: str = "") -> dict[str, Any]:
        """What the live feed sends to a client that has everything up to `cursor`."""
        with self._lock:
            self._venue(venue_id)
            return self._model.snapshot_since(venue_id, cursor, self._now_ns())

    def finals(self, match_id: str = "") -> list[dict[str, Any]]:
        """Final rows that have arrived here, of one match or of all; `dump` is the whole truth."""
        with self._lock:
            return [
                {"match_id": match, "venue_id": venue.venue_id, **row}
                for venue in self._model.venues.values()
                for (match, _), row in venue.states.finals.items() if match_id in ("", match)
            ]

    def latency(self) -> dict[str, dict[str, Any]]:
        """Stage -> `LatencyHistogram.to_dict`: "delivery" event append to here, "total" from the
        arrival of the oldest sample behind the event."""
        with self._lock:
            return {stage: held.to_dict() for stage, held in self._latency.items()}

    def ops(self) -> dict[str, Any]:
        """How the store stands: venues, lag, damage, latencies, last actions."""
        now_ns, lag = self._now_ns(), self._lag()
        with self._lock:
            model = self._model
            return {
                "venues": model.list_venues(now_ns), "records": dict(model.records),
                "damaged": dict(model.damaged), "lag_records": lag,
                "latency": {s: h.to_dict() for s, h in self._latency.items()},
                "next_failure": {
                    v.venue_id: v.devices.next_failure() for v in model.venues.values()
                },
                "events_seen": {v.venue_id: v.events.seen for v in model.venues.values()},
                "actions": list(model.actions)[-20:], "error": self._error, "pid": os.getpid(),
                "uptime_s": round((now_ns - self._started_ns) / 1e9, 3),
            }

    def dump(self, venue_id: str = "") -> dict[str, Any]:
        """match_id -> {"venue_id", "events": canonical, "finals": rows}: whole, from the log.

        Reads every event and every final row that is durable now; no ring or cache is involved.
        """
        topics = self._log.topics()
        venues = sorted({v for kind, v in map(split_topic, topics) if kind in FOLLOWED and v})
        out: dict[str, Any] = {}
        for one in [v for v in venues if venue_id in ("", v)]:
            out.update(dump_venue(self._log, one))
        return out

    def ping(self) -> int:
        """The pid, as a sign of life."""
        return os.getpid()

    def _venue(self, venue_id: str) -> VenueModel:
        venue = self._model.venues.get(venue_id)
        if venue is None:
            raise KeyError(f"venue {venue_id}")
        return venue

    def _venue_of(self, subject_id: str) -> VenueModel:
        venue = self._model.venue_of_subject(subject_id)
        if venue is None:
            raise KeyError(f"athlete {subject_id}")
        return venue
