"""A roll loses and doubles nothing: cut, repeated, killed at any step, or run twice at once."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import cluster.tiers
import jobs.roll as job
from cluster import names
from cluster.eventlog.port import Record
from cluster.settings import Settings
from cluster.storage import StorageError, open_storage
from cluster.tiers import all_manifests, damaged_files, open_tier, totals
from jobs.loads import loads_of
from jobs.roll import roll, spread_here, warm_work
from models.events.envelope import EVENT_TYPE
from models.readmodel_input import PREDICTION_TYPE
from tests.unit import tier_world as world
from tests.unit.test_hostile_documents import damaged

SECONDS = 6
SAMPLES = (
    "lps", "imu", "heart", "ball_pos", "ball_imu", "goal_line", "referee", "anchor", "weather",
    "health",
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder of a whole match that nobody has rolled, and the edge's account of it."""
    root = tmp_path_factory.mktemp("played")
    log = world.open_sqlite(root)
    match = world.Match(log, seconds=SECONDS).play().work()
    log.close()
    return root, match.accounts


@pytest.fixture
def tree(played: tuple[Path, Any], tmp_path: Path) -> Settings:
    """Settings over a copy of the played match."""
    shutil.copytree(played[0], tmp_path, dirs_exist_ok=True)
    return world.settings(tmp_path)


@pytest.fixture(scope="module")
def reference(
    played: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What one undisturbed roll makes of it: warm and cold."""
    root = tmp_path_factory.mktemp("reference")
    shutil.copytree(played[0], root, dirs_exist_ok=True)
    tree = world.settings(root)
    roll(tree, spread=spread_here)
    return world.content(tree), world.content(tree, "cold")


def without_names(cold: dict[str, Any]) -> dict[str, Any]:
    """Cold rows but for pseudonyms, which depend on each folder's key."""
    table = cold["minutes"].drop_columns(["athlete"])
    return {"minutes": table.sort_by([(name, "ascending") for name in table.schema.names])}


def test_every_sample_is_in_the_warm_tier_once_or_in_quarantine(
    tree: Settings, played: tuple[Path, Any]
) -> None:
    added = roll(tree, spread=spread_here)
    warm, account = world.content(tree), played[1].to_dict()
    for kind in SAMPLES:
        of_kind = account["kinds"].get(kind)
        rows = warm[kind].num_rows if kind in warm else 0
        assert rows == (of_kind["forwarded"] + of_kind["thinned"] if of_kind else 0), kind
    refused = sum(warm["quarantine"].column("rows").to_pylist())
    assert refused == sum(account["rejected"].values())
    assert sum(warm[kind].num_rows for kind in SAMPLES if kind in warm) + refused == account["in"]
    assert added["warm"] == sum(table.num_rows for table in warm.values()) == totals(
        open_tier(tree.tiers.warm_url, tree)
    )["rows"]


def test_all_that_was_made_of_the_samples_is_there(tree: Settings) -> None:
    roll(tree, spread=spread_here)
    warm = world.content(tree)
    assert {"states", "ball_states", "events", "device_health", "quarantine"} <= warm.keys()
    finals = {
        row["subject_id"] for kind in ("states", "ball_states") for row in warm[kind].to_pylist()
        if row["status"] == "final"
    }
    match = world.Match(world.open_sqlite(Path(tree.data_dir) / "other"), seconds=1)
    assert finals == set(world.people(match))
    assert set(warm["device_health"].column("subject_id").to_pylist()) - {""} >= finals
    assert "crc" in warm["quarantine"].column("reason").to_pylist()
    ids = warm["events"].column("event_id").to_pylist()
    assert len(set(ids)) == len(ids) > 0


def test_the_loads_of_days_are_those_of_the_minutes(tree: Settings) -> None:
    roll(tree, spread=spread_here)
    cold, loads = world.content(tree, "cold")["minutes"], loads_of(tree, "distance_m")
    assert loads.num_rows == len(set(cold.column("athlete").to_pylist())) > 0
    assert sum(loads.column("load").to_pylist()) == pytest.approx(
        sum(cold.column("distance_m").to_pylist())
    )
    assert loads.column("acute").to_pylist() == loads.column("load").to_pylist()


def test_a_second_roll_adds_nothing(tree: Settings) -> None:
    assert roll(tree, spread=spread_here)["warm"] > 0
    before = world.content(tree)
    assert roll(tree, spread=spread_here) == {"warm": 0, "cold": 0}
    world.same(world.content(tree), before)


@pytest.mark.parametrize("steps", [[SECONDS], [1, 4], [3, 2, 1]])
def test_rolled_while_it_is_played_it_is_the_same_row_for_row(
    steps: list[int], tmp_path: Path, reference: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    tree, log = world.settings(tmp_path), world.open_sqlite(tmp_path)
    match = world.Match(log, seconds=SECONDS)
    for step in steps:
        match.play(step, end=False)
        roll(tree, spread=spread_here)  # raw is there, its flows are not
        match.work()
        roll(tree, spread=spread_here)
    match.play().work()
    roll(tree, spread=spread_here)
    world.same(world.content(tree), reference[0])
    world.same(without_names(world.content(tree, "cold")), without_names(reference[1]))


def test_what_a_worker_repeats_after_its_death_is_taken_once(
    tmp_path: Path, reference: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    tree, log = world.settings(tmp_path), world.open_sqlite(tmp_path)
    match = world.Match(log, seconds=SECONDS).play(2).work()
    roll(tree, spread=spread_here)
    match.work(again=True).play().work().work(again=True)
    roll(tree, spread=spread_here)
    world.same(world.content(tree), reference[0])


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bool], list[str]]]:
    """Arms the storages of all tiers; the list of changes that were tried."""

    def arm(at: int, after: bool) -> list[str]:
        changes: list[str] = []
        monkeypatch.setattr(
            cluster.tiers, "open_storage",
            lambda *args: world.Dying(open_storage(*args), at, after, changes),
        )
        return changes

    yield arm
    monkeypatch.undo()


@pytest.fixture(scope="module")
def half_rolled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A short match of which the first half is rolled, and what a roll of the rest must give."""
    root, done = tmp_path_factory.mktemp("half"), tmp_path_factory.mktemp("done")
    log = world.open_sqlite(root)
    match = world.Match(log, seconds=2).play(1).work()
    roll(world.settings(root), spread=spread_here)
    match.play().work()
    log.close()
    shutil.copytree(root, done, dirs_exist_ok=True)
    tree = world.settings(done)
    roll(tree, spread=spread_here)
    return root, (world.content(tree), world.content(tree, "cold"))


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_change_of_the_storage_and_run_again_it_is_the_same(
    after: bool, half_rolled: tuple[Path, Any], tmp_path: Path,
    dying: Callable[[int, bool], list[str]], monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(half_rolled[0], tmp_path, dirs_exist_ok=True)
    tree = world.settings(tmp_path)
    deaths = 0
    for at in range(1, 1000):
        shutil.rmtree(tmp_path / "tiers")
        shutil.copytree(half_rolled[0] / "tiers", tmp_path / "tiers")
        changes = dying(at, after)
        try:
            roll(tree, spread=spread_here)
        except (StorageError, job.RollError):
            deaths += 1
        monkeypatch.setattr(cluster.tiers, "open_storage", open_storage)
        if len(changes) < at:
            break
        roll(tree, spread=spread_here)
        check_whole(tree, half_rolled[1])
    assert deaths > 15


def check_whole(tree: Settings, reference: tuple[dict[str, Any], dict[str, Any]]) -> None:
    world.same(world.content(tree), reference[0])
    world.same(without_names(world.content(tree, "cold")), without_names(reference[1]))
    for url in (tree.tiers.warm_url, tree.tiers.cold_url):
        storage = open_tier(url, tree)
        named = {entry.key for one in all_manifests(storage) for entry in one.files}
        assert set(storage.list("data")) == named
        assert damaged_files(storage) == []
        assert storage.list("due") == []
    assert len(open_tier(tree.tiers.warm_url, tree).list("state")) == 1


def test_of_two_rolls_at_once_one_counts(
    tree: Settings, reference: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    items = [(world.VENUE, "m1")]
    storage = open_tier(tree.tiers.warm_url, tree)
    first, second = (spread_here(tree, warm_work, items) for _ in range(2))
    assert job.publish_all(storage, second, []) > 0
    assert job.publish_all(storage, first, []) == 0
    roll(tree, spread=spread_here)
    check_whole(tree, reference)


def test_a_roll_that_another_overtook_begins_from_the_others_end(
    tmp_path: Path, reference: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    tree, log = world.settings(tmp_path), world.open_sqlite(tmp_path)
    match = world.Match(log, seconds=SECONDS).play(1).work()
    storage = open_tier(tree.tiers.warm_url, tree)
    slow = spread_here(tree, warm_work, [(world.VENUE, "m1")])
    match.play(1).work()
    roll(tree, spread=spread_here)
    assert job.publish_all(storage, slow, []) == 0
    match.play().work()
    roll(tree, spread=spread_here)
    check_whole(tree, reference)


def test_documents_that_are_none_are_passed_over_and_all_else_is_rolled(
    tmp_path: Path, reference: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    log, tree = world.open_sqlite(tmp_path), world.settings(tmp_path)
    match = world.Match(log, seconds=SECONDS).play().work()
    events, insights = names.events_topic(world.VENUE), names.insights_topic(world.VENUE)
    body = json.loads(log.read(events, 0, 1)[0].record.payload)
    window = SimpleNamespace(t_ns=match.start_ns, event_id="", data=np.zeros(8))
    prediction = json.loads(world.prediction("fatigue", "p", window))
    hostile = [b"[" * 100_000, b"no JSON"]
    for topic, document, content_type in (
        (events, body, EVENT_TYPE), (insights, {"match_id": "m1", **prediction}, PREDICTION_TYPE)
    ):
        records = [
            Record("stranger", n, match.start_ns, payload, content_type)
            for n, payload in enumerate([*damaged(document), *hostile])
        ]
        log.append(topic, records, 1)
    roll(tree, spread=spread_here)
    rolled, expected = world.content(tree), reference[0]
    theirs = {"events", "health_events", "predictions"}
    world.same(*({k: t for k, t in one.items() if k not in theirs} for one in (rolled, expected)))
    assert set(expected["events"].column("event_id").to_pylist()) <= set(
        rolled["events"].column("event_id").to_pylist()
    )
