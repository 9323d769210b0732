"""The live page in a real browser, fed by a synthetic match through the real API."""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from actors.twin_store import TwinStore
from models.flows.config import ALGO_VERSION
from models.latency import LatencyHistogram
from serve.api import build_api
from tests.local_ports import World
from tests.synthetic_match import VENUE, MemoryLog, SyntheticMatch

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]
SHOTS = os.environ.get("TOUCHLINE_SHOTS", "")
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: install Debian's chromium"
)


def histogram(*values_ms: float) -> dict:
    held = LatencyHistogram()
    for value in values_ms:
        held.record(int(value * 1e6))
    return held.to_dict()


STATS = {
    "account": {
        "in": 3_401_220, "forwarded": 2_310_400, "thinned": 1_081_900, "buffered": 120,
        "lost_by_counter": 77, "rejected": {"duplicate": 7_810, "out_of_range": 990},
    },
    "latency": {"edge": histogram(38, 44, 61, 80)},
}
POOL = {
    "size": 3, "utilisation": 0.62, "lag_records": 2, "hot_backlog_s": 0.04, "calm_backlog_s": 0.2,
    "scale": {"target": 3, "reason": "hot_backlog"},
    "latency": {
        "log": histogram(6, 9, 14), "worker": histogram(22, 31, 55), "net": histogram(8, 11, 19),
    },
}
TIERS = {
    "hot": {"bytes": 412_000_000, "rows": 90_000},
    "warm": {"bytes": 198_000_000, "rows": 3_300_000},
    "cold": {"bytes": 1_900_000, "rows": 18_400},
}


class Live:
    """A match that is played in a thread of its own, in real time."""

    def __init__(self) -> None:
        self.log = MemoryLog(time.time_ns)
        self.match = SyntheticMatch(self.log, elapsed_s=1800.0)
        self.store = TwinStore({}, log=self.log, autostart=True)
        self.world = World(self.store, STATS, POOL, TIERS)
        self.playing = threading.Event()
        self.playing.set()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.play, daemon=True)

    def story(self) -> None:
        """Half an hour until now: history, devices, predictions, events of every sort."""
        match = self.match
        while match.t_s < 2190.0:
            match.step(seconds=10.0)
        match.lost.add(4)
        match.health(stuck_n=3.0)
        match.event("device_degraded", subject_id="tag-ath_wembley_h01", sub_type="stuck",
                    stream="edge", policy_class="device")
        match.predict(kind="failure", device_id="tag-ath_wembley_a07",
                      scores={"p_fail": 0.81, "none": 0.1, "battery": 0.75, "dropout": 0.1})
        for place, type_, metrics in (
            (9, "sprint", {"peak_mps": 8.83, "duration_s": 3.1}), (20, "pass", {"length_m": 23.0}),
            (3, "collision", {"peak_g": 9.1}), (6, "fatigue_red", {"index": 0.83}),
            (17, "fatigue_amber", {"index": 0.66}), (10, "shot", {"speed_mps": 27.4}),
            (14, "jump", {"height_m": 0.41}), (2, "impact", {"peak_g": 6.2}),
            (18, "high_intensity_bout", {"peak_mps": 7.7}),
            (10, "goal_candidate", {"probability": 0.97}),
            (13, "man_down", {"down_s": 8.0}), (7, "pass", {"length_m": 11.0}),
            (5, "sprint", {"peak_mps": 8.1}), (21, "acceleration", {"peak_mps2": 4.1}),
        ):
            match.step(seconds=4.0)
            urgent = {"man_down": "medical", "shot": "high"}.get(type_, "normal")
            match.event(type_, place, metrics=metrics, confidence=0.93, priority=urgent,
                        stream=f"flow/{place}")

    def play(self) -> None:
        due_s, ticks = time.monotonic(), 0
        while not self.stop.is_set():
            if self.playing.is_set():
                self.match.step()
                ticks += 1
                if ticks % 12 == 0:
                    place = ticks // 12 % 22
                    self.match.event("pass", place, time.time_ns() - 180_000_000,
                                     metrics={"length_m": 14.0}, sub_type="complete")
            due_s += 0.25
            self.stop.wait(max(0.0, due_s - time.monotonic()))

    def close(self) -> None:
        self.stop.set()
        self.thread.join(5)
        self.store.stop()


class Server:
    """The API on a free loopback port, in a thread."""

    def __init__(self, world: World, port: int = 0) -> None:
        config = uvicorn.Config(
            build_api(world.ports), host="127.0.0.1", port=port, log_level="warning",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        for _ in range(200):
            if self.server.started:
                break
            time.sleep(0.02)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    live = Live()
    live.story()
    live.thread.start()
    yield live
    live.close()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser, live: Live, role: str = "performance", size=(1440, 900), **claims):
    """The page of a signed-in caller; what the browser complained about is in `page.complaints`."""
    server = Server(live.world)
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    page.complaints, page.requested, page.server = [], [], server
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.requested.append(request.url))
    try:
        token = live.world.token(role, **claims)
        page.goto(f"http://127.0.0.1:{server.port}/#token={token}")
        page.wait_for_selector("#squad-home tbody tr")
        page.wait_for_timeout(1500)
        yield page
    finally:
        context.close()
        page.server.close()


def shoot(page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def texts(page, team: str, column: int) -> list[str]:
    return page.locator(f"#squad-{team} tbody tr td:nth-child({column})").all_inner_texts()


def test_the_page_shows_a_live_match_without_a_complaint_and_without_the_internet(browser, live):
    with opened(browser, live) as page:
        page.wait_for_timeout(1500)
        shoot(page, "live")
        assert page.complaints == []
        own = f"http://127.0.0.1:{page.server.port}/"
        assert all(url.startswith((own, "data:", "blob:")) for url in page.requested)
        assert "token" not in page.url
        assert page.locator("#live").inner_text().strip().endswith("LIVE")
        assert re.fullmatch(r"\d+:\d\d", page.locator("#clock").inner_text())
        assert texts(page, "home", 1) == [str(n) for n in range(1, 12)]
        assert page.locator("#events li").count() > 8
        assert "edge" in page.locator("#ops").inner_text()
        assert "tag-ath_wembley_a07" in page.locator("#ops").inner_text()


def test_dots_move_at_twenty_frames_a_second_between_four_states(browser, live):
    with opened(browser, live) as page:
        script = """async () => {
          const at = [], canvas = document.getElementById('pitch'), end = performance.now() + 2000;
          const g = canvas.getContext('2d'); let last = '';
          while (performance.now() < end) {
            await new Promise(requestAnimationFrame);
            const w = canvas.width, h = canvas.height, d = g.getImageData(0, 0, w, h).data;
            let sum = 0; for (let i = 0; i < d.length; i += 97) sum = (sum * 31 + d[i]) >>> 0;
            if (String(sum) !== last) { at.push(performance.now()); last = String(sum); }
          }
          return at.length / 2;
        }"""
        per_s = page.evaluate(script)
        print(f"changed frames per second, read back and compared in the page: {per_s:.1f}")
        assert per_s >= 20


def test_a_stale_athlete_is_grey_and_says_why(browser, live):
    with opened(browser, live) as page:
        row = page.locator("#squad-home tbody tr", has_text="H05")
        assert "stale" in (row.get_attribute("class") or "")
        assert "no signal 12 s" in row.inner_text()
        low = page.locator("#squad-away tbody tr", has_text="A03")
        assert "coverage 71 %" in low.inner_text()
        red = page.locator("#squad-home tbody tr", has_text="H07")
        assert "red" in red.locator(".chip.red").inner_text()


def test_columns_sort_by_mouse_and_by_keyboard(browser, live):
    with opened(browser, live) as page:
        page.get_by_role("button", name="dist", exact=True).first.click()
        metres = [int(t) for t in texts(page, "away", 4)]
        assert metres == sorted(metres, reverse=True)
        head = page.locator("#squad-home th").nth(3)
        assert head.get_attribute("aria-sort") == "descending"
        page.keyboard.press("4")
        metres = [int(t) for t in texts(page, "home", 4)]
        assert metres == sorted(metres)
        page.locator("#squad-home tbody tr").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_timeout(400)
        assert page.locator("#squad-home tbody tr").nth(1).get_attribute("aria-selected") == "true"
        shoot(page, "sorted")


def test_a_tooltip_gives_formula_version_status_and_age(browser, live):
    with opened(browser, live) as page:
        page.locator("#squad-home tbody tr").nth(2).locator("td").nth(9).hover()
        tip = page.locator("#tip")
        tip.wait_for()
        text = tip.inner_text()
        assert "sigmoid" in text
        assert "provisional" in text
        assert ALGO_VERSION in text
        assert "old" in text
        shoot(page, "tooltip")


def test_betting_sees_no_health_on_the_page(browser, live):
    with opened(browser, live, "betting") as page:
        heads = page.locator("#squad-home th").all_inner_texts()
        assert not {"HR%", "FI", "D′%", "PL"} & {head.strip(" ▲▼") for head in heads}
        rows = page.evaluate("[...touchline.rows.values()].map(r => Object.keys(r)).flat()")
        health = ("hr_", "fatigue", "dbal", "trimp")
        assert not [key for key in rows if key.startswith(health) and key != "hr_stale"]
        shoot(page, "betting")


def test_a_lost_connection_is_told_and_the_page_comes_back_by_itself(browser, live):
    with opened(browser, live) as page:
        port = page.server.port
        page.server.close()
        page.locator("#banner", has_text="Connection lost").wait_for(timeout=8000)
        page.wait_for_timeout(3500)
        assert "NO CONNECTION" in page.locator("#live").inner_text()
        assert page.locator("#squad-home tbody tr.stale").count() == 11
        shoot(page, "lost")
        page.server = Server(live.world, port)
        page.locator("#banner").wait_for(state="hidden", timeout=15000)
        page.wait_for_timeout(1000)
        assert page.locator("#squad-home tbody tr.stale").count() < 3
        ids = page.evaluate("touchline.rows.size")
        assert ids == 26


def test_a_part_that_is_away_is_named_and_values_grow_old(browser, live):
    with opened(browser, live) as page:
        live.world.twin.away = "is down; it is being restarted"
        try:
            page.locator("#banner", has_text="twin-store does not answer").wait_for(timeout=5000)
        finally:
            live.world.twin.away = ""
        page.locator("#banner").wait_for(state="hidden", timeout=10000)


def test_without_a_token_the_page_asks_for_one(browser, live):
    server = Server(live.world)
    page = browser.new_page()
    try:
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.locator("#sign-in").wait_for()
        page.locator("#token").fill("not a token")
        page.locator("#enter").click()
        page.locator("#sign-in-error", has_text="not accepted").wait_for()
        shoot(page, "sign-in")
        page.locator("#token").fill(live.world.token("coach"))
        page.locator("#enter").click()
        page.wait_for_selector("#squad-home tbody tr")
        assert VENUE in page.locator("#venue").inner_text()
    finally:
        page.close()
        server.close()


@pytest.mark.parametrize("size", [(1920, 1080), (1440, 900), (820, 1180)])
def test_the_page_fits_other_screens(browser, live, size):
    with opened(browser, live, size=size) as page:
        shoot(page, f"size-{size[0]}")
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0


def test_the_description_of_the_api_is_readable_without_the_internet(browser, live):
    server = Server(live.world)
    page = browser.new_page()
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    try:
        page.goto(f"http://127.0.0.1:{server.port}/docs")
        page.locator("section", has_text="/v1/ingest/{venue_id}").wait_for()
        shoot(page, "docs")
        assert page.locator("section").count() >= 13
        assert complaints == []
    finally:
        page.close()
        server.close()
