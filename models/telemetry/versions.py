"""Old schema versions, and how their Arrow batches become current ones.

    0  the first field trials: no `flags`, no `t_ingest_ns`, only the channels that a row cannot do
       without; `device_id` as plain text. Packets of version 0 also lack match id, clock source,
       clock error and channel mask (`models.telemetry.packet` reads them).
    1  current.

A batch without a version is of version 0 when it lacks `flags`. Newer versions than ours are
refused: guessing at them would turn a change of unit into wrong data.
"""

import numpy as np
import pyarrow as pa

from models.errors import SchemaError
from models.telemetry.arrow import SCHEMA_VERSION

_KEY = b"touchline.schema_v"


def version_of(schema: pa.Schema) -> int:
    """The version of a batch's schema. Raises SchemaError("unknown_version")."""
    said = (schema.metadata or {}).get(_KEY)
    if said is None:
        return SCHEMA_VERSION if "flags" in schema.names else 0
    if not said.isdigit() or len(said) > 4 or int(said) > SCHEMA_VERSION:
        text = said[:20].decode(errors="replace")
        raise SchemaError("unknown_version", f"schema_v {text!r}, at most {SCHEMA_VERSION}")
    return int(said)


def upgrade(batch: pa.RecordBatch, t_ingest_ns: int | None = None) -> pa.RecordBatch:
    """`batch` with the fixed columns of the current version.

    Missing flags become 0. A missing arrival time becomes `t_ingest_ns`, or the event time when
    that is None. Raises SchemaError for a version that is not known or a batch without event time.
    """
    version_of(batch.schema)
    if "flags" not in batch.schema.names:
        batch = batch.append_column("flags", pa.array(np.zeros(batch.num_rows, np.uint32)))
    if "t_ingest_ns" not in batch.schema.names:
        if "t_event_ns" not in batch.schema.names:
            raise SchemaError("wrong_format", "lacks t_event_ns")
        arrival = batch.column("t_event_ns") if t_ingest_ns is None else pa.array(
            np.full(batch.num_rows, t_ingest_ns, np.int64)
        )
        batch = batch.append_column("t_ingest_ns", arrival)
    return batch
