"""`touchline analyse`: recordings and a match of the warm tier, as text, JSON and Parquet."""

import json

import pyarrow.parquet as pq
import pytest

from jobs.analyse import main
from jobs.roll import roll, spread_here
from models.errors import ConfigError
from tests.unit import debs_world, tier_world


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("debs")
    text, meta, _ = debs_world.simulated(seconds=8)
    (root / "full-game").write_text(text)
    (root / "metadata.json").write_text(meta)
    return root


@pytest.mark.parametrize(
    ("analysis", "table", "columns"),
    [
        ("running", "intensities", {"subject_id", "team", "window_s", "intensity", "time_s",
                                    "distance_m"}),
        ("possession", "players", {"subject_id", "team", "window_s", "time_s", "hits"}),
        ("heatmap", "cells", {"subject_id", "team", "window_s", "grid", "row", "column", "x1_m",
                              "y1_m", "x2_m", "y2_m", "percent"}),
        ("shots", "shots", {"t_ns", "subject_id", "team", "x_m", "y_m", "speed_mps", "arrives_s",
                            "goal_x_m", "goal_y_m", "goal_z_m"}),
    ],
)
def test_every_analysis_gives_text_json_and_parquet(
    folder, tmp_path, capsys, analysis, table, columns
):
    out = ["--json", str(tmp_path / "a.json"), "--parquet", str(tmp_path / "a.parquet")]
    assert main([analysis, str(folder / "full-game"), "--reach", "1.5", *out]) == 0
    assert capsys.readouterr().out.startswith(f"{analysis} of full-game")
    body = json.loads((tmp_path / "a.json").read_text())
    assert body["analysis"] == analysis
    rows = body["of"]["full-game"][table]
    parquet = pq.read_table(tmp_path / "a.parquet")
    assert set(parquet.schema.names) == columns | {"source"}
    assert parquet.drop_columns(["source"]).to_pylist() == rows
    if analysis != "shots":
        assert rows


def test_one_player_can_be_asked_for(folder, tmp_path):
    out = tmp_path / "a.json"
    main(["running", str(folder / "full-game"), "--json", str(out)])
    everybody = json.loads(out.read_text())["of"]["full-game"]["intensities"]
    name = everybody[0]["subject_id"]
    main(["running", str(folder / "full-game"), "--json", str(out), "--player", name])
    mine = json.loads(out.read_text())["of"]["full-game"]["intensities"]
    assert mine == [row for row in everybody if row["subject_id"] == name]


@pytest.fixture(scope="module")
def tier(tmp_path_factory):
    """The folder of a rolled match of six seconds."""
    root = tmp_path_factory.mktemp("rolled")
    log = tier_world.open_sqlite(root)
    tier_world.Match(log).play().work()
    log.close()
    roll(tier_world.settings(root), spread=spread_here)
    return root


def test_a_match_of_the_warm_tier_is_analysed_with_the_roster_of_the_log(tier, tmp_path):
    out = tmp_path / "a.json"
    name = f"{tier_world.VENUE}/m1"
    assert main(["running", "--match", name, "--data-dir", str(tier), "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["of"][name]["intensities"]
    whole = [row for row in rows if row["window_s"] == 0]
    assert {row["team"] for row in whole} >= {"home", "away"}
    assert len({row["subject_id"] for row in whole}) >= 22
    per_head = sum(row["time_s"] for row in whole) / len({row["subject_id"] for row in whole})
    assert per_head == pytest.approx(6.0, abs=1.5)


def test_without_the_log_the_tier_itself_says_who_was_there(tier, tmp_path):
    import shutil

    shutil.copytree(tier, tmp_path / "alone")
    for path in (tmp_path / "alone").iterdir():
        if path.name not in ("tiers", "keys", "identity"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    out, name = tmp_path / "a.json", f"{tier_world.VENUE}/m1"
    arguments = ["heatmap", "--match", name, "--data-dir", str(tmp_path / "alone")]
    assert main([*arguments, "--json", str(out)]) == 0
    cells = json.loads(out.read_text())["of"][name]["cells"]
    assert len({row["subject_id"] for row in cells}) >= 22


@pytest.mark.parametrize(
    "arguments",
    [["running"], ["running", "x", "--match", "a/b"], ["running", "--match", "nowhere"],
     ["running", "--match", "no-park/m9", "--data-dir", "{tmp}"]],
)
def test_a_call_that_names_nothing_or_too_much_is_refused(arguments, tmp_path):
    with pytest.raises(ConfigError):
        main([one.replace("{tmp}", str(tmp_path)) for one in arguments])
