"""State rows to Arrow IPC bytes, by the remembered head of the same sort of batch.

A worker writes the same hundred columns for the same subjects four times a second. All that changes
between two batches of equal length is the body of the record batch message: the columns one after
the other, each padded to 8 bytes (Arrow columnar format, "Encapsulated message format"). The head
(schema, dictionaries, metadata of the batch) is what pyarrow wrote for the first batch of its sort,
and is used again only if body and head together were what pyarrow had written, byte for byte.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from numpy.typing import NDArray

MOST_HEADS: Final = 256
_ALIGN: Final = 8
_END: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_PAD: Final = bytes(_ALIGN)

Key = tuple[Any, ...]


class HeadCache:
    """Heads of record batches without nulls, by whatever tells their sorts apart.

    At most `MOST_HEADS`; what `write` returns does not depend on what is remembered.
    """

    def __init__(self) -> None:
        self._heads: dict[Key, tuple[bytes | None, object]] = {}

    def write(self, key: Key, batch: "LazyBatch") -> bytes:
        """The IPC stream of `batch`; equal keys promise equal schemas, dictionaries and lengths."""
        found = self._heads.get((*key, id(batch.about)))
        if found is None:
            return self._first((*key, id(batch.about)), batch)
        if found[0] is None:
            return to_stream(batch.build())
        return b"".join((found[0], _body(batch.buffers), _END))

    def _first(self, key: Key, batch: "LazyBatch") -> bytes:
        whole, body = to_stream(batch.build()), _body(batch.buffers)
        if len(self._heads) >= MOST_HEADS:
            self._heads.clear()
        head = whole[: len(whole) - len(body) - len(_END)]
        # `about` is held here, so that no other object can come to have its identity.
        self._heads[key] = (head if head + body + _END == whole else None, batch.about)
        return whole


@dataclass(frozen=True, slots=True)
class LazyBatch:
    """Columns without nulls, in order: `buffers` (each contiguous) as they lie in the body, how
    pyarrow would `build` a batch of them, and the object that its metadata is `about`."""

    buffers: Sequence[NDArray[Any]]
    build: Callable[[], pa.RecordBatch]
    about: object


def to_stream(batch: pa.RecordBatch) -> bytes:
    """`batch` as one IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    payload: bytes = sink.getvalue().to_pybytes()
    return payload


def _body(buffers: Sequence[NDArray[Any]]) -> bytes:
    parts: list[Any] = []
    for buffer in buffers:
        parts.append(buffer)
        over = buffer.nbytes % _ALIGN
        if over:
            parts.append(_PAD[over:])
    return b"".join(parts)
