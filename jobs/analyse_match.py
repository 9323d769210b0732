"""A match of the warm tier as a recording: its positions and ball rows, and who is in it.

Who plays for whom is in the roster: a file that is named, else the one in the event log while the
log still holds it, else what the tier's own rows say (subjects of devices, teams of events; the
pitch is then 105 m x 68 m).
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from actors.sources.recorded.directions import team_directions
from actors.sources.recorded.recording import MemoryLane, Recording
from cluster.eventlog.open import open_log
from cluster.settings import Settings
from cluster.tier_files import read_kind
from cluster.tiers import Manifest, TierStorage, chain, open_tier
from jobs.roll_log import match_in
from models.errors import ConfigError, LogError
from models.recompute.rows import warm_block
from models.telemetry.block import concat_blocks
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device, Role, Roster, Subject

KINDS: Final = (Kind.LPS, Kind.GNSS, Kind.BALL_POS, Kind.BALL_IMU)
_BALL: Final = (Kind.BALL_POS, Kind.BALL_IMU)


def open_match(settings: Settings, name: str, roster: Path | None = None) -> Recording:
    """The match VENUE/MATCH of the warm tier. Raises ConfigError, StorageError, SchemaError."""
    venue_id, slash, match_id = name.partition("/")
    if not slash or not venue_id or not match_id:
        raise ConfigError(f"--match {name}: expected VENUE/MATCH")
    warm = open_tier(settings.tiers.warm_url, settings)
    manifests = chain(warm, venue_id, match_id)
    if not manifests:
        raise ConfigError(f"{name}: the warm tier at {settings.tiers.warm_url} has no such match")
    key_dir = settings.identity.key_dir
    tables = {
        kind: found for kind in KINDS if (found := read_kind(warm, manifests, kind, key_dir))
    }
    if not tables:
        raise ConfigError(f"{name}: the warm tier has no positions of this match")
    known = _known(settings, venue_id, match_id, roster)
    cast = _roster(venue_id, match_id, tables, known)
    if known is None:
        cast = _with_teams(cast, warm, manifests, key_dir)
    blocks = [
        concat_blocks([warm_block(cast, kind, table) for table in found])
        for kind, found in tables.items()
    ]
    if not cast.periods:
        cast = team_directions(cast, blocks, False)
    return Recording("warm tier", cast, tuple(MemoryLane(block) for block in blocks))


def _known(
    settings: Settings, venue_id: str, match_id: str, roster: Path | None
) -> Roster | None:
    if roster is not None:
        return Roster.from_json(roster.read_bytes())
    log = open_log(settings.log.url)
    try:
        span = match_in(log, venue_id, match_id)
    except LogError:
        return None
    finally:
        log.close()
    return span.roster if span else None


def _roster(
    venue_id: str, match_id: str, tables: dict[Kind, list[pa.Table]], known: Roster | None
) -> Roster:
    """One device for every pair of device and wearer in the rows, so that a device that changed
    hands is two."""
    people = {s.subject_id: s for s in known.subjects} if known else {}
    worn = {(d.device_id, d.kind): d for d in known.devices} if known else {}
    subjects: dict[str, Subject] = {}
    devices: list[Device] = []
    for kind, found in tables.items():
        pairs = sorted({pair for table in found for pair in _pairs(table)})
        for device_id, subject_id in pairs:
            role = Role.BALL if kind in _BALL else Role.ATHLETE
            subjects.setdefault(subject_id, people.get(subject_id, Subject(subject_id, role)))
            named = worn.get((device_id, kind))
            devices.append(
                replace(named, subject=subject_id) if named
                else Device(device_id, kind, subject_id, 20.0)
            )
    base = known or Roster(venue_id, match_id)
    return replace(base, subjects=tuple(subjects.values()), devices=tuple(devices))


def _pairs(table: pa.Table) -> list[tuple[str, str]]:
    grouped = table.select(["device_id", "subject_id"])
    for at, name in enumerate(grouped.schema.names):
        grouped = grouped.set_column(at, name, grouped.column(name).cast(pa.string()))
    unique = grouped.group_by(["device_id", "subject_id"]).aggregate([])
    return [(row["device_id"], row["subject_id"]) for row in unique.to_pylist()]


def _with_teams(
    cast: Roster, warm: TierStorage, manifests: list[Manifest], key_dir: str
) -> Roster:
    """Teams as the match's events name them."""
    team_of: dict[str, str] = {}
    for table in read_kind(warm, manifests, "events", key_dir, ("subject_id", "team")):
        for row in table.group_by(["subject_id", "team"]).aggregate([]).to_pylist():
            if row["team"]:
                team_of[row["subject_id"]] = row["team"]
    told = tuple(replace(s, team=team_of.get(s.subject_id, s.team)) for s in cast.subjects)
    return replace(cast, subjects=told)
