"""A tier's content is what manifests name: all of a roll, or nothing of it."""

from dataclasses import replace

import pytest

from cluster.tiers import Manifest, all_manifests, chain, publish, put_data, sweep, totals
from models.errors import ConfigError

PARTITION = "sport=football/venue=v/match=m/kind=imu"


class MemoryStorage:
    """A storage that is a dictionary."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def put_atomic(self, name: str, data: bytes) -> None:
        self.held[name] = data

    def put_if_absent(self, name: str, data: bytes) -> bool:
        return self.held.setdefault(name, data) is data

    def get(self, name: str) -> bytes | None:
        return self.held.get(name)

    def list(self, prefix: str = "") -> list[str]:
        return [key for key in self.held if key.startswith(prefix)]

    def delete(self, name: str) -> None:
        self.held.pop(name, None)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


def roll(storage: MemoryStorage, number: int, data: bytes) -> Manifest:
    return Manifest("v", "m", number, (put_data(storage, PARTITION, "imu", 10, data),), {"raw/v": 5})


def test_files_are_content_only_once_published(storage: MemoryStorage) -> None:
    manifest = roll(storage, 0, b"one")
    assert totals(storage) == {"bytes": 0, "rows": 0}
    assert publish(storage, manifest)
    assert totals(storage) == {"bytes": 3, "rows": 10}
    assert chain(storage, "v", "m") == [manifest]


def test_a_second_roll_of_the_same_number_is_refused(storage: MemoryStorage) -> None:
    first, second = roll(storage, 0, b"one"), roll(storage, 0, b"two")
    assert publish(storage, first)
    assert not publish(storage, second)
    assert all_manifests(storage) == [first]


def test_a_roll_that_ran_twice_counts_once(storage: MemoryStorage) -> None:
    publish(storage, roll(storage, 0, b"one"))
    publish(storage, roll(storage, 0, b"one"))
    assert totals(storage) == {"bytes": 3, "rows": 10}


def test_a_damaged_file_is_never_published(storage: MemoryStorage) -> None:
    manifest = roll(storage, 0, b"one")
    storage.held[manifest.files[0].key] = b"onf"
    with pytest.raises(ConfigError, match="damaged"):
        publish(storage, manifest)
    assert not all_manifests(storage)


def test_what_a_dead_roll_left_is_swept_and_content_stays(storage: MemoryStorage) -> None:
    publish(storage, roll(storage, 0, b"one"))
    roll(storage, 1, b"never published")
    other = put_data(storage, PARTITION.replace("match=m", "match=other"), "imu", 1, b"theirs")
    assert sweep(storage, "v", "m") == 1
    assert totals(storage)["bytes"] == 3
    assert storage.get(other.key) == b"theirs"


def test_bytes_that_are_no_manifest_are_told() -> None:
    with pytest.raises(ConfigError, match="not a manifest"):
        Manifest.from_bytes(b"{}")
    manifest = Manifest("v", "m", 3, ())
    assert Manifest.from_bytes(replace(manifest, closed=True).to_bytes()).closed
