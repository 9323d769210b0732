"""Hawk-Eye feeds: one JSON file per minute with ball samples, and one with player centroids.

Read here and not with kloppy, which needs both files and maps samples to whole frames (two samples
in one frame become one). Coordinates are pitch-centred metres already. The files have no wall clock
of their own beyond the period's start; a sample's time is its minute plus its `time`.
"""

import json
from datetime import datetime
from typing import Any, Final

import numpy as np

from actors.sources.recorded.blobs import Blob
from actors.sources.recorded.counters import by_rate
from actors.sources.recorded.directions import team_directions
from actors.sources.recorded.mapping import DEFAULT_START_NS, to_ns
from actors.sources.recorded.recording import MemoryLane, Recording
from models.errors import SchemaError
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Device, Role, Roster, Subject

RATE_HZ: Final = 50.0
_FIRST_MINUTE: Final = {1: 0, 2: 45, 3: 90, 4: 105, 5: 120}
_NAN: Final = float("nan")
Rows = list[tuple[int, str, int, float, float, float, float]]
"""(period, device, t_ns, x, y, z, in play)"""


def read_hawkeye(blobs: list[Blob], meta: list[Blob], name: str) -> Recording:
    """The recording in ball and centroid files. Raises SchemaError."""
    ball: Rows = []
    people: Rows = []
    subjects: dict[str, Subject] = {}
    for blob in blobs:
        try:
            raw = json.loads(blob.read())
            _add(raw, ball, people, subjects)
        except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
            detail = f"{blob.name}: expected a Hawk-Eye feed: {type(error).__name__} {error}"
            raise SchemaError("decoder", detail) from error
    seen = dict.fromkeys(row[1] for row in people)
    devices = [Device(f"lps-{one}", Kind.LPS, one, RATE_HZ) for one in seen]
    listed = [subjects.get(one, Subject(one, Role.ATHLETE)) for one in seen]
    if ball:
        listed.append(Subject("ball", Role.BALL))
        devices.append(Device("ball", Kind.BALL_POS, "ball", RATE_HZ))
    row_of = {device.subject: row for row, device in enumerate(devices)}
    blocks = [
        _block(kind, rows, row_of)
        for kind, rows in ((Kind.LPS, people), (Kind.BALL_POS, ball)) if rows
    ]
    if not blocks:
        raise SchemaError("empty", "the Hawk-Eye feed holds no samples")
    length, width = _pitch(meta)
    roster = Roster(
        "recorded", name, pitch_length_m=length, pitch_width_m=width, subjects=tuple(listed),
        devices=tuple(devices),
    )
    lanes = tuple(MemoryLane(block) for block in blocks)
    return Recording("hawkeye", team_directions(roster, blocks, True), lanes)


def _add(raw: dict[str, Any], ball: Rows, people: Rows, subjects: dict[str, Subject]) -> None:
    period = int(raw["sequences"]["segment"])
    start = DEFAULT_START_NS
    for segment in raw.get("segments", []):
        if segment.get("segment") == period and "startTimeUTC" in segment:
            start = to_ns(datetime.fromisoformat(segment["startTimeUTC"]))
    minute = int(raw["sequences"]["match-minute"]) - 1 - _FIRST_MINUTE.get(period, 0)
    start += minute * 60_000_000_000
    for sample in raw["samples"].get("ball", []):
        t_ns = start + round(float(sample["time"]) * 1e9)
        x, y, z = (float(v) for v in sample["pos"][:3])
        in_play = {"In": 1.0, "Out": 0.0}.get(sample.get("play", ""), _NAN)
        ball.append((period, "ball", t_ns, x, y, z, in_play))
    _add_subjects(raw, subjects)
    for person in raw["samples"].get("people", []):
        one = _id(person["personId"])
        for centroid in person["centroid"]:
            x, y = (float(v) for v in centroid["pos"][:2])
            t_ns = start + round(float(centroid["time"]) * 1e9)
            people.append((period, one, t_ns, x, y, _NAN, _NAN))


def _id(ids: dict[str, Any]) -> str:
    return str(ids.get("fifaId") or ids.get("uefaId") or ids["heId"])


def _add_subjects(raw: dict[str, Any], subjects: dict[str, Subject]) -> None:
    details = raw.get("details", {})
    home = {_id(team["id"]): bool(team.get("home")) for team in details.get("teams", [])}
    for player in details.get("players", []):
        keeper = player.get("role", {}).get("name") == "Goalkeeper"
        at_home = home.get(_id(player["teamId"])) if "teamId" in player else None
        team = "" if at_home is None else ("home" if at_home else "away")
        one = _id(player["id"])
        role = Role.GOALKEEPER if keeper else Role.ATHLETE
        subjects[one] = Subject(one, role, team, int(player.get("jerseyNumber") or 0))
    for person in raw.get("samples", {}).get("people", []):
        role = person.get("role", {}).get("name", "")
        if role not in ("Outfielder", "Goalkeeper"):
            one = _id(person["personId"])
            subjects.setdefault(one, Subject(one, Role.OFFICIAL))


def _block(kind: Kind, rows: Rows, row_of: dict[str, int]) -> SampleBlock:
    rows = sorted(rows, key=lambda row: row[2])
    device = np.array([row_of[row[1]] for row in rows], np.int64)
    boot = np.array([row[0] for row in rows], np.int64)
    t_ns = np.array([row[2] for row in rows], np.int64)
    values = np.full((len(KINDS[kind].channels), len(rows)), np.nan, np.float32)
    for column, name in enumerate(("pos_x_m", "pos_y_m", "pos_z_m", "in_play")):
        if name in KINDS[kind].names:
            values[KINDS[kind].index(name)] = [row[3 + column] for row in rows]
    seq = by_rate(device, boot, t_ns, RATE_HZ)
    return SampleBlock(
        kind, device.astype(np.int32), boot.astype(np.uint32), seq.astype(np.uint32), t_ns, t_ns,
        np.zeros(len(rows), np.uint32), values,
    )


def _pitch(meta: list[Blob]) -> tuple[float, float]:
    """(length_m, width_m) of the match's JSON metadata, if it is given."""
    for blob in meta:
        try:
            stadium = json.loads(blob.read())["Stadium"]
            return float(stadium["PitchLength"]), float(stadium["PitchWidth"])
        except (KeyError, TypeError, ValueError):
            continue
    return 105.0, 68.0
