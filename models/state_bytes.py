"""States of kernels: scalars and named arrays as bytes that say what they are, without pickle.

Layout: b"TLES", u32 little-endian header length, JSON header (version, scalars, and per array name,
dtype, shape), then all array bytes one after the other, compressed as frames of zstd.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import SchemaError
from models.plain_fields import read_json

MAGIC: Final = b"TLES"
VERSION: Final = 2
_CODEC: Final = "zstd"
_FAST_LEVEL: Final = -5
"""A state is written every few seconds and hardly ever read: at this level of zstd it takes a
sixth more bytes than at its usual one, and less than half the time."""
_LARGE_BYTES: Final = 1 << 18
MAX_BYTES: Final = 4 << 30


def pack_state(scalars: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a state."""
    columns = [np.ascontiguousarray(array) for array in arrays.values()]
    head = {
        "version": VERSION, "scalars": scalars, "bytes": sum(column.nbytes for column in columns),
        "arrays": [[name, a.dtype.str, list(a.shape)] for name, a in arrays.items()],
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((MAGIC, struct.pack("<I", len(text)), text, *_frames(columns)))


def _frames(columns: list[NDArray[Any]]) -> list[pa.Buffer]:
    """The bytes of all columns, compressed: large ones from where they are, as copying those would
    cost as much again, small ones together. Frames of zstd may follow each other."""
    codec = pa.Codec(_CODEC, _FAST_LEVEL)
    frames: list[pa.Buffer] = []
    small: list[memoryview] = []
    for column in columns:
        if column.nbytes < _LARGE_BYTES:
            small.append(column.data)
            continue
        if small:
            frames.append(codec.compress(b"".join(small)))
            small = []
        frames.append(codec.compress(column))
    if small or not frames:
        frames.append(codec.compress(b"".join(small)))
    return frames


def unpack_state(payload: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """(scalars, arrays) of a state; arrays are fresh and may be written. Raises SchemaError."""
    if payload[:4] != MAGIC or len(payload) < 8:
        raise SchemaError("wrong_format", "not a snapshot")
    (length,) = struct.unpack_from("<I", payload, 4)
    try:
        head = read_json(payload[8 : 8 + length])
        if head["version"] != VERSION:
            raise SchemaError("unknown_version", str(head["version"])[:20])
        size = int(head["bytes"])
        if not 0 <= size <= MAX_BYTES:
            raise SchemaError("oversize", str(size))
        body = pa.decompress(payload[8 + length :], size, codec=_CODEC, asbytes=True)
        arrays, offset = {}, 0
        for name, dtype, shape in head["arrays"]:
            count = math.prod(shape)
            column = np.frombuffer(body, np.dtype(dtype), count, offset)
            arrays[name] = column.reshape(shape).copy()
            offset += column.nbytes
        return head["scalars"], arrays
    except (
        KeyError, TypeError, ValueError, OverflowError, OSError, pa.ArrowException
    ) as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error


def fill(arrays: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> None:
    """Write what was `found` into `arrays`. Raises SchemaError, and writes nothing, when an array
    is missing or laid out otherwise."""
    for name, array in arrays.items():
        new = found.get(name)
        if new is None or new.shape != array.shape or new.dtype != array.dtype:
            raise SchemaError("wrong_format", f"state without {name} as it is laid out here")
    for name, array in arrays.items():
        array[...] = found[name]
