"""The stadium as a Ray actor: killed with SIGKILL in mid-match, it loses and repeats nothing."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import ray

from actors.stadium import Stadium
from cluster import names
from cluster.eventlog.sqlite import SqliteLog
from models.telemetry.packet import encode_packets
from models.telemetry.raw import decode_raw
from models.telemetry.roster import Roster
from tests.unit import source_world as world
from tests.unit.stadium_world import VENUE, live, records, simulated, telemetry

LIMIT_S = 90.0


def launch(root: Path, venue: dict[str, Any]) -> Any:
    settings = {"data_dir": str(root), "pool": {"snapshot_s": 0.5}}
    actor = ray.remote(Stadium).options(
        num_cpus=0, max_restarts=-1, max_task_retries=-1, max_concurrency=8
    )
    return actor.remote(settings, venue, autostart=True)


def wait_for(stadium: Any, until: Any) -> dict[str, Any]:
    """Stats once `until(stats)` holds."""
    end = time.monotonic() + LIMIT_S
    stats: dict[str, Any] = {}
    while time.monotonic() < end:
        stats = ray.get(stadium.stats.remote(), timeout=60)
        assert stats["state"] not in ("failed", "fenced"), stats["error"]
        if until(stats):
            return stats
        time.sleep(0.02)
    raise AssertionError(f"never came: {stats}")


def moved(stats: dict[str, Any], rows: int) -> bool:
    return bool(stats["state"] == "running" and stats["raw_rows"] >= rows)


@pytest.mark.usefixtures("ray_local")
def test_killed_twice_during_a_match_the_telemetry_is_that_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    venue = simulated(20, speed=8.0)
    calm = launch(tmp_path / "calm", venue)
    hit = launch(tmp_path / "hit", venue)
    pids = set()
    for rows in (15_000, 40_000):
        stats = wait_for(hit, lambda stats, rows=rows: moved(stats, rows))
        pids.add(stats["pid"])
        os.kill(stats["pid"], signal.SIGKILL)
    last = wait_for(hit, lambda stats: stats["done"])
    whole = wait_for(calm, lambda stats: stats["done"])
    assert last["restarts"] == 2
    assert last["pid"] not in pids
    assert last["recovery"]["replayed"] > 0
    left = telemetry(SqliteLog(str(tmp_path / "hit" / "log")))
    right = telemetry(SqliteLog(str(tmp_path / "calm" / "log")))
    assert [entry[:3] for entry in left] == [entry[:3] for entry in right]
    assert left == right
    assert last["account"] == whole["account"]
    account = last["account"]
    out = account["forwarded"] + account["thinned"] + account["buffered"]
    assert account["in"] == out + sum(account["rejected"].values())
    for stadium in (calm, hit):
        ray.kill(stadium)


def send(stadium: Any, payload: bytes) -> str:
    """Post until it is taken, as a gateway does; the reason that it is answered with."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        call = stadium.ingest.remote(payload, "application/octet-stream", "gateway-1")
        (answer,) = ray.get(call, timeout=60)
        if answer["reason"] != "retry":
            return str(answer["reason"])
        time.sleep(0.05)
    raise AssertionError("never taken")


@pytest.mark.usefixtures("ray_local")
def test_a_gateway_that_repeats_itself_over_a_kill_loses_nothing_and_adds_nothing(
    tmp_path: Path,
) -> None:
    stadium = launch(tmp_path, live(tmp_path))
    stats = wait_for(stadium, lambda stats: stats["state"] == "running")
    reasons = []
    for number in range(40):
        packet = world.packet("tag_0", 4 * number, t_ns=time.time_ns())
        if number == 20:
            os.kill(stats["pid"], signal.SIGKILL)
        reasons.append(send(stadium, encode_packets([packet])))
    assert set(reasons) <= {"none", "duplicate"}
    log = SqliteLog(str(tmp_path / "log"))
    roster = Roster.from_json(records(log, names.roster_topic(VENUE))[-1].record.payload)
    rows_of = {(d.device_id, d.kind): row for row, d in enumerate(roster.devices)}
    durable: set[int] = set()
    for stored in records(log, names.raw_topic(VENUE)):
        for block in decode_raw(stored.record.payload, rows_of).blocks.values():
            durable |= set(block.seq.tolist())
    assert durable == set(range(160))
    ray.get(stadium.finish.remote())
    account = wait_for(stadium, lambda stats: stats["done"])["account"]
    assert account["forwarded"] + account["thinned"] == 160
    ray.kill(stadium)
