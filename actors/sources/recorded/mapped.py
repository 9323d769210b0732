"""A mapped table as a recording: roster, counters and blocks from its columns."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from actors.sources.recorded.blobs import Blob
from actors.sources.recorded.counters import by_rate
from actors.sources.recorded.directions import team_directions
from actors.sources.recorded.mapping import Key, Mapping
from actors.sources.recorded.recording import MemoryLane, Recording
from actors.sources.recorded.tables import Columns, pitch_of, read_table, with_join
from models.errors import SchemaError
from models.telemetry.block import SampleBlock
from models.telemetry.bounds import MAX_TIME_NS, limits_of
from models.telemetry.decoded import Refusal
from models.telemetry.kinds import BALL_KINDS, KINDS, Kind
from models.telemetry.reasons import Reason
from models.telemetry.roster import Device, Role, Roster, Subject

BALL: Final = "ball"


def read_mapped(blob: Blob, mapping: Mapping) -> Recording:
    """The recording in a CSV or Parquet file. Raises SchemaError."""
    table = with_join(read_table(blob, mapping.columns()), blob, mapping)
    columns = Columns(table, mapping)
    boot, t_ns = columns.sessions(columns.times_ns())
    if t_ns.min() < 0 or t_ns.max() >= MAX_TIME_NS or boot.min() < 0 or boot.max() >= 2**32:
        raise SchemaError("wrong_format", f"{blob.name}: times or periods out of range")
    device, device_ids = columns.joined(mapping.device)
    kind_of_row, kinds = _kinds(columns, mapping)
    blocks, absent, refusals = [], 0, []
    devices: list[tuple[str, Kind, int]] = []
    for code, kind in enumerate(kinds):
        rows = np.flatnonzero(kind_of_row == code)
        values = _values(columns, mapping, kind)[:, rows]
        present = ~np.isnan(values[limits_of(kind)[2][:, 0]]).all(axis=0)
        absent += int(len(rows) - present.sum())
        rows, values = rows[present], values[:, present]
        infinite = np.isinf(values).any(axis=0) | np.isnan(values[limits_of(kind)[2][:, 0]]).any(0)
        if infinite.any():
            refusals.append(
                Refusal(Reason.NOT_FINITE, "", int(infinite.sum()), f"{kind} rows of {blob.name}")
            )
            rows, values = rows[~infinite], values[:, ~infinite]
        if not len(rows):
            continue
        used, first, local = np.unique(device[rows], return_index=True, return_inverse=True)
        base = len(devices)
        devices += [(device_ids[d], kind, int(rows[i]))
                    for d, i in zip(used.tolist(), first.tolist(), strict=True)]
        blocks.append(_block(columns, kind, rows, local + base, boot, t_ns, values))
    if not blocks:
        raise SchemaError("empty", f"{blob.name}: no row has a value")
    roster = _roster(blob, columns, devices, blocks)
    notes = (f"{absent} rows without a value are absent",) if absent else ()
    lanes = tuple(MemoryLane(block) for block in blocks)
    return Recording(mapping.name, roster, lanes, tuple(refusals), notes)


def _kinds(columns: Columns, mapping: Mapping) -> tuple[NDArray[np.int64], list[Kind]]:
    """(n,) codes into the list of kinds."""
    if not mapping.kind_column:
        return np.zeros(columns.rows, np.int64), [mapping.kind]
    codes, texts = columns.texts(Key(mapping.kind_column))
    kinds = list(dict.fromkeys([mapping.kind, *mapping.kinds.values()]))
    place = np.array([kinds.index(mapping.kinds.get(text, mapping.kind)) for text in texts])
    return place[codes], kinds


def _values(columns: Columns, mapping: Mapping, kind: Kind) -> NDArray[np.float32]:
    values = np.full((len(KINDS[kind].channels), columns.rows), np.nan, np.float32)
    for name, field in mapping.channels[kind].items():
        values[KINDS[kind].index(name)] = columns.channel(field)
    return values


def _block(
    columns: Columns, kind: Kind, rows: NDArray[np.intp], device: NDArray[np.int64],
    boot: NDArray[np.int64], t_ns: NDArray[np.int64], values: NDArray[np.float32],
) -> SampleBlock:
    """The rows of one kind in time order."""
    order = np.argsort(t_ns[rows], kind="stable")
    rows, device, values = rows[order], device[order], values[:, order]
    name, n = columns.mapping.seq, len(rows)
    if name == "*":
        seq = by_rate(device, boot[rows], np.zeros(n, np.int64), 1.0)
    elif name:
        seq = columns.whole(name)[rows]
        if seq.min() < 0:
            raise SchemaError("wrong_format", f"column {name}: a counter is not negative")
    else:
        seq = by_rate(device, boot[rows], t_ns[rows], columns.mapping.rate_hz)
    return SampleBlock(
        kind, device.astype(np.int32), boot[rows].astype(np.uint32),
        (seq % 2**32).astype(np.uint32), t_ns[rows], t_ns[rows], np.zeros(n, np.uint32),
        np.ascontiguousarray(values),
    )


def _roster(
    blob: Blob, columns: Columns, devices: list[tuple[str, Kind, int]], blocks: list[SampleBlock]
) -> Roster:
    mapping = columns.mapping
    subjects: dict[str, Subject] = {}
    listed: list[Device] = []
    for device_id, kind, row in devices:
        ball = kind in BALL_KINDS
        subject_id = BALL if ball else _text(columns, mapping.subject, row) or device_id
        if subject_id not in subjects:
            team = _text(columns, (mapping.team,) if mapping.team else (), row)
            number = _text(columns, (mapping.number,) if mapping.number else (), row)
            subjects[subject_id] = Subject(
                subject_id, Role.BALL if ball else Role.ATHLETE,
                "" if ball else mapping.teams.get(team, team),
                int(number) if number.isdigit() and not ball else 0,
            )
        rank = sum(1 for one in listed if one.subject == subject_id and one.kind == kind)
        side = ""
        if kind == Kind.BOOT and mapping.side_column:
            side = mapping.sides.get(_text(columns, (Key(mapping.side_column),), row), "")
        listed.append(
            Device(device_id, kind, subject_id, mapping.rate_hz, source_rank=rank, side=side)
        )
    length, width = pitch_of(blob, mapping)
    name = blob.path.parent.name if mapping.join_file else blob.path.stem
    roster = Roster(
        "recorded", name, pitch_length_m=length, pitch_width_m=width,
        subjects=tuple(subjects.values()), devices=tuple(listed),
    )
    return team_directions(roster, blocks, bool(mapping.period))


def _text(columns: Columns, keys: tuple[Key, ...], row: int) -> str:
    """The text of one row; the whole column is looked at only through its distinct values."""
    parts = []
    for key in keys:
        if (key.column, key.pattern) not in columns.cache:
            columns.cache[key.column, key.pattern] = columns.texts(key)
        codes, texts = columns.cache[key.column, key.pattern]
        parts.append(texts[int(codes[row])])
    return "-".join(parts)
