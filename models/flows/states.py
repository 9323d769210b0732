"""State rows of subjects on the 250 ms grid of event time (of who is at rest on that of seconds),
and their Arrow bytes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import SchemaError
from models.flows.config import ALGO_VERSION, FlowConfig
from models.flows.limits import Limits
from models.flows.state_columns import Column, StateTable
from models.flows.state_wire import LazyBatch, MouldCache, padded
from models.telemetry.ipc_mould import stream_of


@dataclass(frozen=True, slots=True)
class StateRows:
    """n rows, by time and then subject. t_ns (n,) int64; subject (n,) int32, rows of the roster;
    `columns` name -> (n,) float64, counts int32; `final` rows are the last word on their subject;
    `metadata` says how the numbers were made (algorithm version, filter, thresholds, and under
    `own` what differs for which subject); `models.metrics.registry.about` says it per metric."""

    t_ns: NDArray[np.int64]
    subject: NDArray[np.int32]
    columns: Mapping[str, Column]
    final: bool
    metadata: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.t_ns.shape[0])

    @property
    def status(self) -> str:
        return "final" if self.final else "provisional"


def describe(config: FlowConfig, limits: Limits) -> dict[str, Any]:
    """The metadata of state rows made with `config` and the roster's own thresholds."""
    return {**config.describe(), "own": limits.own} if limits.own else config.describe()


def encode_states(
    rows: StateRows, subject_ids: Sequence[str], match_id: str = "",
    moulds: MouldCache | None = None,
) -> bytes:
    """Arrow IPC stream: t_ns, subject_id, status, the columns; for a ball `poss_subject_id` too.
    `subject_ids[row]` names roster subject `row`; the schema's metadata names the match. With
    `moulds`, which are then for these subjects and this match only, the same bytes come sooner for
    rows as the flow kernel gives them."""
    columns = rows.columns
    if moulds is None or not len(rows) or not isinstance(columns, StateTable):
        return stream_of(_batch(rows, subject_ids, match_id))
    count = len(rows)
    status, status_sizes = _status_of(rows.status, count)
    body: list[Any] = [rows.t_ns, *padded(rows.subject), status, columns.words]
    owner_sizes, nulls = [], 0
    if "poss_subject" in columns.names:
        owner = columns["poss_subject"]
        nulls = int(np.count_nonzero(owner < 0))
        known = [np.packbits(owner >= 0, bitorder="little")] if nulls else []
        body += [part for buffer in (*known, owner) for part in padded(buffer)]
        owner_sizes = [sum(bits.nbytes for bits in known), owner.nbytes]

    def sizes() -> list[int]:
        plain = [part for size in columns.sizes() for part in (0, size)]
        fixed = [0, 8 * count, 0, 4 * count, 0, *status_sizes]
        return [*fixed, *plain, *owner_sizes]

    lazy = LazyBatch(
        count, nulls, body, sizes, lambda: _batch(rows, subject_ids, match_id), rows.metadata
    )
    return moulds.write((rows.final, columns.names), lazy)


@lru_cache(maxsize=1024)
def _status_of(status: str, count: int) -> tuple[bytes, tuple[int, int]]:
    """The padded buffers of a column of `count` times `status`: ends and text; and their sizes."""
    text = np.frombuffer(status.encode() * count, np.uint8)
    ends = np.arange(0, len(text) + 1, len(status), dtype=np.int32)
    return b"".join((*padded(ends), *padded(text))), (ends.nbytes, text.nbytes)


def _batch(rows: StateRows, subject_ids: Sequence[str], match_id: str) -> pa.RecordBatch:
    names = pa.array(subject_ids, pa.string())
    arrays: dict[str, pa.Array] = {
        "t_ns": pa.array(rows.t_ns, pa.int64()),
        "subject_id": pa.DictionaryArray.from_arrays(pa.array(rows.subject, pa.int32()), names),
        "status": pa.array([rows.status] * len(rows), pa.string()),
    }
    for name, column in rows.columns.items():
        arrays[name] = pa.array(column)
    if "poss_subject" in rows.columns:
        owner = rows.columns["poss_subject"]
        at = pa.array(owner, pa.int32(), mask=owner < 0)
        arrays["poss_subject_id"] = pa.DictionaryArray.from_arrays(at, names)
    version = str(rows.metadata.get("algo_version", ALGO_VERSION))
    metadata = {"algo_version": version, "metric": json.dumps(rows.metadata, sort_keys=True)}
    if match_id:
        metadata["match_id"] = match_id
    batch = pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
    return batch.replace_schema_metadata(metadata)


def decode_states(payload: bytes) -> pa.Table:
    """The table in `payload`, dictionaries as plain strings. Raises SchemaError."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            table = reader.read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error
    for at, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(at, column.name, table.column(at).cast(pa.string()))
    return table


def match_of_states(table: pa.Table) -> str:
    """The match that the rows of `decode_states` belong to; empty where their writer named none."""
    return (table.schema.metadata or {}).get(b"match_id", b"").decode()
