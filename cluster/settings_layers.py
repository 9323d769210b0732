"""Where settings come from, as nested dicts: a TOML file, the environment, overrides.

Owns reading and merging, not the meaning of any key: `cluster.settings` validates the result.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from models.errors import ConfigError

ENV_PREFIX = "TOUCHLINE_"
_LISTS: Final = ("venues", "webhooks")
"""Tables that a variable of the environment gives as one JSON list."""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of the file, paths in it made absolute. Raises ConfigError naming the file."""
    try:
        with path.open("rb") as file:
            tree = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    _anchor_paths(tree, path.parent)
    return tree


def _anchor_paths(tree: dict[str, Any], folder: Path) -> None:
    """Paths in a file are meant relative to that file."""
    anchored: list[tuple[Any, str]] = [(tree, "data_dir"), (tree.get("identity"), "key_dir")]
    for venue in tree.get("venues", ()) if isinstance(tree.get("venues"), list) else ():
        anchored.append((venue, "roster"))
        sources = venue.get("sources", ()) if isinstance(venue, dict) else ()
        anchored += [(source, key) for source in sources for key in ("path", "mapping")]
    hooks = tree.get("webhooks")
    anchored += [(hook, "secret_file") for hook in (hooks if isinstance(hooks, list) else ())]
    for table, key in anchored:
        if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
            table[key] = str((folder / Path(table[key]).expanduser()).absolute())


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """What `TOUCHLINE_SECTION__KEY` variables say. Raises ConfigError naming the variable."""
    tree: dict[str, Any] = {}
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX):
            continue
        parts = name.removeprefix(ENV_PREFIX).lower().split("__")
        # A single word that is no setting is not for us (tests have variables of their own).
        if len(parts) > 1 or parts[0] in ("data_dir", *_LISTS):
            merge(tree, _branch(parts, _parsed(parts, environ[name], name)))
    return tree


def _parsed(parts: list[str], text: str, name: str) -> Any:
    if len(parts) != 1 or parts[0] not in _LISTS:
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name}: not JSON: {error}") from error


def nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`{"serve.port": 1}` as `{"serve": {"port": 1}}`; nested tables stay as they are."""
    tree: dict[str, Any] = {}
    for key, value in overrides.items():
        inner = nested(value) if isinstance(value, Mapping) else value
        merge(tree, _branch(key.split("."), inner))
    return tree


def _branch(parts: list[str], value: Any) -> dict[str, Any]:
    for part in reversed(parts):
        value = {part: value}
    return dict(value)


def merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Lay `other` over `into`: tables are merged, anything else is replaced."""
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value
