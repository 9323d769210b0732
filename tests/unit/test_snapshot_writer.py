"""Snapshots that are written beside the work: one at a time, and what becomes of it is told."""

import threading

import pytest

from actors.snapshot_writer import SnapshotWriter, WriteBeside, WriteNow, Writing
from models.errors import FencedError
from tests.unit.fakes_log import FakeSnapshots


def writing(seq: int, epoch: int = 1) -> Writing:
    return Writing(("a", seq), f"key-{seq}", b"state", epoch, seq)


@pytest.mark.parametrize("kind", [WriteNow, WriteBeside])
def test_what_becomes_of_a_snapshot_is_told_once(kind: type) -> None:
    store = FakeSnapshots()
    writer: SnapshotWriter = kind(store)
    assert writer.take_done() == []
    for seq in range(3):
        assert not writer.busy()
        writer.begin(writing(seq))
        writer.settle()
        assert writer.take_done() == [(writing(seq), None)]
        assert store.held[f"key-{seq}"] == (b"state", 1)
    store.held["key-1"] = (b"newer", 2)
    writer.begin(writing(1))
    writer.settle()
    ((_, fenced),) = writer.take_done()
    assert isinstance(fenced, FencedError)
    store.broken = True
    writer.begin(writing(2))
    writer.settle()
    ((_, error),) = writer.take_done()
    assert isinstance(error, OSError)
    assert writer.take_done() == []


class Slow(FakeSnapshots):
    """A store that takes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def put(self, key: str, payload: bytes, epoch: int) -> None:
        self.begun.set()
        self.go.wait()
        super().put(key, payload, epoch)


def test_the_work_goes_on_meanwhile_and_the_end_waits_for_it() -> None:
    store = Slow()
    writer = WriteBeside(store)
    writer.begin(writing(1))
    store.begun.wait()
    assert writer.busy()
    assert writer.take_done() == []
    assert not store.held
    store.go.set()
    writer.close()
    assert not writer.busy()
    assert writer.take_done() == [(writing(1), None)]
    assert store.held


def test_one_that_never_wrote_closes_at_once() -> None:
    WriteBeside(FakeSnapshots()).close()
