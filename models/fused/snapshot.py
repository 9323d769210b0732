"""Everything that a fused kernel remembers, as bytes; no pickle.

Bytes: b"TLFU", u32 little-endian header length, JSON header (version, configuration, shapes), then
the arrays, little-endian, in the order of the header.
"""

import json
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import SchemaError

MAGIC: Final = b"TLFU"
ALGO_VERSION: Final = "fused-1"
Arrays = dict[str, NDArray[Any]]


def dump(config: str, arrays: Arrays) -> bytes:
    """`arrays` by name as bytes, with what they were made under."""
    header = {
        "algo": ALGO_VERSION, "config": config,
        "arrays": [[name, a.dtype.str, list(a.shape)] for name, a in arrays.items()],
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    body = b"".join(array.tobytes() for array in arrays.values())
    return MAGIC + struct.pack("<I", len(head)) + head + body


def load(payload: bytes, config: str) -> Arrays:
    """The arrays in `payload`, writable. Raises SchemaError when they are torn, or of another
    version or configuration."""
    if payload[:4] != MAGIC or len(payload) < 8:
        raise SchemaError("wrong_format", "not a snapshot of a fused kernel")
    (length,) = struct.unpack_from("<I", payload, 4)
    try:
        header = json.loads(payload[8 : 8 + length])
        made, shapes = (header["algo"], header["config"]), list(header["arrays"])
        types = [(str(name), np.dtype(kind), tuple(shape)) for name, kind, shape in shapes]
    except (ValueError, KeyError, TypeError) as error:
        raise SchemaError("wrong_format", "header of the snapshot") from error
    if made != (ALGO_VERSION, config):
        raise SchemaError("unknown_version", f"snapshot of {made}")
    at, found = 8 + length, {}
    for name, kind, shape in types:
        size = int(np.prod(shape))
        if at + size * kind.itemsize > len(payload):
            raise SchemaError("truncated", f"{len(payload)} bytes of snapshot")
        found[name] = np.frombuffer(payload, kind, size, at).reshape(shape).copy()
        at += size * kind.itemsize
    if at != len(payload):
        raise SchemaError("wrong_format", "bytes behind the snapshot")
    return found
