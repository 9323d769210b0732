"""How often the twin store looks at what."""

from typing import Any

from actors.twin_store import TwinStore
from tests.synthetic_match import START_NS, VENUE, MemoryLog, S, SyntheticMatch

NOW = START_NS + 10_000 * S


class WatchedLog(MemoryLog):
    """Notes which topics are read."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.asked: list[str] = []

    def read(self, topic: str, *limits: Any, **more: Any) -> Any:
        self.asked.append(topic)
        return super().read(topic, *limits, **more)


def test_a_paced_round_looks_at_events_each_time_and_at_others_less_often():
    log, now_s = WatchedLog(), [0.0]
    match = SyntheticMatch(log)
    match.step()
    match.event("sprint", 3)
    store = TwinStore({}, False, log, lambda: NOW, lambda: now_s[0])
    looks = []
    for _ in range(51):
        log.asked.clear()
        store.step(paced=True)
        looks.append(list(log.asked))
        now_s[0] += 1 / 64
    assert looks[0][0] == f"roster/{VENUE}", "names before rows"
    count = {kind: sum(t.startswith(kind) for look in looks for t in look)
             for kind in ("events", "insights", "roster")}
    assert count == {"events": 51, "insights": 26, "roster": 8}
    match.event("sprint", 4)
    assert store.step(paced=True) == 1


def test_a_venue_that_is_found_later_is_read_at_once_its_roster_first():
    log, now_s = WatchedLog(), [0.0]
    store = TwinStore({}, False, log, lambda: NOW, lambda: now_s[0])
    store.step(paced=True)
    match = SyntheticMatch(log)
    match.step()
    now_s[0] = 1.001
    log.asked.clear()
    assert store.step(paced=True) > 1
    assert log.asked[0] == f"roster/{VENUE}"
