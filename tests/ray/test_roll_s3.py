"""The same roll on S3: conditional puts, listings, sweeps, two at once.

Runs against a moto server of an environment of its own, because moto pins other versions than we
do: `python -m venv E && E/bin/pip install 'moto[server]'`, then `TOUCHLINE_TEST_MOTO=E`.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import jobs.roll as job
from cluster.settings import Settings
from cluster.storage import open_storage
from cluster.tiers import all_manifests, damaged_files, open_tier
from jobs.roll import roll, spread_here, warm_work
from tests.unit import tier_world as world


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server with the bucket `tiers`."""
    place = os.environ.get("TOUCHLINE_TEST_MOTO", "")
    server = Path(place, "bin", "moto_server")
    if not place or not server.exists():
        pytest.skip("no S3: set TOUCHLINE_TEST_MOTO to an environment with moto[server]")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log.txt").open("w")
    process = subprocess.Popen(
        [str(server), "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    try:
        end_s = time.monotonic() + 30
        while time.monotonic() < end_s:
            try:
                put = urllib.request.Request(f"{url}/tiers", method="PUT")
                urllib.request.urlopen(put, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("the S3 server does not answer")
        yield url
    finally:
        process.terminate()
        process.wait(10)
        log.close()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("played")
    log = world.open_sqlite(root)
    world.Match(log, seconds=3).play().work()
    log.close()
    return root


@pytest.fixture
def tree(
    played: Path, tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Tiers in a prefix of this test; keys and log in its folder."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    shutil.copytree(played, tmp_path, dirs_exist_ok=True)
    return world.settings(
        tmp_path, s3={"endpoint_url": endpoint, "region": "us-east-1"},
        tiers={
            "warm_url": f"s3://tiers/{tmp_path.name}/warm",
            "cold_url": f"s3://tiers/{tmp_path.name}/cold",
        },
    )


@pytest.fixture(scope="module")
def reference(played: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    root = tmp_path_factory.mktemp("reference")
    shutil.copytree(played, root, dirs_exist_ok=True)
    roll(world.settings(root), spread=spread_here)
    return world.content(world.settings(root))


def check(tree: Settings, reference: dict) -> None:
    world.same(world.content(tree), reference)
    for url in (tree.tiers.warm_url, tree.tiers.cold_url):
        storage = open_tier(url, tree)
        named = [entry.key for one in all_manifests(storage) for entry in one.files]
        assert sorted(named) == storage.list("data")
        assert damaged_files(storage) == []
        assert storage.list("due") == []
    assert world.content(tree, "cold")["minutes"].num_rows == 25


def test_on_s3_a_roll_gives_the_same_rows_and_a_second_one_none(
    tree: Settings, reference: dict
) -> None:
    assert roll(tree, spread=spread_here)["warm"] > 0
    check(tree, reference)
    assert roll(tree, spread=spread_here) == {"warm": 0, "cold": 0}


def test_on_s3_of_two_rolls_at_once_one_counts(tree: Settings, reference: dict) -> None:
    items = [(world.VENUE, "m1")]
    storage = open_tier(tree.tiers.warm_url, tree)
    first, second = (spread_here(tree, warm_work, items) for _ in range(2))
    assert job.publish_all(storage, second, []) > 0
    assert job.publish_all(storage, first, []) == 0
    roll(tree, spread=spread_here)
    check(tree, reference)


def test_on_s3_what_a_dead_roll_left_is_swept(tree: Settings, reference: dict) -> None:
    spread_here(tree, warm_work, [(world.VENUE, "m1")])  # never published
    storage = open_tier(tree.tiers.warm_url, tree)
    assert storage.list("data")
    assert not all_manifests(storage)
    roll(tree, spread=spread_here)
    check(tree, reference)


def test_on_s3_a_manifest_is_never_overwritten(tree: Settings) -> None:
    storage = open_storage(tree.tiers.warm_url, tree.s3.endpoint_url, tree.s3.region)
    assert storage.put_if_absent("manifests/v/m/00000000.json", b"first")
    assert not storage.put_if_absent("manifests/v/m/00000000.json", b"second")
    assert storage.get("manifests/v/m/00000000.json") == b"first"
