"""Tables of one schema as Arrow IPC streams, written straight from their columns.

For tables whose dictionaries never change: what pyarrow wrote once is the mould of all others
(`models.telemetry.ipc_mould`), and gives the bytes that pyarrow would.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from models.telemetry.ipc_mould import ALIGN, END, cast, mould_of


class ColumnWriter:
    """`sample` is a stream of one batch with rows, of columns of these types, none of them null;
    a dictionary's column is that of its numbers."""

    def __init__(self, sample: bytes, dtypes: Sequence[DTypeLike]) -> None:
        self._mould = mould_of(sample)
        self._dtypes = [np.dtype(dtype) for dtype in dtypes]
        assert len(dtypes) == self._mould.columns, (len(dtypes), self._mould.columns)

    def write(self, columns: Sequence[NDArray[np.generic]]) -> bytes:
        """The stream of a table with rows."""
        count = len(columns[0])
        # No row is null: a column's first buffer, its validity, is empty.
        sizes = [size for dtype in self._dtypes for size in (0, dtype.itemsize * count)]
        pieces: list[bytes | memoryview] = [
            self._mould.prefix, cast(self._mould, count, sizes).message
        ]
        for column, dtype in zip(columns, self._dtypes, strict=True):
            assert len(column) == count, (len(column), count)
            pieces.append(np.ascontiguousarray(column, dtype).data)
            pieces.append(bytes(-dtype.itemsize * count % ALIGN))
        return b"".join((*pieces, END))
