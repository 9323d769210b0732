"""The recomputation of the warm tier: published whole or not at all, told by the log once."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import cluster.tiers
import jobs.recompute as job
from cluster import names
from cluster.settings import Settings
from cluster.storage import StorageError, open_storage
from cluster.tiers import all_manifests, chain, damaged_files, open_tier, publish
from jobs.collect import read_events, read_finals
from jobs.recompute import recompute
from jobs.recompute_match import WarmMatch, recompute_match
from jobs.roll import RollError, roll, spread_here
from jobs.roll_log import matches_in
from jobs.show import summary_line
from models.events.envelope import from_cloudevent
from models.readmodel import ReadModel
from tests.unit import tier_world as world

SECONDS = 20
SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a match that has ended and is in the warm tier."""
    root = tmp_path_factory.mktemp("rolled")
    log = world.open_sqlite(root)
    world.Match(log, seconds=SECONDS, says=True).play().work()
    log.close()
    roll(world.settings(root), spread=spread_here)
    return root


@pytest.fixture
def tree(rolled: Path, tmp_path: Path) -> Settings:
    shutil.copytree(rolled, tmp_path, dirs_exist_ok=True)
    return world.settings(tmp_path)


def told(tree: Settings) -> list[Any]:
    """Every event of the log, in order."""
    log = world.open_sqlite(Path(tree.data_dir))
    found = [
        from_cloudevent(one.record.payload)
        for one in log.read(names.events_topic(world.VENUE), 0, 10_000)
    ]
    log.close()
    return found


def test_finals_and_corrections_are_in_the_warm_tier_and_in_the_log(tree: Settings) -> None:
    before = told(tree)
    (said,) = recompute(tree, spread=spread_here)
    warm = world.content(tree)
    people = set(warm["metrics_final"].column("subject_id").to_pylist())
    assert len(people) == said["persons"] == 25
    assert set(warm["metrics_final"].column("status").to_pylist()) == {"final"}
    rows = warm["corrections"].to_pylist() + warm["health_corrections"].to_pylist()
    assert said["metrics"] == sum(row["what"] == "metric" for row in rows) > 200
    of_events = [row for row in rows if row["what"] == "event"]
    after = told(tree)
    assert after[: len(before)] == before
    assert {e.event_id for e in after[len(before) :]} == {row["event_id"] for row in of_events}
    live = {event.event_id for event in before}
    assert {e.supersedes for e in after[len(before) :]} - {""} <= live
    assert "25 persons" in summary_line(said)


def test_a_second_recomputation_says_nothing_also_after_its_corrections_were_rolled(
    tree: Settings,
) -> None:
    assert recompute(tree, spread=spread_here)
    before, warm = told(tree), world.content(tree)
    assert recompute(tree, spread=spread_here) == []
    assert roll(tree, spread=spread_here)["warm"] > 0  # the corrections, by way of the log
    assert recompute(tree, spread=spread_here) == []
    assert told(tree) == before
    kinds = ("metrics_final", "corrections", "health_corrections")
    now = world.content(tree)
    world.same({kind: now[kind] for kind in kinds}, {kind: warm[kind] for kind in kinds})


@pytest.mark.parametrize(("steps", "slice_ns"), [([7, 6], SECOND_NS), ([3], 7 * SECOND_NS)])
def test_however_the_match_was_rolled_and_sliced_the_recomputation_is_the_same(
    steps: list[int], slice_ns: int, tree: Settings, tmp_path: Path
) -> None:
    (said,) = recompute(tree, spread=spread_here)
    other, log = world.settings(tmp_path / "steps"), world.open_sqlite(tmp_path / "steps")
    match = world.Match(log, seconds=SECONDS, says=True)
    for step in steps:
        match.play(step, end=False).work()
        roll(other, spread=spread_here)
    match.play().work()
    roll(other, spread=spread_here)
    storage = open_tier(other.tiers.warm_url, other)
    warm = WarmMatch(storage, other.identity.key_dir, chain(storage, world.VENUE, "m1"))
    assert len(warm.files("imu")) == len(steps) + 1
    assert publish(storage, recompute_match(warm, match.roster, slice_ns))
    kinds = ("metrics_final", "corrections", "health_corrections")
    whole, parts = world.content(tree), world.content(other)
    world.same({kind: parts[kind] for kind in kinds}, {kind: whole[kind] for kind in kinds})
    assert said["generation"] == 0


def test_a_match_that_was_looked_at_in_vain_is_not_read_again(
    tree: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    recompute(tree, spread=spread_here)
    roll(tree, spread=spread_here)
    recompute(tree, spread=spread_here)
    monkeypatch.setattr(job, "chain", lambda *_: pytest.fail("the match is read again"))
    assert recompute(tree, spread=spread_here) == []


def test_rows_of_nobody_whom_the_roster_knows_are_recomputed_once_and_publish_nothing(
    tree: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = [
        replace(span, roster=replace(span.roster, devices=()))
        for span in matches_in(world.open_sqlite(Path(tree.data_dir)), world.VENUE)
    ]
    monkeypatch.setattr(job, "match_in", lambda *_: nobody[0])
    storage = open_tier(tree.tiers.warm_url, tree)
    before = len(all_manifests(storage))
    assert recompute(tree, spread=spread_here) == []
    monkeypatch.setattr(job, "recompute_match", lambda *_: pytest.fail("done already"))
    assert recompute(tree, spread=spread_here) == []
    assert len(all_manifests(storage)) == before


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_change_and_run_again_everything_is_said_once(
    after: bool, rolled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = tmp_path / "calm"
    shutil.copytree(rolled, calm)
    recompute(world.settings(calm), spread=spread_here)
    wanted, said = world.content(world.settings(calm)), told(world.settings(calm))
    deaths = 0
    for at in range(1, 100):
        root = tmp_path / f"at{at}"
        shutil.copytree(rolled, root)
        tree, changes = world.settings(root), []
        monkeypatch.setattr(
            cluster.tiers, "open_storage",
            lambda *args, at=at, tried=changes: world.Dying(open_storage(*args), at, after, tried),
        )
        try:
            recompute(tree, spread=spread_here)
        except (StorageError, RollError):
            deaths += 1
        monkeypatch.setattr(cluster.tiers, "open_storage", open_storage)
        if len(changes) < at:
            break
        recompute(tree, spread=spread_here)
        world.same(world.content(tree), wanted)
        assert told(tree) == said
        storage = open_tier(tree.tiers.warm_url, tree)
        assert storage.list("deliver") == []
        assert damaged_files(storage) == []
        shutil.rmtree(root)
    assert deaths > 5


def test_of_two_that_recompute_at_once_one_speaks(tree: Settings) -> None:
    def both(settings: Settings, work: Any, items: Any) -> Any:
        return [*spread_here(settings, work, items), *spread_here(settings, work, items)]

    (said,) = recompute(tree, spread=both)
    events = told(tree)
    assert len({event.event_id for event in events}) == len(events)
    assert world.content(tree)["metrics_final"].num_rows == said["persons"]


def test_a_match_that_is_being_played_is_left_alone(tmp_path: Path) -> None:
    log = world.open_sqlite(tmp_path)
    world.Match(log, seconds=4).play(2, end=False).work()
    tree = world.settings(tmp_path)
    roll(tree, spread=spread_here)
    assert recompute(tree, spread=spread_here) == []


def test_health_in_finals_and_corrections_cannot_be_read_without_the_key(tree: Settings) -> None:
    recompute(tree, spread=spread_here)
    storage = open_tier(tree.tiers.warm_url, tree)
    files = [entry for one in all_manifests(storage) for entry in one.files]
    for kind, column in (("metrics_final", "trimp"), ("health_corrections", "new")):
        (entry,) = [one for one in files if one.kind == kind]
        path = Path(tree.tiers.warm_url.removeprefix("file://")) / entry.key
        with pytest.raises(OSError, match=r"(?i)encrypt|decrypt"):
            pq.ParquetFile(path).read(columns=[column])


def test_reports_and_digests_are_of_what_was_told_live(tree: Settings) -> None:
    log = world.open_sqlite(Path(tree.data_dir))
    before = read_events(log, world.VENUE), read_finals(log, world.VENUE)
    recompute(tree, spread=spread_here)
    assert str((read_events(log, world.VENUE), read_finals(log, world.VENUE))) == str(before)


def test_the_read_model_serves_what_stands_and_the_recomputed_finals(tree: Settings) -> None:
    recompute(tree, spread=spread_here)
    model, log = ReadModel(), world.open_sqlite(Path(tree.data_dir))
    for kind in ("roster", "events", "insights"):
        topic = f"{kind}/{world.VENUE}"
        for stored in log.read(topic, 0, 10_000, 1 << 30):
            model.apply(topic, stored)
    served = model.events(world.VENUE, 0, 10_000)["events"]
    gone = {event["supersedes"] for event in served} - {""}
    assert gone
    assert not gone & {event["event_id"] for event in served}
    assert {e["status"] for e in served if e["stream"].startswith("recompute/")} <= {
        "confirmed", "corrected", "retracted",
    }
    final = {row["subject_id"]: row for row in world.content(tree)["metrics_final"].to_pylist()}
    for subject_id, row in final.items():
        state = model.venues[world.VENUE].athlete(subject_id, 0)
        assert state["status"] == "final"
        assert state["distance_m"] == pytest.approx(row["distance_m"], abs=1e-3)
        assert state["algo_version"].startswith("recompute-")


def test_a_match_without_a_roster_in_the_log_fails_alone_and_says_why(
    tree: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "match_in", lambda *_: None)
    with pytest.raises(RollError, match="no roster"):
        recompute(tree, spread=spread_here)
