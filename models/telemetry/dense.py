"""Dense bodies: a payload of any format as one zstd frame (RFC 8878), for narrow uplinks.

A frame says its unpacked size; one that does not, or says more than the receiver's bound, is
refused before a byte of it is unpacked, and what it unpacks to can never be more than it said.
"""

import struct
from typing import Final

import pyarrow as pa

from models.errors import SchemaError

LEVEL: Final = 1
"""Level 3 saves 4 % more bytes and costs a third more time."""
ENCODING: Final = "zstd"
"""As HTTP's Content-Encoding names it."""
SUFFIX: Final = "+zstd"
"""Behind a content type: the structured syntax suffix of RFC 8878."""
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SIZES: Final = (("<B", 0), ("<H", 256), ("<I", 0), ("<Q", 0))
"""How a frame's content size is written, and what is to be added, by its flag."""


def densified(payload: bytes) -> bytes:
    """`payload` as one frame."""
    return bytes(pa.Codec(ENCODING, LEVEL).compress(payload, asbytes=True))


def unpacked(frame: bytes, bound: int) -> bytes:
    """What `densified` was given. Raises SchemaError: oversize beyond `bound` bytes, else
    truncated or wrong_format."""
    size = _content_bytes(frame)
    if size > bound:
        raise SchemaError("oversize", f"{size} bytes unpacked, at most {bound}")
    try:
        return bytes(pa.Codec(ENCODING).decompress(frame, decompressed_size=size, asbytes=True))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SchemaError("wrong_format", f"zstd: {error}") from error


def _content_bytes(frame: bytes) -> int:
    """What the frame's header says (RFC 8878, 3.1.1.1)."""
    if len(frame) < 5:
        raise SchemaError("truncated", f"{len(frame)} bytes of a zstd frame")
    if frame[:4] != _MAGIC:
        raise SchemaError("wrong_format", "not a zstd frame")
    descriptor = frame[4]
    flag, single = descriptor >> 6, descriptor >> 5 & 1
    if flag == 0 and not single:
        raise SchemaError("wrong_format", "a zstd frame that does not say its unpacked size")
    # A window descriptor, unless the content is one segment, and the id of a dictionary lie before.
    at = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    form, more = _SIZES[flag]
    try:
        (size,) = struct.unpack_from(form, frame, at)
    except struct.error as error:
        raise SchemaError("truncated", "a zstd frame without its header") from error
    return int(size) + more
