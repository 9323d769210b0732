"""How far a match is rolled: the kernel's state, and what tells a repeated row from a new one.

Consumers of the log see some records twice: a flow worker that died repeats states and predictions.
States of a subject come in time order, so the newest time taken tells; events and predictions are
told by their identity, of which the newest `MAX_KEYS` are remembered.

Bytes: b"TLRP", u32 little-endian header length, JSON header, keys as u64, kernel state.
"""

import hashlib
import json
import struct
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import SchemaError
from models.plain_fields import read_json

MAGIC: Final = b"TLRP"
MAX_KEYS: Final = 1 << 20
_FINAL: Final = "final"


@dataclass(slots=True)
class Progress:
    """Grows with a roll and is stored at its end.

    states     subject -> (newest t_ns taken, 1 if the final row was taken)
    expected   subjects with samples that a flow reads: each must get a final row
    ended      the match's raw records are rolled to their end
    end_ns     event time up to which samples are rolled; floor_ns newest arrival time
    kernel     state of the edge kernel; empty at the beginning
    """

    states: dict[str, tuple[int, int]] = field(default_factory=dict)
    expected: set[str] = field(default_factory=set)
    ended: bool = False
    end_ns: int = 0
    floor_ns: int = 0
    kernel: bytes = b""
    _keys: dict[int, None] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """All that is expected of the match has been taken."""
        return self.ended and all(self.states.get(one, (0, 0))[1] for one in self.expected)

    def is_new(self, identity: str) -> bool:
        """Whether an event or prediction of this identity comes for the first time."""
        digest = hashlib.sha256(identity.encode()).digest()
        key = int.from_bytes(digest[:8], "little")
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > MAX_KEYS:
            del self._keys[next(iter(self._keys))]
        return True

    def new_states(self, table: pa.Table) -> pa.Table:
        """The rows of a table of states that are new, in order. A final row may share its time
        with the last provisional one: both stand."""
        rows = zip(
            table.column("subject_id").to_pylist(), table.column("t_ns").to_pylist(),
            table.column("status").to_pylist(), strict=True,
        )
        keep: NDArray[np.bool_] = np.zeros(table.num_rows, np.bool_)
        for place, (subject, t_ns, status) in enumerate(rows):
            mark = (t_ns, int(status == _FINAL))
            if mark > self.states.get(subject, (-1 << 63, 0)):
                self.states[subject] = mark
                keep[place] = True
        return table if keep.all() else table.filter(pa.array(keep))

    def encode(self) -> bytes:
        """The bytes of all of it."""
        keys = np.fromiter(self._keys, np.dtype("<u8"), len(self._keys))
        head = {
            "version": 1, "states": self.states, "expected": sorted(self.expected),
            "ended": self.ended, "end_ns": self.end_ns, "floor_ns": self.floor_ns,
            "keys": len(keys),
        }
        text = json.dumps(head, sort_keys=True).encode()
        return b"".join((MAGIC, struct.pack("<I", len(text)), text, keys.tobytes(), self.kernel))

    @staticmethod
    def decode(payload: bytes) -> "Progress":
        """Raises SchemaError."""
        if payload[:4] != MAGIC or len(payload) < 8:
            raise SchemaError("wrong_format", "not the state of a roll")
        (length,) = struct.unpack_from("<I", payload, 4)
        try:
            head: dict[str, Any] = read_json(payload[8 : 8 + length])
            if head["version"] != 1:
                raise SchemaError("unknown_version", str(head["version"])[:20])
            keys = np.frombuffer(payload, np.dtype("<u8"), head["keys"], 8 + length)
            states = {name: (int(t), int(final)) for name, (t, final) in head["states"].items()}
            return Progress(
                states, set(head["expected"]), bool(head["ended"]), int(head["end_ns"]),
                int(head["floor_ns"]), payload[8 + length + keys.nbytes :],
                dict.fromkeys(keys.tolist()),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise SchemaError("wrong_format", f"state of a roll: {error}"[:200]) from error
