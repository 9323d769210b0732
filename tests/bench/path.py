"""CPU of the whole path stage by stage, in one thread: `python -m tests.bench.path`.

A stadium, a worker and a twin store over one durable log, on a clock of the bench's own: what is
told is CPU time and not latency, and other work on the machine disturbs it least. At real time
a venue comes in slices of 50 ms, at full speed in batches of seconds. `--profile STAGE` prints
where a stage's time goes.
"""

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.net_client import NetClient
from actors.stadium import Stadium
from actors.stadium_build import StadiumPorts
from actors.twin_store import TwinStore
from actors.worker import Worker, WorkerConfig, WorkerPorts
from actors.worker_snapshots import flow_stream
from actors.worker_warmup import warm_up
from cluster.eventlog.sqlite import SqliteLog
from cluster.names import events_topic
from cluster.snapshots import SnapshotStore
from cluster.storage import LocalStorage
from models.flows.kernel import FlowKernel
from models.policies.ownership import Assignment, VenueGrant, WorkerReport
from models.telemetry.roster import Roster
from tests.bench.recordings import FAMILIES, recording

STAGES = ("stadium", "worker", "twin store")
VENUE = "v0"
STEP_NS = 50_000_000
EPOCH = 5
LAST_TURNS = 100


class Clock:
    """Wall clock of everything here; moves when the bench moves it."""

    def __init__(self) -> None:
        self.now_ns = time.time_ns()

    def __call__(self) -> int:
        return self.now_ns


class Desk:
    """A coordinator that grants all flows of a venue, once."""

    def __init__(self, log: SqliteLog, roster: Roster) -> None:
        for subject in roster.subjects:
            log.fence(events_topic(VENUE), flow_stream(roster.match_id, subject.subject_id), EPOCH)
        grants = dict.fromkeys(range(len(roster.subjects)), EPOCH)
        self.answer = Assignment(EPOCH, {VENUE: VenueGrant(roster.match_id, 0, grants)})

    def register(self, worker_id: int, incarnation: int) -> Assignment:
        return self.answer

    def heartbeat(self, worker_id: int, report: WorkerReport) -> Assignment:
        return self.answer


class WholePath:
    """The three stages of one venue that plays `played`."""

    def __init__(self, root: Path, played: Path, speed: float) -> None:
        self.clock = Clock()
        source = {"type": "file", "path": str(played), "speed": speed}
        venue = {"id": VENUE, "match_id": "m0", "sources": [source]}
        settings = {"data_dir": str(root)}
        store = SnapshotStore(LocalStorage(root / "state"))
        self.stadium = Stadium(settings, venue, ports=StadiumPorts(_log(root), store, self.clock))
        self.stadium.open()
        roster = self.stadium._parts.journal.roster
        flows = SnapshotStore(LocalStorage(root / "snapshots"))
        ports = WorkerPorts(
            _log(root), flows, Desk(_log(root), roster), NetClient(None, self.clock), FlowKernel,
            self.clock,
        )
        self.worker = Worker(0, 1, ports, WorkerConfig())
        self.twin = TwinStore(
            settings, False, _log(root), self.clock, lambda: self.clock.now_ns / 1e9
        )
        self.spent = dict.fromkeys(STAGES, 0.0)

    def play(self, profiles: dict[str, cProfile.Profile]) -> int:
        """To the end; the samples that came in."""
        turns = 0
        while not self.stadium.done():
            self.clock.now_ns += STEP_NS
            self._turn("stadium", self._round, profiles)
            self._follow(turns, profiles)
            turns += 1
        for turn in range(LAST_TURNS):
            self.clock.now_ns += STEP_NS
            self._follow(turn, profiles)
        stats = self.stadium.stats()
        assert stats["state"] == "finished", stats["error"]
        assert all(len(rows) == len(self.worker.report.held[VENUE])
                   for rows in self.worker.report.final.values()), "not every flow has ended"
        return int(stats["account"]["in"])

    def _follow(self, turn: int, profiles: dict[str, cProfile.Profile]) -> None:
        if turn % 10 == 0:
            self.worker.beat()
        self._turn("worker", self.worker.step, profiles)
        self._turn("twin store", lambda: self.twin.step() > 0, profiles)

    def _round(self) -> bool:
        return not self.stadium.done() and self.stadium.run_step()

    def _turn(
        self, stage: str, work: Callable[[], bool], profiles: dict[str, cProfile.Profile]
    ) -> None:
        profile = profiles.get(stage)
        begun_s = time.process_time()
        if profile is not None:
            profile.enable()
        while work():
            continue
        if profile is not None:
            profile.disable()
        self.spent[stage] += time.process_time() - begun_s


def _log(root: Path) -> SqliteLog:
    return SqliteLog(str(root / "log"))


def measure(name: str, seconds: int, speed: float, profile: str = "") -> dict[str, Any]:
    """CPU microseconds a sample by stage, and log bytes a sample."""
    profiles = {profile: cProfile.Profile(time.process_time)} if profile else {}
    with tempfile.TemporaryDirectory() as folder:
        played, _ = recording(Path(folder) / "recordings", FAMILIES[name], seconds)
        path = WholePath(Path(folder) / "data", played, speed)
        samples = path.play(profiles)
        stored = sum(path.stadium.stats()["bytes"].values())
    for one in profiles.values():
        pstats.Stats(one).sort_stats("tottime").print_stats(40)
    spent = {stage: round(s / samples * 1e6, 3) for stage, s in path.spent.items()}
    return {
        "family": name, "pace": "slices of 50 ms" if speed else "full speed", "samples": samples,
        "cpu_us_per_sample": spent | {"all": round(sum(spent.values()), 3)},
        "log_bytes_per_sample": round(stored / samples, 1),
    }


def main(argv: list[str] | None = None) -> int:
    """Prints a JSON document a run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--family", choices=sorted(FAMILIES), action="append")
    parser.add_argument("--seconds", type=int, default=30, help="of the match")
    parser.add_argument("--profile", choices=STAGES, default="", help="print a stage's profile")
    options = parser.parse_args(argv)
    warm_up()
    for name in options.family or sorted(FAMILIES):
        for speed in (1.0, 0.0):
            # Full speed goes through a match in no time: a longer one is steadier.
            seconds = options.seconds * (1 if speed else 4)
            print(json.dumps(measure(name, seconds, speed, options.profile)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
