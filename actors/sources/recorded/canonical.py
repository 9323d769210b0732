"""Canonical Parquet and Arrow files: our own schema, one file or many, streamed where possible.

A file says its kind in its schema's metadata or in a folder named `kind=<kind>`. Parquet is read
row group by row group when its arrival times have statistics and its groups overlap little, and
plain Arrow IPC files batch by batch, so memory holds a few of them; what is packed or in any other
order is read whole. A
`roster.json` beside the files is the roster; otherwise every device is its own subject.
"""

from bisect import bisect_left
from collections import Counter, OrderedDict
from dataclasses import replace
from itertools import accumulate, islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from actors.sources.recorded.blobs import Blob
from actors.sources.recorded.recording import Lane, MemoryLane, Recording
from models.errors import ConfigError, SchemaError
from models.telemetry.arrow import from_arrow, kind_of
from models.telemetry.block import SampleBlock, concat_blocks, empty_block
from models.telemetry.decoded import Refusal, bounded, refusal
from models.telemetry.devices import index_of
from models.telemetry.kinds import Kind
from models.telemetry.reasons import Reason
from models.telemetry.roster import Device, Role, Roster, Subject
from models.telemetry.versions import upgrade

FIXED: Final = {"device_id", "boot", "seq", "t_event_ns"}
MAX_OVERLAP: Final = 6
NOMINAL_HZ: Final = {
    Kind.GNSS: 10.0, Kind.LPS: 20.0, Kind.IMU: 100.0, Kind.BOOT: 200.0, Kind.BALL_POS: 25.0,
    Kind.BALL_IMU: 500.0,
}
"""Rates taken for devices of a recording without a roster; 1 Hz for the kinds not named."""
_KIND_KEY = b"touchline.kind"
_BROKEN = (pa.ArrowException, OSError, ValueError, KeyError, IndexError)
_FILE_COLUMNS = ("boot", "seq", "t_event_ns", "t_ingest_ns", "flags")
Group = tuple[int, int, Path, int]
"""(t_min_ns, t_max_ns, file, row group or batch)"""


class GroupLane:
    """Row groups of one kind, in arrival order across files; holds at most MAX_OVERLAP + 2, and
    none that lies before what was read last."""

    def __init__(self, kind: Kind, groups: list[Group], rows: int, rows_of: dict[str, int]) -> None:
        self.kind, self.rows, self._groups, self._rows_of = kind, rows, sorted(groups), rows_of
        self.t_min_ns = min(group[0] for group in groups)
        self.t_max_ns = max(group[1] for group in groups)
        self._reach = list(accumulate((group[1] for group in self._groups), max))
        self._held: OrderedDict[tuple[Path, int], SampleBlock] = OrderedDict()
        self._passed = 0
        # Of most kinds nothing arrives in most spans of a live reader.
        self._empty = empty_block(kind)

    def read(self, from_ns: int, to_ns: int) -> SampleBlock:
        parts = []
        first = bisect_left(self._reach, from_ns)
        self._forget_before(first)
        for low, high, path, number in islice(self._groups, first, None):
            if low >= to_ns:
                break
            if high >= from_ns:
                block = self._group(path, number)
                # Held groups are in arrival order, and a live reader asks for short spans.
                begin, end = block.t_ingest_ns.searchsorted((from_ns, to_ns)).tolist()
                if end > begin:
                    parts.append(block.take(slice(begin, end)))
        if len(parts) < 2:
            return parts[0] if parts else self._empty
        block = concat_blocks(parts)
        return block.take(np.argsort(block.t_ingest_ns, kind="stable"))

    def next_ns(self, from_ns: int) -> int:
        first = bisect_left(self._reach, from_ns)
        later = islice(self._groups, first, None)
        # By `low` from here on: the first that reaches so far is the earliest.
        return next((max(low, from_ns) for low, high, _, _ in later if high >= from_ns), 2**63 - 1)

    def _forget_before(self, first: int) -> None:
        for _, _, path, number in islice(self._groups, self._passed, first):
            self._held.pop((path, number), None)
        self._passed = first

    def _group(self, path: Path, number: int) -> SampleBlock:
        held = self._held.get((path, number))
        if held is None:
            try:
                table = _group_table(path, number)
            except _BROKEN as error:
                detail = f"{path.name}, row group {number}: {error}"
                raise SchemaError("decoder", detail) from error
            held = _block(table, self.kind, self._rows_of)
            self._held[path, number] = held
            while len(self._held) > MAX_OVERLAP + 2:
                self._held.popitem(last=False)
        return held


def read_canonical(blobs: list[Blob], root: Path) -> Recording:
    """The recording in canonical files. Raises SchemaError when no file can be read."""
    kinds: dict[Kind, list[Blob]] = {}
    refusals: list[Refusal] = []
    names: dict[Kind, Counter[str]] = {}
    for blob in blobs:
        try:
            kind, ids = _survey(blob)
        except (SchemaError, *_BROKEN) as error:
            refusals.append(_refused(blob, error))
        else:
            kinds.setdefault(kind, []).append(blob)
            names.setdefault(kind, Counter()).update(ids)
    if not kinds:
        detail = refusals[0].detail if refusals else "no files"
        raise SchemaError("wrong_format", f"expected canonical Parquet or Arrow: {detail}")
    folder = root if root.is_dir() else root.parent
    roster = _roster(folder, root.stem, names)
    rows_of = index_of(roster).kind_rows
    lanes: list[Lane] = []
    for kind, counts in names.items():
        refusals += [
            Refusal(Reason.UNKNOWN_DEVICE, one, rows, f"{kind} rows of a device not in the roster")
            for one, rows in counts.items() if one not in rows_of[kind]
        ]
    for kind, files in kinds.items():
        lanes += _lane(kind, files, names[kind], rows_of[kind], refusals)
    if not lanes:
        raise SchemaError("empty", f"{root.name}: no rows of devices in the roster")
    return Recording("canonical", roster, tuple(lanes), tuple(bounded(refusals)))


def _refused(blob: Blob, error: Exception) -> Refusal:
    reason = Reason.WRONG_FORMAT
    if isinstance(error, SchemaError):
        reason = Reason.__members__.get(error.reason.upper(), reason)
    return refusal(reason, f"{blob.name}: {error}", b"", blob.name)


def _schema_kind(blob: Blob, schema: pa.Schema) -> Kind:
    if not set(schema.names) >= FIXED:
        missing = sorted(FIXED - set(schema.names))
        raise SchemaError("wrong_format", f"lacks the canonical columns {missing}")
    if _KIND_KEY in (schema.metadata or {}):
        return kind_of(schema)
    for part in reversed(blob.path.parts):
        if part.startswith("kind="):
            return kind_of(pa.schema([], metadata={_KIND_KEY: part[5:].encode()}))
    raise SchemaError("unknown_kind", "neither the schema nor a folder kind=... says its kind")


def _survey(blob: Blob) -> tuple[Kind, Counter[str]]:
    """Kind and rows per device id of a file; of Parquet only that column is read."""
    ids: Counter[str] = Counter()
    if _is_parquet(blob):
        file = pq.ParquetFile(blob.path)
        kind = _schema_kind(blob, file.schema_arrow)
        for number in range(file.num_row_groups):
            _count(file.read_row_group(number, columns=["device_id"]).column(0), ids)
        return kind, ids
    table = _arrow_table(blob)
    kind = _schema_kind(blob, table.schema)
    _count(table.column("device_id"), ids)
    return kind, ids


def _count(column: pa.ChunkedArray, ids: Counter[str]) -> None:
    texts = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    for one in texts.value_counts().to_pylist():
        ids[one["values"] or ""] += one["counts"]


def _group_table(path: Path, number: int) -> pa.Table:
    """Row group or batch `number` of a file, checked through."""
    if _is_mapped(path):
        with pa.memory_map(str(path)) as source:
            batch = pa.ipc.open_file(source).get_batch(number)
            batch.validate(full=True)
            return pa.Table.from_batches([batch])
    return pq.ParquetFile(path).read_row_group(number)


def _batches(path: Path) -> list[Group]:
    """The batches with rows of an Arrow IPC file; all of them are looked at once."""
    found: list[Group] = []
    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        names = file.schema.names
        column = "t_ingest_ns" if "t_ingest_ns" in names else "t_event_ns"
        for number in range(file.num_record_batches):
            times = file.get_batch(number).column(column)
            if len(times):
                ends = pc.min_max(times).as_py()
                found.append((int(ends["min"]), int(ends["max"]), path, number))
    return found


def _is_mapped(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(6) == b"ARROW1"


def _is_parquet(blob: Blob) -> bool:
    return not blob.member and blob.head(4) == b"PAR1" and blob.path.suffix != ".gz"


def _arrow_table(blob: Blob) -> pa.Table:
    payload = blob.read()
    source = pa.BufferReader(payload)
    if payload[:4] == b"PAR1":
        return pq.ParquetFile(source).read()
    if payload[:6] == b"ARROW1":
        table = pa.ipc.open_file(source).read_all()
    else:
        table = pa.ipc.open_stream(source).read_all()
    table.validate(full=True)
    return table


def _roster(folder: Path, name: str, names: dict[Kind, Counter[str]]) -> Roster:
    path = folder / "roster.json"
    if path.is_file():
        try:
            return Roster.from_json(path.read_bytes())
        except (ConfigError, OSError) as error:
            raise SchemaError("wrong_format", f"roster.json: {error}") from error
    ids = dict.fromkeys(name for found in names.values() for name in found)
    ball = {one for kind in (Kind.BALL_POS, Kind.BALL_IMU) for one in names.get(kind, ())}
    subjects = [Subject(one, Role.ATHLETE) for one in ids if one not in ball]
    if ball:
        subjects.append(Subject("ball", Role.BALL))
    devices = [
        Device(one, kind, "ball" if one in ball else one, NOMINAL_HZ.get(kind, 1.0))
        for kind, found in names.items() for one in found
    ]
    return Roster("recorded", name, subjects=tuple(subjects), devices=tuple(devices))


def _lane(
    kind: Kind, blobs: list[Blob], counts: Counter[str], rows_of: dict[str, int],
    refusals: list[Refusal],
) -> list[Lane]:
    groups = _groups(blobs)
    if groups is not None:
        rows = sum(count for one, count in counts.items() if one in rows_of)
        return [GroupLane(kind, groups, rows, rows_of)] if groups and rows else []
    parts = []
    for blob in blobs:
        try:
            parts.append(_block(_arrow_table(blob), kind, rows_of))
        except (SchemaError, *_BROKEN) as error:
            refusals.append(_refused(blob, error))
    whole = concat_blocks(parts) if parts else empty_block(kind)
    return [MemoryLane(whole)] if len(whole) else []


def _groups(blobs: list[Blob]) -> list[Group] | None:
    """All row groups with their arrival times; None when the files cannot be streamed."""
    found: list[Group] = []
    for blob in blobs:
        if not blob.member and _is_mapped(blob.path):
            found += _batches(blob.path)
            continue
        if not _is_parquet(blob):
            return None
        metadata = pq.ParquetFile(blob.path).metadata
        names = metadata.schema.names
        column = "t_ingest_ns" if "t_ingest_ns" in names else "t_event_ns"
        place = names.index(column)
        for number in range(metadata.num_row_groups):
            stats = metadata.row_group(number).column(place).statistics
            if stats is None or not stats.has_min_max:
                return None
            found.append((int(stats.min), int(stats.max), blob.path, number))
    found.sort()
    ends: list[int] = []
    for low, high, _, _ in found:
        ends = [end for end in ends if end >= low] + [high]
        if len(ends) > MAX_OVERLAP:
            return None
    return found


def _block(table: pa.Table, kind: Kind, rows_of: dict[str, int]) -> SampleBlock:
    """The rows of `table` by arrival; rows of devices that the roster lacks are left out."""
    if table.num_rows == 0:
        return empty_block(kind)
    batch = table.combine_chunks().to_batches()[0]
    batch = batch.replace_schema_metadata(
        {**(batch.schema.metadata or {}), _KIND_KEY: str(kind).encode()}
    )
    block = from_arrow(upgrade(batch), rows_of)
    known = block.device >= 0
    block = block if known.all() else block.take(known)
    t_ns = block.t_ingest_ns
    if not (t_ns[1:] >= t_ns[:-1]).all():
        return block.take(np.argsort(t_ns, kind="stable"))
    # Values and devices are fresh; the other columns may still lie in a file that changes.
    return replace(block, **{name: getattr(block, name).copy() for name in _FILE_COLUMNS})
