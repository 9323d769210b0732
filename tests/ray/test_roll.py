"""Rolls on a real cluster: beside other actors, two at once, their workers and drivers killed."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from cluster.settings import Settings
from cluster.tiers import Manifest, all_manifests, damaged_files, open_tier, totals
from jobs.roll import RollError, roll, spread_here, spread_with_ray, warm_work
from tests.unit import tier_world as world

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole match that nobody has rolled."""
    root = tmp_path_factory.mktemp("played")
    log = world.open_sqlite(root)
    world.Match(log, seconds=SECONDS).play().work()
    log.close()
    return root


@pytest.fixture(scope="module")
def reference(played: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What one roll without Ray makes of it."""
    root = tmp_path_factory.mktemp("reference")
    shutil.copytree(played, root, dirs_exist_ok=True)
    roll(world.settings(root), spread=spread_here)
    return world.content(world.settings(root))


@pytest.fixture
def tree(played: Path, tmp_path: Path) -> Settings:
    shutil.copytree(played, tmp_path, dirs_exist_ok=True)
    return world.settings(tmp_path)


def check(tree: Settings, reference: dict) -> None:
    world.same(world.content(tree), reference)
    for url in (tree.tiers.warm_url, tree.tiers.cold_url):
        storage = open_tier(url, tree)
        named = [entry.key for one in all_manifests(storage) for entry in one.files]
        assert sorted(named) == storage.list("data")
        assert damaged_files(storage) == []
    assert world.content(tree, "cold")["minutes"].num_rows == 25


@ray.remote
class Busy:
    """An actor that computes all the time, as a flow worker does."""

    def __init__(self) -> None:
        self.turns = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self.turns += sum(range(1000)) > 0

    def stop(self) -> int:
        self._stop.set()
        return self.turns


@pytest.mark.usefixtures("ray_local")
def test_a_roll_by_ray_data_is_quiet_and_gives_the_same_rows_beside_busy_actors(
    tree: Settings, reference: dict, capfd: pytest.CaptureFixture[str]
) -> None:
    actors = [Busy.options(num_cpus=0.05).remote() for _ in range(2)]
    ray.get([actor.__ray_ready__.remote() for actor in actors])
    capfd.readouterr()
    added = roll(tree)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert all(turns > 0 for turns in ray.get([actor.stop.remote() for actor in actors]))
    for actor in actors:
        ray.kill(actor)
    assert added["warm"] == totals(open_tier(tree.tiers.warm_url, tree))["rows"]
    check(tree, reference)
    assert roll(tree) == {"warm": 0, "cold": 0}


@pytest.mark.usefixtures("ray_local")
def test_of_two_rolls_at_the_same_time_each_row_counts_once(
    tree: Settings, reference: dict
) -> None:
    added: list[dict[str, int]] = []
    threads = [threading.Thread(target=lambda: added.append(roll(tree))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120.0)
    assert len(added) == 2
    assert sum(one["warm"] for one in added) == totals(open_tier(tree.tiers.warm_url, tree))["rows"]
    roll(tree)
    check(tree, reference)


@pytest.mark.usefixtures("ray_local")
def test_a_worker_killed_in_its_roll_does_it_again(
    tree: Settings, reference: dict, tmp_path: Path
) -> None:
    mark = tmp_path / "killed-once"

    def dies_first(settings: Settings, venue_id: str, match_id: str) -> Manifest | None:
        manifest = warm_work(settings, venue_id, match_id)
        if not mark.exists():
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return manifest

    (outcome,) = spread_with_ray(tree, dies_first, [(world.VENUE, "m1")])
    assert mark.exists()
    assert outcome.manifest is not None
    roll(tree)
    check(tree, reference)


@pytest.mark.usefixtures("ray_local")
def test_an_item_that_fails_is_told_and_the_others_are_rolled(
    tree: Settings, reference: dict
) -> None:
    log = world.open_sqlite(Path(tree.data_dir))
    raw = log.read(f"raw/{world.VENUE}", 0, 1)[0].record
    log.append("raw/elsewhere", [raw], 0)
    roster = log.read(f"roster/{world.VENUE}", 0, 1)[0].record
    text = roster.payload.replace(world.VENUE.encode(), b"elsewhere")
    log.append("roster/elsewhere", [type(raw)("roster", 0, 0, text)], 0)
    keys = Path(tree.tiers.warm_url) / "manifests" / "elsewhere" / "m1"
    keys.mkdir(parents=True)
    manifest = Manifest("elsewhere", "m1", 0, "data/x", (), 0, {}, "state/elsewhere/m1/gone")
    (keys / "00000000.json").write_bytes(manifest.to_bytes())
    with pytest.raises(RollError, match="state of the last roll is gone"):
        roll(tree)
    shutil.rmtree(keys.parent)
    world.same(world.content(tree), reference)


DRIVER = """
import sys
from cluster.settings import load_settings
from jobs.roll import roll, spread_here
roll(load_settings(None, {"data_dir": sys.argv[1]}), spread=spread_here)
"""


def files_in(folder: Path) -> int:
    return sum(path.is_file() and not path.name.startswith(".") for path in folder.rglob("*"))


def rolls_in_a_process(root: Path, until: Callable[[], bool]) -> bool:
    """Roll in a process of its own; killed with SIGKILL once `until` holds. Whether it was."""
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(root)], cwd=ROOT)
    try:
        while process.poll() is None:
            if until():
                process.kill()
                process.wait(10.0)
                return True
            time.sleep(0.0005)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10.0)
    assert process.returncode == 0
    return False


def test_killed_with_sigkill_again_and_again_a_roll_ends_as_if_undisturbed(
    tree: Settings, reference: dict
) -> None:
    tiers = Path(tree.data_dir) / "tiers"
    kills = 0
    for count in (2, 10, 18, 19, 20):
        kills += rolls_in_a_process(
            Path(tree.data_dir), lambda count=count: files_in(tiers) >= count
        )
    assert kills >= 3
    rolls_in_a_process(Path(tree.data_dir), lambda: False)
    check(tree, reference)
