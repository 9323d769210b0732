"""Storage: the same behaviour of a local folder and of S3 (where an endpoint is given)."""

import os
import pickle
import stat
import threading
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.storage import LocalStorage, S3Storage, Storage, StorageError, open_storage
from models.errors import ConfigError


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return open_storage(str(tmp_path / "store"))
    endpoint = os.environ.get("TOUCHLINE_TEST_S3")
    if not endpoint:
        pytest.skip("set TOUCHLINE_TEST_S3 to the endpoint of an S3 server with a bucket touchline")
    return open_storage(f"s3://touchline/{uuid.uuid4()}", endpoint, "us-east-1")


def test_what_was_put_is_there_until_deleted(storage: Storage) -> None:
    assert storage.get("a/b") is None
    storage.put_atomic("a/b", b"one")
    storage.put_atomic("a/b", b"two")
    assert storage.get("a/b") == b"two"
    storage.delete("a/b")
    storage.delete("a/b")
    assert storage.get("a/b") is None
    assert storage.get("a") is None


def test_only_the_first_puts_what_must_be_absent(storage: Storage) -> None:
    assert storage.put_if_absent("manifest", b"first")
    assert not storage.put_if_absent("manifest", b"second")
    assert storage.get("manifest") == b"first"


def test_of_many_at_once_exactly_one_wins(storage: Storage) -> None:
    won: list[int] = []
    threads = [
        threading.Thread(
            target=lambda n=n: won.append(n) if storage.put_if_absent("lock", b"%d" % n) else None
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert storage.get("lock") == b"%d" % won[0]


def test_listing_is_by_folder(storage: Storage) -> None:
    for name in ("a/1", "a/2/x", "ab/1", "b"):
        storage.put_atomic(name, name.encode())
    assert storage.list() == ["a/1", "a/2/x", "ab/1", "b"]
    assert storage.list("a") == storage.list("a/") == ["a/1", "a/2/x"]
    assert storage.sizes("a/2") == {"a/2/x": 5}
    assert storage.list("nothing") == []


def test_arrow_reads_and_writes_the_same_files(storage: Storage) -> None:
    filesystem, base = storage.arrow()
    if isinstance(storage, LocalStorage):
        storage.put_atomic("t/keep", b"")
    pq.write_table(pa.table({"x": [1, 2]}), f"{base}/t/part.parquet", filesystem=filesystem)
    assert "t/part.parquet" in storage.list("t")
    content = storage.get("t/part.parquet")
    assert content
    assert pq.read_table(pa.BufferReader(content)).column("x").to_pylist() == [1, 2]


def test_storage_travels_by_pickle(storage: Storage) -> None:
    storage.put_atomic("x", b"1")
    assert pickle.loads(pickle.dumps(storage)).get("x") == b"1"


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".", "a\\b", "x" * 999]
)
def test_a_name_cannot_leave_its_folder(storage: Storage, name: str) -> None:
    for call in (storage.get, storage.delete, lambda n: storage.put_atomic(n, b"")):
        with pytest.raises(ConfigError):
            call(name)


def test_local_files_are_private_and_leave_no_litter(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "store")
    storage.put_atomic("a/b", b"1")
    storage.put_if_absent("a/b", b"2")
    assert stat.S_IMODE((tmp_path / "store/a/b").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "store/a").stat().st_mode) == 0o700
    litter = tmp_path / "store/a/.new-1-dead"
    litter.write_bytes(b"half")
    assert storage.list() == ["a/b"]
    assert litter.exists()
    os.utime(litter, (1, 1))
    storage.list()
    assert not litter.exists()


def test_trouble_of_the_disk_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="x"):
        LocalStorage(tmp_path / "file").put_atomic("x", b"")


def test_an_unreachable_endpoint_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr("cluster.storage._S3_TIMEOUTS", {"retries": {"max_attempts": 1}})
    storage = S3Storage("s3://bucket/prefix", "http://127.0.0.1:9", "us-east-1")
    with pytest.raises(StorageError):
        storage.get("x")


@pytest.mark.parametrize("url", ["", "s3://", "http://x/y", "file:"])
def test_a_url_must_name_a_storage(url: str) -> None:
    with pytest.raises(ConfigError):
        open_storage(url)
