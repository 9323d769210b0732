"""A stadium on a real log in a temporary folder, with a clock and faults of the test's making."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from actors.stadium import Stadium
from actors.stadium_build import StadiumPorts
from cluster import names
from cluster.eventlog.port import EventLog, Record, StoredRecord
from cluster.eventlog.sqlite import SqliteLog
from cluster.snapshots import SnapshotStore
from cluster.storage import LocalStorage
from models.errors import LogError
from models.telemetry.record import decode_header
from tests.unit import source_world

VENUE = "test-park"


class Killed(BaseException):
    """The process died here: nothing after this happens."""


class Wall:
    """A wall clock that moves by a millisecond each time somebody looks."""

    def __init__(self, start_ns: int = source_world.START_NS) -> None:
        self.now_ns = start_ns

    def __call__(self) -> int:
        self.now_ns += 1_000_000
        return self.now_ns


class FaultyLog:
    """A log whose appends the test can let fail: `fault(call, topic)` before, `after` after it."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.calls = 0
        self.fault: Callable[[int, str], None] = lambda call, topic: None
        self.after: Callable[[int, str], None] = lambda call, topic: None

    def append(self, topic: str, records: Sequence[Record], epoch: int) -> list[int]:
        self.calls += 1
        self.fault(self.calls, topic)
        offsets = self._log.append(topic, records, epoch)
        self.after(self.calls, topic)
        return offsets

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def no_space(call: int, topic: str) -> None:
    raise LogError(f"{topic}: no space left")


def settings(root: Path, **pool: float) -> dict[str, Any]:
    return {"data_dir": str(root), "pool": {"snapshot_s": 0.05, **pool}}


def simulated(seconds: int = 4, speed: float = 0.0, match: str = "m1") -> dict[str, Any]:
    source = {"type": "simulator", "seed": 11, "duration_s": seconds, "speed": speed}
    return {"id": VENUE, "match_id": match, "sources": [source]}


def live(root: Path, athletes: int = 2, match: str = "m1") -> dict[str, Any]:
    """A venue that takes pushed packets only."""
    path = root / f"roster-{athletes}.json"
    root.mkdir(parents=True, exist_ok=True)
    path.write_text(source_world.roster(athletes, match).to_json())
    return {
        "id": VENUE, "match_id": match, "roster": str(path), "sources": [{"type": "http"}],
    }


def stadium(
    root: Path, venue: dict[str, Any], wall: Wall | None = None, **pool: float
) -> tuple[Stadium, FaultyLog]:
    """A new life of the venue's stadium over the folder `root`, opened."""
    log = FaultyLog(SqliteLog(str(root / "log")))
    ports = StadiumPorts(log, SnapshotStore(LocalStorage(root / "state")), wall or Wall())
    made = Stadium(settings(root, **pool), venue, ports=ports)
    return made, log


def opened(root: Path, venue: dict[str, Any], **more: Any) -> tuple[Stadium, FaultyLog]:
    made, log = stadium(root, venue, **more)
    made.open()
    return made, log


def play(made: Stadium, rounds: int = 10_000) -> None:
    """Run until the match has ended, or for `rounds`."""
    for _ in range(rounds):
        if made.done():
            return
        made.run_step()


def records(log: Any, topic: str) -> list[StoredRecord]:
    """The whole topic."""
    found: list[StoredRecord] = []
    while page := log.read(topic, len(found), 1000, 1 << 30):
        found += page
    return found


def telemetry(log: Any) -> list[tuple[str, int, dict[str, Any], bytes]]:
    """The telemetry topic without its wall-clock marks: equal lists mean equal streams."""
    made = []
    for stored in records(log, names.telemetry_topic(VENUE)):
        header, offset = decode_header(stored.record.payload)
        assert {"source", "edge"} <= header.pop("marks").keys()
        body = stored.record.payload[offset:]
        made.append((stored.record.stream, stored.record.seq, header, body))
    return made


def kill_at(log: FaultyLog, call: int, after: bool) -> None:
    """Die at the n-th call of the log, before it or after it."""

    def die(count: int, topic: str) -> None:
        if count == call:
            raise Killed

    if after:
        log.after = die
    else:
        log.fault = die
