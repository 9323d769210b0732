"""A match of the warm tier as a recording: its positions and ball rows, and who is in it.

Who plays for whom is in the roster: a file that is named, else the one in the event log while the
log still holds it, else what the tier's own rows say (subjects of devices, teams of events; the
pitch is then 105 m x 68 m).
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from actors.sources.recorded.directions import team_directions
from actors.sources.recorded.recording import MemoryLane, Recording
from cluster.eventlog.open import open_log
from cluster.settings import Settings
from cluster.tier_files import read_kind
from cluster.tiers import Manifest, TierStorage, chain, open_tier
from jobs.roll_log import matches_in
from models.errors import ConfigError, LogError
from models.telemetry.arrow import from_arrow
from models.telemetry.block import SampleBlock, concat_blocks
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
    cast, rows_of = _roster(venue_id, match_id, tables, known)
    if known is None:
        cast = _with_teams(cast, warm, manifests, key_dir)
    blocks = [_block(kind, found, rows_of[kind]) for kind, found in tables.items()]
    if not cast.periods:
        cast = team_directions(cast, blocks, False)
    return Recording("warm tier", cast, tuple(MemoryLane(block) for block in blocks))


def _known(
    settings: Settings, venue_id: str, match_id: str, roster: Path | None
) -> Roster | None:
    if roster is not None:
        return Roster.from_json(roster.read_bytes())
    folder = settings.log.url.removeprefix("sqlite:")
    if folder != settings.log.url and not Path(folder).is_dir():
        return None
    log = open_log(settings.log.url)
    try:
        spans = matches_in(log, venue_id)
    except LogError:
        return None
    finally:
        log.close()
    return next((span.roster for span in spans if span.match_id == match_id), None)


def _roster(
    venue_id: str, match_id: str, tables: dict[Kind, list[pa.Table]], known: Roster | None
) -> tuple[Roster, dict[Kind, dict[tuple[str, str], int]]]:
    """One device for every pair of device and wearer in the rows, so that a device that changed
    hands is two; and their rows."""
    people = {s.subject_id: s for s in known.subjects} if known else {}
    worn = {(d.device_id, d.kind): d for d in known.devices} if known else {}
    subjects: dict[str, Subject] = {}
    devices: list[Device] = []
    rows_of: dict[Kind, dict[tuple[str, str], int]] = {}
    for kind, found in tables.items():
        pairs = sorted({pair for table in found for pair in _pairs(table)})
        for device_id, subject_id in pairs:
            role = Role.BALL if kind in _BALL else Role.ATHLETE
            subjects.setdefault(subject_id, people.get(subject_id, Subject(subject_id, role)))
            named = worn.get((device_id, kind))
            device = replace(named, subject=subject_id) if named else Device(
                device_id, kind, subject_id, 20.0
            )
            rows_of.setdefault(kind, {})[device_id, subject_id] = len(devices)
            devices.append(device)
    base = known or Roster(venue_id, match_id)
    return replace(base, subjects=tuple(subjects.values()), devices=tuple(devices)), rows_of


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


def _block(
    kind: Kind, tables: list[pa.Table], rows_of: dict[tuple[str, str], int]
) -> SampleBlock:
    parts = []
    for table in tables:
        for batch in table.to_batches():
            if not batch.num_rows:
                continue
            codes = {name: row for row, name in enumerate(sorted({d for d, _ in rows_of}))}
            block = from_arrow(batch, codes)
            names = sorted(codes, key=lambda name: codes[name])
            wearer = batch.column("subject_id").cast(pa.string()).dictionary_encode()
            wearers = wearer.dictionary.to_pylist()
            table_of = np.array(
                [[rows_of.get((d, w), -1) for w in wearers] for d in names], np.int32
            )
            rows = table_of[block.device, wearer.indices.to_numpy()]
            parts.append(replace(block, device=rows))
    return concat_blocks(parts)
