"""The live feed: order, resumption, roles, heartbeats, ends."""

import asyncio
import json

import pytest

from actors.twin_store import TwinStore
from serve.ports import ApiLimits, BusyError
from serve.routes_live import Feed, _counted
from tests.local_ports import World
from tests.synthetic_match import START_NS, VENUE, MemoryLog, S, SyntheticMatch

LIMITS = ApiLimits(live_period_s=0.005, heartbeat_s=0.03, reverify_s=0.02, max_live=1)


class Played:
    def __init__(self):
        self.now = START_NS + 3000 * S
        self.log = MemoryLog(lambda: self.now)
        self.match = SyntheticMatch(self.log, 600.0)
        self.match.step()
        self.store = TwinStore({}, autostart=False, log=self.log, now_ns=lambda: self.now)
        self.world = World(self.store, now_ns=lambda: self.now, limits=LIMITS)
        self.catch_up()

    def catch_up(self):
        self.store._discovered_s = float("-inf")
        while self.store.step():
            pass

    def feed(self, role="performance", cursor=""):
        caller = self.world.issuer.verify(self.world.token(role))
        return Feed(self.world.ports, caller, VENUE, cursor)


@pytest.fixture
def played() -> Played:
    return Played()


def parse(block: bytes) -> tuple[str, str, dict]:
    lines = dict(line.split(": ", 1) for line in block.decode().strip().split("\n"))
    return lines.get("event", ""), lines.get("id", ""), json.loads(lines.get("data", "null"))


def read(feed: Feed, wanted: int, between=None) -> list[tuple[str, str, dict]]:
    """The first `wanted` messages; `between(n)` is called after the n-th."""

    async def run():
        found = []
        async for block in feed.messages():
            if block.startswith(b"retry"):
                continue
            found.append(parse(block))
            if between:
                between(len(found))
            if len(found) >= wanted:
                return found
        return found

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_the_first_message_is_whole_and_the_next_holds_what_changed(played):
    def more(count):
        if count == 1:
            played.match.event("sprint", 4)
            played.catch_up()

    first, second = read(played.feed(), 2, more)
    assert first[2]["full"]
    assert len(first[2]["athletes"]) == 26
    assert second[2]["athletes"] == []
    assert [e["type"] for e in second[2]["events"]] == ["sprint"]


def test_a_client_that_comes_back_gets_every_event_it_missed_once_and_in_order(played):
    cursor = read(played.feed(), 1)[0][1]
    ids = [played.match.event("sprint", place % 22).event_id for place in range(450)]
    played.catch_up()
    found = [e["event_id"] for m in read(played.feed(cursor=cursor), 3) for e in m[2]["events"]]
    assert found == ids


def test_a_nonsense_cursor_starts_anew(played):
    for cursor in ("x", "1.2", "-1.0.0", "9" * 50, "1.99999999.abc"):
        assert read(played.feed(cursor=cursor), 1)[0][2]["full"]


def test_health_never_enters_the_stream_of_a_betting_client(played):
    played.match.event("fatigue_red", 3)
    played.match.event("man_down", 3, policy_class="tracking")
    played.match.event("pass", 3)
    played.catch_up()
    body = read(played.feed("betting"), 1)[0][2]
    text = json.dumps(body)
    assert [e["type"] for e in body["events"]] == ["pass"]
    assert not [word for word in ("hr_bpm", "fatigue", "dbal", "trimp") if word in text]


def test_silence_is_filled_with_heartbeats(played):
    kinds = [m[0] for m in read(played.feed(), 3)]
    assert kinds == ["snapshot", "heartbeat", "heartbeat"]


def test_an_absent_store_is_told_and_the_stream_goes_on_after_it(played, monkeypatch):
    monkeypatch.setattr("serve.routes_live.AWAY_S", 0.01)

    def toggle(count):
        played.world.twin.away = "is down" if count == 1 else ""
        if count == 2:
            played.match.step()
            played.catch_up()

    kinds = [m[0] for m in read(played.feed(), 3, toggle)]
    assert kinds == ["snapshot", "away", "snapshot"]


def test_the_stream_ends_with_its_token(played):
    def expire(count):
        played.now += 4000 * S

    found = read(played.feed(), 5, expire)
    assert [m[0] for m in found] == ["snapshot", "end"]


def test_the_stream_ends_when_policy_takes_the_right_away(played):
    feed = played.feed()

    def revoke(count):
        played.world.ports.gate.allow = lambda caller, action, resource, venue="": (
            played.world.ports.gate.refuse(caller, action, resource, "revoked")
        )

    assert [m[0] for m in read(feed, 5, revoke)][-1] == "end"


def test_streams_are_counted_and_given_back(played):
    class State:
        live_n = 0

    async def run():
        stream = _counted(State, played.feed().messages())
        await anext(stream)
        during = State.live_n
        await stream.aclose()
        return during, State.live_n

    assert asyncio.run(run()) == (1, 0)


def test_one_stream_too_many_is_told_to_wait(played):
    from starlette.testclient import TestClient

    from serve.api import build_api

    app = build_api(played.world.ports)
    app.state.live_n = LIMITS.max_live
    answer = TestClient(app).get("/v1/live", headers=played.world.auth())
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "5"
    assert issubclass(BusyError, Exception)
