"""The raw records of the DEBS 2013 Grand Challenge (soccer monitoring, Nuremberg).

One line per position: sid, ts, x, y, z, |v|, |a|, vx, vy, vz, ax, ay, az, whole numbers. ts is in
picoseconds of the locating system's own clock, x y z in mm, |v| in um/s, |a| in um/s^2, the vectors
are directions of length 10,000. Sensors in shoes (and on the keepers' arms) give 200 Hz, the ball's
2,000 Hz.

Axes: the pitch is half a full-size field played across, 8 a side. x runs from the full field's
centre line (0) to its goal line (52,483), y from touchline to touchline (-33,960 to 33,965), and
the goals of the game stand at the ends of y. So ours is a quarter turn of it:
x_m = (y - 2.5) / 1000, y_m = 26.2415 - x / 1000 (goal to goal 67.925 m, across 52.483 m).

Which sensor is whose is in the challenge's metadata: the published numbers are built in; another
game's are read from a JSON file beside the samples,
{"balls": [sid], "players": [{"id", "team": "home" | "away", "keeper": bool, "feet": [sid],
"arms": [sid]}], "officials": [...]}. Several balls are in the data, one is in the game: the one
that is inside the lines, and the last one that was while none is. The ball's |a| and its direction
become rows of the ball's motion sensor; it is motion without gravity, in the pitch's axes. Held in
memory: about 120 bytes a line while it is read.
"""

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from actors.sources.recorded.blobs import Blob
from actors.sources.recorded.directions import team_directions
from actors.sources.recorded.mapping import DEFAULT_START_NS
from actors.sources.recorded.recording import MemoryLane, Recording
from models.errors import SchemaError
from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Refusal
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason
from models.telemetry.roster import Device, Role, Roster, Subject

COLUMNS: Final = (
    "sid", "ts", "x", "y", "z", "v", "a", "vx", "vy", "vz", "ax", "ay", "az",
)
USED: Final = ("sid", "ts", "x", "y", "z", "a", "ax", "ay", "az")
X_MAX_MM, Y_MIN_MM, Y_MAX_MM = 52_483, -33_960, 33_965
LENGTH_M: Final = (Y_MAX_MM - Y_MIN_MM) / 1000.0
WIDTH_M: Final = X_MAX_MM / 1000.0
PLAYER_HZ, BALL_HZ = 200.0, 2000.0
MAX_LINES: Final = 60_000_000
_BIN_PS: Final = 100_000_000_000
_EDGE_MM: Final = 500
HALVES_PS: Final = (
    (10_753_295_594_424_116, 12_557_295_594_424_116),
    (13_086_639_146_403_495, 14_879_639_146_403_495),
)
"""Begin and end of the two halves of the published game."""
_HOME: Final = ((13, 14), (47, 16), (49, 88), (19, 52), (53, 54), (23, 24), (57, 58), (59, 28))
_AWAY: Final = ((61, 62), (63, 64), (65, 66), (67, 68), (69, 38), (71, 40), (73, 74), (75, 44))
PUBLISHED: Final[dict[str, Any]] = {
    "balls": [4, 8, 10, 12],
    "players": [
        {
            "id": f"{team}_{n}", "team": team, "keeper": n == 1, "feet": list(feet),
            "arms": arms if n == 1 else [],
        }
        for team, side, arms in (("home", _HOME, [97, 98]), ("away", _AWAY, [99, 100]))
        for n, feet in enumerate(side, 1)
    ],
    "officials": [{"id": "referee", "feet": [105, 106]}],
}


def read_debs(blob: Blob, meta: list[Blob]) -> Recording:
    """The recording in one file of raw records. Raises SchemaError."""
    table = _read(blob)
    who = _metadata(meta)
    sid = table["sid"]
    balls = [int(one) for one in who["balls"]]
    subjects, devices, sid_of = _cast(who, set(np.unique(sid).tolist()))
    known = np.isin(sid, sid_of)
    ball = np.isin(sid, balls)
    refusals = []
    strange = int((~known & ~ball).sum())
    if strange:
        detail = f"sensors that are nobody's in {blob.name}"
        refusals.append(Refusal(Reason.UNKNOWN_DEVICE, "", strange, detail))
    blocks = []
    rows = np.flatnonzero(known)
    if len(rows):
        # Of a number that is named twice the last device counts, hence the stable order.
        order = np.argsort(sid_of, kind="stable")
        device = order[np.searchsorted(np.array(sid_of)[order], sid[rows], "right") - 1]
        blocks.append(_block(Kind.LPS, table, rows, device, PLAYER_HZ))
    rows = np.flatnonzero(ball)
    active = rows[_in_game(table, rows, balls)]
    if len(active):
        subjects.append(Subject("ball", Role.BALL))
        devices.append(Device("ball", Kind.BALL_POS, "ball", BALL_HZ))
        devices.append(Device("ball-acc", Kind.BALL_IMU, "ball", BALL_HZ))
        same = np.full(len(active), len(devices) - 2, np.int64)
        blocks.append(_block(Kind.BALL_POS, table, active, same, BALL_HZ))
        blocks.append(_block(Kind.BALL_IMU, table, active, same + 1, BALL_HZ))
    if not blocks:
        raise SchemaError("empty", f"{blob.name}: no record of a sensor that is somebody's")
    roster = Roster(
        "recorded", blob.path.stem.split(".")[0], pitch_length_m=LENGTH_M, pitch_width_m=WIDTH_M,
        subjects=tuple(subjects), devices=tuple(devices),
    )
    spare = len(rows) - len(active)
    notes = (f"{spare} records of balls that are not in the game are absent",) if spare else ()
    lanes = tuple(MemoryLane(block) for block in blocks)
    roster = team_directions(roster, blocks, True)
    return Recording("debs2013", roster, lanes, tuple(refusals), notes)


def _read(blob: Blob) -> dict[str, NDArray[np.int64]]:
    types = {name: pa.int64() for name in COLUMNS}
    try:
        found = pa_csv.read_csv(
            pa.BufferReader(blob.read()),
            read_options=pa_csv.ReadOptions(column_names=list(COLUMNS)),
            convert_options=pa_csv.ConvertOptions(column_types=types),
        )
    except pa.ArrowException as error:
        detail = f"{blob.name}: expected 13 whole numbers a line: {error}"
        raise SchemaError("wrong_format", detail) from error
    if found.num_rows > MAX_LINES:
        raise SchemaError("oversize", f"{blob.name}: {found.num_rows} lines, at most {MAX_LINES}")
    if any(column.null_count for column in found.columns):
        raise SchemaError("wrong_format", f"{blob.name}: a line lacks a number")
    order = np.argsort(found.column("ts").to_numpy(), kind="stable")
    return {name: found.column(name).to_numpy()[order] for name in USED}


def _metadata(meta: list[Blob]) -> dict[str, Any]:
    if not meta:
        return PUBLISHED
    try:
        found: dict[str, Any] = json.loads(meta[0].read())
        assert found["balls"] is not None
        for one in [*found["players"], *found.get("officials", [])]:
            assert one["feet"], one
        return found
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise SchemaError("wrong_format", f"{meta[0].name}: sensors of a game: {error}") from error


def _cast(
    who: dict[str, Any], there: set[int]
) -> tuple[list[Subject], list[Device], list[int]]:
    """Subjects that have a record, their devices, and the sensor number of each device."""
    subjects: list[Subject] = []
    devices: list[Device] = []
    sids: list[int] = []
    listed = [(one, False) for one in who["players"]]
    listed += [(one, True) for one in who.get("officials", [])]
    for one, official in listed:
        worn = [(int(s), 0) for s in one["feet"]] + [(int(s), 1) for s in one.get("arms", [])]
        if not any(s in there for s, _ in worn):
            continue
        plays = Role.GOALKEEPER if one.get("keeper") else Role.ATHLETE
        name = str(one["id"])
        role = Role.OFFICIAL if official else plays
        subjects.append(Subject(name, role, str(one.get("team", ""))))
        for s, rank in worn:
            devices.append(Device(f"s{s}", Kind.LPS, name, PLAYER_HZ, source_rank=rank))
            sids.append(s)
    return subjects, devices, sids


def _in_game(
    table: dict[str, NDArray[np.int64]], rows: NDArray[np.intp], balls: list[int]
) -> NDArray[np.bool_]:
    """Which ball records are of the ball in the game, decided every 0.1 s: the one of the stretch
    before if it is still inside, else one that is, else the one of the stretch before."""
    sid, x, y = table["sid"][rows], table["x"][rows], table["y"][rows]
    inside = (x > -_EDGE_MM) & (x < X_MAX_MM + _EDGE_MM)
    inside &= (y > Y_MIN_MM - _EDGE_MM) & (y < Y_MAX_MM + _EDGE_MM)
    stretch = table["ts"][rows] // _BIN_PS
    edges = np.flatnonzero(np.diff(stretch, prepend=stretch[:1] - 1))
    chosen = np.empty(len(rows), np.int64)
    current = balls[0] if balls else -1
    for begin, end in zip(edges.tolist(), [*edges[1:].tolist(), len(rows)], strict=True):
        within = set(np.unique(sid[begin:end][inside[begin:end]]).tolist())
        if within and current not in within:
            current = next(one for one in balls if one in within)
        chosen[begin:end] = current
    same: NDArray[np.bool_] = chosen == sid
    return same


def _block(
    kind: Kind, table: dict[str, NDArray[np.int64]], rows: NDArray[np.intp],
    device: NDArray[np.int64], rate_hz: float,
) -> SampleBlock:
    ts = table["ts"][rows]
    # The clock counts from an arbitrary zero: the first half begins where recordings begin.
    t_ns = DEFAULT_START_NS + (ts - HALVES_PS[0][0]) // 1000
    boot = np.where(ts < HALVES_PS[1][0], 1, 2)
    seq = np.rint(ts * (rate_hz / 1e12)).astype(np.int64) % 2**32
    values = np.full((len(KINDS[kind].channels), len(rows)), np.nan, np.float32)
    if kind == Kind.BALL_IMU:
        size = table["a"][rows] / 1e6 / 10_000.0
        along = {"x": table["ay"][rows], "y": -table["ax"][rows], "z": table["az"][rows]}
        for axis, part in along.items():
            values[KINDS[kind].index(f"acc_{axis}_mps2")] = size * part
    else:
        values[KINDS[kind].index("pos_x_m")] = (
            table["y"][rows] / 1000.0 - (Y_MAX_MM + Y_MIN_MM) / 2000.0
        )
        values[KINDS[kind].index("pos_y_m")] = WIDTH_M / 2.0 - table["x"][rows] / 1000.0
        values[KINDS[kind].index("pos_z_m")] = table["z"][rows] / 1000.0
    return SampleBlock(
        kind, device.astype(np.int32), boot.astype(np.uint32), seq.astype(np.uint32), t_ns, t_ns,
        np.zeros(len(rows), np.uint32), values,
    )
