"""What a call changes in the newest segment, decided from its state alone: no I/O here.

State keys: "end" next offset, "begin" first one, "bytes" payload so far, "pages" their size,
"sealed", "epoch/<stream>", "seq/<stream>". Segments made before have neither "begin" nor "pages".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cluster.eventlog.port import Record
from cluster.eventlog.sqlite_pages import SAMPLE_BYTES, SMALL_BYTES, pages_of, suiting
from cluster.eventlog.sqlite_rows import ROW_OVERHEAD_BYTES, DamageError, row_of
from models.errors import FencedError

FIRST_BYTES: Final = SMALL_BYTES


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows to insert, state to set (none: nothing changes), and the answer to the caller."""

    answer: list[int]
    state: dict[str, int] = field(default_factory=dict)
    rows: list[tuple[object, ...]] = field(default_factory=list)


def epoch_key(stream: str) -> str:
    """State key of a stream's fencing epoch."""
    return f"epoch/{stream}"


def seq_key(stream: str) -> str:
    """State key of a stream's newest seq."""
    return f"seq/{stream}"


def plan_fence(state: Mapping[str, int], stream: str, epoch: int) -> Plan:
    """Raises FencedError when the stream's epoch is newer than `epoch` (0: one more than it)."""
    current = state.get(epoch_key(stream), 0)
    if epoch and epoch < current:
        raise FencedError(stream, epoch, current)
    taken = epoch or current + 1
    return Plan([taken], {epoch_key(stream): taken} if taken != current else {})


def plan_append(
    state: Mapping[str, int], records: Sequence[Record], epoch: int, now_ns: int
) -> Plan:
    """Consecutive offsets for records that are new, -1 for those that are there.

    Raises FencedError if any record's stream has an epoch newer than `epoch`.
    """
    offset, size = needed(state, "end"), needed(state, "bytes")
    newest: dict[str, int] = {}
    rows: list[tuple[object, ...]] = []
    answer: list[int] = []
    for record in records:
        stream = record.stream
        if stream not in newest:
            current = state.get(epoch_key(stream), 0)
            if current > epoch:
                raise FencedError(stream, epoch, current)
            newest[stream] = state.get(seq_key(stream), -1)
        if record.seq <= newest[stream]:
            answer.append(-1)
            continue
        newest[stream] = record.seq
        rows.append(row_of(offset, now_ns, record))
        answer.append(offset)
        offset += 1
        size += len(record.payload) + ROW_OVERHEAD_BYTES
    if not rows:
        return Plan(answer)
    seqs = {seq_key(stream): seq for stream, seq in newest.items() if seq >= 0}
    return Plan(answer, {"end": offset, "bytes": size, **seqs}, rows)


def is_full(state: Mapping[str, int], segment_bytes: int) -> bool:
    """Whether the next records belong into a segment of their own: because this one is large
    enough, or because they want other pages."""
    size = needed(state, "bytes")
    unfit = size >= SAMPLE_BYTES and _suiting(state) != pages_of(state)
    return size >= segment_bytes or unfit


def first_state() -> dict[str, int]:
    """The state with which a topic begins."""
    return {"end": 0, "begin": 0, "bytes": 0, "pages": FIRST_BYTES}


def successor_state(state: Mapping[str, int]) -> dict[str, int]:
    """The state with which the segment after a sealed one begins."""
    carried = {key: n for key, n in state.items() if key.startswith(("epoch/", "seq/"))}
    end = needed(state, "end")
    return {"end": end, "begin": end, "bytes": 0, "pages": _suiting(state), **carried}


def _suiting(state: Mapping[str, int]) -> int:
    if "begin" not in state:
        return pages_of(state)
    records = needed(state, "end") - state["begin"]
    return suiting(pages_of(state), records, needed(state, "bytes"))


def needed(state: Mapping[str, int], key: str) -> int:
    """A value that every segment has. Raises DamageError when it is gone."""
    if key not in state:
        raise DamageError(f"state has lost {key!r}")
    return state[key]
