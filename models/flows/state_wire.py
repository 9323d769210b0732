"""State rows to Arrow IPC bytes, by the mould of the same sort of batch.

A worker writes the same hundred columns for the same subjects four times a second. The mould
(`models.telemetry.ipc_mould`) is what pyarrow wrote for the first batch of a sort; it is used only
if it makes that batch again, byte for byte.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
from numpy.typing import NDArray

from models.telemetry.ipc_mould import ALIGN, END, Mould, cast, mould_of, stream_of

MOST_MOULDS: Final = 16
MOST_MESSAGES: Final = 1024
_PAD: Final = bytes(ALIGN)

Key = tuple[Any, ...]
Messages = dict[Key, bytes]
"""Messages that were cast, for caches that share them: those of a sort and a number of rows are the
same whatever the subjects, and to cast one costs as much as to write the rows."""


@dataclass(frozen=True, slots=True)
class LazyBatch:
    """A batch of `rows` rows: its `body` in padded parts; the `sizes` of its buffers (0 where there
    are no bits of validity); `nulls` in the last column and none elsewhere; how pyarrow would
    `build` it; and the object that its metadata is `about`."""

    rows: int
    nulls: int
    body: Sequence[Any]
    sizes: Callable[[], Sequence[int]]
    build: Callable[[], pa.RecordBatch]
    about: object


class MouldCache:
    """Moulds by whatever tells sorts of batches apart; equal keys promise equal schemas and
    dictionaries. At most `MOST_MOULDS`, and `MOST_MESSAGES` in `messages`; what `write` returns
    does not depend on them."""

    def __init__(self, messages: Messages | None = None) -> None:
        self._moulds: dict[Key, tuple[Mould | None, object]] = {}
        self._messages = {} if messages is None else messages

    def write(self, key: Key, batch: LazyBatch) -> bytes:
        """The IPC stream of `batch`, which has rows."""
        key = (*key, id(batch.about))
        if key not in self._moulds:
            return self._first(key, batch)
        mould = self._moulds[key][0]
        return stream_of(batch.build()) if mould is None else self._cast(key, mould, batch)

    def _first(self, key: Key, batch: LazyBatch) -> bytes:
        if len(self._moulds) >= MOST_MOULDS:
            self._moulds.clear()
        whole = stream_of(batch.build())
        try:
            mould = _blank(mould_of(whole), len(batch.sizes()))
            fits = self._cast(key, mould, batch) == whole
        except (struct.error, IndexError, ValueError):
            fits = False
        # `about` is held, so that no other object can come to have its identity.
        self._moulds[key] = (mould if fits else None, batch.about)
        return whole

    def _cast(self, key: Key, mould: Mould, batch: LazyBatch) -> bytes:
        # All of the key but what the batch is about: schemas are equal, subjects need not be.
        shape = (key[:-1], mould.message, batch.rows, batch.nulls)
        message = self._messages.get(shape)
        if message is None:
            if len(self._messages) >= MOST_MESSAGES:
                self._messages.clear()
            message = cast(mould, batch.rows, batch.sizes(), batch.nulls).message
            self._messages[shape] = message
        return b"".join((mould.prefix, message, *batch.body, END))


def _blank(mould: Mould, buffers: int) -> Mould:
    """The mould without the numbers of the batch that it comes from, so that two of one schema are
    equal whatever their first batches were."""
    return replace(mould, message=cast(mould, 0, [0] * buffers).message)


def padded(buffer: NDArray[Any]) -> list[Any]:
    """A contiguous buffer and what pads it."""
    over = buffer.nbytes % ALIGN
    return [buffer, _PAD[over:]] if over else [buffer]
