"""One step of the load bench: venues that play a recording at real time, watched for a while.

Runs in a process of its own, with a Ray of its own, and ends by itself. Everything that is told is
of the watched window alone: actors count from their start, so what they said at its beginning is
taken off. The page and the HTTP interface are not started; nothing of the path needs them.
"""

import argparse
import json
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from cluster.settings import Settings, load_settings
from jobs.session import Session
from models.report import holds, sum_accounts
from tests.bench.load_flame import FlameRecorder
from tests.bench.load_numbers import STAGES, percentiles, since, verdict
from tests.bench.load_processes import ProcessTable

UNIT_S = 0.05
"""A played source's cursor counts these."""
START_S = 240.0
CAUGHT_UP_S = 0.5
SETTLE_S = 20.0
FINISH_S = 60.0


class LoadSession(Session):
    """A session without HTTP."""

    def _serve(self) -> None:
        return

    def ask_all(self, method: str) -> dict[str, Any]:
        """The answer of every stadium, asked at once; empty for one that does not answer."""
        import ray

        asked = {v: getattr(self._actors[f"stadium/{v}"], method).remote() for v in self.venues}
        found = {}
        for venue, reference in asked.items():
            try:
                found[venue] = ray.get(reference, timeout=20.0)
            except ray.exceptions.RayError:
                found[venue] = {}
        return found


def main(argv: list[str] | None = None) -> int:
    """Writes the step as JSON to `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recording", required=True)
    parser.add_argument("--venues", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the window")
    parser.add_argument("--workers", type=int, default=1, help="of the pool, fixed")
    parser.add_argument("--flame", default="", help="folder for flame graphs of the window")
    parser.add_argument("--out", required=True)
    parser.add_argument("--limit", type=int, default=420, help="seconds until it gives up")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(options.limit)
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(folder, options.recording, options.venues)
        session = LoadSession(settings, options.workers)
        try:
            step = measured(session, options)
        finally:
            session.stop()
    Path(options.out).write_text(json.dumps(step))
    return 0


def _give_up(number: int, frame: Any) -> None:
    raise TimeoutError("the step takes too long")


def settings_of(folder: str, recording: str, venues: int) -> Settings:
    """Every venue plays the same recording at real time, as its own match; what is late comes
    together, as it does from the queue of a live feed."""
    source = {"type": "file", "path": recording, "speed": 1.0, "merge_late": True}
    listed = [{"id": f"v{k}", "match_id": f"m{k}", "sources": [source]} for k in range(venues)]
    return load_settings(None, {
        "data_dir": f"{folder}/data", "venues": listed, "serve": {"nets": False},
    })


def measured(session: LoadSession, options: argparse.Namespace) -> dict[str, Any]:
    """Start, settle, watch, end the matches, account."""
    session.start(say=lambda text: print(text, flush=True))
    table = ProcessTable()
    settled_s = _settle(session)
    flames = FlameRecorder(options.flame, options.seconds) if options.flame else None
    looks = [_look(session, table)]
    if flames is not None:
        flames.start(table.pids())
    for _ in range(2):
        time.sleep(options.seconds / 2)
        looks.append(_look(session, table))
    said = flames.finish() if flames is not None else []
    finished = session.finish(FINISH_S)
    samples = sum_accounts([one.get("account", {}) for one in session.stadium_stats().values()])
    damaged = [d for t in session.log.topics() for d in session.log.describe(t).damaged]
    whole = bool(finished and holds(samples) and not samples["buffered"] and not damaged)
    return _told(looks, options, table) | {
        "settled_s": round(settled_s, 1), "whole": whole, "samples": samples, "flames": said,
    }


def _settle(session: LoadSession) -> float:
    """Wait until all venues play and none is behind, within bounds; seconds it took."""
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < START_S:
        states = [one.get("state") for one in session.ask_all("stats").values()]
        if all(state == "running" for state in states):
            break
        time.sleep(0.5)
    playing_s = time.monotonic()
    before = session.latency()
    while time.monotonic() - playing_s < SETTLE_S:
        time.sleep(2.0)
        now = session.latency()
        path = percentiles(since(now, before))
        if all(path.get(s, {}).get("p50", 1e9) < CAUGHT_UP_S * 1e3 for s in STAGES[:3]):
            break
        before = now
    return time.monotonic() - begun_s


def _look(session: LoadSession, table: ProcessTable) -> dict[str, Any]:
    """Everything that counts upwards, as of now."""
    at_s = time.monotonic()
    stats = session.ask_all("stats")
    topics = session.log.topics()
    session.progress()
    return {
        "at_s": (at_s + time.monotonic()) / 2, "latency": session.latency(),
        "samples": sum(one.get("account", {}).get("in", 0) for one in stats.values()),
        "played_s": min(
            (one["sources"][0]["cursor"] * UNIT_S for one in stats.values() if one.get("sources")),
            default=0.0,
        ),
        "states": sorted({str(one.get("state")) for one in stats.values()}),
        "bytes": sum(sum(one.get("bytes", {}).values()) for one in stats.values()),
        "disk_bytes": sum(session.log.describe(topic).size_bytes for topic in topics),
        "lag_records": session._status.get("lag_records", 0),
        "cpu_s": table.cpu_s(), "memory": table.memory(),
    }


def _told(
    looks: list[dict[str, Any]], options: argparse.Namespace, table: ProcessTable
) -> dict[str, Any]:
    first, middle, last = looks
    span_s = last["at_s"] - first["at_s"]
    samples = last["samples"] - first["samples"]
    halves = [since(middle["latency"], first["latency"]), since(last["latency"], middle["latency"])]
    latency = percentiles(since(last["latency"], first["latency"]))
    cpu_s = {k: v - first["cpu_s"].get(k, 0.0) for k, v in last["cpu_s"].items()}
    step = {
        "venues": options.venues, "workers": options.workers, "window_s": round(span_s, 1),
        "samples_per_s": round(samples / span_s), "latency_ms": latency,
        "halves_ms": [percentiles(half) for half in halves],
        "behind_s": round(span_s - (last["played_s"] - first["played_s"]), 2),
        "lag_records": [look["lag_records"] for look in looks],
        "states": last["states"], "processes": table.count(),
        "cpu_cores": {k: round(v / span_s, 3) for k, v in sorted(cpu_s.items())},
        "cpu_s_per_million": {
            k: round(v / max(samples, 1) * 1e6, 3) for k, v in sorted(cpu_s.items())
        },
        "memory_mb": {k: round(v / 2**20) for k, v in sorted(last["memory"].items())},
        "log_mb_per_s": round((last["bytes"] - first["bytes"]) / span_s / 1e6, 3),
    }
    return step | verdict(step)


if __name__ == "__main__":
    raise SystemExit(main())
