"""Rows of the warm tier as sample blocks: the way back from `models.tiers.warm.SampleTables`."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.telemetry.arrow import from_arrow
from models.telemetry.block import SampleBlock, concat_blocks, empty_block
from models.telemetry.kinds import Kind
from models.telemetry.roster import Roster

_BETWEEN = "\0"


def warm_block(roster: Roster, kind: Kind, table: pa.Table) -> SampleBlock:
    """The rows of a file of `kind` in its order; devices that the roster does not have are left
    out. A device that changed hands is several rows of the roster: the wearer tells which. Raises
    SchemaError."""
    mine = [(row, d) for row, d in enumerate(roster.devices) if d.kind == kind]
    rows_of = {device.device_id: row for row, device in mine}
    if len(rows_of) < len(mine):
        rows_of = {f"{d.device_id}{_BETWEEN}{d.subject}": row for row, d in mine}
        names = [table.column(name).cast(pa.string()) for name in ("device_id", "subject_id")]
        both = pc.binary_join_element_wise(*names, _BETWEEN)
        at = table.schema.get_field_index("device_id")
        table = table.set_column(at, "device_id", both)
    plain = table.drop_columns(["subject_id"])
    blocks = [from_arrow(batch, rows_of) for batch in plain.to_batches() if batch.num_rows]
    if not blocks:
        return empty_block(kind)
    whole = concat_blocks(blocks)
    known = whole.device >= 0
    return whole if known.all() else whole.take(np.flatnonzero(known))
