"""Arrays of an analysis as bytes and back; no pickle.

Bytes: b"TLAN", u32 little-endian header length, JSON header (name, shape and type of every array),
then the arrays, little-endian, one after the other.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import SchemaError

MAGIC = b"TLAN"


def pack_arrays(name: str, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The state of the analysis `name`."""
    shapes = {key: [list(array.shape), array.dtype.str] for key, array in arrays.items()}
    head = json.dumps({"name": name, "arrays": shapes}, separators=(",", ":")).encode()
    parts = (np.ascontiguousarray(array).tobytes() for array in arrays.values())
    return b"".join((MAGIC, struct.pack("<I", len(head)), head, *parts))


def unpack_arrays(name: str, payload: bytes, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the state in `payload` into `arrays`, which must be laid out alike. SchemaError."""
    if payload[:4] != MAGIC or len(payload) < 8:
        raise SchemaError("wrong_format", "not the state of an analysis")
    (length,) = struct.unpack_from("<I", payload, 4)
    wanted = {key: [list(array.shape), array.dtype.str] for key, array in arrays.items()}
    try:
        header = json.loads(payload[8 : 8 + length])
    except ValueError as error:
        raise SchemaError("wrong_format", "header of the state") from error
    if header != {"name": name, "arrays": wanted}:
        raise SchemaError("unknown_version", f"state of another {name}")
    if len(payload) != 8 + length + sum(array.nbytes for array in arrays.values()):
        raise SchemaError("truncated", f"{len(payload)} bytes of state")
    at = 8 + length
    for array in arrays.values():
        found = np.frombuffer(payload, array.dtype, array.size, at)
        array[...] = found.reshape(array.shape)
        at += array.nbytes
