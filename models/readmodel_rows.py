"""Rows of a table that are looked at when somebody asks, and not when they come in.

Of the rows that arrive, four a second and subject, few are ever read: making a dictionary of each
costs more than all the rest of the read model. What is kept is the table (immutable) and a place.
"""

from typing import Any, Final

import pyarrow as pa

MOST_SHAPES: Final = 8


class TableRow:
    """Row `index` of `table`; keeps the table, and no other copy."""

    __slots__ = ("_index", "_table")

    def __init__(self, table: pa.Table, index: int) -> None:
        self._table, self._index = table, index

    def values(self) -> dict[str, Any]:
        """Every column's value."""
        found: dict[str, Any] = self._table.slice(self._index, 1).to_pylist()[0]
        return found

    def value(self, name: str) -> Any:
        """One column's value; None when there is no such column."""
        place = self._table.schema.get_field_index(name)
        return self._table.column(place)[self._index].as_py() if place >= 0 else None


class Readable:
    """Whether every value of a table can be read later without a doubt.

    Texts may turn out not to be UTF-8: a table with texts beside the `keys`, which are read at
    once, is read at once as well. Remembers `MOST_SHAPES` schemas; results do not depend on it.
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys
        self._known: list[pa.Schema] = []

    def later(self, table: pa.Table) -> bool:
        """True when a row may be kept as a `TableRow`."""
        if any(table.schema.equals(known) for known in self._known):
            return True
        plain = all(
            pa.types.is_integer(one.type) or pa.types.is_floating(one.type)
            or pa.types.is_boolean(one.type)
            for one in table.schema if one.name not in self._keys
        )
        if plain and len(self._known) < MOST_SHAPES:
            self._known.append(table.schema)
        return plain


def read_table(payload: bytes) -> pa.Table:
    """All batches of an IPC stream. Raises ArrowException, ValueError."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            return reader.read_all()
    except OSError as error:
        raise ValueError(str(error)[:200]) from error
