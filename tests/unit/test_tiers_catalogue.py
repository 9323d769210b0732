"""A tier's content is what manifests name: all of a roll, or nothing of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.tiers import (
    Manifest,
    all_manifests,
    chain,
    damaged_files,
    last_manifest,
    newest_manifests,
    publish,
    put_data,
    put_state,
    sweep,
    sweep_due,
    totals,
)
from models.errors import ConfigError

ROOT = "data/sport=football/venue=v/match=m"


class MemoryStorage:
    """A storage that is a dictionary; `corrupt` makes it lie about what was put, `lossy` forget."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.corrupt = self.lossy = False

    def put_atomic(self, name: str, data: bytes) -> None:
        if not self.lossy:
            self.held[name] = data[:-1] if self.corrupt else data

    def put_if_absent(self, name: str, data: bytes) -> bool:
        return self.held.setdefault(name, data) is data

    def get(self, name: str) -> bytes | None:
        return self.held.get(name)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        folder = prefix.rstrip("/") + "/" if prefix else ""
        return {key: len(data) for key, data in self.held.items() if key.startswith(folder)}

    def list(self, prefix: str = "") -> list[str]:
        return sorted(self.sizes(prefix))

    def delete(self, name: str) -> None:
        self.held.pop(name, None)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


def roll(
    storage: MemoryStorage, number: int, data: bytes, before: int = 0, match: str = "m"
) -> Manifest:
    """What a roll leaves before it publishes; `before`: files of earlier manifests."""
    root = ROOT.replace("match=m", f"match={match}")
    file = put_data(storage, f"{root}/kind=imu", number, "imu", 10, data)
    state = put_state(storage, "v", match, number, b"state after " + data)
    return Manifest("v", match, number, root, (file,), before + 1, {"raw/v": 5}, state)


def test_files_are_content_only_once_published(storage: MemoryStorage) -> None:
    manifest = roll(storage, 0, b"one")
    assert totals(storage) == {"bytes": 0, "rows": 0}
    assert last_manifest(storage, "v", "m") is None
    assert publish(storage, manifest)
    assert totals(storage) == {"bytes": 3, "rows": 10}
    assert chain(storage, "v", "m") == [manifest]
    assert last_manifest(storage, "v", "m") == manifest


def test_a_second_roll_of_the_same_number_is_refused(storage: MemoryStorage) -> None:
    first, second = roll(storage, 0, b"one"), roll(storage, 0, b"two")
    assert publish(storage, first)
    assert not publish(storage, second)
    assert all_manifests(storage) == [first]


def test_a_roll_whose_files_the_winner_swept_is_refused_and_no_error(
    storage: MemoryStorage,
) -> None:
    first, second = roll(storage, 0, b"one"), roll(storage, 0, b"two")
    assert publish(storage, first)
    assert sweep(storage, first) == 2
    assert not publish(storage, second)
    assert totals(storage) == {"bytes": 3, "rows": 10}


def test_what_a_slower_roll_wrote_after_the_winner_had_swept_is_swept_too(
    storage: MemoryStorage,
) -> None:
    first, second = roll(storage, 0, b"one"), roll(storage, 0, b"two")
    assert publish(storage, first)
    sweep_due(storage)
    late = put_data(storage, f"{ROOT}/kind=lps", 0, "lps", 10, b"late")
    assert not publish(storage, replace(second, files=(*second.files, late)))
    sweep_due(storage)
    assert storage.list("data") == [entry.key for entry in first.files]


class SweptBeneath(MemoryStorage):
    """A storage in which another roll publishes and sweeps as soon as a data file is put."""

    def __init__(self, other: Callable[[], None]) -> None:
        super().__init__()
        self.other = other

    def put_atomic(self, name: str, data: bytes) -> None:
        super().put_atomic(name, data)
        if name.startswith("data/"):
            other, self.other = self.other, lambda: None
            other()


def test_a_roll_whose_file_is_swept_before_it_is_read_back_is_refused_and_no_error() -> None:
    def other() -> None:
        assert publish(storage, roll(storage, 0, b"one"))
        assert sweep_due(storage) == 1

    storage = SweptBeneath(other)
    slower = roll(storage, 0, b"two")
    assert not publish(storage, slower)
    sweep_due(storage)
    assert damaged_files(storage) == []
    assert len(storage.list("data")) == 1
    assert totals(storage) == {"bytes": 3, "rows": 10}


def test_a_storage_that_loses_what_is_put_publishes_nothing(storage: MemoryStorage) -> None:
    storage.lossy = True
    manifest = roll(storage, 0, b"one")
    with pytest.raises(ConfigError, match="missing"):
        publish(storage, manifest)
    assert not all_manifests(storage)


def test_a_roll_that_ran_twice_counts_once(storage: MemoryStorage) -> None:
    publish(storage, roll(storage, 0, b"one"))
    publish(storage, roll(storage, 0, b"one"))
    assert totals(storage) == {"bytes": 3, "rows": 10}


@pytest.mark.parametrize("left", [None, b"onetwo"])
def test_a_file_that_is_gone_or_of_another_size_is_never_published(
    storage: MemoryStorage, left: bytes | None
) -> None:
    manifest = roll(storage, 0, b"one")
    storage.delete(manifest.files[0].key)
    if left is not None:
        storage.held[manifest.files[0].key] = left
    with pytest.raises(ConfigError, match="damaged"):
        publish(storage, manifest)
    assert not all_manifests(storage)


def test_a_storage_that_gives_back_something_else_is_caught_where_it_was_written(
    storage: MemoryStorage,
) -> None:
    storage.corrupt = True
    with pytest.raises(ConfigError, match="give back"):
        put_data(storage, ROOT, 0, "imu", 1, b"bytes")


def test_damage_that_comes_later_is_found_by_reading_everything(storage: MemoryStorage) -> None:
    manifest = roll(storage, 0, b"one")
    publish(storage, manifest)
    assert damaged_files(storage) == []
    storage.held[manifest.files[0].key] = b"onf"
    assert damaged_files(storage) == [manifest.files[0].key]


def test_what_a_dead_roll_left_is_swept_and_content_stays(storage: MemoryStorage) -> None:
    roll(storage, 0, b"never published")
    publish(storage, roll(storage, 0, b"one"))
    other = roll(storage, 0, b"theirs", match="m2")
    assert sweep(storage, chain(storage, "v", "m")[-1]) == 2
    assert totals(storage)["bytes"] == 3
    assert storage.get(other.files[0].key) == b"theirs"
    assert storage.get(other.state_key)


def test_a_roll_under_way_beside_a_sweep_keeps_its_files(storage: MemoryStorage) -> None:
    first = roll(storage, 0, b"one")
    publish(storage, first)
    second = roll(storage, 1, b"under way", before=1)
    assert sweep(storage, first) == 0
    assert publish(storage, second)
    assert totals(storage) == {"bytes": 12, "rows": 20}


def test_only_the_newest_state_is_kept(storage: MemoryStorage) -> None:
    first, second = roll(storage, 0, b"one"), roll(storage, 1, b"two", before=1)
    publish(storage, first)
    publish(storage, second)
    assert sweep(storage, second) == 1
    assert storage.list("state") == [second.state_key]


def test_what_a_roll_that_died_after_publishing_had_to_sweep_is_swept_by_the_next(
    storage: MemoryStorage,
) -> None:
    roll(storage, 0, b"never published")
    manifest = roll(storage, 0, b"one")
    publish(storage, manifest)
    assert sweep_due(storage) == 2
    assert sweep_due(storage) == 0
    assert storage.list("due") == []
    assert {*storage.list("data"), *storage.list("state")} == {
        manifest.files[0].key, manifest.state_key
    }


def test_foreign_files_are_left_alone(storage: MemoryStorage) -> None:
    storage.held[f"{ROOT}/kind=imu/README"] = b"not ours"
    manifest = roll(storage, 0, b"one")
    publish(storage, manifest)
    assert sweep(storage, manifest) == 0
    assert storage.get(f"{ROOT}/kind=imu/README")


def test_the_newest_manifest_of_each_match_speaks_for_it(storage: MemoryStorage) -> None:
    publish(storage, roll(storage, 0, b"one"))
    second = roll(storage, 1, b"two", before=1)
    publish(storage, second)
    other = roll(storage, 0, b"other", match="m2")
    publish(storage, other)
    assert newest_manifests(storage) == [second, other]


def test_bytes_that_are_no_manifest_are_told() -> None:
    with pytest.raises(ConfigError, match="not a manifest"):
        Manifest.from_bytes(b"{}")
    manifest = Manifest("v", "m", 3, ROOT, (), 0)
    assert Manifest.from_bytes(replace(manifest, closed=True).to_bytes()).closed
