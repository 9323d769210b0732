"""CSV and Parquet tables as canonical rows, by a column mapping.

Only the mapped columns are read. The table is held in memory (rows of a recording come in any order
and have to be sorted by time): about 60 bytes per row and channel while reading, bounded by
`MAX_ROWS`. Strings are only ever looked at once per distinct value.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from actors.sources.recorded.blobs import Blob
from actors.sources.recorded.mapping import UNITS_NS, Field, Key, Mapping
from models.errors import SchemaError

MAX_ROWS: Final = 50_000_000
_SESSION_GAP_NS: Final = 1_000_000_000


def columns_of(blob: Blob) -> set[str]:
    """The column names of a CSV or Parquet file; empty when it is neither."""
    try:
        if blob.head(4) == b"PAR1":
            return set(pq.read_schema(pa.BufferReader(blob.read())).names)
        first = blob.head().split(b"\n", 1)[0].decode("utf-8-sig").strip()
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return set()
    return {name.strip().strip('"') for name in re.split(_delimiter(first), first)}


def _delimiter(first: str) -> str:
    return max(",;\t", key=first.count)


def read_table(blob: Blob, wanted: set[str]) -> pa.Table:
    """The columns of `wanted` that the file has. Raises SchemaError when it cannot be read."""
    payload = blob.read()
    if not payload:
        raise SchemaError("empty", f"{blob.name} has no bytes")
    try:
        if payload[:4] == b"PAR1":
            file = pq.ParquetFile(pa.BufferReader(payload))
            _check_rows(blob, file.metadata.num_rows)
            names = [name for name in file.schema_arrow.names if name in wanted]
            return file.read(columns=names)
        first = payload[:65536].split(b"\n", 1)[0].decode("utf-8-sig")
        table = pa_csv.read_csv(
            pa.BufferReader(payload), parse_options=pa_csv.ParseOptions(delimiter=_delimiter(first))
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SchemaError(
            "wrong_format", f"{blob.name}: expected CSV or Parquet: {error}"
        ) from error
    _check_rows(blob, table.num_rows)
    table = table.rename_columns([name.strip() for name in table.column_names])
    return table.select([name for name in table.column_names if name in wanted])


def _check_rows(blob: Blob, rows: int) -> None:
    if rows > MAX_ROWS:
        raise SchemaError("oversize", f"{blob.name}: {rows} rows, at most {MAX_ROWS}")


class Columns:
    """A mapped table: its columns as numpy arrays, strings as codes into distinct values."""

    def __init__(self, table: pa.Table, mapping: Mapping) -> None:
        missing = mapping.columns() - set(table.column_names)
        if missing:
            raise SchemaError(
                "wrong_format", f"mapping {mapping.name} needs columns {sorted(missing)}"
            )
        if table.num_rows == 0:
            raise SchemaError("empty", "the table has no rows")
        self.table, self.mapping, self.rows = table, mapping, table.num_rows
        self.cache: dict[tuple[str, str], tuple[NDArray[np.int64], list[str]]] = {}

    def numbers(self, name: str) -> NDArray[np.float64]:
        """(n,) a numeric column; nulls are NaN."""
        try:
            column = self.table.column(name).cast(pa.float64(), safe=False)
        except pa.ArrowException as error:
            raise SchemaError("wrong_format", f"column {name} is not numeric: {error}") from error
        filled: NDArray[np.float64] = pc.fill_null(column, float("nan")).to_numpy()
        return filled

    def whole(self, name: str) -> NDArray[np.int64]:
        """(n,) a column of whole numbers. SchemaError when there are nulls or fractions."""
        column = self.table.column(name)
        try:
            if column.null_count:
                raise SchemaError("wrong_format", f"column {name} has {column.null_count} nulls")
            whole: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
            return whole
        except pa.ArrowException as error:
            raise SchemaError("wrong_format", f"column {name}: {error}") from error

    def texts(self, key: Key) -> tuple[NDArray[np.int64], list[str]]:
        """(n,) codes and the distinct texts in order of appearance, after the key's pattern."""
        column = self.table.column(key.column).cast(pa.string()).combine_chunks()
        encoded = pc.fill_null(column, "").dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        raw = encoded.dictionary.to_pylist()
        if key.pattern:
            found = [re.search(key.pattern, text) for text in raw]
            raw = [(match.group(1) or "") if match else "" for match in found]
        distinct = list(dict.fromkeys(raw))
        place = {text: code for code, text in enumerate(distinct)}
        recode = np.array([place[text] for text in raw], np.int64)
        return recode[encoded.indices.to_numpy()], distinct

    def joined(self, keys: tuple[Key, ...]) -> tuple[NDArray[np.int64], list[str]]:
        """Codes and texts of several keys joined by "-"."""
        codes, texts = self.texts(keys[0])
        for key in keys[1:]:
            more, parts = self.texts(key)
            pairs, codes = np.unique(codes * len(parts) + more, return_inverse=True)
            texts = [f"{texts[p // len(parts)]}-{parts[p % len(parts)]}" for p in pairs.tolist()]
        return codes.astype(np.int64), texts

    def channel(self, field: Field) -> NDArray[np.float32]:
        """(n,) a channel in canonical units; text that has no value is NaN."""
        if field.values:
            codes, texts = self.texts(Key(field.column))
            numbers = np.array([field.values.get(text, np.nan) for text in texts])
            return numbers[codes].astype(np.float32)
        return (self.numbers(field.column) * field.scale + field.offset).astype(np.float32)

    def times_ns(self) -> NDArray[np.int64]:
        """(n,) the time column in ns, without sessions; a float keeps its fraction."""
        time = self.mapping.time
        column = self.table.column(time.column)
        if pa.types.is_timestamp(column.type):
            exact = column.cast(pa.timestamp("ns")).cast(pa.int64())
            stamps: NDArray[np.int64] = exact.to_numpy()
            return stamps
        unit = 1e9 / self.mapping.rate_hz if time.unit == "samples" else UNITS_NS[time.unit]
        if pa.types.is_integer(column.type) and time.unit != "samples":
            found = self.whole(time.column) * np.int64(unit)
        else:
            numbers = self.numbers(time.column)
            if not np.isfinite(numbers).all():
                raise SchemaError("wrong_format", f"column {time.column} has rows without time")
            # Whole units apart from the fraction: 1e18 ns do not fit a float64 exactly.
            base = np.floor(numbers)
            whole = base.astype(np.int64)
            found = (base * unit).astype(np.int64) if unit % 1 else whole * int(unit)
            found = found + np.rint((numbers - base) * unit).astype(np.int64)
        return found if time.epoch else found - found.min() + time.start_ns

    def sessions(self, t_ns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(boot, t_ns): the session's number from 1, relative times one session after another."""
        key = self.mapping.session
        if key is None:
            period = self.mapping.period
            return (self.whole(period) if period else np.zeros(self.rows, np.int64)), t_ns
        codes, texts = self.texts(key)
        if not self.mapping.time.epoch:
            low = np.full(len(texts), 2**62, np.int64)
            high = np.full(len(texts), -(2**62), np.int64)
            np.minimum.at(low, codes, t_ns)
            np.maximum.at(high, codes, t_ns)
            lengths = high - low + _SESSION_GAP_NS
            starts = self.mapping.time.start_ns + np.cumsum(lengths) - lengths
            t_ns = t_ns + (starts - low)[codes]
        return codes + 1, t_ns


def with_join(table: pa.Table, blob: Blob, mapping: Mapping) -> pa.Table:
    """`table` with the columns of the joined file. SchemaError when the file is not there."""
    if not mapping.join_file:
        return table
    path = blob.path.parent / mapping.join_file
    if not path.is_file():
        raise SchemaError("wrong_format", f"mapping {mapping.name} needs {mapping.join_file}")
    other = read_table(Blob(path, path.name), mapping.columns())
    if mapping.join_on not in other.column_names:
        raise SchemaError("wrong_format", f"{mapping.join_file} lacks {mapping.join_on}")
    keys = other.column(mapping.join_on).combine_chunks()
    places = pc.index_in(table.column(mapping.join_on), value_set=keys).combine_chunks()
    for name in other.column_names:
        if name not in table.column_names:
            table = table.append_column(name, other.column(name).take(places))
    return table


def pitch_of(blob: Blob, mapping: Mapping) -> tuple[float, float]:
    """(length_m, width_m): from the mapping's pitch file if there is one beside the table."""
    path: Path = blob.path.parent / (mapping.pitch_file or ".")
    if not mapping.pitch_file or not path.is_file():
        return mapping.pitch_m
    try:
        found: Any = json.loads(path.read_bytes())[mapping.pitch_key]
        return float(found[0]), float(found[1])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise SchemaError("wrong_format", f"{path.name}: no pitch size: {error}") from error
