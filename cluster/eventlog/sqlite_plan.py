"""What a call changes in the newest segment, decided from its state alone: no I/O here.

State keys: "end" next offset, "bytes" payload so far, "sealed", "epoch/<stream>", "seq/<stream>".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cluster.eventlog.port import Record
from cluster.eventlog.sqlite_rows import ROW_OVERHEAD_BYTES, DamageError, row_of
from models.errors import FencedError


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


def successor_state(state: Mapping[str, int]) -> dict[str, int]:
    """The state with which the segment after a sealed one begins."""
    carried = {key: n for key, n in state.items() if key.startswith(("epoch/", "seq/"))}
    return {"end": needed(state, "end"), "bytes": 0, **carried}


def needed(state: Mapping[str, int], key: str) -> int:
    """A value that every segment has. Raises DamageError when it is gone."""
    if key not in state:
        raise DamageError(f"state has lost {key!r}")
    return state[key]
