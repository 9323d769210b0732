"""How a stadium takes up where its predecessor stopped: snapshot, then the raw records since.

The snapshot holds the kernel's state and the counters as of one raw offset. Handling the raw
records from there makes the same effects with the same numbers, so appending them again changes
nothing.
A snapshot of another match only tells where that match's raw records end.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from actors.stadium_journal import Counters, Journal
from cluster.snapshots import SnapshotStore
from models.edge.kernel import EdgeKernel
from models.errors import ConfigError, SchemaError
from models.telemetry.devices import index_of
from models.telemetry.raw import RawBatch, RawDecoder

MAGIC: Final = b"TLE1"
PAGE_RECORDS: Final = 64
PAGE_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Recovery:
    """What recovery did: `replayed` raw records from offset `from_offset`; `damaged` unreadable."""

    fresh: bool
    from_offset: int
    replayed: int
    damaged: int


def snapshot_key(venue_id: str) -> str:
    return f"edge/{venue_id}"


def save(journal: Journal, kernel: EdgeKernel, store: SnapshotStore) -> int:
    """Store the state as of the last handled raw record; its size in bytes.

    All effects up to there must be durable: what is staged would be lost with the process.
    """
    assert journal.staged == 0
    head = {
        "match_id": journal.roster.match_id, "roster": journal.roster_sha,
        "counters": asdict(journal.counters),
    }
    text = json.dumps(head, sort_keys=True).encode()
    body = b"".join((MAGIC, struct.pack("<I", len(text)), text, kernel.snapshot()))
    store.put(snapshot_key(journal.venue_id), body, journal.epoch)
    journal.commit_raw()
    return len(body)


def recover(
    journal: Journal, kernel: EdgeKernel, store: SnapshotStore,
    apply: Callable[[RawBatch, int, int], None],
) -> Recovery:
    """Bring `kernel` and `journal` to the end of the raw topic.

    apply(batch, offset, t_append_ns) handles one raw record and makes its effects durable. Raises
    ConfigError when the match goes on with another roster, or when raw records that are needed
    are not in the log.
    """
    info = journal.log.describe(journal.topics["raw"])
    fresh = not _restore(journal, kernel, store, info.end)
    start = journal.counters.raw_offset
    if not info.begin <= start <= info.end:
        raise ConfigError(
            f"raw records of {journal.venue_id} from {start} on are needed, the log holds"
            f" [{info.begin}, {info.end}): log and snapshots do not belong together"
        )
    replayed, damaged = _replay(journal, apply)
    return Recovery(fresh, start, replayed, damaged)


def _restore(journal: Journal, kernel: EdgeKernel, store: SnapshotStore, raw_end: int) -> bool:
    found = store.get(snapshot_key(journal.venue_id))
    if found is None:
        return False
    head, body = _split(found[0])
    if head["match_id"] != journal.roster.match_id:
        # Another match was played here: ours begins where its raw records end.
        journal.counters = Counters(raw_offset=raw_end)
        save(journal, kernel, store)
        return False
    if head["roster"] != journal.roster_sha:
        raise ConfigError(
            f"the roster of match {journal.roster.match_id} at {journal.venue_id} has changed since"
            " the match began; give the match another id"
        )
    journal.counters = Counters(**head["counters"])
    kernel.restore(body)
    return True


def _split(payload: bytes) -> tuple[dict[str, Any], bytes]:
    if payload[:4] != MAGIC:
        raise SchemaError("wrong_format", "not a snapshot of a stadium")
    (length,) = struct.unpack_from("<I", payload, 4)
    return json.loads(payload[8 : 8 + length]), payload[8 + length :]


def _replay(journal: Journal, apply: Callable[[RawBatch, int, int], None]) -> tuple[int, int]:
    topic = journal.topics["raw"]
    decoder = RawDecoder(index_of(journal.roster).rows_of)
    replayed = damaged = 0
    while stored := journal.log.read(
        topic, journal.counters.raw_offset, PAGE_RECORDS, PAGE_BYTES
    ):
        for one in stored:
            # Readers skip records that do not verify, which leaves gaps between offsets.
            damaged += one.offset - journal.counters.raw_offset
            try:
                batch = decoder.decode(one.record.payload)
            except SchemaError:
                damaged += 1
                journal.counters.raw_offset = one.offset + 1
                continue
            apply(batch, one.offset, one.t_append_ns)
            replayed += 1
    # What is appended next gets this offset, also when the last records were damaged.
    end = journal.log.describe(topic).end
    damaged += end - journal.counters.raw_offset
    journal.counters.raw_offset = end
    return replayed, damaged
