"""`touchline live` with webhooks: a coach's board and a bookmaker hear of a match as it runs,
each what policy lets it, though a third takes nothing and the process that tells them is killed."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.webhooks_shell import subscription_of
from cluster.eventlog.open import open_log
from cluster.eventlog.scan import records_now
from cluster.settings import load_settings
from jobs.webhooks import main as webhooks_main
from models.recompute.events import is_recomputed
from tests.e2e.conftest import Command
from tests.e2e.live_world import free_ports, until
from tests.webhook_receiver import Receiver

LIMIT_S = 120
BETTING_NEVER = {
    "fatigue_amber", "fatigue_red", "fatigue_clear", "man_down", "load_cap_reached",
    "heart_rate_recovery", "heart_rate_suspect", "device_degraded", "device_failed",
    "device_recovered", "device_failure_predicted", "device_anomaly", "clock_fault", "anchor_fault",
    "acceleration", "deceleration", "impact", "collision", "jump", "fall", "change_of_direction",
    "high_intensity_bout",
}
HEALTH = ("hr_", "fatigue", "dbal", "wbal", "trimp", "rmssd")


class Match:
    """Two simulated minutes in twelve seconds, and receivers that note what they get."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.path = folder, folder / "live.toml"
        (port,) = free_ports(1)
        self.receivers: dict[str, Receiver] = {}
        self._write(port, *["http://127.0.0.1:1/"] * 3)
        settings = load_settings(self.path, environ={})
        for one in settings.webhooks:
            secret = subscription_of(settings, one).secret
            self.receivers[one.id] = stack.enter_context(Receiver(secret))
        self._write(port, *(self.receivers[name].url for name in ("board", "risk", "deaf")))
        self.settings = load_settings(self.path, environ={})

    def _write(self, port: int, board: str, risk: str, deaf: str) -> None:
        self.path.write_text(f"""
data_dir = "{self.folder}/data"
[serve]
port = {port}
nets = false
[[venues]]
id = "park"
match_id = "m1"
sources = [{{type = "simulator", duration_s = 120, speed = 10.0, seed = 7}}]
[[webhooks]]
id = "board"
url = "{board}"
role = "medical"
team = "*"
[[webhooks]]
id = "risk"
url = "{risk}"
role = "betting"
[[webhooks]]
id = "deaf"
url = "{deaf}"
role = "league"
types = ["sprint"]
""")

    def events(self) -> list[dict[str, Any]]:
        """As told live, in the order of the log."""
        log = open_log(self.settings.log.url)
        try:
            stored = [
                one.record for one in records_now(log, "events/park")
                if not is_recomputed(one.record.stream)
            ]
        finally:
            log.close()
        return [json.loads(record.payload) for record in stored]


@pytest.fixture
def match(tmp_path: Path) -> Iterator[Match]:
    with ExitStack() as stack:
        yield Match(tmp_path, stack)


def process_of(command: Command, title: str) -> psutil.Process | None:
    for one in psutil.Process(command.process.pid).children(recursive=True):
        try:
            if one.cmdline()[:1] and title in one.cmdline()[0]:
                return one
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return None


@pytest.mark.timeout(240)
def test_two_receivers_hear_of_a_match_each_what_it_may_see(
    match: Match, capsys: pytest.CaptureFixture[str]
) -> None:
    board, risk = match.receivers["board"], match.receivers["risk"]
    board.answers, match.receivers["deaf"].answers = [503, 500], [400] * 10_000
    command = Command(
        ["live", "--settings", str(match.path), "--seconds", "20", "--json",
         str(match.folder / "report.json")], match.folder,
    )
    try:
        until(lambda: len(board.events) > 5 or command.process.poll() is not None, "events", 90.0)
        teller = process_of(command, "WebhooksShell")
        assert teller is not None, command.output()
        os.kill(teller.pid, signal.SIGKILL)
        ended = command.wait(LIMIT_S)
    finally:
        command.end()
    assert ended.code == 0, ended.output[-3000:]
    told = match.events()
    assert len(told) > 50
    live = {one["id"] for one in told}
    assert [i for i in board.ids() if i in live] == [one["id"] for one in told]
    open_to_betting = [
        one["id"] for one in told if one["data"]["type"] not in BETTING_NEVER
    ]
    assert [i for i in risk.ids() if i in live] == open_to_betting
    assert 0 < len(open_to_betting) < len(told)
    assert not [m for e in risk.events for m in e["data"]["metrics"] if m.startswith(HEALTH)]
    assert board.forged == risk.forged == 0
    webhooks = ended.report["webhooks"]
    assert (webhooks["board"]["dead_letters"], webhooks["risk"]["dead_letters"]) == (0, 0)
    # Nobody waits for one that takes nothing, and the match is not the worse for it.
    assert match.receivers["deaf"].events == []
    assert webhooks["deaf"]["refused"] > 0
    assert ended.report["latency_ms"]["webhook"]["p50"] > 0
    assert "webhook" in ended.output
    assert webhooks_main(["--settings", str(match.path)]) == 0
    assert "board: medical, 0 dead letters" in capsys.readouterr().out
