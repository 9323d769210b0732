"""Settings: layers, errors that name the key, the reference."""

import os
from pathlib import Path

import pytest

from cluster.settings import Settings, load_settings, settings_reference
from models.errors import ConfigError

TOML = """
data_dir = "run"
[serve]
port = 9000
[[venues]]
id = "wembley"
roster = "rosters/wembley.json"
  [[venues.sources]]
  type = "udp"
  port = 5601
  [[venues.sources]]
  type = "file"
  path = "match.csv"
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "touchline.toml"
    path.write_text(TOML)
    return path


def test_later_layers_win(toml: Path) -> None:
    assert load_settings(toml, environ={}).serve.port == 9000
    environ = {"TOUCHLINE_SERVE__PORT": "9001", "TOUCHLINE_POOL__MAX_WORKERS": "7"}
    assert load_settings(toml, environ=environ).serve.port == 9001
    both = load_settings(toml, {"serve.port": 9002, "pool": {"min_workers": 2}}, environ)
    assert (both.serve.port, both.pool.min_workers, both.pool.max_workers) == (9002, 2, 7)


def test_paths_in_a_file_are_relative_to_it_and_derived_ones_to_data_dir(toml: Path) -> None:
    settings = load_settings(toml, environ={})
    root = toml.parent
    assert settings.data_dir == str(root / "run")
    assert settings.log.url == f"sqlite:{root}/run/log"
    assert settings.identity.key_dir == f"{root}/run/keys"
    assert settings.tiers.warm_url == f"{root}/run/tiers/warm"
    venue = settings.venues[0]
    assert venue.roster == str(root / "rosters/wembley.json")
    assert [source.type for source in venue.sources] == ["udp", "file"]
    assert venue.sources[1].path == str(root / "match.csv")


def test_a_given_url_is_left_as_it_is() -> None:
    settings = load_settings(None, {"log.url": "sqlite:/srv/log"}, {})
    assert settings.log.url == "sqlite:/srv/log"
    assert os.path.isabs(settings.data_dir)


def test_the_tree_travels_as_plain_values(toml: Path) -> None:
    settings = load_settings(toml, environ={})
    assert Settings.from_dict(settings.to_dict()) == settings


def _simulator(**rates: int) -> dict[str, object]:
    return {"venues": [{"id": "a", "sources": [{"type": "simulator", **rates}]}]}


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"serve.prt": 1}, "serve.prt: no such setting"),
        ({"sreve": {"port": 1}}, "sreve: no such setting"),
        ({"serve.port": 70_000}, "serve.port"),
        ({"log.retention_s": float("nan")}, "log.retention_s"),
        ({"pool": {"min_workers": 9}}, "min_workers must not exceed max_workers"),
        ({"edge.hot_leave": 0.9}, "hot_leave must not exceed hot_enter"),
        ({"venues": [{"id": "../x"}]}, "venues.0.id"),
        ({"venues": [{"id": "a"}, {"id": "a"}]}, "two venues have the same id"),
        ({"venues": [{"id": "a", "sources": [{"type": "smoke"}]}]}, "venues.0.sources.0"),
        ({"venues": [{"id": "a", "sources": [{"type": "udp", "prt": 1}]}]}, "udp.prt: no such"),
        ({"data_dir": ""}, "data_dir"),
        (_simulator(imu_hz=15), "imu_hz"),
        (_simulator(pos_hz=5), "pos_hz"),
        (_simulator(ball_hz=120), "ball_hz"),
        ({"serve": 3}, "serve"),
    ],
)
def test_an_error_names_the_bad_key(overrides: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_settings(None, overrides, {})


def test_an_unknown_variable_of_a_section_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"serve\.prt: no such setting"):
        load_settings(None, None, {"TOUCHLINE_SERVE__PRT": "1"})
    assert load_settings(None, None, {"TOUCHLINE_TEST_DATA": "/x", "OTHER": "1"})


def test_venues_come_from_the_environment_as_json() -> None:
    environ = {"TOUCHLINE_VENUES": '[{"id": "a", "sources": [{"type": "simulator", "seed": 4}]}]'}
    assert load_settings(None, None, environ).venues[0].sources[0].seed == 4
    with pytest.raises(ConfigError, match="TOUCHLINE_VENUES"):
        load_settings(None, None, {"TOUCHLINE_VENUES": "["})


@pytest.mark.parametrize("text", ["serve = [", 'data_dir = "\\ud800"', "\xff"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load_settings(path, environ={})
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load_settings(tmp_path / "missing.toml", environ={})


def test_settings_are_frozen() -> None:
    settings = load_settings(None, None, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.serve.port = 1  # type: ignore[misc]


def test_every_setting_is_explained_once() -> None:
    reference = settings_reference()
    keys = [key for key, _, _, _ in reference]
    assert len(set(keys)) == len(keys)
    assert all(kind and default and doc for _, kind, default, doc in reference)
    assert {"data_dir", "log.url", "venues[].sources[udp].port", "ray.num_cpus"} <= set(keys)
