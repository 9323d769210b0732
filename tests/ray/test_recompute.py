"""The recomputation on a real cluster: two matches at once, as Ray Data tasks."""

import shutil
from pathlib import Path

import pytest

from cluster import names
from cluster.settings import Settings
from jobs.recompute import recompute
from jobs.roll import roll, spread_here
from tests.unit import tier_world as world

FIRST_NS = 1_780_000_000_000_000_000


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two matches of one venue that have ended, in the warm tier."""
    root = tmp_path_factory.mktemp("two")
    log = world.open_sqlite(root, clock=world.Clock(ago_s=3600.0))
    world.Match(log, "m1", seconds=10, says=True).play().work()
    world.Match(log, "m2", seconds=10, says=True, start_ns=FIRST_NS + 10**12).play().work()
    log.close()
    settings = world.settings(root)
    roll(settings, spread=spread_here)
    return settings


@pytest.mark.usefixtures("ray_local")
def test_two_matches_are_recomputed_by_ray_data_as_they_are_without_it(
    tree: Settings, tmp_path: Path
) -> None:
    shutil.copytree(tree.data_dir, tmp_path, dirs_exist_ok=True)
    alone = world.settings(tmp_path)
    calm = recompute(alone, spread=spread_here)
    assert recompute(tree) == calm
    assert [one["match_id"] for one in calm] == ["m1", "m2"]
    kinds = ("metrics_final", "corrections", "health_corrections")
    for match_id in ("m1", "m2"):
        found = world.content(tree, match_id=match_id)
        wanted = world.content(alone, match_id=match_id)
        world.same({k: found[k] for k in kinds}, {k: wanted[k] for k in kinds})
    assert recompute(tree) == []
    log = world.open_sqlite(Path(tree.data_dir))
    streams = {
        one.record.stream for one in log.read(names.events_topic(world.VENUE), 0, 10_000)
    }
    assert {"recompute/m1/0", "recompute/m2/0"} <= streams
