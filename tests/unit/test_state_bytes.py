"""States as bytes: what goes in comes out, and bytes of an earlier way are still read."""

import json
import struct

import numpy as np
import pyarrow as pa
import pytest

from models.errors import SchemaError
from models.state_bytes import MAGIC, VERSION, pack_state, unpack_state

LARGE = 80_000
ARRAYS = {
    "small": np.arange(12, dtype=np.int64).reshape(3, 4),
    "empty": np.empty((0, 3), np.float32),
    "large": np.random.default_rng(1).normal(size=LARGE),
    "strided": np.arange(40, dtype=np.uint32).reshape(4, 10)[:, ::3],
    "large and strided": np.arange(4 * LARGE, dtype=np.int32).reshape(2, -1)[:, ::2],
    "none": np.array(7, np.uint8),
    "last": np.array([True, False]),
}
SCALARS = {"seq": 3, "name": "n"}


def in_one_frame(scalars, arrays):
    """As states were written once: one frame at the usual level."""
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
    head = {
        "version": VERSION, "scalars": scalars, "bytes": len(body),
        "arrays": [[name, a.dtype.str, list(a.shape)] for name, a in arrays.items()],
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    packed = pa.compress(body, codec="zstd", asbytes=True)
    return b"".join((MAGIC, struct.pack("<I", len(text)), text, packed))


@pytest.mark.parametrize("pack", [pack_state, in_one_frame])
@pytest.mark.parametrize(
    "names", [list(ARRAYS), ["large"], ["small", "large"], ["large", "small"], ["empty"], []]
)
def test_what_goes_in_comes_out(pack, names):
    arrays = {name: ARRAYS[name] for name in names}
    scalars, found = unpack_state(pack(SCALARS, arrays))
    assert scalars == SCALARS
    assert list(found) == names
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable


def test_the_same_state_gives_the_same_bytes():
    assert pack_state(SCALARS, ARRAYS) == pack_state(SCALARS, ARRAYS)


def test_the_array_bytes_are_those_of_one_frame():
    """A reader that knows of no frames finds the very same bytes."""
    payload = pack_state(SCALARS, ARRAYS)
    (length,) = struct.unpack_from("<I", payload, 4)
    size = json.loads(payload[8 : 8 + length])["bytes"]
    body = pa.decompress(payload[8 + length :], size, codec="zstd", asbytes=True)
    assert body == b"".join(array.tobytes() for array in ARRAYS.values())


def test_a_state_that_was_cut_short_is_refused():
    payload = pack_state(SCALARS, ARRAYS)
    for cut in (len(payload) - 1, len(payload) // 2, 20):
        with pytest.raises(SchemaError):
            unpack_state(payload[:cut])
    (length,) = struct.unpack_from("<I", payload, 4)
    without_small = pack_state(SCALARS, {"large": ARRAYS["large"]})
    (other,) = struct.unpack_from("<I", without_small, 4)
    with pytest.raises(SchemaError):
        unpack_state(payload[: 8 + length] + without_small[8 + other :])
