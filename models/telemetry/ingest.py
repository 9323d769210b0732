"""Arrow ingest: record batches of the canonical schema, from Flight, HTTP or a gateway.

A payload is one or more Arrow IPC streams one after the other, one kind per stream (the schema's
metadata says which). The arrival time is the edge's, whatever the sender wrote. There is one
verdict per (device, boot) and record batch, in order of first appearance: senders batch by device,
and one verdict per run of rows would be one per row for interleaved devices.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import SchemaError
from models.telemetry.arrow import from_arrow, kind_of, to_arrow
from models.telemetry.assemble import SENDER_FLAGS
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.bounds import MAX_TIME_NS, MIN_TIME_NS, not_finite
from models.telemetry.decoded import (
    MAX_PAYLOAD_BYTES,
    Decoded,
    Refusal,
    Verdict,
    bounded,
    refusal,
    refused_whole,
)
from models.telemetry.devices import DeviceIndex, index_of
from models.telemetry.ipc_bound import unpacked_bytes
from models.telemetry.kinds import Kind
from models.telemetry.reasons import Reason
from models.telemetry.roster import Roster
from models.telemetry.versions import upgrade

MAX_BATCH_ROWS = 1_000_000
_BROKEN = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, TypeError, OverflowError)
REASONS = {reason.label: reason for reason in Reason}
"""Reasons by the labels that a SchemaError carries."""


def decode_arrow(payload: bytes, roster: Roster | DeviceIndex, t_ingest_ns: int) -> Decoded:
    """All record batches in `payload`. Never raises on bad bytes: they are refused."""
    if not payload:
        return refused_whole(Reason.EMPTY, "no bytes")
    if len(payload) > MAX_PAYLOAD_BYTES:
        return refused_whole(Reason.OVERSIZE, f"{len(payload)} bytes", payload)
    try:
        size = unpacked_bytes(payload, MAX_PAYLOAD_BYTES)
    except SchemaError as error:
        return refused_whole(Reason.WRONG_FORMAT, error.detail, payload)
    if size > MAX_PAYLOAD_BYTES:
        detail = f"compressed buffers of {size} bytes, at most {MAX_PAYLOAD_BYTES}"
        return refused_whole(Reason.OVERSIZE, detail, payload)
    index = index_of(roster)
    out = Decoded()
    parts: dict[Kind, list[SampleBlock]] = {}
    for item in _batches(payload):
        if isinstance(item, SchemaError):
            _refuse(out, item, payload)
            continue
        try:
            block = _taken(item, index, t_ingest_ns, out)
        except SchemaError as error:
            _refuse(out, error, payload, item.num_rows)
        except _BROKEN as error:
            _refuse(out, SchemaError("wrong_format", str(error)), payload, item.num_rows)
        else:
            if len(block):
                parts.setdefault(block.kind, []).append(block)
    if not out.verdicts:
        return refused_whole(Reason.EMPTY, "no rows", payload)
    blocks = {kind: concat_blocks(some) for kind, some in parts.items()}
    return Decoded(blocks, bounded(out.refusals), out.verdicts)


def encode_blocks(blocks: dict[Kind, SampleBlock], device_ids: list[str]) -> bytes:
    """The payload of `blocks`: what a client posts. `device_ids[row]` names device `row`."""
    sink = pa.BufferOutputStream()
    for block in blocks.values():
        batch = to_arrow(block, device_ids)
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _batches(payload: bytes) -> Iterator[pa.RecordBatch | SchemaError]:
    """Every batch of every stream; an error ends it, as nothing tells where the next one starts."""
    source = pa.BufferReader(payload)
    while source.tell() < len(payload):
        at = source.tell()
        try:
            reader = pa.ipc.open_stream(source)
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                # Offsets and dictionary indices of foreign bytes may point anywhere.
                batch.validate(full=True)
                yield batch
        except _BROKEN as error:
            short = "ended" in str(error) or "Expected to" in str(error)
            label = Reason.TRUNCATED.label if short else Reason.WRONG_FORMAT.label
            yield SchemaError(label, f"at byte {at}: {error}")
            return
        if source.tell() <= at:
            return


def _refuse(out: Decoded, error: SchemaError, payload: bytes, rows: int = 1) -> None:
    reason = REASONS.get(error.reason, Reason.WRONG_FORMAT)
    out.refusals.append(refusal(reason, error.detail, payload, rows=max(1, rows)))
    out.verdicts.append(Verdict(len(out.verdicts), "", 0, 0, reason))


def _taken(
    batch: pa.RecordBatch, index: DeviceIndex, t_ingest_ns: int, out: Decoded
) -> SampleBlock:
    """The rows of `batch` that can be used; the others are refused in `out`. Raises SchemaError."""
    if batch.num_rows > MAX_BATCH_ROWS:
        raise SchemaError("oversize", f"{batch.num_rows} rows, at most {MAX_BATCH_ROWS}")
    kind = kind_of(batch.schema)
    batch = upgrade(batch, t_ingest_ns)
    names = set(batch.schema.names)
    if len(names) != len(batch.schema.names):
        raise SchemaError("wrong_format", "a column name stands twice")
    if batch.num_rows == 0:
        raise SchemaError("empty", f"a {kind} batch without rows")
    device_ids = batch.column("device_id")
    if not pa.types.is_dictionary(device_ids.type):
        device_ids = device_ids.cast(pa.string()).dictionary_encode()
    block = from_arrow(batch, index.kind_rows[kind])
    block = replace(
        block, t_ingest_ns=np.full(len(block), t_ingest_ns, np.int64),
        flags=block.flags & np.uint32(SENDER_FLAGS),
    )
    reasons = _row_reasons(block)
    _judge(block, reasons, device_ids, out)
    good = reasons == Reason.NONE
    return block if good.all() else block.take(good)


def _row_reasons(block: SampleBlock) -> NDArray[np.uint8]:
    reasons = np.zeros(len(block), np.uint8)
    t_ns = block.t_event_ns
    reasons[(t_ns < MIN_TIME_NS) | (t_ns >= MAX_TIME_NS)] = Reason.OUT_OF_RANGE
    reasons[not_finite(block.kind, block.values)] = Reason.NOT_FINITE
    reasons[block.device < 0] = Reason.UNKNOWN_DEVICE
    return reasons


def _judge(
    block: SampleBlock, reasons: NDArray[np.uint8], device_ids: pa.Array, out: Decoded
) -> None:
    """Adds one verdict per (device, boot), and one refusal per reason within it."""
    codes = device_ids.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    names = device_ids.dictionary.cast(pa.string()).to_pylist()
    key = codes << 32 | block.boot.astype(np.int64)
    _, first, owner = np.unique(key, return_index=True, return_inverse=True)
    counts = np.zeros((len(first), 256), np.int64)
    np.add.at(counts, (owner, reasons), 1)
    lowest = np.full(len(first), 2**32 - 1, np.int64)
    np.minimum.at(lowest, owner, block.seq.astype(np.int64))
    for group in np.argsort(first).tolist():
        row = int(first[group])
        code = int(codes[row])
        name = (names[code] or "") if code >= 0 else ""
        found = np.flatnonzero(counts[group, 1:]) + 1
        for reason in found.tolist():
            rows = int(counts[group, reason])
            detail = f"{block.kind} rows of boot {int(block.boot[row])}"
            out.refusals.append(Refusal(Reason(reason), name[:120], rows, detail))
        worst = Reason(int(found[0])) if len(found) else Reason.NONE
        out.verdicts.append(
            Verdict(
                len(out.verdicts), name, int(lowest[group]), int(counts[group, 0]), worst,
                block.kind,
            )
        )

