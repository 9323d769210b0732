"""Faults of a run's own processes, and what its log shows of them.

A victim is found among the descendants of one command by the title that Ray gives it, and killed by
its pid. How long its absence lasted is read from the log afterwards: the first record that its
successor made durable after it was gone.
"""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cluster.eventlog.open import open_log
from cluster.eventlog.port import EventLog, StoredRecord
from cluster.eventlog.scan import records_now

WAIT_S = 120.0
STADIUM, WORKER, COORDINATOR = "ray::Stadium", "ray::WorkerShell", "ray::CoordinatorShell"
TWINS, PROXY = "ray::TwinStore", "ray::ProxyActor"
API = "ray::ServeReplica:touchline:api"
EVENT_NET = "ray::ServeReplica:touchline:event-net"


def until(found: Callable[[], object], what: str, limit_s: float = WAIT_S) -> object:
    """The first true answer of `found`; an error after `limit_s`."""
    end_s = time.monotonic() + limit_s
    while not (answer := found()):
        assert time.monotonic() < end_s, f"in {limit_s:g} s not seen: {what}"
        time.sleep(0.05)
    return answer


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def descendants(run_pid: int, begin: str) -> list[psutil.Process]:
    """Processes below a run whose title, or program, begins so."""
    found = []
    for process in psutil.Process(run_pid).children(recursive=True):
        text = title(process)
        program = text.split(" ", 1)[0].rsplit("/", 1)[-1]
        if text.startswith(begin) or program == begin:
            found.append(process)
    return found


def the_one(run_pid: int, begin: str) -> psutil.Process:
    """The only descendant of that title, once there is exactly one."""

    def one() -> psutil.Process | None:
        found = descendants(run_pid, begin)
        return found[0] if len(found) == 1 else None

    found = until(one, f"one {begin}")
    assert isinstance(found, psutil.Process)
    return found


def kill(victim: psutil.Process, run_pid: int) -> int:
    """kill -9, of a process that descends from the run and of no other; ns at which it was gone."""
    assert run_pid in {parent.pid for parent in victim.parents()}
    victim.send_signal(signal.SIGKILL)
    until(lambda: gone(victim), f"the end of {victim.pid}")
    return time.time_ns()


def kill_in_mid_batch(victim: psutil.Process, run_pid: int) -> int:
    """Held until work has piled up, then let go, and killed while it is busy with that."""
    assert run_pid in {parent.pid for parent in victim.parents()}
    victim.suspend()
    time.sleep(0.7)
    victim.resume()
    time.sleep(0.03)
    return kill(victim, run_pid)


def suspend_between_writes(victim: psutil.Process) -> None:
    """Stop a process where it is, but not inside a transaction: who is stopped there keeps SQLite's
    lock for as long as it stands still, and no successor could write to the file."""

    def stopped() -> bool:
        victim.suspend()
        until(lambda: victim.status() == psutil.STATUS_STOPPED, f"a halt of {victim.pid}")
        if not writing(victim):
            return True
        victim.resume()
        return False

    until(stopped, "a moment between two writes")


def writing(process: psutil.Process) -> bool:
    """Whether a process holds a lock of a file for writing."""
    held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(
        "POSIX" in words and "WRITE" in words and str(process.pid) in words for words in held
    )


def gone(victim: psutil.Process) -> bool:
    """Whether a process has ended, waited for by its parent or not."""
    try:
        return victim.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Log:
    """The log of a run, opened beside it."""

    def __init__(self, data: Path) -> None:
        self.log: EventLog = open_log(f"sqlite:{data}/log")

    def ends(self) -> dict[str, int]:
        return {topic: self.log.describe(topic).end for topic in self.log.topics()}

    def first_after(
        self, topic: str, t_ns: int, since: int = 0, writer: str = ""
    ) -> StoredRecord | None:
        """The first record made durable after `t_ns`, of a stream that begins with `writer`."""
        for stored in records_now(self.log, topic, since):
            if stored.t_append_ns > t_ns and stored.record.stream.startswith(writer):
                return stored
        return None

    def seconds_until(self, topic: str, t_ns: int, since: int = 0, writer: str = "") -> float:
        """From `t_ns` to the first record after it; it is waited for."""
        found = until(
            lambda: self.first_after(topic, t_ns, since, writer), f"a new record of {topic}"
        )
        assert isinstance(found, StoredRecord)
        return (found.t_append_ns - t_ns) / 1e9

    def ids(self, topic: str) -> Counter[tuple[str, int]]:
        """How often each (stream, seq) is in a topic."""
        return Counter((s.record.stream, s.record.seq) for s in records_now(self.log, topic))

    def flow_events(self, topic: str) -> set[tuple[str, int]]:
        """Ids of the events of flows. The supervisor's are forecasts, made when it comes to them:
        of two runs of one match they need not be the same."""
        return {one for one in self.ids(topic) if not one[0].startswith("supervisor/")}

    def damaged(self) -> int:
        """Records of all topics that cannot be read."""
        infos = [self.log.describe(topic) for topic in self.log.topics()]
        return sum(high - low for info in infos for low, high in info.damaged)

    def close(self) -> None:
        self.log.close()


def doubled(ids: Counter[tuple[str, int]]) -> int:
    return ids.total() - len(ids)


@dataclass
class HttpWatch:
    """Asks again and again in a thread: `good_ns` is when it asked and was answered well."""

    ask: Callable[[], bool]
    every_s: float = 0.05
    good_ns: list[tuple[int, int]] = field(default_factory=list)

    def first_good_after(self, t_ns: int) -> float:
        """Seconds from `t_ns` to the first good answer of a question asked after it."""
        found = until(lambda: [end for ask, end in self.good_ns if ask > t_ns], "a good answer")
        assert isinstance(found, list)
        return (found[0] - t_ns) / 1e9

    @contextmanager
    def running(self) -> Iterator["HttpWatch"]:
        stop = threading.Event()
        thread = threading.Thread(target=self._loop, args=(stop,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join(60.0)

    def _loop(self, stop: threading.Event) -> None:
        while not stop.wait(self.every_s):
            asked_ns = time.time_ns()
            try:
                good = self.ask()
            except OSError:
                good = False
            if good:
                self.good_ns.append((asked_ns, time.time_ns()))
