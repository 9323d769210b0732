"""Reads a stretch of a topic page by page: for reports, dumps and rolls, which want all of it.

Owns the loop and its bounds; what a record means is its reader's. Tailing a live topic is not here:
that has no end.
"""

from collections.abc import Iterator
from typing import Final

from cluster.eventlog.port import EventLog, StoredRecord

PAGE_RECORDS: Final = 256
PAGE_BYTES: Final = 8 << 20


def records_of(log: EventLog, topic: str, begin: int, end: int) -> Iterator[StoredRecord]:
    """The records of `topic` in [begin, end), in order. Raises LogError, OffsetError."""
    offset = begin
    while offset < end:
        page = log.read(topic, offset, PAGE_RECORDS, PAGE_BYTES)
        if not page:
            return
        for stored in page:
            if stored.offset >= end:
                return
            yield stored
        offset = page[-1].offset + 1


def records_now(log: EventLog, topic: str, offset: int = 0) -> Iterator[StoredRecord]:
    """Every record from `offset` (or the oldest left) to the end that the topic has now."""
    info = log.describe(topic)
    yield from records_of(log, topic, max(offset, info.begin), info.end)
