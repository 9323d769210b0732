"""Snapshots: the newest whole one, and never an old owner's over a new one's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.snapshots import SnapshotStore
from cluster.storage import LocalStorage, Storage
from models.errors import FencedError


class FakeStorage:
    """A dict. `before_put` runs just before a put takes effect."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.before_put: Callable[[], None] = lambda: None

    def put_atomic(self, name: str, data: bytes) -> None:
        act, self.before_put = self.before_put, lambda: None
        act()
        self.held[name] = data

    def get(self, name: str) -> bytes | None:
        return self.held.get(name)

    def list(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self.held if name.startswith(prefix))

    def delete(self, name: str) -> None:
        self.held.pop(name, None)


@pytest.fixture(params=["local", "fake"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return LocalStorage(tmp_path) if request.param == "local" else FakeStorage()  # type: ignore


@pytest.fixture
def store(storage: Storage) -> SnapshotStore:
    return SnapshotStore(storage)


def test_the_newest_is_returned_with_its_epoch(store: SnapshotStore) -> None:
    assert store.get("wembley/worker-1") is None
    store.put("wembley/worker-1", b"one", 1)
    store.put("wembley/worker-1", b"two", 1)
    assert store.get("wembley/worker-1") == (b"two", 1)
    store.put("wembley/worker-1", b"three", 4)
    assert store.get("wembley/worker-1") == (b"three", 4)
    assert store.get("wembley") is None
    store.forget("wembley/worker-1")
    assert store.get("wembley/worker-1") is None


def test_an_old_epoch_is_refused(store: SnapshotStore) -> None:
    store.put("k", b"new", 5)
    with pytest.raises(FencedError) as caught:
        store.put("k", b"old", 4)
    assert (caught.value.held_epoch, caught.value.current_epoch) == (4, 5)
    assert store.get("k") == (b"new", 5)


def test_an_owner_paused_between_looking_and_writing_changes_nothing() -> None:
    storage = FakeStorage()
    old, new = SnapshotStore(storage), SnapshotStore(storage)  # type: ignore
    storage.before_put = lambda: new.put("k", b"new", 2)
    old.put("k", b"old", 1)
    assert new.get("k") == (b"new", 2)


def test_a_damaged_snapshot_falls_back_to_the_epoch_before(
    store: SnapshotStore, storage: Storage
) -> None:
    store.put("k", b"older", 1)
    store.put("k", b"newer", 2)
    name = storage.list("snapshots/k/")[-1]
    content = storage.get(name)
    assert content
    for broken in (b"", content[:-1], content[:-1] + b"X", b"X" + content[1:], content[:9]):
        storage.put_atomic(name, broken)
        assert store.get("k") == (b"older", 1)


def test_at_most_two_epochs_are_kept(store: SnapshotStore, storage: Storage) -> None:
    for epoch in range(1, 9):
        store.put("k", b"x", epoch)
    assert len(storage.list("snapshots/k/")) == 2


@given(puts=st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=4)), max_size=12))
def test_it_behaves_like_one_fenced_cell(puts: list[tuple[int, bytes]]) -> None:
    store, cell = SnapshotStore(FakeStorage()), None  # type: ignore
    for epoch, payload in puts:
        if cell is not None and epoch < cell[1]:
            with pytest.raises(FencedError):
                store.put("k", payload, epoch)
        else:
            store.put("k", payload, epoch)
            cell = (payload, epoch)
        assert store.get("k") == cell
