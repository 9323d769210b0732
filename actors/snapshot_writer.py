"""Writing snapshots beside the work: storing one waits for the disk twice, and the work need not.

A snapshot is bytes that were taken when all effects behind them were durable, so it may become
durable whenever it likes: a process that ends before has the one before, and more is replayed. One
is on its way at a time; whoever wants to write the next waits for its turn, not for the disk.
"""

import threading
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from actors.worker_snapshots import SnapshotPort


@dataclass(frozen=True, slots=True)
class Writing:
    """One snapshot on its way, of a flow (venue, subject row); `offset` for whoever gave it."""

    of: tuple[str, int]
    key: str
    payload: bytes
    epoch: int
    offset: int


class Written(NamedTuple):
    """What became of it: `error` None when it is durable."""

    what: Writing
    error: Exception | None


class SnapshotWriter(Protocol):
    """One snapshot at a time."""

    def busy(self) -> bool:
        """Whether one is on its way: `begin` must wait."""
        ...

    def begin(self, what: Writing) -> None:
        """Have it written."""
        ...

    def take_done(self) -> list[Written]:
        """What has been written, or could not be, since the last call."""
        ...

    def settle(self) -> None:
        """Wait until none is on its way."""
        ...


class WriteNow:
    """Writes in `begin`."""

    def __init__(self, store: SnapshotPort) -> None:
        self._store = store
        self._done: list[Written] = []

    def busy(self) -> bool:
        return False

    def begin(self, what: Writing) -> None:
        self._done.append(_write(self._store, what))

    def take_done(self) -> list[Written]:
        done, self._done = self._done, []
        return done

    def settle(self) -> None:
        return


class WriteBeside:
    """Writes in a thread of its own, which begins with the first snapshot and ends with `close`."""

    def __init__(self, store: SnapshotPort) -> None:
        self._store = store
        self._lock = threading.Condition()
        self._next: Writing | None = None
        self._done: list[Written] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def busy(self) -> bool:
        return self._next is not None

    def begin(self, what: Writing) -> None:
        with self._lock:
            assert self._next is None, "one at a time"
            assert not self._closed
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
                self._thread.start()
            self._next = what
            self._lock.notify_all()

    def take_done(self) -> list[Written]:
        if not self._done:
            return []
        with self._lock:
            done, self._done = self._done, []
        return done

    def settle(self) -> None:
        with self._lock:
            while self._next is not None:
                self._lock.wait()

    def close(self) -> None:
        """Finish what is on its way."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                while self._next is None and not self._closed:
                    self._lock.wait()
                what = self._next
            if what is None:
                return
            written = _write(self._store, what)
            with self._lock:
                self._done.append(written)
                self._next = None
                self._lock.notify_all()


def _write(store: SnapshotPort, what: Writing) -> Written:
    try:
        store.put(what.key, what.payload, what.epoch)
    except Exception as error:  # told to whoever asks, in whose thread it belongs
        return Written(what, error)
    return Written(what, None)
