"""RawBatch: what one record of the topic `raw/<venue>` holds, and its bytes.

One batch is one call of the edge kernel: what a source handed over at `now_ns`, full rate, in
arrival order. It is durable before anything is acknowledged, so that the edge can be re-run from
it. Rows of devices that the roster does not know never come this far: they are in `refused`.

Bytes: b"TLW1", u32 little-endian header length, JSON header, then one Arrow IPC stream per kind,
without the channels that no row of it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.errors import SchemaError
from models.telemetry.block import SampleBlock
from models.telemetry.ipc import StreamReader
from models.telemetry.ipc_write import StreamWriter
from models.telemetry.kinds import Kind
from models.telemetry.orders import Order, order_from
from models.telemetry.parts import by_kind, pack, read_lane, unpack_header

MAGIC = b"TLW1"
_LANE = "raw"


@dataclass(frozen=True, slots=True)
class RawBatch:
    """What a source gave in one step.

    source_id  which source; `cursor` where that source goes on after this batch
    now_ns     the edge's clock at arrival, UTC ns
    blocks     rows in arrival order per kind, `device` >= 0
    refused    rows (or packets whose rows cannot be told) refused while decoding, by reason label
    end        the source has come to its end: the edge releases all that it holds
    orders     what the edge is told, in order; `unread` orders that could not be read, by reason
    """

    source_id: str
    cursor: int
    now_ns: int
    blocks: dict[Kind, SampleBlock]
    refused: dict[str, int] = field(default_factory=dict)
    end: bool = False
    orders: tuple[Order, ...] = ()
    unread: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(len(block) for block in self.blocks.values())


def encode_raw(
    batch: RawBatch, device_ids: list[str], writer: StreamWriter | None = None
) -> bytes:
    """The bytes of `batch`; `device_ids[row]` names roster device `row`; see `pack`."""
    header: dict[str, Any] = {
        "source_id": batch.source_id, "cursor": batch.cursor, "now_ns": batch.now_ns,
        "refused": batch.refused, "end": batch.end,
    }
    if batch.orders or batch.unread:
        header["orders"] = [order.to_dict() for order in batch.orders]
        header["unread"] = batch.unread
    return pack(MAGIC, header, {_LANE: batch.blocks}, device_ids, writer, lean=True)


class RawDecoder:
    """Raw batches of one venue, one after the other; `rows_of` maps (device_id, kind) to rows. It
    remembers the shapes that the venue's stadium writes (`models.telemetry.ipc`)."""

    def __init__(self, rows_of: Mapping[tuple[str, Kind], int]) -> None:
        self._reader = StreamReader(by_kind(rows_of))

    def decode(self, payload: bytes) -> RawBatch:
        """The batch in `payload`. Raises SchemaError."""
        header, offset = unpack_header(MAGIC, payload)
        blocks = read_lane(header, payload, offset, self._reader, _LANE)
        try:
            return RawBatch(
                str(header["source_id"]), int(header["cursor"]), int(header["now_ns"]), blocks,
                {str(label): int(rows) for label, rows in header["refused"].items()},
                bool(header["end"]), tuple(order_from(body) for body in header.get("orders", ())),
                {str(label): int(count) for label, count in header.get("unread", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise SchemaError("wrong_format", str(error)[:200]) from error


def decode_raw(payload: bytes, rows_of: Mapping[tuple[str, Kind], int]) -> RawBatch:
    """One batch; who has many keeps a `RawDecoder`. Raises SchemaError."""
    return RawDecoder(rows_of).decode(payload)
