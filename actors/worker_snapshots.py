"""Snapshots of single flows: kernel state and the log offset that it stands for.

Bytes: b"TLFS", u32 little-endian header length, JSON header, kernel state. One key per flow, so
that a flow can move alone; the store refuses writers of an older epoch.
"""

import json
import struct
from dataclasses import dataclass
from typing import Final, Protocol

from models.errors import SchemaError
from models.plain_fields import read_json

MAGIC: Final = b"TLFS"
_LENGTH: Final = struct.Struct("<I")


class SnapshotPort(Protocol):
    """What is needed of `cluster.snapshots.SnapshotStore`."""

    def put(self, key: str, payload: bytes, epoch: int) -> None:
        """Durable; FencedError when a newer epoch has written."""
        ...

    def get(self, key: str) -> tuple[bytes, int] | None:
        """The newest one and its epoch."""
        ...


@dataclass(frozen=True, slots=True)
class FlowSnapshot:
    """`offset` is the record that the flow wants next; `final` that its last one is done."""

    offset: int
    final: bool
    state: bytes

    def encode(self) -> bytes:
        head = json.dumps({"offset": self.offset, "final": self.final}).encode()
        return b"".join((MAGIC, _LENGTH.pack(len(head)), head, self.state))

    @staticmethod
    def decode(payload: bytes) -> "FlowSnapshot":
        """Raises SchemaError."""
        if payload[:4] != MAGIC or len(payload) < 8:
            raise SchemaError("wrong_format", "not a flow snapshot")
        (length,) = _LENGTH.unpack_from(payload, 4)
        try:
            head = read_json(payload[8 : 8 + length])
            return FlowSnapshot(int(head["offset"]), bool(head["final"]), payload[8 + length :])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SchemaError("wrong_format", "header of a flow snapshot") from error


def flow_key(venue_id: str, match_id: str, subject_id: str) -> str:
    """The snapshot key of a flow."""
    return f"flow/{venue_id}/{match_id}/{subject_id}"


def flow_stream(match_id: str, subject_id: str) -> str:
    """The log stream of a flow's events, and what is fenced when it changes hands. It names the
    match, because the numbers of a flow's events start anew with each."""
    return f"flow/{match_id}/{subject_id}"
