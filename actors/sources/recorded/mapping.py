"""Mapping: how the columns of a CSV or Parquet table become canonical rows.

A mapping file is TOML or JSON with these keys (a *key* is a column name, or {column, pattern}: the
first group of the regular expression `pattern` is taken from the value):

    name, kind          a name for people; the kind of all rows, unless `kinds` decides
    kinds               {column = "entity", ball = "ball_pos"}: value of a column -> kind
    device, subject     a key or list of keys, joined by "-"; subject defaults to device
    team, number        keys; `teams` maps values to "home" and "away" (default: as they are)
    side                {column = "sensor", lf = "left", rf = "right"}: value -> foot of a `boot`
    time                {column, unit = "ns"|"us"|"ms"|"s"|"samples", epoch = true|false,
                        start = "2024-05-01T18:00:00Z"}; "samples" counts at `rate_hz`; without
                        `epoch` times are relative to `start`
    session             a key: each value is a boot of its own; relative times of sessions are laid
                        one after another
    period              a column of whole numbers: match periods, each a boot of its own
    seq                 a counter column; "*" counts rows (nothing can be told lost); without it the
                        counter runs at `rate_hz` by the row's time, so that gaps count as lost
    rate_hz             rows per second and device
    channels            {lps = {pos_x_m = {column = "x", scale = 1, offset = -52.5}}}; text values
                        through {column, values = {alive = 1, dead = 0}}
    join                {file = "other.parquet", on = "frame"}: a table in the same folder whose
                        columns are added by a shared column of whole numbers
    pitch               {length_m, width_m} or {file = "metadata.json", key = "pitch_dimensions"}
    requires            columns by which a built-in mapping is recognised

`scale` and `offset` give canonical units: value * scale + offset. A row whose required channels are
all missing is absent (the device had nothing to say) and is not read.
"""

import json
import re
import tomllib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from models.errors import SchemaError
from models.telemetry.kinds import KINDS, Kind

DEFAULT_START_NS: Final = 1_704_067_200_000_000_000
"""Where relative times start when nothing says: 2024-01-01T00:00:00Z."""
UNITS_NS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Key:
    """A column, or a part of its values."""

    column: str
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A channel's column and its way to canonical units."""

    column: str
    scale: float = 1.0
    offset: float = 0.0
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TimeField:
    """The time column; see the module docstring."""

    column: str
    unit: str = "s"
    epoch: bool = False
    start_ns: int = DEFAULT_START_NS


@dataclass(frozen=True, slots=True)
class Mapping:
    """See the module docstring for each field."""

    name: str
    time: TimeField
    device: tuple[Key, ...]
    channels: dict[Kind, dict[str, Field]]
    rate_hz: float
    kind: Kind
    kind_column: str = ""
    kinds: dict[str, Kind] = field(default_factory=dict)
    subject: tuple[Key, ...] = ()
    team: Key | None = None
    teams: dict[str, str] = field(default_factory=dict)
    number: Key | None = None
    side_column: str = ""
    sides: dict[str, str] = field(default_factory=dict)
    session: Key | None = None
    period: str = ""
    seq: str = ""
    join_file: str = ""
    join_on: str = ""
    pitch_m: tuple[float, float] = (105.0, 68.0)
    pitch_file: str = ""
    pitch_key: str = ""
    requires: frozenset[str] = frozenset()

    def columns(self) -> set[str]:
        """Every column that the mapping reads."""
        keys = [*self.device, *self.subject, self.team, self.number, self.session]
        found = {key.column for key in keys if key is not None}
        found |= {f.column for fields in self.channels.values() for f in fields.values()}
        found |= {self.time.column, self.kind_column, self.side_column, self.period, self.seq}
        found.add(self.join_on)
        return found - {"", "*"}


def read_mapping(path: Path) -> Mapping:
    """The mapping in a TOML or JSON file. Raises SchemaError saying what is wrong with it."""
    try:
        text = path.read_bytes()
        raw = json.loads(text) if path.suffix == ".json" else tomllib.loads(text.decode())
        return mapping_of(raw)
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError("wrong_format", f"mapping {path.name}: {error}") from error


def mapping_of(raw: dict[str, Any]) -> Mapping:
    """The mapping in a parsed file. Raises SchemaError."""
    try:
        kind = Kind(raw.get("kind", "lps"))
        kinds, sides = dict(raw.get("kinds", {})), dict(raw.get("side", {}))
        join, pitch = raw.get("join", {}), raw.get("pitch", {})
        mapping = Mapping(
            str(raw.get("name", "mapping")), _time(raw["time"]), _keys(raw["device"]),
            {Kind(k): {n: _field(f) for n, f in fs.items()} for k, fs in raw["channels"].items()},
            float(raw["rate_hz"]), kind, str(kinds.pop("column", "")),
            {str(value): Kind(its) for value, its in kinds.items()},
            _keys(raw.get("subject", [])), _key(raw.get("team")),
            {str(v): str(side) for v, side in raw.get("teams", {}).items()},
            _key(raw.get("number")), str(sides.pop("column", "")),
            {str(value): str(side) for value, side in sides.items()},
            _key(raw.get("session")), str(raw.get("period", "")),
            str(raw.get("seq", "")), str(join.get("file", "")), str(join.get("on", "")),
            (float(pitch.get("length_m", 105.0)), float(pitch.get("width_m", 68.0))),
            str(pitch.get("file", "")), str(pitch.get("key", "")),
            frozenset(raw.get("requires", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        raise SchemaError("wrong_format", f"mapping: {type(error).__name__} {error}") from error
    return _checked(mapping)


def _checked(mapping: Mapping) -> Mapping:
    if not mapping.rate_hz > 0:
        raise SchemaError("wrong_format", "mapping: rate_hz must be above 0")
    for kind, fields in mapping.channels.items():
        unknown = fields.keys() - set(KINDS[kind].names)
        needed = {c.name for c in KINDS[kind].channels if not c.nullable} - fields.keys()
        if unknown or needed:
            raise SchemaError(
                "wrong_format",
                f"mapping: {kind} has no channel {sorted(unknown)}, needs {sorted(needed)}",
            )
    if not set(mapping.sides.values()) <= {"left", "right"}:
        raise SchemaError("wrong_format", "mapping: a side is left or right")
    missing = {mapping.kind, *mapping.kinds.values()} - mapping.channels.keys()
    if missing:
        raise SchemaError("wrong_format", f"mapping: no channels for {sorted(missing)}")
    return mapping


def _key(raw: Any) -> Key | None:
    if raw is None:
        return None
    key = Key(raw) if isinstance(raw, str) else Key(str(raw["column"]), str(raw.get("pattern", "")))
    if key.pattern and re.compile(key.pattern).groups < 1:
        raise ValueError(f"pattern {key.pattern!r} has no group")
    return key


def _keys(raw: Any) -> tuple[Key, ...]:
    listed = raw if isinstance(raw, list) else [raw]
    return tuple(key for key in map(_key, listed) if key is not None)


def _field(raw: Any) -> Field:
    if isinstance(raw, str):
        return Field(raw)
    values = {str(text): float(number) for text, number in raw.get("values", {}).items()}
    scale, offset = float(raw.get("scale", 1.0)), float(raw.get("offset", 0.0))
    return Field(str(raw["column"]), scale, offset, values)


def _time(raw: dict[str, Any]) -> TimeField:
    unit = str(raw.get("unit", "s"))
    if unit not in UNITS_NS and unit != "samples":
        raise ValueError(f"time unit {unit!r}: one of {sorted(UNITS_NS)} or samples")
    time = TimeField(str(raw["column"]), unit, bool(raw.get("epoch", False)))
    if "start" not in raw:
        return time
    start = datetime.fromisoformat(str(raw["start"]))
    return replace(time, start_ns=to_ns(start))


def to_ns(moment: datetime) -> int:
    """UTC ns of `moment`; a time without a zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000
