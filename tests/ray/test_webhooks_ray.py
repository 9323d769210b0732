"""The webhooks as a Ray actor: killed with SIGKILL while events come, no receiver misses one."""

import os
import signal
import time
from pathlib import Path

import pytest
import ray

from actors.launch import launch_webhooks
from actors.webhooks_shell import subscription_of
from cluster.eventlog.sqlite import SqliteLog
from cluster.settings import Settings, load_settings
from tests.e2e.live_world import until
from tests.unit.fakes_webhook import event_record
from tests.webhook_receiver import Receiver

LIMIT_S = 60.0
EVENTS = 120


def hook(name: str, url: str, role: str) -> dict[str, str]:
    return {"id": name, "url": url, "role": role, "team": "home"}


def put(log: SqliteLog, seq: int) -> str:
    kind = "fatigue_red" if seq % 3 == 2 else "sprint"
    event_id, record = event_record(kind, seq)
    log.append("events/v1", [record], 0)
    return event_id


def answers(actor: object, what: str) -> object:
    """What it says, once it is there again."""
    end_s = time.monotonic() + LIMIT_S
    while True:
        try:
            return ray.get(getattr(actor, what).remote(), timeout=10)
        except ray.exceptions.RayError:
            assert time.monotonic() < end_s
            time.sleep(0.05)


def settings_at(folder: Path, *hooks: dict[str, str]) -> Settings:
    return load_settings(None, {"data_dir": str(folder), "webhooks": list(hooks)}, {})


@pytest.mark.usefixtures("ray_local")
def test_killed_twice_each_receiver_has_each_event_that_it_may_see_in_order(
    tmp_path: Path,
) -> None:
    places = settings_at(
        tmp_path, hook("board", "http://127.0.0.1:1/", "coach"),
        hook("risk", "http://127.0.0.1:1/", "betting"),
    )
    secrets = [subscription_of(places, one).secret for one in places.webhooks]
    with Receiver(secrets[0], [503, 503, 429]) as board, Receiver(secrets[1]) as risk:
        settings = settings_at(
            tmp_path, hook("board", board.url, "coach"), hook("risk", risk.url, "betting")
        )
        log, ids = SqliteLog(str(tmp_path / "log")), []
        actor = launch_webhooks(settings)
        for seq in range(EVENTS):
            ids.append(put(log, seq))
            if seq in (EVENTS // 3, 2 * EVENTS // 3):
                until(lambda seq=seq: len(board.events) > seq // 2, "half of the events", LIMIT_S)
                os.kill(answers(actor, "stats")["pid"], signal.SIGKILL)
        until(lambda: len(board.events) == EVENTS, "all events", LIMIT_S)
        until(lambda: answers(actor, "settled"), "that it says so", LIMIT_S)
        stats = answers(actor, "stats")
        ray.kill(actor)
    assert board.ids() == ids
    assert risk.ids() == [one for n, one in enumerate(ids) if n % 3 != 2]
    assert board.forged == risk.forged == 0
    assert {one["state"] for one in stats["webhooks"].values()} == {"ok"}
    assert log.cursor("events/v1", "webhook/board") == EVENTS
    assert log.cursor("events/v1", "webhook/risk") == EVENTS
