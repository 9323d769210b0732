"""Many raw batches as few, for whoever runs the edge over a log again: a call of the edge kernel
costs as much as the work on some hundred rows, and a batch that was live holds not many more."""

from collections.abc import Iterable, Iterator

from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import Kind
from models.telemetry.raw import RawBatch

JOINED_ROWS = 1 << 14
"""A batch grows until it has so many rows: far below what a reorder buffer holds."""


def join_batches(batches: Iterable[RawBatch], most_rows: int = JOINED_ROWS) -> Iterator[RawBatch]:
    """The rows of `batches` in larger ones, which an edge kernel treats the same, row for row.

    Joined are only batches that nothing depends on when they are handled: an order counts from its
    own batch's arrival on, rows that came in before the edge's clock are judged by that clock, and
    nothing follows an end.
    """
    held: list[RawBatch] = []
    rows = clock_ns = 0
    alone = False
    for batch in batches:
        before, alone = alone, bool(batch.orders or batch.unread)
        if held and (
            alone or before or held[-1].end or rows >= most_rows
            or _oldest_ns(batch, clock_ns) < clock_ns
        ):
            yield _joined(held)
            held, rows = [], 0
        clock_ns = max(clock_ns, batch.now_ns, _newest_ns(batch))
        held.append(batch)
        rows += batch.rows
    if held:
        yield _joined(held)


def _oldest_ns(batch: RawBatch, default: int) -> int:
    arrived = (block.t_ingest_ns for block in batch.blocks.values() if len(block))
    return min((int(times.min()) for times in arrived), default=default)


def _newest_ns(batch: RawBatch) -> int:
    arrived = (block.t_ingest_ns for block in batch.blocks.values() if len(block))
    return max((int(times.max()) for times in arrived), default=0)


def _joined(batches: list[RawBatch]) -> RawBatch:
    """One batch, arrived when the last of them did."""
    if len(batches) == 1:
        return batches[0]
    blocks: dict[Kind, list[SampleBlock]] = {}
    refused: dict[str, int] = {}
    for batch in batches:
        for kind, block in batch.blocks.items():
            blocks.setdefault(kind, []).append(block)
        for label, count in batch.refused.items():
            refused[label] = refused.get(label, 0) + count
    last = batches[-1]
    whole = {kind: concat_blocks(parts) for kind, parts in blocks.items()}
    return RawBatch(
        last.source_id, last.cursor, max(batch.now_ns for batch in batches), whole, refused,
        last.end,
    )
